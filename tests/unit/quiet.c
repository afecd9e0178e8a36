/*
 * Searches with a latency budget as the coordinator runs them: the table is measured by one worker whose machine
 * has nothing else to do, recorded once, and passed on; finalists are timed likewise, and passed over when they are
 * too slow.
 */
#include "tests/unit/coordinator_trial.h"

enum { WORKERS = 4 };
static void *sockets[WORKERS];
static const char *const hosts[WORKERS] = {"a", "a", "b", "b"};

/* From here on the worker with this number speaks and hears. */
static void be(int i)
{
    worker = sockets[i];
}

static void come(int i)
{
    if (!sockets[i]) {
        int zero = 0, ms = 3000;
        sockets[i] = zmq_socket(context, ZMQ_DEALER);
        zmq_setsockopt(sockets[i], ZMQ_LINGER, &zero, sizeof(zero));
        zmq_setsockopt(sockets[i], ZMQ_RCVTIMEO, &ms, sizeof(ms));
        ck_assert_int_eq(zmq_connect(sockets[i], bus_endpoint(bus)), 0);
    }
    be(i);
    struct message m = {.type = MSG_HELLO};
    m.u.hello = (struct msg_hello){.version = PROTO_VERSION, .cpu = "c", .kernels = "k", .threads = 1};
    snprintf(m.u.hello.name, sizeof(m.u.hello.name), "w%d", i);
    snprintf(m.u.hello.host, sizeof(m.u.hello.host), "%s", hosts[i]);
    say(&m);
    hear(MSG_WELCOME);
}

static void *first_socket; /* the trial's own, which end_coordinator closes */

static void begin_quiet(void)
{
    setup();
    first_socket = worker;
}

static void drop_sockets(void)
{
    for (int i = 0; i < WORKERS; i++) {
        if (sockets[i])
            zmq_close(sockets[i]);
        sockets[i] = NULL;
    }
    worker = first_socket;
}

static void end_quiet(void)
{
    drop_sockets();
    teardown();
}

/* Whether this worker is told anything within a fifth of a second. */
static bool is_told(int i)
{
    be(i);
    int timer = zloop_timer(loop, 5, 0, step, NULL), limit = zloop_timer(loop, 200, 1, stop, NULL);
    zloop_start(loop);
    zloop_timer_end(loop, timer);
    zloop_timer_end(loop, limit);
    zmq_pollitem_t item = {.socket = sockets[i], .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, 0) > 0;
}

static struct msg_work take(int i, enum task_kind kind)
{
    be(i);
    return work(kind, 1, 1, 0);
}

/* A table in which time goes with the channels. */
static void deliver_table(int i, const struct task_id *t)
{
    struct latency l;
    struct buf b = {0};
    struct err e;
    ck_assert_int_eq(latency_new(&l, 6, 0, &e), 0); /* put_net has six nodes */
    for (int n = 0; n < l.n_nodes; n++)
        l.base[n] = (float)(100000 * (n + 1));
    l.batch = l.threads = 1;
    l.error_median = 0.04;
    l.error_worst = 0.1;
    snprintf(l.cpu, sizeof(l.cpu), "c");
    latency_encode(&l, &b);
    const struct msg_result r = {.task = *t, .seconds = 2, .n_table = (uint32_t)b.n, .table = b.p};
    be(i);
    deliver(&r);
    buf_release(&b);
    latency_release(&l);
}

static void deliver_profile(int i, const struct task_id *t)
{
    static uint32_t n_curve[2] = {17, 33};
    static float curve[50];
    const struct msg_result r = {.task = *t,
                                 .seconds = 1,
                                 .reward = {100, 99, 100, 0.1},
                                 .has_blob = true,
                                 .blob = put_blob(loop, s, "profile"),
                                 .n_groups = 2,
                                 .n_curve = n_curve,
                                 .n_points = 50,
                                 .curve = curve};
    be(i);
    deliver(&r);
}

