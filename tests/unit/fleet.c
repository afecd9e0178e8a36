/* fleet: hello and names, the idle list, silence, rates. */
#include <check.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "coordinator/fleet.h"

#define BEAT (2 * NS_PER_S)

static struct fleet *f;

static void setup(void)
{
    f = fleet_new(BEAT);
}

static void teardown(void)
{
    fleet_free(f);
}

static struct peer peer(int i)
{
    return (struct peer){.n = 5, .id = {0, 1, 2, (uint8_t)(i >> 8), (uint8_t)i}};
}

static struct worker *hello(int i, const char *name, const struct task_id *busy, int64_t now_ns,
                            struct worker **replaces)
{
    struct msg_hello h = {
        .version = PROTO_VERSION, .cpu = "cpu", .kernels = "k", .threads = 2, .busy = busy != NULL};
    snprintf(h.name, sizeof(h.name), "%s", name);
    if (busy)
        h.task = *busy;
    struct peer p = peer(i);
    struct worker *w, *old;
    struct err e;
    ck_assert_int_eq(fleet_hello(f, &p, &h, now_ns, &w, &old, &e), 0);
    if (replaces)
        *replaces = old;
    else
        ck_assert_ptr_null(old);
    return w;
}

START_TEST(found_by_connection)
{
    struct peer stranger = peer(999), shorter = peer(3);
    struct worker *w[300];
    char name[32];
    for (int i = 0; i < 300; i++) {
        snprintf(name, sizeof(name), "w%d", i);
        w[i] = hello(i, name, NULL, 0, NULL);
    }
    shorter.n = 4;
    ck_assert_int_eq(fleet_count(f), 300);
    ck_assert_ptr_null(fleet_find(f, &stranger));
    ck_assert_ptr_null(fleet_find(f, &shorter));
    for (int i = 0; i < 300; i++) {
        struct peer p = peer(i);
        ck_assert_ptr_eq(fleet_find(f, &p), w[i]);
    }
    fleet_drop(f, w[7]);
    struct peer p = peer(7);
    ck_assert_ptr_null(fleet_find(f, &p));
    ck_assert_int_eq(fleet_count(f), 299);
}
END_TEST

START_TEST(second_hello_is_the_same_worker)
{
    struct worker *w = hello(1, "a", NULL, 5, NULL);
    ck_assert_ptr_eq(hello(1, "a", NULL, BEAT, NULL), w);
    ck_assert_int_eq(w->connected_ns, 5);
    ck_assert_int_eq(w->heard_ns, BEAT);
    ck_assert_int_eq(fleet_count(f), 1);
}
END_TEST

START_TEST(name_of_a_live_worker_gets_a_number)
{
    hello(1, "gpu", NULL, 0, NULL);
    struct worker *b = hello(2, "gpu", NULL, BEAT, NULL), *c = hello(3, "gpu", NULL, BEAT, NULL);
    ck_assert_str_eq(b->name, "gpu-2");
    ck_assert_str_eq(c->name, "gpu-3");
}
END_TEST

START_TEST(name_of_a_silent_worker_is_taken_over)
{
    struct worker *old, *a = hello(1, "gpu", NULL, 0, NULL);
    struct worker *b = hello(2, "gpu", NULL, 2 * BEAT, &old);
    ck_assert_ptr_eq(old, a);
    ck_assert_str_eq(b->name, "gpu");
}
END_TEST

START_TEST(killed_and_started_anew_inherits_the_name)
{
    struct worker *old = hello(1, "a", NULL, 0, NULL), *live = hello(2, "b", NULL, 0, NULL);
    struct worker *a2 = hello(3, "a", NULL, BEAT, NULL), *b2 = hello(4, "b", NULL, BEAT, NULL);
    live->heard_ns = BEAT + 1;
    ck_assert(!fleet_displaced(f, old, BEAT * 5 / 2));
    ck_assert(fleet_displaced(f, old, BEAT * 5 / 2 + 1));
    ck_assert(!fleet_displaced(f, live, BEAT * 100));
    ck_assert(!fleet_displaced(f, a2, BEAT * 100));
    fleet_inherit(f, old);
    ck_assert_str_eq(a2->name, "a");
    ck_assert_str_eq(old->name, "a-2");
    fleet_drop(f, b2);
    fleet_inherit(f, live);
    ck_assert_str_eq(live->name, "b");
}
END_TEST

