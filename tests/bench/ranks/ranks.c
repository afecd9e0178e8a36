/*
 * ranks - whether bf16 orders candidates as fp32 does: random candidates of one budget, each cut, reconstructed,
 * recalibrated and scored in both precisions.
 *
 *   ranks MODEL.onnx CIFAR10-DIR [CANDIDATES 40] [BUDGET 0.5] [THREADS 1]
 */
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "tests/bench/bench.h"
#include "tests/bench/correlation.h"

struct found {
    double accuracy, seconds;
};

static struct found proxy(struct compress_work *cw, const struct dense *d, const struct profile *p, const int *keep,
                          enum precision precision)
{
    struct err e;
    struct model m;
    struct metrics r;
    struct recipe recipe = *cw->recipe;
    recipe.precision = precision;
    struct compress_work with = *cw;
    with.recipe = &recipe;
    double start = now();
    must(evaluate_make(&with, d, p, keep, &m, &e), &e);
    must(evaluate_score(&with, &m, cw->reward, "score", &r, &e), &e);
    model_release(&m);
    return (struct found){(double)r.top1 / r.n, now() - start};
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: ranks MODEL.onnx CIFAR10-DIR [CANDIDATES] [BUDGET] [THREADS]\n");
        return 2;
    }
    int n = argc > 3 ? atoi(argv[3]) : 40;
    double budget = argc > 4 ? atof(argv[4]) : 0.5, seconds[2] = {0};
    struct err e;
    struct recipe r = cifar_recipe();
    struct job_host host = {.arg = argv[2], .blob = local_blob};
    struct images im = {0};
    struct model m;
    struct pool *pool;
    struct profile p;
    struct dense d;
    struct limits l;
    must(pool_new(&pool, argc > 5 ? atoi(argv[5]) : 1, &e), &e);
    must(onnx_load_file(argv[1], &m, &e), &e);
    must(images_load(&im, &r, IMAGES_CARVED, &host, &e), &e);
    struct scored_set reward = images_set(&im, &im.reward), calibrate = images_set(&im, &im.calibrate);
    struct compress_work cw = {.pool = pool, .model = &m, .recipe = &r, .reward = &reward, .calibrate = &calibrate};
    must(profile_make(&cw, &p, &e), &e);
    must(dense_new(&d, &m, &p, CUT_CHANNELS, &e), &e);
    limits_new(&l, &d.groups, 0.2, 1, true);
    int *keep = xcalloc((size_t)n * (size_t)d.groups.n, sizeof(int));
    double *of[2] = {xcalloc((size_t)n, sizeof(double)), xcalloc((size_t)n, sizeof(double))}, apart = 0;
    propose(POLICY_RANDOM, &d.model, &d.groups, &l, &p, budget, n, keep);
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < 2; k++) {
            struct found f =
                proxy(&cw, &d, &p, keep + (size_t)i * (size_t)d.groups.n, k ? PRECISION_BF16 : PRECISION_FP32);
            of[k][i] = f.accuracy;
            seconds[k] += f.seconds;
        }
        apart = fmax(apart, fabs(of[0][i] - of[1][i]));
    }
    printf("%d random candidates at %g of the MACs: Spearman of the fp32 and bf16 proxies %.4f, Pearson %.4f, at "
           "most %.2f points apart; bf16 evaluations %.2fx\n",
           n, budget, spearman(of[0], of[1], n), pearson(of[0], of[1], n), 100 * apart, seconds[0] / seconds[1]);
    return 0;
}
