/*
 * The barrier that a training pass's threads meet at: nobody passes before all are there, what is done once is done
 * once, and a failure ends it for all.
 */
#include <check.h>
#include <stdlib.h>

#include "worker/autograd/team.h"

#define ROUNDS 2000
#define MOST   4

struct work {
    struct team *team;
    int at[MOST]; /* the round each rank is in */
    int once;     /* rounds that ended */
    int fails;    /* rank that fails, or -1 */
    int in_round;
};

static void note(void *arg)
{
    struct work *w = arg;
    w->once++;
    for (int r = 0; r < team_size(w->team); r++)
        if (w->at[r] != w->once)
            abort(); /* somebody isn't there yet */
}

static int go(void *arg, int rank, struct err *e)
{
    struct work *w = arg;
    for (int round = 1; round <= ROUNDS; round++) {
        if (rank == w->fails && round == w->in_round)
            return err_set(e, ERR_IO, "rank %d stumbled", rank);
        w->at[rank] = round;
        int rc = team_meet(w->team, note, w, e);
        if (rc < 0)
            return rc;
        if (w->once < round)
            abort();
    }
    return 0;
}

START_TEST(meets)
{
    struct work w = {.fails = -1};
    struct pool *pool;
    struct err e;
    ck_assert_int_eq(pool_new(&pool, _i, &e), 0);
    ck_assert_int_eq(team_new(&w.team, pool, MOST, &e), 0);
    ck_assert_int_eq(team_size(w.team), _i < MOST ? _i : MOST);
    for (int time = 0; time < 3; time++) {
        w.once = 0;
        ck_assert_int_eq(team_run(w.team, go, &w, &e), 0);
        ck_assert_int_eq(w.once, ROUNDS);
    }
    team_free(w.team);
    pool_free(pool);
}
END_TEST

START_TEST(stumbles)
{
    struct work w = {.fails = _i, .in_round = 1 + 37 * _i};
    struct pool *pool;
    struct err e;
    ck_assert_int_eq(pool_new(&pool, 3, &e), 0);
    ck_assert_int_eq(team_new(&w.team, pool, MOST, &e), 0);
    for (int time = 0; time < 50; time++) {
        w.once = 0;
        ck_assert_int_eq(team_run(w.team, go, &w, &e), ERR_IO);
        ck_assert_str_eq(e.text, _i == 0 ? "rank 0 stumbled" : _i == 1 ? "rank 1 stumbled" : "rank 2 stumbled");
        ck_assert_int_lt(w.once, w.in_round);
    }
    w.fails = -1; /* and it can be used again */
    w.once = 0;
    ck_assert_int_eq(team_run(w.team, go, &w, &e), 0);
    team_free(w.team);
    pool_free(pool);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("autograd_team");
    TCase *t = tcase_create("autograd_team");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, meets, 1, 6);
    tcase_add_loop_test(t, stumbles, 0, 3);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
