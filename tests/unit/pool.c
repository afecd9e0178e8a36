/*
 * The pool: every piece once, any number of threads, the error of the lowest piece that failed.
 */
#include <check.h>
#include <omp.h>
#include <stdatomic.h>

#include "common/base/clock.h"
#include "worker/engine/pool.h"

#define PIECES 200

struct job {
    atomic_int times[PIECES]; /* that a piece was run */
    atomic_int wild; /* pieces run under a thread number that isn't ours, or with more than one OpenMP thread */
    int threads;
    int fails, fails_later; /* pieces that fail, or -1 */
    int slow;               /* a piece that takes its time, or -1 */
};

static int do_piece(void *arg, int piece, int thread, struct err *e)
{
    struct job *j = arg;
    atomic_fetch_add(&j->times[piece], 1);
    if (thread < 0 || thread >= j->threads || omp_get_max_threads() != 1)
        atomic_fetch_add(&j->wild, 1);
    if (piece == j->fails) /* time for the later one to begin */
        clock_sleep_ns(20 * NS_PER_MS);
    if (piece == j->slow)
        clock_sleep_ns(60 * NS_PER_MS);
    if (piece == j->fails)
        return err_set(e, ERR_LIMIT, "piece %d fails", piece);
    if (piece == j->fails_later)
        return err_set(e, ERR_INVALID, "piece %d fails", piece);
    return 0;
}

static struct pool *start(int threads)
{
    struct pool *p;
    struct err e;
    ck_assert_msg(pool_new(&p, threads, &e) == 0, "%s", e.text);
    ck_assert_int_eq(pool_threads(p), threads);
    return p;
}

static const int sizes[] = {1, 2, 3, 8};

START_TEST(every_piece_once)
{
    struct job j = {.threads = sizes[_i], .fails = -1, .fails_later = -1, .slow = -1};
    struct pool *p = start(j.threads);
    struct err e;
    for (int round = 1; round <= 50; round++) {
        ck_assert_int_eq(pool_run(p, PIECES, do_piece, &j, &e), 0);
        for (int i = 0; i < PIECES; i++)
            ck_assert_int_eq(atomic_load(&j.times[i]), round);
    }
    ck_assert_int_eq(atomic_load(&j.wild), 0);
    pool_free(p);
}
END_TEST

START_TEST(fewer_pieces_than_threads)
{
    struct job j = {.threads = sizes[_i], .fails = -1, .fails_later = -1, .slow = -1};
    struct pool *p = start(j.threads);
    struct err e;
    ck_assert_int_eq(pool_run(p, 0, do_piece, &j, &e), 0);
    ck_assert_int_eq(pool_run(p, 1, do_piece, &j, &e), 0);
    ck_assert_int_eq(atomic_load(&j.times[0]), 1);
    ck_assert_int_eq(atomic_load(&j.times[1]), 0);
    pool_free(p);
}
END_TEST

START_TEST(lowest_error)
{
    struct job j = {.threads = sizes[_i / 2], .fails = 10, .fails_later = 11, .slow = _i % 2 ? 11 : -1};
    struct pool *p = start(j.threads);
    struct err e;
    ck_assert_int_eq(pool_run(p, PIECES, do_piece, &j, &e), ERR_LIMIT);
    ck_assert_str_eq(e.text, "piece 10 fails");
    ck_assert_int_eq((int)e.code, ERR_LIMIT);
    for (int i = 0; i <= 10; i++)
        ck_assert_int_eq(atomic_load(&j.times[i]), 1);
    if (j.threads == 1)
        ck_assert_int_eq(atomic_load(&j.times[11]), 0);
    j.fails = j.fails_later = -1; /* and it goes on */
    ck_assert_int_eq(pool_run(p, PIECES, do_piece, &j, &e), 0);
    ck_assert_int_ge(atomic_load(&j.times[PIECES - 1]), 1);
    pool_free(p);
}
END_TEST

START_TEST(refuses_sizes)
{
    struct pool *p;
    struct err e;
    ck_assert_int_eq(pool_new(&p, 0, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "a pool of 0 threads isn't between 1 and 1024");
    ck_assert_int_eq(pool_new(&p, 1025, &e), ERR_INVALID);
    pool_free(NULL);
}
END_TEST

int main(void)
{
    int n = (int)(sizeof sizes / sizeof *sizes);
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("pool");
    tcase_set_timeout(t, 20);
    tcase_add_loop_test(t, every_piece_once, 0, n);
    tcase_add_loop_test(t, fewer_pieces_than_threads, 0, n);
    tcase_add_loop_test(t, lowest_error, 0, 2 * n);
    tcase_add_test(t, refuses_sizes);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
