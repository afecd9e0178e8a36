#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "worker/train/loss.h"

enum { MOST = 64, LABELS = 8 };

struct batch {
    int N, K;
    float logits[MOST], teacher[MOST], slope[MOST];
    int labels[LABELS];
};

static void read_floats(FILE *f, float *x, int n)
{
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(fscanf(f, "%f", &x[i]), 1);
}

static bool near(double got, double want, double tolerance)
{
    return fabs(got - want) <= tolerance * fmax(1, fabs(want));
}

/* One case of loss.txt; false when there are no more. */
static bool check_case(FILE *f, struct batch *b)
{
    struct training t = training_none();
    struct loss_value want, got;
    char kind[8];
    float slope[MOST];
    if (fscanf(f, "%lf %7s %lf %lf %lf %lf", &t.smoothing, kind, &t.distill.weight, &t.distill.temperature,
               &t.distill.alpha, &t.distill.beta) != 6)
        return false;
    ck_assert(distill_kind_from_name(kind, &t.distill.kind));
    ck_assert_int_eq(fscanf(f, "%lf %lf %lf", &want.total, &want.labels, &want.teacher), 3);
    read_floats(f, slope, b->N * b->K);
    loss_of(&t, b->logits, t.distill.kind ? b->teacher : NULL, b->labels, b->N, b->K, b->slope, &got);
    ck_assert_msg(near(got.total, want.total, 1e-11) && near(got.labels, want.labels, 1e-11) &&
                      near(got.teacher, want.teacher, 1e-11),
                  "%s, smoothing %g: %.15g %.15g %.15g, not %.15g %.15g %.15g", kind, t.smoothing, got.total,
                  got.labels, got.teacher, want.total, want.labels, want.teacher);
    for (int i = 0; i < b->N * b->K; i++)
        ck_assert_msg(fabsf(b->slope[i] - slope[i]) <= 1e-7F * fmaxf(1, fabsf(slope[i])),
                      "%s, smoothing %g, slope %d: %.9g, not %.9g", kind, t.smoothing, i, (double)b->slope[i],
                      (double)slope[i]);
    return true;
}

/* Against PyTorch: tests/golden/loss.py. */
START_TEST(as_pytorch)
{
    const char *dir = getenv("ESPALIER_TESTS");
    char path[512];
    struct batch b;
    int cases = 0;
    snprintf(path, sizeof path, "%s/golden/loss.txt", dir ? dir : "tests");
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "could not open %s", path);
    ck_assert_int_eq(fscanf(f, "%d %d", &b.N, &b.K), 2);
    ck_assert(b.N <= LABELS && b.N * b.K <= MOST);
    read_floats(f, b.logits, b.N * b.K);
    read_floats(f, b.teacher, b.N * b.K);
    for (int i = 0; i < b.N; i++)
        ck_assert_int_eq(fscanf(f, "%d", &b.labels[i]), 1);
    while (check_case(f, &b))
        cases++;
    ck_assert_int_eq(cases, 12);
    fclose(f);
}
END_TEST

static void draw(struct batch *b, int N, int K, double spread, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, "loss", 0);
    b->N = N;
    b->K = K;
    for (int i = 0; i < N * K; i++) {
        b->logits[i] = (float)(spread * rng_normal(&r));
        b->teacher[i] = (float)(spread * rng_normal(&r));
    }
    for (int i = 0; i < N; i++)
        b->labels[i] = (int)rng_below(&r, (uint64_t)K);
}

static double total_of(const struct training *t, struct batch *b, float *slope)
{
    struct loss_value v;
    loss_of(t, b->logits, b->teacher, b->labels, b->N, b->K, slope, &v);
    return v.total;
}

/* Central differences in every logit. */
START_TEST(finite_differences)
{
    static const int sizes[][2] = {{1, 2}, {3, 10}, {7, 5}, {2, 1}, {1, 31}};
    struct training t = training_none();
    struct batch b;
    float unused[MOST];
    t.distill.kind = (enum distill_kind)(_i % DISTILL_KINDS);
    t.smoothing = _i / DISTILL_KINDS % 2 * 0.15;
    t.distill.weight = 0.7;
    t.distill.temperature = _i % 3 ? 3 : 0.8;
    t.distill.alpha = 1.5;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        draw(&b, sizes[s][0], sizes[s][1], 2, (uint64_t)_i);
        total_of(&t, &b, b.slope);
        for (int i = 0; i < b.N * b.K; i++) {
            float was = b.logits[i], low = was - 0x1p-9F, high = was + 0x1p-9F;
            b.logits[i] = high;
            double above = total_of(&t, &b, unused);
            b.logits[i] = low;
            double below = total_of(&t, &b, unused);
            b.logits[i] = was;
            double slope = (above - below) / ((double)high - (double)low);
            ck_assert_msg(fabs(slope - (double)b.slope[i]) < 1e-4 * (1 + fabs(slope)),
                          "%s, %dx%d, logit %d: %.9g by differences, %.9g", distill_kind_name(t.distill.kind), b.N,
                          b.K, i, slope, (double)b.slope[i]);
        }
    }
}
END_TEST

