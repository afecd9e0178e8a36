/* task: every pair of states, the two lists, and when enough is enough. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>

#include "coordinator/task.h"

static struct task_lists lists;
static struct task t;

static void setup(void)
{
    lists = (struct task_lists){0};
    task_init(&t, TASK_EVALUATE, 7, 3, &lists);
}

/* The shortest way to each state. */
static void bring(struct task *x, enum task_state to)
{
    static const enum task_state way[TASK_STATES][4] = {
        [TASK_READY] = {TASK_READY},   [TASK_STARTING] = {TASK_READY, TASK_STARTING},
        [TASK_LEASED] = {TASK_LEASED}, [TASK_RECORDING] = {TASK_LEASED, TASK_RECORDING},
        [TASK_DONE] = {TASK_DONE},     [TASK_PARKED] = {TASK_PARKED},
    };
    for (int i = 0; i < 4 && way[to][i]; i++)
        task_move(x, way[to][i]);
    ck_assert_int_eq(x->state, to);
}

/* What the picture in task.h says, written down a second time. */
static const char *const legal[] = {
    "new ready",    "new leased",       "new done",        "new parked",      "ready starting",
    "ready leased", "ready recording",  "starting ready",  "starting leased", "starting recording",
    "leased ready", "leased recording", "recording ready", "recording done",  "recording parked",
};

static bool is_legal(enum task_state from, enum task_state to)
{
    char way[64];
    snprintf(way, sizeof(way), "%s %s", task_state_name(from), task_state_name(to));
    for (size_t i = 0; i < sizeof(legal) / sizeof(legal[0]); i++)
        if (strcmp(way, legal[i]) == 0)
            return true;
    return false;
}

START_TEST(all_pairs)
{
    enum task_state from = (enum task_state)(_i / TASK_STATES), to = (enum task_state)(_i % TASK_STATES);
    bring(&t, from);
    ck_assert_int_eq(task_can_move(from, to), is_legal(from, to));
    if (!is_legal(from, to))
        return;
    task_move(&t, to);
    ck_assert_int_eq(t.state, to);
    ck_assert_int_eq(lists.ready.n, to == TASK_READY);
    ck_assert_int_eq(lists.leased.n, to == TASK_LEASED);
    ck_assert_ptr_eq(lists.ready.first, to == TASK_READY ? &t : NULL);
    ck_assert_ptr_eq(lists.leased.last, to == TASK_LEASED ? &t : NULL);
}
END_TEST

START_TEST(no_way_out)
{
    bring(&t, TASK_DONE);
    task_move(&t, TASK_READY); /* aborts */
}
END_TEST

START_TEST(worker_is_let_go)
{
    struct worker *someone = (struct worker *)&lists; /* only compared */
    bring(&t, TASK_STARTING);
    t.worker = someone;
    task_move(&t, TASK_LEASED);
    ck_assert_ptr_eq(t.worker, someone);
    task_move(&t, TASK_READY);
    ck_assert_ptr_null(t.worker);
}
END_TEST

/* New ones queue up behind each other; one that comes back goes before them. */
START_TEST(order_in_line)
{
    struct task x[4];
    for (int i = 0; i < 4; i++) {
        task_init(&x[i], TASK_EVALUATE, 7, i, &lists);
        task_move(&x[i], TASK_READY);
    }
    ck_assert_ptr_eq(lists.ready.first, &x[0]);
    ck_assert_ptr_eq(lists.ready.last, &x[3]);
    x[0].id.attempt = 1;
    task_move(&x[0], TASK_STARTING);
    task_move(&x[2], TASK_STARTING);
    ck_assert_ptr_eq(lists.ready.first, &x[1]);
    task_move(&x[0], TASK_READY);
    ck_assert_ptr_eq(lists.ready.first, &x[0]);
    ck_assert_ptr_eq(x[0].next, &x[1]);
    ck_assert_ptr_eq(x[1].next, &x[3]);
    ck_assert_ptr_eq(x[3].prev, &x[1]);
    ck_assert_ptr_null(x[3].next);
    ck_assert_int_eq(lists.ready.n, 3);
}
END_TEST

START_TEST(enough)
{
    ck_assert(!task_spent(&t, 3));
    t.failures = 2;
    t.losses = 8;
    ck_assert(!task_spent(&t, 3));
    t.losses = 9;
    ck_assert(task_spent(&t, 3));
    t.losses = 0;
    t.failures = 3;
    ck_assert(task_spent(&t, 3));
}
END_TEST

START_TEST(divergence)
{
    ck_assert(task_lr_scale(0) == 1 && task_lr_scale(1) == 0.25);
    t.diverged = 1;
    ck_assert(!task_spent(&t, 3));
    t.diverged = TASK_MOST_DIVERGED;
    ck_assert(task_spent(&t, 3));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("task");
    TCase *c = tcase_create("task");
    tcase_set_timeout(c, 10);
    tcase_add_checked_fixture(c, setup, NULL);
    tcase_add_loop_test(c, all_pairs, 0, TASK_STATES * TASK_STATES);
    tcase_add_test_raise_signal(c, no_way_out, SIGABRT);
    tcase_add_test(c, worker_is_let_go);
    tcase_add_test(c, order_in_line);
    tcase_add_test(c, enough);
    tcase_add_test(c, divergence);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int bad = srunner_ntests_failed(r) + (srunner_ntests_run(r) == 0);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
