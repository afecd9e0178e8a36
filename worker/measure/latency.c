#include "worker/measure/latency.h"

#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rng.h"

#define WARM_UP   3
#define LEAST_NS  (500 * 1000) /* of one figure: the clock and a passing interrupt are nothing beside it */
#define MOST_RUNS 1000

struct side {
    struct engine *eng;
    struct engine_run *run;
    float *y;
};

static void close_side(struct side *s)
{
    engine_run_free(s->run);
    engine_free(s->eng);
    mem_free(s->y);
}

static int open_side(struct side *s, const struct model *m, const struct measuring *how, struct err *e)
{
    const struct node *out = &m->graph.nodes[m->graph.output];
    size_t n = (size_t)out->C * (size_t)out->H * (size_t)out->W;
    s->y = mem_zalloc((size_t)how->batch * n, sizeof *s->y);
    if (!s->y)
        return err_set(e, ERR_NOMEM, "no memory for a batch of %d", how->batch);
    int rc = engine_new(&s->eng, &m->graph, &m->weights, how->batch, ENGINE_INFER, how->type, NULL, 0, e);
    return rc < 0 ? rc : engine_run_new(&s->run, s->eng, e);
}

static int run_side(struct side *s, const float *x, int runs, double *ns, struct err *e)
{
    int rc = 0;
    int64_t begin = clock_thread_ns();
    for (int i = 0; rc == 0 && i < runs; i++)
        rc = engine_forward(s->run, x, s->y, e);
    *ns = (double)(clock_thread_ns() - begin) / runs;
    return rc;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double measure_quantile(double *x, int n, double part)
{
    qsort(x, (size_t)n, sizeof *x, compare);
    double at = part * (n - 1);
    int lo = (int)at;
    return lo + 1 < n ? x[lo] + (at - lo) * (x[lo + 1] - x[lo]) : x[lo];
}

int measure_images(const struct graph *g, int batch, float **x, struct err *e)
{
    const struct node *in = &g->nodes[0];
    size_t n = (size_t)batch * (size_t)in->C * (size_t)in->H * (size_t)in->W;
    struct rng r;
    *x = mem_alloc(n, sizeof **x);
    if (!*x)
        return err_set(e, ERR_NOMEM, "no memory for %d images", batch);
    rng_init(&r, 1, "measure", 0);
    for (size_t i = 0; i < n; i++)
        (*x)[i] = (float)rng_normal(&r);
    return 0;
}

static int warm_up(struct side *side, const float *x, int *runs, struct err *e)
{
    double ns = 0;
    int rc = 0;
    for (int i = 0; rc == 0 && i < WARM_UP; i++)
        rc = run_side(&side[1], x, 1, &ns, e);
    for (int i = 0; rc == 0 && i < WARM_UP; i++)
        rc = run_side(&side[0], x, 1, &ns, e);
    double n = LEAST_NS / (ns > 1 ? ns : 1) + 1;
    *runs = n < MOST_RUNS ? (int)n : MOST_RUNS;
    return rc;
}

/* ns and dense_ns (how->pairs): a figure each of every pair. */
static int run_pairs(struct side *side, const float *x, const struct measuring *how, double *dense_ns, double *ns,
                     int *n, struct err *e)
{
    int runs, rc = warm_up(side, x, &runs, e);
    int64_t begin = clock_mono_ns();
    for (int i = 0; rc == 0 && i < how->pairs; i++) {
        if (i >= MEASURING_LEAST && clock_mono_ns() - begin > how->most_ns)
            break;
        if (how->progress && (rc = how->progress(how->arg, "measure", (uint64_t)i, (uint64_t)how->pairs, e)) < 0)
            break;
        bool dense_first = i % 4 == 0 || i % 4 == 3;
        rc = dense_first ? run_side(&side[0], x, runs, &dense_ns[i], e) : run_side(&side[1], x, runs, &ns[i], e);
        if (rc == 0)
            rc =
                dense_first ? run_side(&side[1], x, runs, &ns[i], e) : run_side(&side[0], x, runs, &dense_ns[i], e);
        *n = i + 1;
    }
    return rc;
}

static void sum_up(double *dense_ns, double *ns, double *ratio, int n, struct measured *out)
{
    for (int i = 0; i < n; i++)
        ratio[i] = ns[i] / dense_ns[i];
    *out = (struct measured){.pairs = n};
    out->ms = measure_quantile(ns, n, 0.5) / (double)NS_PER_MS;
    out->dense_ms = measure_quantile(dense_ns, n, 0.5) / (double)NS_PER_MS;
    out->ratio = measure_quantile(ratio, n, 0.5);
    out->spread = measure_quantile(ratio, n, 0.75) - measure_quantile(ratio, n, 0.25);
}

int measure_latency(const struct model *dense, const struct model *m, const struct measuring *how,
                    struct measured *out, struct err *e)
{
    struct side side[2] = {0};
    float *x = NULL;
    int n = 0, pairs = how->pairs < MEASURING_LEAST ? MEASURING_LEAST : how->pairs;
    double *figures = mem_zalloc(3 * (size_t)pairs, sizeof *figures);
    int rc = figures ? measure_images(&dense->graph, how->batch, &x, e)
                     : err_set(e, ERR_NOMEM, "no memory for %d figures", pairs);
    if (rc == 0)
        rc = open_side(&side[0], dense, how, e);
    if (rc == 0)
        rc = open_side(&side[1], m, how, e);
    if (rc == 0) {
        struct measuring bounded = *how;
        bounded.pairs = pairs;
        rc = run_pairs(side, x, &bounded, figures, figures + pairs, &n, e);
    }
    if (rc == 0)
        sum_up(figures, figures + pairs, figures + 2 * pairs, n, out);
    close_side(&side[0]);
    close_side(&side[1]);
    mem_free(figures);
    mem_free(x);
    return rc;
}
