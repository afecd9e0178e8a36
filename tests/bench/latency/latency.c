/* A network's latency table and how well it predicts: fresh random candidates, predicted beside measured. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/rng.h"
#include "common/model/action.h"
#include "common/onnx/load.h"
#include "common/zoo/zoo.h"
#include "worker/engine/pool.h"
#include "worker/measure/table.h"

#define FRESH 12

static void must(int rc, const struct err *e)
{
    if (rc == 0)
        return;
    fprintf(stderr, "latency: %s\n", e->text);
    exit(1);
}

static void beside(const struct model *m, const struct groups *gs, const struct latency *t,
                   const struct measuring *how, int round_to)
{
    struct err e;
    struct limits l;
    double off[FRESH], cut_macs = 0;
    int *keep = calloc((size_t)gs->n, sizeof *keep);
    limits_new(&l, gs, 0.2, round_to, false);
    for (int i = 0; i < FRESH; i++) {
        struct rng r;
        struct model small;
        struct measured got;
        struct cost cost, dense;
        rng_init(&r, 7, "bench", (uint64_t)i);
        double level = 0.2 + 0.7 * i / (FRESH - 1);
        for (int k = 0; k < l.n; k++)
            keep[k] = limits_round(&l, k, level + 0.6 * (rng_uniform(&r) - 0.5));
        must(table_candidate(m, gs, keep, &small, &e), &e);
        must(measure_latency(m, &small, how, &got, &e), &e);
        model_release(&small);
        latency_cost(t, &m->graph, gs, keep, &cost);
        latency_cost(t, &m->graph, gs, NULL, &dense);
        double predicted = (double)cost.of[COST_LATENCY] / (double)dense.of[COST_LATENCY];
        cut_macs = (double)cost.of[COST_FLOPS] / (double)dense.of[COST_FLOPS];
        off[i] = fabs(predicted / got.ratio - 1);
        printf("  round_to %d: MACs %.3f  predicted %.3f  measured %.3f +- %.3f  off %4.1f%%\n", round_to, cut_macs,
               predicted, got.ratio, got.spread, 100 * off[i]);
    }
    printf("  round_to %d: median %.1f%%", round_to, 100 * measure_quantile(off, FRESH, 0.5));
    printf(", worst %.1f%%\n", 100 * off[FRESH - 1]);
    limits_release(&l);
    free(keep);
}

int main(int argc, char **argv)
{
    struct model m;
    struct groups gs;
    struct latency t;
    struct pool *one;
    struct err e;
    if (argc < 2) {
        fprintf(stderr, "usage: latency FILE.onnx|NAME [bf16] [BATCH]\n");
        return 2;
    }
    struct measuring how = {.batch = 1, .pairs = 31, .most_ns = NS_PER_S / 2};
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "bf16") == 0)
            how.type = DTYPE_BF16;
        else
            how.batch = atoi(argv[i]);
    }
    must(pool_new(&one, 1, &e), &e);
    must(zoo_knows(argv[1]) ? zoo_build(argv[1], 3, 32, 32, 10, 1, &m, &e) : onnx_load_file(argv[1], &m, &e), &e);
    must(groups_find(&m.graph, &gs, &e), &e);
    must(table_measure(&m, &gs, &how, &t, &e), &e);
    printf("%s, %s, batch %d: dense %.3f ms; %d shapes in %.1f s; lost %.3f; its own check: median %.1f%%, worst "
           "%.1f%%\n",
           argv[1], how.type ? "bf16" : "fp32", how.batch, t.dense_ns / 1e6, t.n_shapes, t.seconds, t.lost,
           100 * t.error_median, 100 * t.error_worst);
    int rounds[64] = {0};
    for (int k = 0; k < gs.n; k++)
        rounds[latency_round(&t, &m.graph, &gs, k)]++;
    printf("  round_to auto:");
    for (int r = 1; r <= 32; r *= 2)
        printf(" %d: %d groups", r, rounds[r]);
    printf("\n");
    beside(&m, &gs, &t, &how, 8);
    beside(&m, &gs, &t, &how, 1);
    latency_release(&t);
    groups_release(&gs);
    model_release(&m);
    pool_free(one);
    return 0;
}
