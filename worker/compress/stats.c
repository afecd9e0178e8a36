#include "worker/compress/stats.h"

#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/engine/engine.h"

void stats_list_release(struct stats_list *s)
{
    for (int i = 0; i < s->n; i++) {
        mem_free(s->of[i].mean);
        mem_free(s->of[i].var);
    }
    free(s->of);
    *s = (struct stats_list){0};
}

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

static int stats_new(struct stats_list *l, const struct graph *g, const int *nodes, int n, size_t *channels,
                     size_t *largest, struct err *e)
{
    l->of = xcalloc((size_t)n, sizeof(*l->of));
    *channels = *largest = 0;
    for (int i = 0; i < n; i++) {
        const struct node *node = &g->nodes[nodes[i]];
        struct channel_stats *s = &l->of[l->n++];
        s->node = nodes[i];
        s->C = node->C;
        s->mean = mem_zalloc((size_t)s->C, sizeof(float));
        s->var = mem_zalloc((size_t)s->C, sizeof(float));
        if (!s->mean || !s->var)
            return err_set(e, ERR_NOMEM, "no memory for the statistics of \"%s\"", node->name);
        *channels += (size_t)s->C;
        size_t size = (size_t)node->C * (size_t)node->H * (size_t)node->W;
        *largest = size > *largest ? size : *largest;
    }
    return 0;
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

int stats_measure(const struct compress_work *cw, const int *nodes, int n, struct stats_list *l, struct err *e)
{
    const struct graph *g = &cw->model->graph;
    int total = cw->calibrate->n;
    const struct node *in = &g->nodes[0];
    struct stats_run sr = {.cw = cw, .stats = l, .batch = engine_best_batch(g)};
    struct engine *eng = NULL;
    size_t channels, largest, image = (size_t)in->C * (size_t)in->H * (size_t)in->W;
    int rc = stats_new(l, g, nodes, n, &channels, &largest, e);
    if (rc < 0 || n == 0)
        goto out;
    sr.sum = mem_zalloc(channels * 2, sizeof(double));
    sr.input = mem_alloc((size_t)sr.batch, image * sizeof(float));
    sr.logits = mem_alloc((size_t)sr.batch, (size_t)g->nodes[g->output].C * sizeof(float));
    sr.value = mem_alloc((size_t)sr.batch, largest * sizeof(float));
    if (!sr.sum || !sr.input || !sr.logits || !sr.value) {
        rc = err_set(e, ERR_NOMEM, "no memory to measure %d convs", n);
        goto out;
    }
    if ((rc = engine_new(&eng, g, &cw->model->weights, sr.batch, ENGINE_INFER, nodes, n, e)) < 0 ||
        (rc = engine_run_new(&sr.run, eng, e)) < 0)
        goto out;
    for (int first = 0; rc == 0 && first < total; first += sr.batch) {
        rc = stats_batch(&sr, first, total - first < sr.batch ? total - first : sr.batch, e);
        if (rc == 0 && cw->progress)
            rc = cw->progress(cw->arg, "measure", (uint64_t)first, (uint64_t)total, e);
    }
    if (rc == 0)
        stats_finish(l, g, sr.sum, total);
out:
    engine_run_free(sr.run);
    engine_free(eng);
    mem_free(sr.sum);
    mem_free(sr.input);
    mem_free(sr.logits);
    mem_free(sr.value);
    return rc;
}
