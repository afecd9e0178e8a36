#include "worker/compress/profile.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/compress/eliminate.h"
#include "worker/compress/evaluate.h"
#include "worker/compress/sparsify.h"

struct ordering {
    const struct compress_work *cw;
    const struct dense *dense;
    struct profile *p;
    atomic_int done; /* groups */
};

static int order_group(void *arg, int group, int thread, struct err *e)
{
    struct ordering *o = arg;
    const struct compress_work *cw = o->cw;
    int rc = eliminate(&o->dense->model, &o->dense->groups, group, &o->p->grams, cw->recipe->select,
                       o->p->order[group], o->p->curve[group], e);
    int done = atomic_fetch_add(&o->done, 1) + 1;
    if (rc == 0 && thread == 0 && cw->progress) /* thread 0 is the caller */
        rc = cw->progress(cw->arg, "order", (uint64_t)done, (uint64_t)o->p->n_groups, e);
    return rc;
}

static int measure_layer(void *arg, int layer, int thread, struct err *e)
{
    struct ordering *o = arg;
    const struct compress_work *cw = o->cw;
    int node = o->dense->layers.of[layer].node;
    int rc = sparsify_curve(&o->dense->model, node, gram_find(&o->p->grams, node), o->p->curve[layer], e);
    for (int k = 0; k < FINE_MOST; k++)
        o->p->order[layer][k] = k;
    int done = atomic_fetch_add(&o->done, 1) + 1;
    if (rc == 0 && thread == 0 && cw->progress)
        rc = cw->progress(cw->arg, "order", (uint64_t)done, (uint64_t)o->p->n_groups, e);
    return rc;
}

static void make_room(struct profile *p, const struct dense *d, bool fine)
{
    p->n_groups = fine ? d->layers.n : d->groups.n;
    p->size = xcalloc((size_t)p->n_groups, sizeof(*p->size));
    p->order = xcalloc((size_t)p->n_groups, sizeof(*p->order));
    p->curve = xcalloc((size_t)p->n_groups, sizeof(*p->curve));
    for (int g = 0; g < p->n_groups; g++) {
        p->size[g] = fine ? FINE_MOST : d->groups.of[g].n;
        p->order[g] = xcalloc((size_t)p->size[g], sizeof(int));
        p->curve[g] = xcalloc((size_t)p->size[g] + 1, sizeof(float));
    }
}

static int order_groups(const struct compress_work *cw, const struct dense *d, struct profile *p, struct err *e)
{
    bool fine = cw->recipe->cut == CUT_FINE;
    struct ordering o = {.cw = cw, .dense = d, .p = p};
    make_room(p, d, fine);
    int rc = cw->progress ? cw->progress(cw->arg, "order", 0, (uint64_t)p->n_groups, e) : 0;
    if (rc == 0)
        rc = pool_run(cw->pool, p->n_groups, fine ? measure_layer : order_group, &o, e);
    if (fine)
        gram_list_release(&p->grams);
    return rc;
}

int profile_make(const struct compress_work *cw, struct profile *p, struct err *e)
{
    struct dense d = {0};
    struct stage gram = {cw, "gram"};
    int *values = xcalloc((size_t)cw->model->graph.n, sizeof(int)), n = unfold_values(&cw->model->graph, values);
    *p = (struct profile){0};
    int rc = evaluate_score(cw, cw->model, cw->reward, "score", &p->dense, e);
    if (rc == 0)
        rc = stats_measure(cw, values, n, &p->stats, e);
    if (rc == 0)
        rc = dense_from(&d, cw->model, &p->stats, e);
    if (rc == 0)
        rc = gram_list_new(&p->grams, &d.model.graph, cw->recipe->cut == CUT_FINE ? NULL : &d.groups, e);
    if (rc == 0)
        rc = gram_measure(&p->grams, cw->pool, &d.model, cw->calibrate, cw->recipe->seed, stage_report, &gram, e);
    if (rc == 0)
        rc = order_groups(cw, &d, p, e);
    dense_release(&d);
    free(values);
    if (rc < 0)
        profile_release(p);
    return rc;
}
