/* The worker's session against a coordinator played over a real socket. */
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "tests/unit/router.h"
#include "worker/dealer.h"
#include "worker/session.h"

enum { BEAT_MS = 40, LEASE_MS = 800 };

/* A worker whose work is to wait until it is told how to end. */
struct bench {
    struct router r;
    struct desk *desk;
    struct session *session;
    int stop_fd;
    pthread_t compute;
    atomic_int finish;    /* tasks that may end with a result */
    atomic_int cancelled; /* tasks that ended with ERR_CANCELLED */
    char why[512];
};

static void one_task(struct bench *b, const struct task_id *task)
{
    struct err e;
    for (uint64_t i = 0;; i++) {
        int rc = desk_progress(b->desk, "score", i, 1000, &e);
        if (rc < 0) {
            snprintf(b->why, sizeof(b->why), "%s", e.text);
            desk_finish(b->desk, NULL);
            b->cancelled++;
            return;
        }
        if (b->finish > 0) {
            b->finish--;
            struct message m = {.type = MSG_RESULT};
            m.u.result = (struct msg_result){.task = *task, .seconds = 0.5, .reward = {10, 8, 9, 0.25}};
            desk_finish(b->desk, &m);
            return;
        }
        clock_sleep_ns(2 * NS_PER_MS);
    }
}

static void *compute(void *arg)
{
    struct bench *b = arg;
    struct message work;
    while (desk_take(b->desk, &work)) {
        one_task(b, &work.u.work.task);
        message_release(&work);
    }
    return NULL;
}

static void bench_open(struct bench *b)
{
    struct err e;
    memset(b, 0, sizeof(*b));
    log_init("test", LOG_ERROR);
    router_open(&b->r);
    b->stop_fd = eventfd(0, 0);
    ck_assert_int_eq(desk_new(&b->desk, &e), 0);
    struct session_options o = {.endpoint = b->r.endpoint,
                                .name = "tester",
                                .cpu = "a CPU",
                                .kernels = "some kernels",
                                .threads = 3,
                                .stop_fd = b->stop_fd};
    ck_assert_msg(session_start(&b->session, &o, b->desk, &e) == 0, "%s", e.text);
    ck_assert_int_eq(pthread_create(&b->compute, NULL, compute, b), 0);
}

static void bench_stop(struct bench *b)
{
    ck_assert_int_eq(eventfd_write(b->stop_fd, 1), 0);
}

static void bench_close(struct bench *b)
{
    bench_stop(b);
    session_join(b->session);
    pthread_join(b->compute, NULL);
    desk_free(b->desk);
    close(b->stop_fd);
    router_close(&b->r);
}

/* Beats until one says so; each is answered. */
static void wait_beat(struct bench *b, bool busy, const char *stage)
{
    static const struct message alive = {.type = MSG_ALIVE};
    struct message m;
    for (int i = 0; i < 100 && router_next(&b->r, &m, 5000); i++) {
        ck_assert_msg(m.type == MSG_BEAT, "%s instead of BEAT", message_name(m.type));
        router_send(&b->r, &alive);
        if (m.u.beat.busy == busy && (!stage || strcmp(m.u.beat.stage, stage) == 0))
            return;
    }
    ck_abort_msg("no beat with busy=%d", busy);
}

static void give_work(struct bench *b, int32_t episode)
{
    struct message work = router_work(episode);
    router_send(&b->r, &work);
    wait_beat(b, true, "score");
}

START_TEST(hello_says_who_we_are)
{
    struct bench b;
    struct message m;
    bench_open(&b);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    ck_assert_uint_eq(m.u.hello.version, PROTO_VERSION);
    ck_assert_str_eq(m.u.hello.name, "tester");
    ck_assert_str_eq(m.u.hello.cpu, "a CPU");
    ck_assert_str_eq(m.u.hello.kernels, "some kernels");
    ck_assert_uint_eq(m.u.hello.threads, 3);
    ck_assert(!m.u.hello.busy);
    int64_t start = clock_mono_ns();
    for (int i = 0; i < 5; i++)
        wait_beat(&b, false, NULL);
    int64_t ms = (clock_mono_ns() - start) / NS_PER_MS;
    ck_assert_msg(ms >= 3 * BEAT_MS, "five beats in %d ms", (int)ms);
    bench_close(&b);
}
END_TEST

