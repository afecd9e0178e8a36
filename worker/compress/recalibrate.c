#include "worker/compress/recalibrate.h"

#include <stdlib.h>

#include "common/base/mem.h"

struct recalibration {
    const struct scored_set *set;
    const struct graph *g;
    struct engine_run **run; /* one a thread */
    float **input, **logits; /* one a thread */
    enum dtype type;
    int batch;
    size_t n_stats; /* floats of mean and variance of all BNs */
    float *stats;   /* (batches, n_stats): each batch writes its own */
    int (*progress)(void *arg, int done, int total);
    void *arg;
};

static int run_batch(void *arg, int piece, int thread, struct err *e)
{
    struct recalibration *r = arg;
    int index[RECALIBRATE_BATCH];
    for (int b = 0; b < r->batch; b++) {
        int image = piece * r->batch + b;
        index[b] = r->set->index ? r->set->index[image] : image;
    }
    int rc = dataset_fill(r->set->data, index, r->batch, r->set->mean, r->set->std, r->input[thread], e);
    if (rc == 0)
        rc = engine_forward(r->run[thread], r->input[thread], r->logits[thread], e);
    float *out = r->stats + (size_t)piece * r->n_stats;
    for (int i = 0; rc == 0 && i < r->g->n; i++) {
        if (r->g->nodes[i].op != OP_BN)
            continue;
        const float *mean, *var;
        engine_stats(r->run[thread], i, &mean, &var);
        for (int c = 0; c < r->g->nodes[i].C; c++) {
            *out++ = mean[c];
            *out++ = var[c];
        }
    }
    if (rc == 0 && thread == 0 && r->progress && r->progress(r->arg, (piece + 1) * r->batch, r->set->n) < 0)
        rc = err_set(e, ERR_CANCELLED, "cancelled");
    return rc;
}

static void average(const struct recalibration *r, struct model *m, int batches)
{
    size_t at = 0;
    for (int i = 0; i < m->graph.n; i++) {
        if (m->graph.nodes[i].op != OP_BN)
            continue;
        for (int c = 0; c < m->graph.nodes[i].C; c++, at += 2) {
            double mean = 0, var = 0;
            for (int b = 0; b < batches; b++) {
                mean += r->stats[(size_t)b * r->n_stats + at];
                var += r->stats[(size_t)b * r->n_stats + at + 1];
            }
            m->weights.of[i].mean[c] = (float)(mean / batches);
            m->weights.of[i].var[c] = (float)(var / batches);
        }
    }
}

static size_t count_stats(const struct graph *g)
{
    size_t n = 0;
    for (int i = 0; i < g->n; i++)
        if (g->nodes[i].op == OP_BN)
            n += 2 * (size_t)g->nodes[i].C;
    return n;
}

#define NEAR_FLOATS ((size_t)64 << 20) /* input and output of a layer */

static int most_images(const struct graph *g)
{
    size_t most = 1;
    for (int i = 0; i < g->n; i++) {
        const struct node *n = &g->nodes[i];
        size_t floats = (size_t)n->C * (size_t)n->H * (size_t)n->W;
        most = floats > most ? floats : most;
    }
    size_t images = NEAR_FLOATS / (2 * most);
    return images < 1 ? 1 : images > RECALIBRATE_BATCH ? RECALIBRATE_BATCH : (int)images;
}

static int recalibration_new(struct recalibration *r, struct engine **eng, const struct weights *w, int threads,
                             int batches, struct err *e)
{
    const struct graph *g = r->g;
    const struct node *in = &g->nodes[0];
    r->stats = mem_alloc(r->n_stats * (size_t)batches, sizeof(float));
    r->run = xcalloc((size_t)threads, sizeof(*r->run));
    r->input = xcalloc((size_t)threads, sizeof(*r->input));
    r->logits = xcalloc((size_t)threads, sizeof(*r->logits));
    int rc = r->stats ? engine_new(eng, g, w, r->batch, ENGINE_BATCH, r->type, NULL, 0, e)
                      : err_set(e, ERR_NOMEM, "no memory for the statistics of %d batches", batches);
    for (int t = 0; rc == 0 && t < threads; t++) {
        r->input[t] = mem_alloc((size_t)r->batch * (size_t)in->C, (size_t)in->H * (size_t)in->W * sizeof(float));
        r->logits[t] = mem_alloc((size_t)r->batch, (size_t)g->nodes[g->output].C * sizeof(float));
        rc = r->input[t] && r->logits[t] ? engine_run_new(&r->run[t], *eng, e)
                                         : err_set(e, ERR_NOMEM, "no memory for a batch of %d images", r->batch);
    }
    return rc;
}

static void recalibration_release(struct recalibration *r, int threads)
{
    for (int t = 0; t < threads; t++) {
        engine_run_free(r->run[t]);
        mem_free(r->input[t]);
        mem_free(r->logits[t]);
    }
    mem_free(r->stats);
    free(r->run);
    free(r->input);
    free(r->logits);
}

int recalibrate(struct model *m, enum dtype type, struct pool *pool, const struct scored_set *set,
                int (*progress)(void *arg, int done, int total), void *arg, struct err *e)
{
    struct recalibration r = {.set = set, .g = &m->graph, .type = type, .progress = progress, .arg = arg};
    struct engine *eng = NULL;
    r.n_stats = count_stats(r.g);
    if (r.n_stats == 0)
        return 0;
    if (set->n < 1)
        return err_set(e, ERR_INVALID, "no images to recalibrate with");
    int threads = pool_threads(pool), most = most_images(&m->graph), batches = (set->n + most - 1) / most;
    r.batch = set->n / batches;
    int rc = recalibration_new(&r, &eng, &m->weights, threads, batches, e);
    if (rc == 0)
        rc = pool_run(pool, batches, run_batch, &r, e);
    if (rc == 0)
        average(&r, m, batches);
    recalibration_release(&r, threads);
    engine_free(eng);
    return rc;
}