static void deliver_score(int i, const struct task_id *t)
{
    const struct msg_result r = {.task = *t, .seconds = 1, .reward = {100, 50 + t->episode, 100, 1}};
    be(i);
    deliver(&r);
}

static void deliver_times(int i, const struct msg_work *w, double ratio)
{
    const struct msg_result r = {.task = w->task,
                                 .seconds = 1,
                                 .n_times = 2,
                                 .times = {{1, ratio, 1, ratio, 0.01}, {w->batch, 8 * ratio, 8, ratio, 0.02}}};
    be(i);
    deliver(&r);
}

static void order_search(void)
{
    static const char more[] =
        "split: {reward: 100, calibrate: 10}\nbudgets: {latency: [0.6]}\nlatency: {batch: 16}\n"
        "search: {policy: random, episodes: 4, lookahead: 4}\ncut: {round_to: auto}\n";
    ck_assert_msg(strncmp(submit_it(with_head(more), &onnx, NULL, NULL), "{\"id\": ", 7) == 0, "%s", answer);
}

static const char keeps[] =
    "select string_agg(keep::text, ' ' order by episode) from espalier.candidates where search = 1";

START_TEST(the_table_is_measured_alone)
{
    order_search();
    come(0);
    struct msg_work profile = take(0, TASK_PROFILE);
    come(1);
    ck_assert(!is_told(1)); /* its machine works at the profile */
    come(2);
    struct msg_work measure = take(2, TASK_MEASURE);
    ck_assert(measure.task.episode == -1 && measure.n_keep == 0 && !measure.has_profile);
    come(3);
    deliver_profile(0, &profile.task);
    ck_assert(!is_told(0) && !is_told(1) && !is_told(3)); /* no proposals before there is a table */
    deliver_table(2, &measure.task);
    for (int i = 0; i < WORKERS; i++)
        ck_assert_int_eq(take(i, TASK_EVALUATE).n_keep, 2);
    ck_assert_str_eq(ask(database, "select count(*) from espalier.latency_tables"), "1");
    ck_assert_str_eq(
        ask(database,
            "select min(latency) > 0 and max(latency::float8 / dense_latency) <= 0.6 from espalier.candidates c"
            " join espalier.searches on id = search"),
        "t");
}
END_TEST

/* The first of a machine's two workers measures: the other waits, though another search has work for it. */
START_TEST(nothing_else_beside_it)
{
    static const char other[] = "split: {reward: 100, calibrate: 10}\nbudgets: {flops: [0.6]}\n";
    order_search();
    come(0);
    struct msg_work profile = take(0, TASK_PROFILE);
    deliver_profile(0, &profile.task);
    struct msg_work measure = take(0, TASK_MEASURE);
    submit_it(with_head(other), &onnx, NULL, NULL);
    come(1);
    ck_assert(!is_told(1));
    come(2);
    ck_assert_int_eq(take(2, TASK_PROFILE).task.search, 2);
    deliver_table(0, &measure.task);
    take(0, TASK_EVALUATE);
    take(1, TASK_EVALUATE);
}
END_TEST

static void evaluate_all(int i)
{
    for (int e = 0; e < 4; e++) {
        be(i);
        const struct msg_work *w = &hear(MSG_WORK)->u.work;
        ck_assert_int_eq(w->task.kind, TASK_EVALUATE);
        struct task_id t = w->task;
        deliver_score(i, &t);
    }
}