START_TEST(result_is_repeated_until_acknowledged)
{
    struct bench b;
    struct message m, first;
    bench_open(&b);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    give_work(&b, 7);
    b.finish = 1;
    router_expect(&b.r, MSG_RESULT, &first);
    ck_assert_int_eq(first.u.result.task.episode, 7);
    ck_assert_int_eq(first.u.result.reward.top1, 8);
    router_expect(&b.r, MSG_RESULT, &m); /* on the same connection */

    router_close(&b.r); /* and on the next one, long after the lease */
    clock_sleep_ns((LEASE_MS + 200) * NS_PER_MS);
    router_open(&b.r);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    ck_assert(m.u.hello.busy);
    ck_assert(task_id_equal(&m.u.hello.task, &first.u.result.task));
    router_expect(&b.r, MSG_RESULT, &m);
    ck_assert(task_id_equal(&m.u.result.task, &first.u.result.task));

    struct message other = router_verdict(MSG_ACK, (struct task_id){TASK_EVALUATE, 1, 8, 1}, "");
    router_send(&b.r, &other); /* of another task: changes nothing */
    router_expect(&b.r, MSG_RESULT, &m);
    struct message ack = router_verdict(MSG_ACK, first.u.result.task, "");
    router_send(&b.r, &ack);
    router_send(&b.r, &ack); /* a repeat: neither */
    wait_beat(&b, false, NULL);
    for (int i = 0; i < 6; i++) /* wait_beat fails on a RESULT */
        wait_beat(&b, false, NULL);
    give_work(&b, 8);
    bench_close(&b);
}
END_TEST

START_TEST(cancel_reaches_the_work)
{
    struct bench b;
    struct message m;
    bench_open(&b);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    give_work(&b, 1);
    struct message other = router_verdict(MSG_CANCEL, (struct task_id){TASK_EVALUATE, 1, 1, 2}, "not this one");
    router_send(&b.r, &other);
    wait_beat(&b, true, "score");
    ck_assert_int_eq(b.cancelled, 0);
    struct message cancel =
        router_verdict(MSG_CANCEL, (struct task_id){TASK_EVALUATE, 1, 1, 1}, "search cancelled");
    struct message next = router_work(2);
    router_send(&b.r, &cancel);
    router_send(&b.r, &next); /* at once: the compute thread hasn't looked up yet */
    wait_beat(&b, true, "score");
    while (b.cancelled == 0)
        clock_sleep_ns(NS_PER_MS);
    ck_assert_str_eq(b.why, "task was dropped: search cancelled");
    b.finish = 1;
    router_expect(&b.r, MSG_RESULT, &m);
    ck_assert_int_eq(m.u.result.task.episode, 2);
    bench_close(&b);
}
END_TEST

START_TEST(silence_for_a_lease_ends_the_work)
{
    struct bench b;
    struct message m;
    bench_open(&b);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    give_work(&b, 1);
    int64_t start = clock_mono_ns();
    while (b.cancelled == 0 && clock_mono_ns() - start < 5 * NS_PER_S)
        clock_sleep_ns(NS_PER_MS);
    int64_t ms = (clock_mono_ns() - start) / NS_PER_MS;
    ck_assert_msg(ms > LEASE_MS - 100 && ms < 4 * LEASE_MS, "%d ms", (int)ms);
    ck_assert_str_eq(b.why, "task was dropped: no word from the coordinator for a whole lease");
    bench_close(&b);
}
END_TEST

START_TEST(work_goes_on_over_a_restart)
{
    struct bench b;
    struct message m;
    bench_open(&b);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    give_work(&b, 4);
    router_close(&b.r);
    clock_sleep_ns(LEASE_MS / 4 * NS_PER_MS);
    router_open(&b.r);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    ck_assert(m.u.hello.busy);
    ck_assert_int_eq(m.u.hello.task.episode, 4);
    wait_beat(&b, true, "score");
    ck_assert_int_eq(b.cancelled, 0);
    bench_close(&b);
}
END_TEST

START_TEST(refused_means_hello_again)
{
    struct bench b;
    struct message m, refuse = {.type = MSG_REFUSE, .u.reason = "who are you"};
    bench_open(&b);
    router_expect(&b.r, MSG_HELLO, &m);
    router_send(&b.r, &refuse);
    int64_t start = clock_mono_ns();
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    ck_assert_int_ge((clock_mono_ns() - start) / NS_PER_MS, 90); /* not at once */
    give_work(&b, 1);
    ck_assert(router_next(&b.r, &m, 5000) && m.type == MSG_BEAT);
    router_send(&b.r, &refuse);
    while (router_next(&b.r, &m, 5000) && m.type == MSG_BEAT)
        ;
    ck_assert_int_eq(m.type, MSG_HELLO);
    ck_assert(m.u.hello.busy);
    ck_assert_int_eq(b.cancelled, 0);
    bench_close(&b);
}
END_TEST

