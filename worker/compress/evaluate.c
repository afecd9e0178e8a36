#include "worker/compress/evaluate.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/compress/cut.h"
#include "worker/compress/recalibrate.h"
#include "worker/compress/reconstruct.h"
#include "worker/compress/sparsify.h"
#include "worker/train/precision.h"

int dense_from(struct dense *d, const struct model *m, const struct stats_list *stats, struct err *e)
{
    *d = (struct dense){0};
    int rc = unfold(m, stats, &d->model, e);
    if (rc == 0)
        rc = groups_find(&d->model.graph, &d->groups, e);
    if (rc < 0)
        dense_release(d);
    else
        fine_find(&d->layers, &d->model.graph);
    return rc;
}

/* Statistics of exactly the values that unfold wants. */
static int check_stats(const struct graph *g, const struct stats_list *s, struct err *e)
{
    int *want = xcalloc((size_t)g->n, sizeof(int)), n = unfold_values(g, want), rc = 0;
    if (s->n != n)
        rc = err_set(e, ERR_INVALID, "the profile has statistics of %d values, the network asks for %d", s->n, n);
    for (int i = 0; rc == 0 && i < n; i++)
        if (s->of[i].node != want[i] || s->of[i].C != g->nodes[want[i]].C)
            rc = err_set(e, ERR_INVALID,
                         "the profile has statistics of %d channels at node %d, the network asks for %d at %d",
                         s->of[i].C, s->of[i].node, g->nodes[want[i]].C, want[i]);
    free(want);
    return rc;
}

static int check_layers(const struct dense *d, const struct profile *p, struct err *e)
{
    if (p->n_groups != d->layers.n)
        return err_set(e, ERR_INVALID, "the profile has %d layers, the network %d", p->n_groups, d->layers.n);
    for (int i = 0; i < p->n_groups; i++)
        if (p->size[i] != FINE_MOST)
            return err_set(e, ERR_INVALID, "layer %d of the profile has %d densities, not %d", i, p->size[i], FINE_MOST);
    return 0;
}

/* A profile of another network would index past this one's arrays. */
static int check_profile(const struct dense *d, const struct profile *p, struct err *e)
{
    if (p->n_groups != d->groups.n)
        return err_set(e, ERR_INVALID, "the profile has %d groups, the network %d", p->n_groups, d->groups.n);
    for (int g = 0; g < p->n_groups; g++)
        if (p->size[g] != d->groups.of[g].n)
            return err_set(e, ERR_INVALID, "group %d of the profile has %d channels, the network's %d", g,
                           p->size[g], d->groups.of[g].n);
    const char *name = d->model.graph.name;
    if (!gram_list_fits(&p->grams, &d->model.graph, &d->groups))
        return err_set(e, ERR_INVALID, "the profile's Gram matrices aren't those of graph \"%s\"",
                       name ? name : "");
    return 0;
}

int dense_new(struct dense *d, const struct model *m, const struct profile *p, enum cut_kind cut, struct err *e)
{
    *d = (struct dense){0};
    int rc = check_stats(&m->graph, &p->stats, e);
    if (rc == 0)
        rc = dense_from(d, m, &p->stats, e);
    if (rc == 0 && (rc = cut == CUT_FINE ? check_layers(d, p, e) : check_profile(d, p, e)) < 0)
        dense_release(d);
    return rc;
}

void dense_release(struct dense *d)
{
    fine_release(&d->layers);
    groups_release(&d->groups);
    model_release(&d->model);
    *d = (struct dense){0};
}

static int make_channels(const struct compress_work *cw, const struct dense *d, const struct profile *p,
                         const int *keep, struct model *out, struct err *e)
{
    for (int g = 0; g < d->groups.n; g++)
        if (keep[g] < 1 || keep[g] > d->groups.of[g].n)
            return err_set(e, ERR_INVALID, "group %d can't keep %d of its %d channels", g, keep[g],
                           d->groups.of[g].n);
    bool *live = xcalloc((size_t)d->groups.n_classes, sizeof(bool));
    cut_live(&d->groups, keep, p->order, live);
    int rc = cut(&d->model, &d->groups, live, out, e);
    if (rc == 0 && cw->recipe->reconstruct &&
        (rc = reconstruct(out, &d->model, &d->groups, live, &p->grams, cw->pool, e)) < 0)
        model_release(out);
    free(live);
    return rc;
}

static int make_fine(const struct dense *d, const int *keep, struct model *out, struct err *e)
{
    for (int i = 0; i < d->layers.n; i++)
        if (keep[i] < 1 || keep[i] > FINE_MOST)
            return err_set(e, ERR_INVALID, "layer %d can't keep %d of %d", i, keep[i], FINE_MOST);
    *out = (struct model){0};
    int rc = graph_copy(&d->model.graph, &out->graph, e);
    if (rc == 0)
        rc = weights_copy(&d->model.weights, &out->weights, e);
    if (rc < 0)
        model_release(out);
    else
        sparsify(out, &d->layers, keep);
    return rc;
}

int evaluate_make(const struct compress_work *cw, const struct dense *d, const struct profile *p, const int *keep,
                  struct model *out, struct err *e)
{
    const struct recipe *r = cw->recipe;
    struct stage stage = {cw, "recalibrate"};
    int rc = cw->progress ? cw->progress(cw->arg, "cut", 0, 1, e) : 0;
    if (rc == 0)
        rc = r->cut == CUT_FINE ? make_fine(d, keep, out, e) : make_channels(cw, d, p, keep, out, e);
    if (rc < 0)
        return rc;
    if (r->recalibrate)
        rc = recalibrate(out, precision_dtype(r->precision), cw->pool, cw->calibrate, stage_report, &stage, e);
    if (rc < 0)
        model_release(out);
    return rc;
}

int evaluate_score(const struct compress_work *cw, const struct model *m, const struct scored_set *set,
                   const char *stage, struct metrics *out, struct err *e)
{
    struct stage st = {cw, stage};
    struct score s;
    enum dtype type = precision_dtype(cw->recipe->precision);
    int rc = score_model(cw->pool, &m->graph, &m->weights, type, set, stage_report, &st, &s, e);
    if (rc == 0)
        *out = (struct metrics){.n = s.n, .top1 = s.top1, .top5 = s.top5, .loss = s.loss};
    return rc;
}
