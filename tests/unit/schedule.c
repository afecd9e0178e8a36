#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "worker/train/schedule.h"

/* Against PyTorch's schedulers: tests/golden/schedule.py. */
START_TEST(as_pytorch)
{
    const char *dir = getenv("ESPALIER_TESTS");
    char path[512], kind[16];
    snprintf(path, sizeof path, "%s/golden/schedule.txt", dir ? dir : "tests");
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "could not open %s", path);
    struct training t = training_none();
    int cases = 0, rates = 0, steps, per_epoch;
    while (fscanf(f, "%15s %lf %lf %lf %d", kind, &t.lr, &t.warmup, &t.drop, &t.n_drops) == 5) {
        ck_assert(schedule_kind_from_name(kind, &t.schedule));
        ck_assert_int_le(t.n_drops, TRAINING_MAX_DROPS);
        for (int i = 0; i < t.n_drops; i++)
            ck_assert_int_eq(fscanf(f, "%lf", &t.drop_at[i]), 1);
        ck_assert_int_eq(fscanf(f, "%d %d", &steps, &per_epoch), 2);
        for (int i = 0; i < steps; i++, rates++) {
            double want, got = schedule_rate(&t, i, steps, per_epoch);
            ck_assert_int_eq(fscanf(f, "%lf", &want), 1);
            ck_assert_msg(fabs(got - want) <= 1e-12 * want, "%s, step %d of %d: %.17g, not %.17g", kind, i, steps,
                          got, want);
        }
        cases++;
    }
    ck_assert_int_eq(cases, 6);
    ck_assert_int_eq(rates, 229);
    fclose(f);
}
END_TEST

START_TEST(ends_of_cosine)
{
    struct training t = training_none();
    t.lr = 0.2;
    ck_assert_double_eq(schedule_rate(&t, 0, 1000, 100), 0.2);
    ck_assert_double_eq_tol(schedule_rate(&t, 500, 1000, 100), 0.1, 1e-15);
    double last = schedule_rate(&t, 999, 1000, 100);
    ck_assert_double_eq_tol(last, 0.1 * (1 - cos(acos(-1) / 1000)), 1e-15); /* one step before 0 */
    ck_assert(last > 0);
    ck_assert_double_eq(schedule_rate(&t, 0, 1, 1), 0.2); /* one step in all */
}
END_TEST

START_TEST(warm_up)
{
    struct training t = training_none();
    t.lr = 1;
    t.warmup = 3;
    ck_assert_double_eq(schedule_rate(&t, 0, 100, 10), 1. / 30);
    ck_assert_double_eq(schedule_rate(&t, 14, 100, 10), 0.5);
    ck_assert_double_eq(schedule_rate(&t, 29, 100, 10), 1);
    ck_assert_double_eq(schedule_rate(&t, 30, 100, 10), 1);
    ck_assert(schedule_rate(&t, 31, 100, 10) < 1);
    for (int i = 0; i < 20; i++) /* nothing but warm-up */
        ck_assert_double_eq(schedule_rate(&t, i, 20, 10), (i + 1) / 30.);
    ck_assert_double_eq(schedule_rate(&t, 29, 30, 10), 1); /* ends just where the run ends */
}
END_TEST

/* Far more steps than an int has. */
START_TEST(long_run)
{
    struct training t = training_none();
    int64_t per_epoch = 1000000, steps = 10000 * per_epoch;
    t.lr = 1;
    ck_assert_double_eq_tol(schedule_rate(&t, steps / 2, steps, per_epoch), 0.5, 1e-12);
    t.schedule = SCHEDULE_STEP;
    t.n_drops = 1;
    t.drop_at[0] = 9999;
    ck_assert_double_eq(schedule_rate(&t, 9999 * per_epoch - 1, steps, per_epoch), 1);
    ck_assert_double_eq(schedule_rate(&t, 9999 * per_epoch, steps, per_epoch), 0.1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("schedule");
    TCase *t = tcase_create("schedule");
    tcase_set_timeout(t, 20);
    tcase_add_test(t, as_pytorch);
    tcase_add_test(t, ends_of_cosine);
    tcase_add_test(t, warm_up);
    tcase_add_test(t, long_run);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