START_TEST(silent_coordinator_gets_another_connection)
{
    struct bench b;
    struct message m;
    bench_open(&b);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    while (router_next(&b.r, &m, 5000) && m.type == MSG_BEAT) /* not answered */
        ;
    ck_assert_int_eq(m.type, MSG_HELLO);
    bench_close(&b);
}
END_TEST

START_TEST(stopping_hands_the_task_back)
{
    struct bench b;
    struct message m;
    bench_open(&b);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    give_work(&b, 5);
    bench_stop(&b);
    int64_t start = clock_mono_ns();
    router_expect(&b.r, MSG_FAILED, &m);
    ck_assert_int_eq(m.u.failed.task.episode, 5);
    ck_assert(!m.u.failed.permanent);
    ck_assert_str_eq(m.u.failed.reason, "worker is stopping");
    if (_i == 0) { /* else nobody acknowledges */
        struct message ack = router_verdict(MSG_ACK, m.u.failed.task, "");
        router_send(&b.r, &ack);
    }
    for (;;) {
        static const struct message alive = {.type = MSG_ALIVE};
        ck_assert(router_next(&b.r, &m, 5000));
        if (m.type == MSG_BEAT)
            router_send(&b.r, &alive);
        else if (_i == 0 || m.type != MSG_FAILED)
            break;
    }
    ck_assert_int_eq(m.type, MSG_BYE);
    session_join(b.session);
    b.session = NULL;
    int64_t ms = (clock_mono_ns() - start) / NS_PER_MS;
    ck_assert_msg(ms < (_i == 0 ? 700 : 2000), "%d ms", (int)ms);
    bench_close(&b);
    ck_assert_int_eq(b.cancelled, 1);
    ck_assert_str_eq(b.why, "task was dropped: worker is stopping");
}
END_TEST

START_TEST(stopping_without_coordinator_is_quick)
{
    struct bench b;
    bench_open(&b);
    router_close(&b.r);
    clock_sleep_ns(50 * NS_PER_MS);
    int64_t start = clock_mono_ns();
    bench_stop(&b);
    session_join(b.session);
    b.session = NULL;
    ck_assert_int_lt((clock_mono_ns() - start) / NS_PER_MS, 1000);
    router_open(&b.r);
    bench_close(&b);
}
END_TEST

START_TEST(one_task_at_a_time)
{
    struct bench b;
    struct message m, first = router_work(1), second = router_work(2);
    bench_open(&b);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    give_work(&b, 1);
    router_send(&b.r, &first); /* a repeat is ignored */
    router_send(&b.r, &second);
    router_expect(&b.r, MSG_FAILED, &m);
    ck_assert_int_eq(m.u.failed.task.episode, 2);
    ck_assert(!m.u.failed.permanent);
    b.finish = 1;
    router_expect(&b.r, MSG_RESULT, &m);
    router_send(&b.r, &first); /* answered with its report, at once */
    router_expect(&b.r, MSG_RESULT, &m);
    ck_assert_int_eq(m.u.result.task.episode, 1);
    bench_close(&b);
}
END_TEST

START_TEST(nonsense_is_survived)
{
    struct bench b;
    struct message m;
    bench_open(&b);
    router_welcome(&b.r, BEAT_MS, LEASE_MS, &m);
    wait_beat(&b, false, NULL);
    static const char *const frames[] = {"", "\xdd\x0f", "hello", "\x91\x0a\x0a", "\x92\x06\xa1x"};
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        ck_assert_int_ge(zmq_send(b.r.sock, b.r.peer, b.r.n_peer, ZMQ_SNDMORE), 0);
        ck_assert_int_ge(zmq_send(b.r.sock, frames[i], strlen(frames[i]), 0), 0);
    }
    ck_assert_int_ge(zmq_send(b.r.sock, b.r.peer, b.r.n_peer, ZMQ_SNDMORE), 0);
    ck_assert_int_ge(zmq_send(b.r.sock, "\x91\x0a", 2, ZMQ_SNDMORE), 0); /* two frames */
    ck_assert_int_ge(zmq_send(b.r.sock, "\x91\x0a", 2, 0), 0);
    give_work(&b, 1);
    bench_close(&b);
}
END_TEST

