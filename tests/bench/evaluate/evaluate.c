/*
 * evaluate - what an evaluation costs beside a plain fused forward pass of the same cut network over the same
 * images, and what the allocations that need no learning score:
 *
 *   evaluate MODEL.onnx CIFAR10-DIR [BUDGET 0.5] [inner|all] [ROUND_TO 1] [THREADS 1]
 */
#include <string.h>

#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "tests/bench/bench.h"

#define ROUNDS 3

/* Seconds of a plain forward pass over reward and calibration images. */
static double forward_pass(const struct compress_work *cw, const struct model *m)
{
    struct err e;
    struct score a, b;
    must(score_model(cw->pool, &m->graph, &m->weights, DTYPE_F32, cw->reward, NULL, NULL, &a, &e), &e);
    must(score_model(cw->pool, &m->graph, &m->weights, DTYPE_F32, cw->calibrate, NULL, NULL, &b, &e), &e);
    return a.n / a.images_s + b.n / b.images_s;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(const char *name, const struct compress_work *cw, const struct dense *d,
                    const struct profile *p, const int *keep, const struct scored_set *test)
{
    struct err e;
    double whole[ROUNDS], plain[ROUNDS], make = 0;
    struct metrics reward = {0}, on_test = {0};
    struct cost dense, cost;
    cost_of(&d->model.graph, &d->groups, NULL, &dense);
    cost_of(&d->model.graph, &d->groups, keep, &cost);
    for (int i = 0; i < ROUNDS; i++) {
        struct model out;
        double start = now();
        must(evaluate_make(cw, d, p, keep, &out, &e), &e);
        make = now() - start;
        must(evaluate_score(cw, &out, cw->reward, "score", &reward, &e), &e);
        whole[i] = now() - start;
        plain[i] = forward_pass(cw, &out);
        if (i == 0)
            must(evaluate_score(cw, &out, test, "test", &on_test, &e), &e);
        model_release(&out);
    }
    qsort(whole, ROUNDS, sizeof(double), by_value);
    qsort(plain, ROUNDS, sizeof(double), by_value);
    printf("%-12s %6.4f  %6.2f  %6.2f   %8.2f  %8.2f  %8.2f  %6.2f\n", name,
           (double)cost.of[COST_FLOPS] / (double)dense.of[COST_FLOPS], 100.0 * reward.top1 / reward.n,
           100.0 * on_test.top1 / on_test.n, whole[ROUNDS / 2], make, plain[ROUNDS / 2],
           whole[ROUNDS / 2] / plain[ROUNDS / 2]);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: evaluate MODEL.onnx CIFAR10-DIR [BUDGET] [inner|all] [ROUND_TO] [THREADS]\n");
        return 2;
    }
    double budget = argc > 3 ? atof(argv[3]) : 0.5;
    bool inner = argc <= 4 || strcmp(argv[4], "inner") == 0;
    int round_to = argc > 5 ? atoi(argv[5]) : 1, threads = argc > 6 ? atoi(argv[6]) : 1;
    struct err e;
    struct recipe r = cifar_recipe();
    struct job_host host = {.arg = argv[2], .blob = local_blob};
    struct images im = {0};
    struct model m;
    struct dataset test;
    struct pool *pool;
    struct profile p;
    struct dense d;
    struct limits l;
    must(pool_new(&pool, threads, &e), &e);
    must(onnx_load_file(argv[1], &m, &e), &e);
    must(images_load(&im, &r, IMAGES_CARVED, &host, &e), &e);
    must(images_test(&im, &r, &host, &test, &e), &e);
    struct scored_set reward = images_set(&im, &im.reward), calibrate = images_set(&im, &im.calibrate),
                      tests = images_set(&im, &test);
    struct compress_work cw = {.pool = pool, .model = &m, .recipe = &r, .reward = &reward, .calibrate = &calibrate};
    double start = now();
    must(profile_make(&cw, &p, &e), &e);
    printf("profile: %.1f s, dense %.2f%% on the reward split, %d groups\n", now() - start,
           100.0 * p.dense.top1 / p.dense.n, p.n_groups);
    must(dense_new(&d, &m, &p, CUT_CHANNELS, &e), &e);
    limits_new(&l, &d.groups, 0.2, round_to, inner);
    int *keep = xcalloc((size_t)d.groups.n, sizeof(int));
    printf("%-12s %6s  %6s  %6s   %8s  %8s  %8s  %6s\n", "allocation", "macs", "reward", "test", "whole s",
           "make s", "plain s", "ratio");
    static const enum policy_kind kinds[] = {POLICY_UNIFORM, POLICY_SENSITIVITY};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++) {
        propose(kinds[k], &d.model, &d.groups, &l, &p, budget, 1, keep);
        measure(policy_name(kinds[k]), &cw, &d, &p, keep, &tests);
    }
    free(keep);
    limits_release(&l);
    dense_release(&d);
    profile_release(&p);
    dataset_release(&test);
    images_release(&im);
    model_release(&m);
    pool_free(pool);
    return 0;
}