/* A teacher who agrees teaches nothing; gradients of distributions add up to 0. */
START_TEST(agreement)
{
    struct training t = training_none();
    struct batch b;
    struct loss_value v;
    t.distill.kind = (enum distill_kind)_i;
    t.distill.weight = 1;
    draw(&b, 4, 10, 5, 1);
    memcpy(b.teacher, b.logits, sizeof b.teacher);
    loss_of(&t, b.logits, b.teacher, b.labels, b.N, b.K, b.slope, &v);
    ck_assert_double_eq_tol(v.teacher, 0, 1e-14);
    if (_i == DISTILL_DKD) { /* the labels' term is not scaled */
        ck_assert_double_eq_tol(v.total, v.labels, 1e-14);
        ck_assert(v.labels > 0.1);
        return;
    }
    ck_assert_double_eq_tol(v.total, 0, 1e-14);
    for (int i = 0; i < b.N * b.K; i++)
        ck_assert(fabsf(b.slope[i]) < 1e-12F);
}
END_TEST

START_TEST(not_finite)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    struct training t = training_none();
    struct batch b;
    t.distill.kind = (enum distill_kind)(_i / 3);
    t.distill.weight = 1;
    for (int i = 0; i < 30; i++) {
        draw(&b, 3, 10, 1, 2);
        ck_assert(isfinite(total_of(&t, &b, b.slope)));
        b.logits[i] = bad[_i % 3];
        ck_assert_msg(!isfinite(total_of(&t, &b, b.slope)), "logit %d", i);
    }
    for (int i = 0; i < 30; i++)
        b.logits[i] = bad[_i % 3];
    ck_assert(!isfinite(total_of(&t, &b, b.slope)));
}
END_TEST

/* Logits of any size, right and wrong, student's and teacher's. */
START_TEST(saturated)
{
    static const float sizes[] = {100, 1e4F, 1e10F, 1e30F};
    struct training t = training_none();
    struct batch b = {.N = 4, .K = 5};
    t.distill.kind = (enum distill_kind)_i;
    for (int s = 0; s < 4; s++) {
        for (int i = 0; i < b.N * b.K; i++)
            b.logits[i] = b.teacher[i] = 0;
        for (int n = 0; n < b.N; n++) { /* both right, student wrong, teacher wrong, both wrong */
            b.labels[n] = 2;
            b.logits[5 * n + (n & 1 ? 4 : 2)] = sizes[s];
            b.teacher[5 * n + (n & 2 ? 0 : 2)] = n & 1 ? sizes[s] : -sizes[s];
        }
        double total = total_of(&t, &b, b.slope);
        ck_assert(isfinite(total) && total > 0);
        for (int i = 0; i < b.N * b.K; i++)
            ck_assert(isfinite(b.slope[i]));
        if (_i == DISTILL_NONE) {
            ck_assert(near(total, (double)sizes[s] / 2, 1e-7)); /* two of four lose by all of it */
            ck_assert_float_eq(b.slope[5 * 1 + 4], 0.25F);
            ck_assert_float_eq(b.slope[5 * 1 + 2], -0.25F);
        }
    }
}
END_TEST

START_TEST(top1)
{
    struct training t = training_none();
    struct batch b = {.N = 1, .K = 4, .logits = {1, 3, 3, 0}};
    struct loss_value v;
    static const int right[] = {0, 1, 0, 0}; /* a tie counts for the lower class */
    for (int label = 0; label < 4; label++) {
        b.labels[0] = label;
        loss_of(&t, b.logits, NULL, b.labels, 1, 4, b.slope, &v);
        ck_assert_int_eq(v.top1, right[label]);
    }
    b.logits[0] = NAN;
    b.labels[0] = 1;
    loss_of(&t, b.logits, NULL, b.labels, 1, 4, b.slope, &v);
    ck_assert_int_eq(v.top1, 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("loss");
    TCase *t = tcase_create("loss");
    tcase_set_timeout(t, 20);
    tcase_add_test(t, as_pytorch);
    tcase_add_loop_test(t, finite_differences, 0, 3 * 2 * DISTILL_KINDS);
    tcase_add_loop_test(t, agreement, DISTILL_KL, DISTILL_KINDS);
    tcase_add_loop_test(t, not_finite, 0, 3 * DISTILL_KINDS);
    tcase_add_loop_test(t, saturated, 0, DISTILL_KINDS);
    tcase_add_test(t, top1);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
