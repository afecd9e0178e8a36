/* reception and bus: real sockets, no database. Who is let in, who is told to say hello, who is shut out. */
#include <check.h>
#include <czmq.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "coordinator/reception.h"

static zloop_t *loop;
static struct bus *bus;
static struct fleet *fleet;
static struct reception reception;
static void *context;

static void setup(void)
{
    struct err e;
    zsys_handler_set(NULL);
    loop = zloop_new();
    const struct bus_handler h = {&reception, reception_message, reception_bad};
    ck_assert_int_eq(bus_open(&bus, loop, &h, &e), 0);
    ck_assert_msg(bus_bind(bus, "tcp://127.0.0.1:*", &e) == 0, "%s", e.text);
    fleet = fleet_new(NS_PER_S);
    const struct scheduler_options o = {.lease_ns = 5 * NS_PER_S, .attempts = 3};
    reception = (struct reception){
        .scheduler = scheduler_new(loop, NULL, fleet, bus, &o), /* without a search it needs no store */
        .fleet = fleet,
        .blobs = blobs_new(NULL, fleet, bus),
        .bus = bus,
        .beat_ms = 1000,
        .lease_ms = 5000,
    };
    context = zmq_ctx_new();
}

static void teardown(void)
{
    scheduler_free(reception.scheduler);
    blobs_free(reception.blobs);
    bus_close(bus);
    fleet_free(fleet);
    zloop_destroy(&loop);
    zmq_ctx_destroy(context);
}

static void *dial(void)
{
    void *s = zmq_socket(context, ZMQ_DEALER);
    int zero = 0, ms = 300;
    zmq_setsockopt(s, ZMQ_LINGER, &zero, sizeof(zero));
    zmq_setsockopt(s, ZMQ_RCVTIMEO, &ms, sizeof(ms));
    ck_assert_int_eq(zmq_connect(s, bus_endpoint(bus)), 0);
    return s;
}

static int stop(zloop_t *l, int timer, void *arg)
{
    (void)l;
    (void)timer;
    (void)arg;
    return -1;
}

static void run_loop(void)
{
    zloop_timer(loop, 60, 1, stop, NULL);
    zloop_start(loop);
}

static void say(void *s, const struct message *m)
{
    struct buf b = {0};
    message_encode(m, &b);
    zmq_send(s, b.p, b.n, 0);
    buf_release(&b);
}

static void say_hello(void *s, uint32_t version)
{
    struct message m = {.type = MSG_HELLO};
    m.u.hello = (struct msg_hello){.version = version, .name = "w", .cpu = "c", .kernels = "k", .threads = 1};
    say(s, &m);
}

/* The next message, or MSG_TYPES when none comes. Its text, if it has one, into `text`. */
static enum message_type hear(void *s, char *text)
{
    char frame[4096];
    struct message m;
    struct err e;
    run_loop();
    int n = zmq_recv(s, frame, sizeof(frame), 0);
    if (n < 0)
        return MSG_TYPES;
    ck_assert_msg(message_decode(frame, (size_t)n, &m, &e) == 0, "%s", e.text);
    if (text)
        strcpy(text, m.type == MSG_REFUSE ? m.u.reason : m.type == MSG_CANCEL ? m.u.task.reason : "");
    enum message_type t = m.type;
    message_release(&m);
    return t;
}

START_TEST(hello_beat_bye)
{
    void *s = dial();
    struct message beat = {.type = MSG_BEAT}, bye = {.type = MSG_BYE};
    say_hello(s, PROTO_VERSION);
    ck_assert_int_eq(hear(s, NULL), MSG_WELCOME);
    ck_assert_int_eq(fleet_count(fleet), 1);
    ck_assert_ptr_nonnull(fleet_idle(fleet));
    say(s, &beat);
    ck_assert_int_eq(hear(s, NULL), MSG_ALIVE);
    say(s, &bye);
    ck_assert_int_eq(hear(s, NULL), MSG_TYPES);
    ck_assert_int_eq(fleet_count(fleet), 0);
    zmq_close(s);
}
END_TEST

START_TEST(strangers)
{
    void *s = dial();
    char text[PROTO_MAX_TEXT];
    struct message beat = {.type = MSG_BEAT};
    say(s, &beat);
    ck_assert_int_eq(hear(s, text), MSG_REFUSE);
    ck_assert_str_eq(text, "say hello first");
    zmq_send(s, "x", 1, 0);
    ck_assert_int_eq(hear(s, text), MSG_REFUSE);
    say_hello(s, PROTO_VERSION + 1);
    ck_assert_int_eq(hear(s, text), MSG_REFUSE);
    ck_assert_str_eq(text, "worker speaks version 5 of the protocol, the coordinator 4");
    ck_assert_int_eq(fleet_count(fleet), 0);
    zmq_close(s);
}
END_TEST

/* A task that nobody knows is cancelled, and the worker idle as soon as a beat says so. */
START_TEST(unknown_task)
{
    void *s = dial();
    char text[PROTO_MAX_TEXT];
    struct message m = {.type = MSG_HELLO};
    m.u.hello = (struct msg_hello){
        .version = PROTO_VERSION, .name = "w", .cpu = "c", .kernels = "k", .threads = 1, .busy = true};
    m.u.hello.task = (struct task_id){TASK_EVALUATE, 7, 3, 1};
    say(s, &m);
    ck_assert_int_eq(hear(s, NULL), MSG_WELCOME);
    ck_assert_int_eq(hear(s, text), MSG_CANCEL);
    ck_assert_str_eq(text, "this attempt isn't yours any more");
    ck_assert_ptr_null(fleet_idle(fleet));
    struct message beat = {.type = MSG_BEAT};
    say(s, &beat);
    ck_assert_int_eq(hear(s, NULL), MSG_ALIVE);
    ck_assert_ptr_nonnull(fleet_idle(fleet));
    struct message failed = {.type = MSG_FAILED};
    failed.u.failed.task = m.u.hello.task;
    say(s, &failed);
    ck_assert_int_eq(hear(s, NULL), MSG_ACK); /* forget it */
    zmq_close(s);
}
END_TEST

