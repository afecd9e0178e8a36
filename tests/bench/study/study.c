/*
 * study - how much a proxy says about what a candidate is worth once it has been fine-tuned: random candidates of
 * one budget, each scored on the reward split by four proxies, then fine-tuned and scored on the test set;
 * Pearson's and Spearman's correlation of each proxy with the latter.
 *
 *   study MODEL.onnx CIFAR10-DIR [CANDIDATES 20] [BUDGET 0.5] [EPOCHS 3] [SHORT-STEPS 100] [fp32|bf16] [THREADS 1]
 */
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "tests/bench/bench.h"
#include "tests/bench/correlation.h"
#include "worker/train/fit.h"

enum proxy { MAGNITUDE, RECONSTRUCTED, RECALIBRATED, TUNED, PROXIES };
static const char *const names[PROXIES] = {"magnitude only", "+ reconstruction", "+ recalibration",
                                           "+ short fine-tune"};

struct study {
    struct pool *pool;
    struct recipe recipe;
    struct images images;
    struct dataset test;
    struct scored_set reward, calibrate, learn, tests;
    struct model model;
    struct profile gram, l1;
    struct dense dense;
    int n, epochs, steps;
};

static double score_of(const struct study *s, const struct model *m, const struct scored_set *set)
{
    struct err e;
    struct metrics r;
    struct compress_work cw = {.pool = s->pool, .model = &s->model, .recipe = &s->recipe};
    must(evaluate_score(&cw, m, set, "score", &r, &e), &e);
    return (double)r.top1 / r.n;
}

static void make(const struct study *s, const struct profile *p, bool reconstruct, bool recalibrate,
                 const int *keep, struct model *out)
{
    struct err e;
    struct recipe r = s->recipe;
    r.reconstruct = reconstruct;
    r.recalibrate = recalibrate;
    struct compress_work cw = {
        .pool = s->pool, .model = &s->model, .recipe = &r, .reward = &s->reward, .calibrate = &s->calibrate};
    must(evaluate_make(&cw, &s->dense, p, keep, out, &e), &e);
}

/* Fine-tunes m with distillation from the dense network: whole epochs, or steps. */
static void tune(const struct study *s, struct model *m, int epochs, int steps)
{
    struct err e;
    struct training t = training_none();
    t.epochs = epochs;
    t.steps = steps;
    t.distill.kind = DISTILL_KL;
    struct fit_work w = {.training = &t,
                         .lr_scale = 1,
                         .seed = 1,
                         .precision = s->recipe.precision,
                         .set = &s->learn,
                         .teacher = &s->model,
                         .pool = s->pool};
    struct fit_state st;
    must(fit_state_new(&st, m, &e), &e);
    must(fit(&w, &st, &e), &e);
    fit_state_release(&st);
}

static void candidate(const struct study *s, const int *keep, double *proxy, double *tuned)
{
    struct model m;
    make(s, &s->l1, false, false, keep, &m);
    proxy[MAGNITUDE] = score_of(s, &m, &s->reward);
    model_release(&m);
    make(s, &s->gram, true, false, keep, &m);
    proxy[RECONSTRUCTED] = score_of(s, &m, &s->reward);
    model_release(&m);
    make(s, &s->gram, true, true, keep, &m);
    proxy[RECALIBRATED] = score_of(s, &m, &s->reward);
    tune(s, &m, 0, s->steps);
    proxy[TUNED] = score_of(s, &m, &s->reward);
    model_release(&m);
    make(s, &s->gram, true, true, keep, &m);
    tune(s, &m, s->epochs, 0);
    *tuned = score_of(s, &m, &s->tests);
    model_release(&m);
}

static void load_images(struct study *s, char *folder)
{
    struct err e;
    struct job_host host = {.arg = folder, .blob = local_blob};
    must(images_load(&s->images, &s->recipe, IMAGES_CARVED | IMAGES_TRAINING, &host, &e), &e);
    must(images_test(&s->images, &s->recipe, &host, &s->test, &e), &e);
    s->reward = images_set(&s->images, &s->images.reward);
    s->calibrate = images_set(&s->images, &s->images.calibrate);
    s->tests = images_set(&s->images, &s->test);
    s->learn = images_training(&s->images, false);
}