START_TEST(dropped_task_stays_dropped)
{
    struct desk *d;
    struct err e;
    struct message work = router_work(1), again = router_work(1), taken, next;
    work.u.work.keep = mem_dup(work.u.work.keep, 1, sizeof(int32_t));
    again.u.work.keep = mem_dup(again.u.work.keep, 1, sizeof(int32_t));
    ck_assert_int_eq(desk_new(&d, &e), 0);
    ck_assert_int_eq(desk_offer(d, &work), DESK_ACCEPTED);
    ck_assert(desk_take(d, &taken));
    ck_assert_int_eq(desk_progress(d, "score", 1, 2, &e), 0);
    ck_assert(desk_drop(d, NULL, true, "test"));
    ck_assert_int_eq(desk_offer(d, &again), DESK_ACCEPTED); /* the same task once more */
    ck_assert_int_eq(desk_progress(d, "score", 2, 2, &e), ERR_CANCELLED);
    struct message report = {.type = MSG_RESULT, .u.result.task = taken.u.work.task};
    desk_finish(d, &report); /* of the dropped try: nobody's */
    ck_assert(!desk_report(d, NULL));
    ck_assert(desk_take(d, &next));
    ck_assert_int_eq(desk_progress(d, "score", 1, 2, &e), 0);
    message_release(&taken);
    message_release(&next);
    desk_free(d);
}
END_TEST

static const struct {
    const char *endpoint, *line;
} endpoints[] = {
    {"tcp://127.0.0.1:7700", ""},
    {"tcp://127.9.9.9:1", ""},
    {"tcp://localhost:65535", ""},
    {"tcp://[::1]:7700", ""},
    {"ipc:///tmp/espalier", ""},
    {"", "\"\" isn't an address like tcp://127.0.0.1:7700"},
    {"127.0.0.1:7700", "\"127.0.0.1:7700\" isn't an address like tcp://127.0.0.1:7700"},
    {"inproc://x", "\"inproc://x\" isn't an address like tcp://127.0.0.1:7700"},
    {"tcp://:7700", "\"tcp://:7700\" isn't an address like tcp://127.0.0.1:7700"},
    {"tcp://127.0.0.1", "\"tcp://127.0.0.1\" isn't an address like tcp://127.0.0.1:7700"},
    {"tcp://127.0.0.1:0", "port in \"tcp://127.0.0.1:0\" isn't a number from 1 to 65535"},
    {"tcp://127.0.0.1:*", "port in \"tcp://127.0.0.1:*\" isn't a number from 1 to 65535"},
    {"tcp://127.0.0.1:65536", "port in \"tcp://127.0.0.1:65536\" isn't a number from 1 to 65535"},
    {"tcp://10.0.0.1:7700",
     "could not connect to \"tcp://10.0.0.1:7700\": only this machine is reached without keys, which "
     "come with a later release"},
    {"tcp://127.example.org:7700",
     "could not connect to \"tcp://127.example.org:7700\": only this machine is reached without "
     "keys, which come with a later release"},
    {"tcp://0.0.0.0:7700",
     "could not connect to \"tcp://0.0.0.0:7700\": only this machine is reached without keys, which "
     "come with a later release"},
};

START_TEST(only_this_machine_is_reached)
{
    struct err e = {.text = ""};
    int rc = dealer_check(endpoints[_i].endpoint, &e);
    ck_assert_str_eq(e.text, endpoints[_i].line);
    ck_assert_int_eq(rc < 0, e.text[0] != 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("session");
    TCase *t = tcase_create("session");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, hello_says_who_we_are);
    tcase_add_test(t, result_is_repeated_until_acknowledged);
    tcase_add_test(t, cancel_reaches_the_work);
    tcase_add_test(t, silence_for_a_lease_ends_the_work);
    tcase_add_test(t, work_goes_on_over_a_restart);
    tcase_add_test(t, refused_means_hello_again);
    tcase_add_test(t, silent_coordinator_gets_another_connection);
    tcase_add_loop_test(t, stopping_hands_the_task_back, 0, 2);
    tcase_add_test(t, stopping_without_coordinator_is_quick);
    tcase_add_test(t, one_task_at_a_time);
    tcase_add_test(t, nonsense_is_survived);
    tcase_add_test(t, dropped_task_stays_dropped);
    tcase_add_loop_test(t, only_this_machine_is_reached, 0, sizeof(endpoints) / sizeof(endpoints[0]));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
