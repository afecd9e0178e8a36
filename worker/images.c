#include "worker/images.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static int load_split(const struct recipe *r, int split, const struct job_host *host, struct dataset *d,
                      struct err *e)
{
    const struct set_file *set = data_kind_files(r->data, split == SPLIT_TEST);
    const char *paths[RECIPE_MAX_FILES];
    int n = 0;
    for (; set[n].name; n++) {
        const struct data_file *f = NULL;
        for (int i = 0; i < r->n_files && !f; i++)
            if (strcmp(r->files[i].name, set[n].name) == 0)
                f = &r->files[i];
        if (!f)
            return err_set(e, ERR_INVALID, "the search has no data file \"%s\"", set[n].name);
        int rc = host->blob(host->arg, &f->hash, f->size, f->name, data_kind_name(r->data), &paths[n], e);
        if (rc < 0)
            return rc;
    }
    return dataset_load(d, r->data, split, paths, r->seed, e);
}

static int copy_images(const struct dataset *all, const int *index, int n, struct dataset *out, struct err *e)
{
    size_t size = (size_t)all->C * (size_t)all->H * (size_t)all->W;
    *out = *all;
    out->n = n;
    out->pixels = mem_alloc((size_t)n, size);
    out->labels = mem_alloc((size_t)n, 1);
    if (!out->pixels || !out->labels) {
        dataset_release(out);
        return err_set(e, ERR_NOMEM, "no memory for %d images", n);
    }
    for (int i = 0; i < n; i++) {
        memcpy(out->pixels + (size_t)i * size, all->pixels + (size_t)index[i] * size, size);
        out->labels[i] = all->labels[index[i]];
    }
    return 0;
}

static int carve(struct images *im, const struct recipe *r, const struct dataset *train, struct err *e)
{
    if (r->reward < 1 || r->calibrate < 1 || r->reward > train->n || r->calibrate > train->n)
        return err_set(e, ERR_INVALID, "split wants %d reward and %d calibrate images, the training set has %d",
                       r->reward, r->calibrate, train->n);
    int *reward = xcalloc((size_t)r->reward, sizeof(int)), *calibrate = xcalloc((size_t)r->calibrate, sizeof(int));
    int rc = dataset_carve(train, r->seed, r->reward, r->calibrate, reward, calibrate, e);
    if (rc == 0)
        rc = copy_images(train, reward, r->reward, &im->reward, e);
    if (rc == 0)
        rc = copy_images(train, calibrate, r->calibrate, &im->calibrate, e);
    free(reward);
    free(calibrate);
    return rc;
}

/* One number serves all channels; none leaves pixels as they are. */
static int spread(struct images *im, const struct recipe *r, int C, struct err *e)
{
    if (C > 4 || (r->n_channels > 1 && r->n_channels != C))
        return err_set(e, ERR_INVALID, "normalize has %d numbers for mean and std, the images have %d channels",
                       r->n_channels, C);
    for (int c = 0; c < C; c++) {
        int from = r->n_channels > 1 ? c : 0;
        im->mean[c] = r->n_channels > 0 ? r->mean[from] : 0;
        im->std[c] = r->n_channels > 0 ? r->std[from] : 1;
    }
    return 0;
}

int images_load(struct images *im, const struct recipe *r, const struct job_host *host, struct err *e)
{
    if (im->loaded && memcmp(&im->recipe, r, sizeof(*r)) == 0)
        return 0;
    images_release(im);
    struct dataset train = {0};
    int rc = load_split(r, SPLIT_TRAIN, host, &train, e);
    if (rc == 0)
        rc = spread(im, r, train.C, e);
    if (rc == 0)
        rc = carve(im, r, &train, e);
    dataset_release(&train);
    if (rc < 0) {
        images_release(im);
        return rc;
    }
    memcpy(&im->recipe, r, sizeof(*r));
    im->loaded = true;
    return 0;
}

void images_release(struct images *im)
{
    dataset_release(&im->reward);
    dataset_release(&im->calibrate);
    *im = (struct images){0};
}

int images_test(const struct recipe *r, const struct job_host *host, struct dataset *test, struct err *e)
{
    return load_split(r, SPLIT_TEST, host, test, e);
}

struct scored_set images_set(const struct images *im, const struct dataset *d)
{
    return (struct scored_set){.data = d, .n = d->n, .mean = im->mean, .std = im->std};
}
