#include "worker/compress/stats.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/engine/engine.h"

/* Mean and variance of the outputs of convs without BN, over the calibration images. */
struct stats_run {
    const struct compress_work *cw;
    struct stats_list *stats;
    struct engine_run *run;
    float *input, *logits, *value;
    double *sum; /* (2, channels of all convs): of x, of x squared */
    int batch;
};

static void add_value(const struct node *n, const float *x, int images, double *sum, double *sum2)
{
    size_t area = (size_t)n->H * (size_t)n->W;
    for (int b = 0; b < images; b++)
        for (int c = 0; c < n->C; c++) {
            double s = 0, s2 = 0;
            for (size_t i = 0; i < area; i++, x++) {
                s += *x;
                s2 += (double)*x * *x;
            }
            sum[c] += s;
            sum2[c] += s2;
        }
}

static int stats_batch(struct stats_run *sr, int first, int images, struct err *e)
{
    const struct compress_work *cw = sr->cw;
    const struct graph *g = &cw->model->graph;
    int *index = xcalloc((size_t)sr->batch, sizeof(int));
    for (int b = 0; b < sr->batch; b++) {
        int image = first + (b < images ? b : images - 1);
        index[b] = cw->calibrate->index ? cw->calibrate->index[image] : image;
    }
    dataset_fill(cw->calibrate->data, index, sr->batch, cw->calibrate->mean, cw->calibrate->std, sr->input);
    free(index);
    int rc = engine_forward(sr->run, sr->input, sr->logits, e);
    double *sum = sr->sum;
    for (int i = 0; rc == 0 && i < sr->stats->n; i++) {
        const struct channel_stats *s = &sr->stats->of[i];
        if ((rc = engine_tap(sr->run, s->node, sr->value, e)) == 0)
            add_value(&g->nodes[s->node], sr->value, images, sum, sum + s->C);
        sum += 2 * s->C;
    }
    return rc;
}

static void stats_finish(struct stats_list *l, const struct graph *g, const double *sum, int images)
{
    for (int i = 0; i < l->n; i++) {
        struct channel_stats *s = &l->of[i];
        const struct node *node = &g->nodes[s->node];
        double rows = (double)images * node->H * node->W;
        for (int c = 0; c < s->C; c++) {
            double mean = sum[c] / rows, var = sum[s->C + c] / rows - mean * mean;
            s->mean[c] = (float)mean;
            s->var[c] = var > 0 ? (float)var : 0;
        }
        sum += 2 * s->C;
    }
}

static size_t floats_of(const struct node *n)
{
    return (size_t)n->C * (size_t)n->H * (size_t)n->W;
}

static int stats_run_new(struct stats_run *sr, struct engine **eng, const int *nodes, struct err *e)
{
    const struct graph *g = &sr->cw->model->graph;
    size_t channels = 0, largest = 0, batch = (size_t)sr->batch * sizeof(float);
    for (int i = 0; i < sr->stats->n; i++) {
        size_t size = floats_of(&g->nodes[nodes[i]]);
        largest = size > largest ? size : largest;
        channels += (size_t)sr->stats->of[i].C;
    }
    sr->sum = mem_zalloc(channels * 2, sizeof(double));
    sr->input = mem_alloc(floats_of(&g->nodes[0]), batch);
    sr->logits = mem_alloc(floats_of(&g->nodes[g->output]), batch);
    sr->value = mem_alloc(largest, batch);
    if (!sr->sum || !sr->input || !sr->logits || !sr->value)
        return err_set(e, ERR_NOMEM, "no memory to measure %d convs", sr->stats->n);
    int rc = engine_new(eng, g, &sr->cw->model->weights, sr->batch, ENGINE_INFER, nodes, sr->stats->n, e);
    return rc == 0 ? engine_run_new(&sr->run, *eng, e) : rc;
}

int stats_measure(const struct compress_work *cw, const int *nodes, int n, struct stats_list *l, struct err *e)
{
    const struct graph *g = &cw->model->graph;
    struct stats_run sr = {.cw = cw, .stats = l, .batch = engine_best_batch(g)};
    struct engine *eng = NULL;
    int total = cw->calibrate->n, rc = stats_list_new(l, g, nodes, n, e);
    if (rc < 0 || n == 0)
        return rc;
    if (total < 1)
        return err_set(e, ERR_INVALID, "no images to measure %d convs with", n);
    rc = stats_run_new(&sr, &eng, nodes, e);
    for (int first = 0; rc == 0 && first < total; first += sr.batch) {
        rc = stats_batch(&sr, first, total - first < sr.batch ? total - first : sr.batch, e);
        if (rc == 0 && cw->progress)
            rc = cw->progress(cw->arg, "measure", (uint64_t)first, (uint64_t)total, e);
    }
    if (rc == 0)
        stats_finish(l, g, sr.sum, total);
    engine_run_free(sr.run);
    engine_free(eng);
    mem_free(sr.sum);
    mem_free(sr.input);
    mem_free(sr.logits);
    mem_free(sr.value);
    return rc;
}