/* The record says the same before and after a restart, and another search of the model has the same table. */
START_TEST(a_restart_goes_on_by_the_recorded_table)
{
    char before[4096];
    order_search();
    come(0);
    struct msg_work profile = take(0, TASK_PROFILE);
    deliver_profile(0, &profile.task);
    struct msg_work measure = take(0, TASK_MEASURE);
    drop_sockets();
    restart();
    first_socket = worker;
    come(0);
    measure = work(TASK_MEASURE, 2, 1, 0); /* the profile is on record */
    deliver_table(0, &measure.task);
    struct msg_work first = take(0, TASK_EVALUATE);
    snprintf(before, sizeof(before), "%s", ask(database, keeps));
    drop_sockets();
    restart();
    first_socket = worker;
    come(0);
    (void)first;
    be(0);
    for (int e = 0; e < 4; e++) {
        struct task_id t = hear(MSG_WORK)->u.work.task;
        ck_assert_int_eq(t.kind, TASK_EVALUATE);
        deliver_score(0, &t);
    }
    ck_assert(strncmp(ask(database, keeps), before, strlen(before)) == 0);
    ck_assert_str_eq(ask(database, "select count(*) from espalier.latency_tables"), "1");
    struct msg_work timing = take(0, TASK_TIME);
    order_search();
    deliver_times(0, &timing, 0.5);
    for (int known = 0; known < 2;) { /* the finalist, and the other search's profile; no table is measured again */
        struct task_id t = hear(MSG_WORK)->u.work.task;
        ck_assert(t.kind == TASK_FINAL || (t.kind == TASK_PROFILE && t.search == 2));
        struct msg_failed f = {.task = t, .permanent = true, .reason = "enough"};
        if (t.kind == TASK_PROFILE)
            deliver_profile(0, &t);
        else
            report_failure(&f);
        known++;
    }
    take(0, TASK_EVALUATE);
    ck_assert_str_eq(
        ask(database,
            "select string_agg(coalesce(inherited::text, '-'), ' ' order by search) from espalier.latency_tables"),
        "- 1");
}
END_TEST

START_TEST(slow_finalists_are_passed_over)
{
    order_search();
    come(0);
    struct msg_work w = take(0, TASK_PROFILE);
    deliver_profile(0, &w.task);
    w = take(0, TASK_MEASURE);
    deliver_table(0, &w.task);
    evaluate_all(0);
    w = take(0, TASK_TIME);
    ck_assert(w.batch == 16 && w.n_keep == 2 && !w.has_profile && w.task.episode == 3); /* the most accurate */
    come(1);
    ck_assert(!is_told(1));
    bye();
    deliver_times(0, &w, 0.7); /* 0.6 was asked for */
    be(0);
    const struct msg_work *next = &hear(MSG_WORK)->u.work;
    if (next->task.kind == TASK_TIME) { /* where another is on the front */
        struct msg_work second = *next;
        deliver_times(0, &second, 0.605);
        be(0);
        ck_assert_int_eq(hear(MSG_WORK)->u.work.task.episode, second.task.episode);
        ck_assert_str_eq(ask(database, "select count(*) from espalier.finalists"), "1");
    } else {
        ck_assert(next->task.kind == TASK_FINAL && next->task.episode == 3);
        ck_assert_str_eq(ask(database, "select espalier.timing_json(1, 3) ->> 'within'"), "false");
    }
    ck_assert_str_eq(
        ask(database,
            "select ratio || ' ' || batch || ' ' || batch_ms || ' ' || cpu || ' ' || threads from espalier.timings"
            " where episode = 3"),
        "0.7 16 5.6 c 1");
    json_t *j = report(REPORT_STATUS, 1, 0, NULL), *table = json_object_get(j, "table");
    ck_assert(number(table, "error_median") == 0.04 && number(table, "error_worst") == 0.1);
    ck_assert_uint_eq(json_array_size(json_object_get(table, "rounds")), 2);
    json_decref(j);
    j = report(REPORT_PARETO, 1, 0, "latency");
    ck_assert(json_array_size(j) > 0 && number(json_array_get(j, 0), "latency_ratio") <= 0.6);
    json_decref(j);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("quiet");
    TCase *t = tcase_create("quiet");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin_quiet, end_quiet);
    tcase_add_test(t, the_table_is_measured_alone);
    tcase_add_test(t, nothing_else_beside_it);
    tcase_add_test(t, a_restart_goes_on_by_the_recorded_table);
    tcase_add_test(t, slow_finalists_are_passed_over);
    suite_add_tcase(suite, t);
    return run_suite(suite, false);
}