static void profiles(struct study *s)
{
    struct err e;
    struct recipe l1 = s->recipe;
    l1.select = SELECT_L1;
    struct compress_work cw = {.pool = s->pool,
                               .model = &s->model,
                               .recipe = &s->recipe,
                               .reward = &s->reward,
                               .calibrate = &s->calibrate};
    must(profile_make(&cw, &s->gram, &e), &e);
    cw.recipe = &l1;
    must(profile_make(&cw, &s->l1, &e), &e);
    must(dense_new(&s->dense, &s->model, &s->gram, CUT_CHANNELS, &e), &e);
}

static void report(const struct study *s, double *proxy[PROXIES], const double *tuned)
{
    printf("\n%-18s %8s %9s\n", "proxy", "Pearson", "Spearman");
    for (int p = 0; p < PROXIES; p++)
        printf("%-18s %8.3f %9.3f\n", names[p], pearson(proxy[p], tuned, s->n), spearman(proxy[p], tuned, s->n));
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: study MODEL.onnx CIFAR10-DIR [CANDIDATES] [BUDGET] [EPOCHS] [SHORT-STEPS] "
                        "[fp32|bf16] [THREADS]\n");
        return 2;
    }
    struct err e;
    struct study s = {.recipe = cifar_recipe(),
                      .n = argc > 3 ? atoi(argv[3]) : 20,
                      .epochs = argc > 5 ? atoi(argv[5]) : 3,
                      .steps = argc > 6 ? atoi(argv[6]) : 100};
    double budget = argc > 4 ? atof(argv[4]) : 0.5, *proxy[PROXIES], *tuned = xcalloc((size_t)s.n, sizeof(double));
    if (argc > 7 && !precision_from_name(argv[7], &s.recipe.precision)) {
        fprintf(stderr, "study: \"%s\" isn't fp32 or bf16\n", argv[7]);
        return 2;
    }
    must(pool_new(&s.pool, argc > 8 ? atoi(argv[8]) : 1, &e), &e);
    must(onnx_load_file(argv[1], &s.model, &e), &e);
    load_images(&s, argv[2]);
    profiles(&s);
    struct limits l;
    limits_new(&l, &s.dense.groups, 0.2, 1, true);
    int groups = s.dense.groups.n, *keep = xcalloc((size_t)s.n * (size_t)groups, sizeof(int));
    propose(POLICY_RANDOM, &s.dense.model, &s.dense.groups, &l, &s.gram, budget, s.n, keep);
    for (int p = 0; p < PROXIES; p++)
        proxy[p] = xcalloc((size_t)s.n, sizeof(double));
    printf("%d random candidates at %g of the MACs, %s; proxies on %d reward images, fine-tuned %d epochs, %d test "
           "images\n",
           s.n, budget, precision_name(s.recipe.precision), s.reward.n, s.epochs, s.tests.n);
    printf("%4s %10s %10s %10s %10s %10s\n", "", "magnitude", "+reconstr", "+recalib", "+short", "fine-tuned");
    for (int i = 0; i < s.n; i++) {
        double of[PROXIES], start = now();
        candidate(&s, keep + (size_t)i * (size_t)groups, of, &tuned[i]);
        for (int p = 0; p < PROXIES; p++)
            proxy[p][i] = of[p];
        printf("%4d %10.2f %10.2f %10.2f %10.2f %10.2f   %.0f s\n", i, 100 * of[MAGNITUDE], 100 * of[RECONSTRUCTED],
               100 * of[RECALIBRATED], 100 * of[TUNED], 100 * tuned[i], now() - start);
        fflush(stdout);
    }
    report(&s, proxy, tuned);
    return 0;
}