START_TEST(who_names_the_attempt_is_the_same_worker)
{
    struct task_lists lists = {0};
    struct task t;
    task_init(&t, TASK_EVALUATE, 3, 4, &lists);
    t.id.attempt = 2;
    struct worker *old, *a = hello(1, "gpu", NULL, 0, NULL);
    a->task = &t;
    struct task_id other = t.id;
    other.attempt = 1;
    struct worker *b = hello(2, "gpu", &other, 1, NULL);
    ck_assert_str_eq(b->name, "gpu-2");
    hello(3, "gpu", &t.id, 1, &old);
    ck_assert_ptr_eq(old, a);
    a->task = NULL;
}
END_TEST

START_TEST(names_are_printable)
{
    struct worker *w = hello(1, "a\x1b[31m\xc3\xa9\n", NULL, 0, NULL);
    ck_assert_str_eq(w->name, "a?[31m???");
    ck_assert_str_eq(hello(2, "", NULL, 0, NULL)->name, "worker");
}
END_TEST

START_TEST(idle_in_the_order_of_waiting)
{
    struct worker *a = hello(1, "a", NULL, 0, NULL), *b = hello(2, "b", NULL, 0, NULL),
                  *c = hello(3, "c", NULL, 0, NULL);
    ck_assert_ptr_null(fleet_idle(f));
    fleet_set_idle(f, b, true);
    fleet_set_idle(f, a, true);
    fleet_set_idle(f, c, true);
    fleet_set_idle(f, b, true); /* no second place in the line */
    ck_assert_ptr_eq(fleet_idle(f), b);
    fleet_set_idle(f, a, false);
    fleet_set_idle(f, b, false);
    ck_assert_ptr_eq(fleet_idle(f), c);
    fleet_drop(f, c);
    ck_assert_ptr_null(fleet_idle(f));
}
END_TEST

START_TEST(banned_are_there_and_don_t_count)
{
    struct worker *a = hello(1, "a", NULL, 0, NULL);
    fleet_set_idle(f, a, true);
    fleet_ban(f, a);
    struct peer p = peer(1);
    ck_assert_int_eq(fleet_count(f), 0);
    ck_assert_ptr_null(fleet_idle(f));
    ck_assert_ptr_eq(fleet_find(f, &p), a);
    ck_assert_str_eq(hello(2, "a", NULL, 0, NULL)->name, "a");
    fleet_drop(f, a);
    ck_assert_int_eq(fleet_count(f), 1);
}
END_TEST

START_TEST(silent_after_three_beats)
{
    struct worker *a = hello(1, "a", NULL, 1000, NULL);
    ck_assert(!fleet_silent(f, a, 1000 + 3 * BEAT));
    ck_assert(fleet_silent(f, a, 1001 + 3 * BEAT));
}
END_TEST

START_TEST(rate)
{
    struct worker *a = hello(1, "a", NULL, 0, NULL);
    ck_assert_double_eq(worker_per_minute(a, 10 * NS_PER_S), 0);
    worker_finished(a, 5 * NS_PER_S);
    ck_assert_double_eq_tol(worker_per_minute(a, 10 * NS_PER_S), 6, 1e-9);
    for (int i = 0; i < 20; i++) /* one a second, from 11 s to 30 s: only the last eight count */
        worker_finished(a, (11 + i) * NS_PER_S);
    ck_assert_double_eq_tol(worker_per_minute(a, 30 * NS_PER_S), 60, 1e-9);
}
END_TEST

START_TEST(full)
{
    struct msg_hello h = {.version = PROTO_VERSION, .threads = 1};
    struct worker *w, *old;
    struct err e;
    for (int i = 0; i < FLEET_MAX; i++) {
        struct peer p = {.n = 4, .id = {(uint8_t)i, (uint8_t)(i >> 8), (uint8_t)(i >> 16), 1}};
        ck_assert_int_eq(fleet_hello(f, &p, &h, i, &w, &old, &e), 0);
        w->banned = true; /* spares the search for its name */
    }
    struct peer p = peer(1);
    ck_assert_int_eq(fleet_hello(f, &p, &h, 0, &w, &old, &e), ERR_LIMIT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fleet");
    TCase *c = tcase_create("fleet");
    tcase_set_timeout(c, 20);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, found_by_connection);
    tcase_add_test(c, second_hello_is_the_same_worker);
    tcase_add_test(c, name_of_a_live_worker_gets_a_number);
    tcase_add_test(c, name_of_a_silent_worker_is_taken_over);
    tcase_add_test(c, killed_and_started_anew_inherits_the_name);
    tcase_add_test(c, who_names_the_attempt_is_the_same_worker);
    tcase_add_test(c, names_are_printable);
    tcase_add_test(c, idle_in_the_order_of_waiting);
    tcase_add_test(c, banned_are_there_and_don_t_count);
    tcase_add_test(c, silent_after_three_beats);
    tcase_add_test(c, rate);
    tcase_add_test(c, full);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int bad = srunner_ntests_failed(r) + (srunner_ntests_run(r) == 0);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
