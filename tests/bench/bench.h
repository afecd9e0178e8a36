/*
 * bench - what the benchmarks on CIFAR-10 share: the recipe, images from a local folder, a policy's proposals.
 */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include <stdio.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "coordinator/policy/policy.h"
#include "worker/compress/evaluate.h"
#include "worker/images.h"

static inline void must(int rc, const struct err *e)
{
    if (rc < 0) {
        fprintf(stderr, "%s\n", e->text);
        exit(1);
    }
}

static inline double now(void)
{
    return (double)clock_mono_ns() / NS_PER_S;
}

/* A job_host's blob: the data files of the folder `arg`. */
static inline int local_blob(void *arg, const struct hash *h, uint64_t size, const char *name, const char *kind,
                             const char **path, struct err *e)
{
    (void)h;
    (void)size;
    (void)kind;
    (void)e;
    *path = file_join(arg, name); /* lives as long as the program */
    return 0;
}

/* What the networks of ../shared were trained with. */
static inline struct recipe cifar_recipe(void)
{
    static const char *const files[] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                        "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
    struct recipe r = {.seed = 1,
                       .data = DATA_CIFAR10,
                       .n_channels = 3,
                       .mean = {123.675, 116.28, 103.53},
                       .std = {58.395, 57.12, 57.375},
                       .reward = 5000,
                       .calibrate = 2000,
                       .select = SELECT_GRAM,
                       .reconstruct = true,
                       .recalibrate = true,
                       .n_files = 6};
    for (int i = 0; i < 6; i++)
        snprintf(r.files[i].name, sizeof(r.files[i].name), "%s", files[i]);
    r.finetune = r.finish = training_none();
    return r;
}

/* The first `n` proposals of a policy for one FLOPs budget, keep (n)(groups); no results are shown to it. */
static inline void propose(enum policy_kind kind, const struct model *m, const struct groups *gs,
                           const struct limits *l, const struct profile *p, double budget, int n, int *keep)
{
    struct err e;
    struct cost dense;
    cost_of(&m->graph, gs, NULL, &dense);
    struct budget b = {COST_FLOPS, budget, (int64_t)(budget * (double)dense.of[COST_FLOPS])};
    struct setting s = {.graph = &m->graph,
                        .groups = gs,
                        .limits = l,
                        .curve = (const float *const *)p->curve,
                        .budgets = &b,
                        .n_budgets = 1,
                        .seed = 1,
                        .episodes = n,
                        .lookahead = n,
                        .kind = kind};
    struct policy *policy;
    must(policy_new(&policy, &s, &e), &e);
    for (int i = 0; i < n; i++)
        policy_propose(policy, i, keep + (size_t)i * (size_t)gs->n);
    policy_free(policy);
}

#endif
