#include <check.h>
#include <string.h>

#include "common/base/err.h"
#include "proto/training.h"

START_TEST(defaults)
{
    struct training t = training_none();
    ck_assert(!training_any(&t));
    ck_assert_int_eq(t.epochs, 0);
    ck_assert_int_eq(t.steps, 0);
    ck_assert_int_eq(t.batch, 128);
    ck_assert_double_eq(t.lr, 0.01);
    ck_assert_double_eq(t.momentum, 0.9);
    ck_assert(t.nesterov);
    ck_assert_double_eq(t.weight_decay, 5e-4);
    ck_assert(!t.decay_all);
    ck_assert_int_eq((int)t.schedule, SCHEDULE_COSINE);
    ck_assert_double_eq(t.warmup, 0);
    ck_assert_int_eq(t.n_drops, 0);
    ck_assert_double_eq(t.drop, 0.1);
    ck_assert_double_eq(t.smoothing, 0);
    ck_assert_int_eq(t.pad, 4);
    ck_assert(t.flip);
    ck_assert_int_eq(t.cutout, 0);
    ck_assert_int_eq((int)t.distill.kind, DISTILL_NONE);
    ck_assert_double_eq(t.distill.temperature, 4);
    ck_assert_double_eq(t.distill.weight, 0.9);
    ck_assert_double_eq(t.distill.alpha, 1);
    ck_assert_double_eq(t.distill.beta, 2);
    ck_assert(!t.distill.other);
}
END_TEST

START_TEST(any)
{
    struct training t = training_none();
    t.epochs = 1;
    ck_assert(training_any(&t));
    t.epochs = 0;
    t.steps = 1;
    ck_assert(training_any(&t));
}
END_TEST

/* Recipes are compared as bytes. */
START_TEST(copies_are_equal)
{
    struct training a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0xff, sizeof b);
    a = training_none();
    b = training_none();
    ck_assert_mem_eq(&a, &b, sizeof a);
}
END_TEST

START_TEST(names)
{
    static const char *const schedules[] = {"cosine", "step", "constant"},
                             *const distills[] = {"none", "kl", "mse", "dkd"},
                             *const precisions[] = {"fp32", "bf16"};
    enum schedule_kind s;
    enum distill_kind d;
    enum precision p;
    for (int k = 0; k < SCHEDULE_KINDS; k++) {
        ck_assert_str_eq(schedule_kind_name((enum schedule_kind)k), schedules[k]);
        ck_assert(schedule_kind_from_name(schedules[k], &s) && (int)s == k);
    }
    for (int k = 0; k < DISTILL_KINDS; k++) {
        ck_assert_str_eq(distill_kind_name((enum distill_kind)k), distills[k]);
        ck_assert(distill_kind_from_name(distills[k], &d) && (int)d == k);
    }
    for (int k = 0; k < PRECISION_KINDS; k++) {
        ck_assert_str_eq(precision_name((enum precision)k), precisions[k]);
        ck_assert(precision_from_name(precisions[k], &p) && (int)p == k);
    }
    s = SCHEDULE_STEP;
    ck_assert(!schedule_kind_from_name("cosin", &s) && s == SCHEDULE_STEP);
    ck_assert(!distill_kind_from_name("", &d));
    ck_assert(!precision_from_name("FP32", &p));
}
END_TEST

START_TEST(no_such_name)
{
    schedule_kind_name(SCHEDULE_KINDS);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("training");
    TCase *t = tcase_create("training");
    tcase_set_timeout(t, 20);
    tcase_add_test(t, defaults);
    tcase_add_test(t, any);
    tcase_add_test(t, copies_are_equal);
    tcase_add_test(t, names);
    tcase_add_test_raise_signal(t, no_such_name, 6);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