/* So is a checkpoint of one; KEPT is the coordinator's to say. */
START_TEST(checkpoint_of_an_unknown_task)
{
    void *s = dial();
    char text[PROTO_MAX_TEXT];
    struct message m = {.type = MSG_CHECKPOINT};
    m.u.checkpoint.task = (struct task_id){TASK_TRAIN, 7, -1, 1};
    m.u.checkpoint.epoch = 3;
    say(s, &m);
    ck_assert_int_eq(hear(s, text), MSG_REFUSE);
    say_hello(s, PROTO_VERSION);
    ck_assert_int_eq(hear(s, NULL), MSG_WELCOME);
    say(s, &m);
    ck_assert_int_eq(hear(s, text), MSG_CANCEL);
    ck_assert_str_eq(text, "this attempt isn't yours any more");
    m.type = MSG_KEPT;
    say(s, &m);
    ck_assert_int_eq(hear(s, NULL), MSG_TYPES);
    ck_assert_int_eq(fleet_first(fleet)->bad, 1);
    zmq_close(s);
}
END_TEST

static void send_nonsense(void *s, int i)
{
    if (i % 3 == 0)
        zmq_send(s, "\xdd\x0f\x00\x00\x00", 5, 0);
    else if (i % 3 == 1)
        zmq_send(s, "", 0, 0);
    else
        for (int k = 0; k < 4; k++)
            zmq_send(s, "frame", 5, k < 3 ? ZMQ_SNDMORE : 0);
}

START_TEST(shut_out)
{
    void *s = dial(), *good = dial();
    char text[PROTO_MAX_TEXT];
    struct message beat = {.type = MSG_BEAT};
    say_hello(s, PROTO_VERSION);
    ck_assert_int_eq(hear(s, NULL), MSG_WELCOME);
    for (int i = 0; i < FLEET_PATIENT - 1; i++)
        send_nonsense(s, i);
    ck_assert_int_eq(hear(s, NULL), MSG_TYPES); /* patient so far */
    say(s, &beat);
    ck_assert_int_eq(hear(s, NULL), MSG_ALIVE);
    send_nonsense(s, 2);
    ck_assert_int_eq(hear(s, text), MSG_REFUSE);
    ck_assert_str_eq(text, "shut out after 10 bad messages, the last: message of more than one frame");
    say_hello(s, PROTO_VERSION);
    ck_assert_int_eq(hear(s, NULL), MSG_TYPES);
    ck_assert_int_eq(fleet_count(fleet), 0);
    say_hello(good, PROTO_VERSION);
    ck_assert_int_eq(hear(good, NULL), MSG_WELCOME);
    zmq_close(s);
    zmq_close(good);
}
END_TEST

START_TEST(too_large)
{
    void *s = dial();
    char *big = calloc(1, PROTO_MAX_BYTES + 1);
    say_hello(s, PROTO_VERSION);
    ck_assert_int_eq(hear(s, NULL), MSG_WELCOME);
    zmq_send(s, big, PROTO_MAX_BYTES + 1, 0); /* ZeroMQ ends the connection and makes it again, as another peer */
    free(big);
    ck_assert_int_eq(hear(s, NULL), MSG_TYPES);
    say_hello(s, PROTO_VERSION);
    ck_assert_int_eq(hear(s, NULL), MSG_WELCOME);
    ck_assert_int_eq(fleet_count(fleet), 2); /* the first one until it has been silent for three beats */
    zmq_close(s);
}
END_TEST

START_TEST(nobody_there)
{
    struct peer p = {.n = 5, .id = {0, 1, 2, 3, 4}};
    ck_assert(!bus_refuse(bus, &p, "hello?"));
}
END_TEST

/* Whatever a text came from, what is sent of it is a text. */
START_TEST(texts_are_cut_and_cleaned)
{
    void *s = dial();
    char text[PROTO_MAX_TEXT], longer[600];
    say_hello(s, PROTO_VERSION);
    ck_assert_int_eq(hear(s, NULL), MSG_WELCOME);
    struct peer p = fleet_first(fleet)->peer;
    memset(longer, 'a', sizeof(longer));
    memcpy(longer + sizeof(longer) - 8, "\xc3\xa9\xc3\xa9\xc3\xa9", 7);
    ck_assert(bus_refuse(bus, &p, "%s", longer));
    ck_assert_int_eq(hear(s, text), MSG_REFUSE);
    ck_assert_uint_eq(strlen(text), PROTO_MAX_TEXT - 1);
    ck_assert(bus_refuse(bus, &p, "a\nb\xff%s", "\xc3\xa9"));
    ck_assert_int_eq(hear(s, text), MSG_REFUSE);
    ck_assert_str_eq(text, "a?b?\xc3\xa9");
    zmq_close(s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reception");
    TCase *c = tcase_create("reception");
    tcase_set_timeout(c, 20);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, hello_beat_bye);
    tcase_add_test(c, strangers);
    tcase_add_test(c, unknown_task);
    tcase_add_test(c, checkpoint_of_an_unknown_task);
    tcase_add_test(c, shut_out);
    tcase_add_test(c, too_large);
    tcase_add_test(c, nobody_there);
    tcase_add_test(c, texts_are_cut_and_cleaned);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int bad = srunner_ntests_failed(r) + (srunner_ntests_run(r) == 0);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
