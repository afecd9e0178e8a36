#include "worker/compress/stats.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/engine/engine.h"

struct measuring {
    const struct compress_work *cw;
    const struct graph *g;
    struct stats_list *stats;
    int batch;       /* images of a forward pass; sums are kept for each */
    size_t channels; /* of all values together */
    struct engine *eng;
    struct engine_run **run;          /* one a thread */
    float **input, **logits, **value; /* likewise: a batch of images; the output; a tapped value */
    double
        *sum; /* (batches)(values)(2, C): of x, of x squared; each batch has its own, and they are added in order */
};

static size_t floats_of(const struct node *n)
{
    return (size_t)n->C * (size_t)n->H * (size_t)n->W;
}

static void add_value(const struct node *n, const float *x, int images, double *sum, double *sum2)
{
    size_t area = (size_t)n->H * (size_t)n->W;
    for (int b = 0; b < images; b++)
        for (int c = 0; c < n->C; c++, x += area) {
            double s = 0, s2 = 0;
#pragma omp simd reduction(+ : s, s2)
            for (size_t i = 0; i < area; i++) {
                s += (double)x[i];
                s2 += (double)x[i] * (double)x[i];
            }
            sum[c] += s;
            sum2[c] += s2;
        }
}

static int run_batch(void *arg, int piece, int thread, struct err *e)
{
    struct measuring *ms = arg;
    const struct scored_set *set = ms->cw->calibrate;
    int first = piece * ms->batch, n = set->n - first < ms->batch ? set->n - first : ms->batch, index[COMPRESS_BATCH];
    for (int b = 0; b < ms->batch; b++) { /* a short batch is filled up with its last image */
        int image = first + (b < n ? b : n - 1);
        index[b] = set->index ? set->index[image] : image;
    }
    int rc = dataset_fill(set->data, index, ms->batch, set->mean, set->std, ms->input[thread], e);
    if (rc == 0)
        rc = engine_forward(ms->run[thread], ms->input[thread], ms->logits[thread], e);
    double *sum = ms->sum + (size_t)piece * 2 * ms->channels;
    for (int i = 0; rc == 0 && i < ms->stats->n; i++) {
        const struct channel_stats *s = &ms->stats->of[i];
        if ((rc = engine_tap(ms->run[thread], s->node, ms->value[thread], e)) == 0)
            add_value(&ms->g->nodes[s->node], ms->value[thread], n, sum, sum + s->C);
        sum += 2 * s->C;
    }
    if (rc == 0 && thread == 0 && ms->cw->progress) /* thread 0 is the caller */
        rc = ms->cw->progress(ms->cw->arg, "measure", (uint64_t)(first + n), (uint64_t)set->n, e);
    return rc;
}

static void finish(const struct measuring *ms, int batches)
{
    size_t at = 0, stride = 2 * ms->channels;
    for (int i = 0; i < ms->stats->n; i++) {
        struct channel_stats *s = &ms->stats->of[i];
        const struct node *node = &ms->g->nodes[s->node];
        double rows = (double)ms->cw->calibrate->n * node->H * node->W;
        for (int c = 0; c < s->C; c++) {
            double sum = 0, sum2 = 0;
            for (int b = 0; b < batches; b++) {
                sum += ms->sum[(size_t)b * stride + at + (size_t)c];
                sum2 += ms->sum[(size_t)b * stride + at + (size_t)(s->C + c)];
            }
            double mean = sum / rows, var = sum2 / rows - mean * mean;
            s->mean[c] = (float)mean;
            s->var[c] = var > 0 ? (float)var : 0;
        }
        at += 2 * (size_t)s->C;
    }
}

static int measuring_new(struct measuring *ms, const int *nodes, int threads, int batches, struct err *e)
{
    const struct graph *g = ms->g;
    size_t largest = 0;
    for (int i = 0; i < ms->stats->n; i++) {
        size_t size = floats_of(&g->nodes[nodes[i]]);
        largest = size > largest ? size : largest;
        ms->channels += (size_t)ms->stats->of[i].C;
    }
    ms->run = xcalloc((size_t)threads, sizeof(*ms->run));
    ms->input = xcalloc((size_t)threads, sizeof(*ms->input));
    ms->logits = xcalloc((size_t)threads, sizeof(*ms->logits));
    ms->value = xcalloc((size_t)threads, sizeof(*ms->value));
    ms->sum = mem_zalloc((size_t)batches, 2 * ms->channels * sizeof(double));
    int rc = ms->sum ? engine_new(&ms->eng, g, &ms->cw->model->weights, ms->batch, ENGINE_INFER, DTYPE_F32, nodes,
                                  ms->stats->n, e)
                     : err_set(e, ERR_NOMEM, "no memory for the sums of %d batches", batches);
    for (int t = 0; rc == 0 && t < threads; t++) {
        ms->input[t] = mem_alloc(floats_of(&g->nodes[0]), (size_t)ms->batch * sizeof(float));
        ms->logits[t] = mem_alloc(floats_of(&g->nodes[g->output]), (size_t)ms->batch * sizeof(float));
        ms->value[t] = mem_alloc(largest, (size_t)ms->batch * sizeof(float));
        rc = ms->input[t] && ms->logits[t] && ms->value[t]
                 ? engine_run_new(&ms->run[t], ms->eng, e)
                 : err_set(e, ERR_NOMEM, "no memory for a batch of %d images", ms->batch);
    }
    return rc;
}

static void measuring_release(struct measuring *ms, int threads)
{
    for (int t = 0; t < threads; t++) {
        engine_run_free(ms->run[t]);
        mem_free(ms->input[t]);
        mem_free(ms->logits[t]);
        mem_free(ms->value[t]);
    }
    engine_free(ms->eng);
    mem_free(ms->sum);
    free(ms->run);
    free(ms->input);
    free(ms->logits);
    free(ms->value);
}

int stats_measure(const struct compress_work *cw, const int *nodes, int n, struct stats_list *l, struct err *e)
{
    struct measuring ms = {.cw = cw, .g = &cw->model->graph, .stats = l};
    int rc = stats_list_new(l, ms.g, nodes, n, e);
    if (rc < 0 || n == 0)
        return rc;
    if (cw->calibrate->n < 1)
        return err_set(e, ERR_INVALID, "no images to measure %d values with", n);
    ms.batch = compress_batch(ms.g, nodes, n);
    int threads = pool_threads(cw->pool), batches = (cw->calibrate->n + ms.batch - 1) / ms.batch;
    rc = measuring_new(&ms, nodes, threads, batches, e);
    if (rc == 0)
        rc = pool_run(cw->pool, batches, run_batch, &ms, e);
    if (rc == 0)
        finish(&ms, batches);
    measuring_release(&ms, threads);
    return rc;
}
