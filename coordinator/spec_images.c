#include "coordinator/spec_images.h"

/* A search over images without parts is scored at the end on those that it hasn't carved. */
static int check_split(const struct spec *s, const struct picture_index *x, struct err *e)
{
    int n_train = x->n - x->n_test;
    if (s->training)
        return x->split ? 0
                        : err_set(e, ERR_INVALID,
                                  "data.path: a training needs two parts in it, train and test (or val)");
    if (s->reward + s->calibrate > n_train)
        return err_set(e, ERR_INVALID, "split.reward %d and split.calibrate %d: there are %d%s images", s->reward,
                       s->calibrate, n_train, x->split ? " training" : "");
    if (!x->split && s->reward + s->calibrate == n_train)
        return err_set(e, ERR_INVALID,
                       "split.reward %d and split.calibrate %d leave none of the %d images to test finalists on",
                       s->reward, s->calibrate, n_train);
    return 0;
}

int spec_check_images(const struct spec *s, const struct picture_index *x, const struct graph *g, struct err *e)
{
    const struct node *in = &g->nodes[0], *out = &g->nodes[g->output];
    int side = in->H > in->W ? in->H : in->W;
    int rc = picture_index_suits(x, s->offset, in->C, out->C, e);
    if (rc == 0 && s->resize > 0 && s->resize < side)
        rc = err_set(e, ERR_INVALID, "data.resize %d is less than the network's input of %dx%d pixels", s->resize,
                     in->H, in->W);
    return rc < 0 ? rc : check_split(s, x, e);
}
