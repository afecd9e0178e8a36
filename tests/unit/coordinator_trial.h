/*
 * coordinator_trial - a coordinator for tests: real store, bus and scheduler, to be restarted on the way, with a
 * worker that only says what the test wants it to say.
 */
#ifndef TESTS_UNIT_COORDINATOR_TRIAL_H
#define TESTS_UNIT_COORDINATOR_TRIAL_H

#include "tests/unit/store_trial.h"

#include "common/onnx/save.h"
#include "coordinator/reception.h"
#include "coordinator/revive.h"
#include "coordinator/service.h"
#include "tests/unit/nets.h"

static struct bus *bus;
static struct fleet *fleet;
static struct service *service;
static struct revival *revival;
static struct reception reception;
static void *context, *worker;
static struct hash onnx, wider; /* a small net, and one with other classes */
static bool ready;

static inline void on_ready(void *arg)
{
    *(bool *)arg = true;
}

static inline int step(zloop_t *l, int timer, void *arg)
{
    (void)l, (void)timer;
    scheduler_tick(reception.scheduler, clock_mono_ns());
    zmq_pollitem_t item = {.socket = worker, .events = ZMQ_POLLIN};
    return (arg && *(bool *)arg) || (!arg && zmq_poll(&item, 1, 0) > 0) ? -1 : 0;
}

static inline int stop(zloop_t *l, int timer, void *arg)
{
    (void)l, (void)timer, (void)arg;
    return -1;
}

/* Until the worker hears something, or the flag is set; at most some seconds. */
static inline void go_on(bool *flag)
{
    int timer = zloop_timer(loop, 5, 0, step, flag), limit = zloop_timer(loop, 5000, 1, stop, NULL);
    zloop_start(loop);
    zloop_timer_end(loop, timer);
    zloop_timer_end(loop, limit);
}

static inline void begin_coordinator(void)
{
    struct err e;
    const struct bus_handler h = {&reception, reception_message, reception_bad};
    const struct scheduler_options o = {.lease_ns = 60 * NS_PER_S, .attempts = 3}; /* and no grace */
    fleet = fleet_new(60 * NS_PER_S);
    ck_assert_int_eq(bus_open(&bus, loop, &h, &e), 0);
    ck_assert_msg(bus_bind(bus, "tcp://127.0.0.1:*", &e) == 0, "%s", e.text);
    reception = (struct reception){.scheduler = scheduler_new(loop, s, fleet, bus, &o),
                                   .fleet = fleet,
                                   .blobs = blobs_new(s, fleet, bus),
                                   .bus = bus,
                                   .beat_ms = 60000,
                                   .lease_ms = 70000};
    service = service_new(reception.scheduler);
    int zero = 0, ms = 3000;
    worker = zmq_socket(context, ZMQ_DEALER);
    zmq_setsockopt(worker, ZMQ_LINGER, &zero, sizeof(zero));
    zmq_setsockopt(worker, ZMQ_RCVTIMEO, &ms, sizeof(ms));
    ck_assert_int_eq(zmq_connect(worker, bus_endpoint(bus)), 0);
    ready = false;
    ck_assert_msg(revive(&revival, loop, reception.scheduler, 0, on_ready, &ready, &e) == 0, "%s", e.text);
    go_on(&ready);
    ck_assert(ready);
}

static inline void end_coordinator(void)
{
    scheduler_stop(reception.scheduler);
    store_close(s, 5000);
    scheduler_free(reception.scheduler);
    service_free(service);
    revival_free(revival);
    blobs_free(reception.blobs);
    bus_close(bus);
    fleet_free(fleet);
    zmq_close(worker);
}

static inline void restart(void)
{
    end_coordinator();
    s = open_store(loop, &lost);
    begin_coordinator();
}

static struct hash put_net(int classes)
{
    struct model m = {0};
    struct buf b = {0};
    struct err e;
    graph_init(&m.graph);
    int x = net_input(&m.graph, 3, 8, 8);
    x = net_op(&m.graph, OP_RELU, net_conv(&m.graph, x, 16, 3, 1, 1));
    x = net_op(&m.graph, OP_RELU, net_conv(&m.graph, x, 32, 3, 2, 1));
    m.graph.output = net_conv(&m.graph, x, classes, 1, 1, 1);
    ck_assert_int_eq(weights_new(&m.weights, &m.graph, &e), 0);
    ck_assert_msg(onnx_save(&m, NULL, 0, &b, &e) == 0, "%s", e.text);
    struct hash h = hash_of(b.p, b.n);
    struct note n = {0};
    store_blob_write(s, &h, 0, b.n, b.p, b.n, note_done, &n);
    store_blob_seal(s, &h, b.n, note_done, &n);
    settle(loop, s);
    expect(&n, 2, 0, "");
    buf_release(&b);
    model_release(&m);
    return h;
}

static inline void setup(void)
{
    zsys_handler_set(NULL);
    begin();
    context = zmq_ctx_new();
    onnx = put_net(10);
    wider = put_net(12);
    begin_coordinator();
}

static inline void teardown(void)
{
    end_coordinator();
    zmq_ctx_destroy(context);
    zloop_destroy(&loop);
}

/* ---- what the worker says and hears */

static inline void say(const struct message *m)
{
    struct buf b = {0};
    message_encode(m, &b);
    zmq_send(worker, b.p, b.n, 0);
    buf_release(&b);
}

/* The next message but ALIVE; its insides are released with the next. */
static const struct message *hear(enum message_type type)
{
    static char frame[PROTO_MAX_BYTES];
    static struct message m;
    struct err e;
    do {
        message_release(&m);
        go_on(NULL);
        int n = zmq_recv(worker, frame, sizeof(frame), 0);
        ck_assert_msg(n > 0, "nothing to hear where %s should come", message_name(type));
        ck_assert_msg(message_decode(frame, (size_t)n, &m, &e) == 0, "%s", e.text);
    } while (m.type == MSG_ALIVE);
    ck_assert_msg(m.type == type, "%s instead of %s", message_name(m.type), message_name(type));
    return &m;
}

static inline void hello(void)
{
    struct message m = {.type = MSG_HELLO};
    m.u.hello = (struct msg_hello){.version = PROTO_VERSION, .name = "w", .cpu = "c", .kernels = "k", .threads = 1};
    say(&m);
    hear(MSG_WELCOME);
}

static inline void bye(void)
{
    struct message m = {.type = MSG_BYE};
    say(&m);
}

static inline void idle(void)
{
    struct message m = {.type = MSG_BEAT};
    say(&m);
}

static inline struct msg_work work(enum task_kind kind, int attempt, double lr_scale, int resume_epoch)
{
    static struct msg_work w;
    w = hear(MSG_WORK)->u.work;
    ck_assert_msg(w.task.kind == kind && w.task.attempt == attempt && w.lr_scale == lr_scale &&
                      w.resume_epoch == resume_epoch,
                  "%s attempt %d at %g from epoch %d", task_kind_name(w.task.kind), w.task.attempt, w.lr_scale,
                  w.resume_epoch);
    return w;
}

static struct hash state_of(int epoch)
{
    char text[32];
    snprintf(text, sizeof(text), "state after epoch %d", epoch);
    return put_blob(loop, s, text);
}

static inline void checkpoint(const struct task_id *t, int epoch)
{
    struct message m = {.type = MSG_CHECKPOINT};
    m.u.checkpoint = (struct msg_checkpoint){
        .task = *t, .epoch = epoch, .blob = state_of(epoch), .lr = 0.1, .loss = 1, .top1 = 0.5, .seconds = 1};
    say(&m);
}

static inline void keep(const struct task_id *t, int epoch)
{
    checkpoint(t, epoch);
    const struct msg_checkpoint *k = &hear(MSG_KEPT)->u.checkpoint;
    ck_assert(task_id_equal(&k->task, t) && k->epoch == epoch);
}

static inline void cancelled(const char *part)
{
    const char *why = hear(MSG_CANCEL)->u.task.reason;
    ck_assert_msg(strstr(why, part) != NULL, "%s", why);
}

static inline void report_failure(const struct msg_failed *f)
{
    struct message m = {.type = MSG_FAILED};
    m.u.failed = *f;
    say(&m);
    ck_assert_str_eq(hear(MSG_ACK)->u.task.reason, "");
}

static inline void diverge(const struct task_id *t)
{
    const struct msg_failed f = {.task = *t, .diverged = true, .reason = "loss is nan at step 7"};
    report_failure(&f);
}

static inline void deliver(const struct msg_result *r)
{
    struct message m = {.type = MSG_RESULT};
    m.u.result = *r;
    say(&m);
    ck_assert_str_eq(hear(MSG_ACK)->u.task.reason, "");
}

/* ---- what a person asks for */

static char answer[512];

static inline void on_reply(void *arg, const char *json, const struct err *e)
{
    snprintf(answer, sizeof(answer), "%s", e ? e->text : json);
    *(bool *)arg = true;
}

static const char *submit_it(const char *yaml, const struct hash *model, const struct hash *finetune,
                             const struct hash *finish)
{
    const struct order o = {.spec = yaml,
                            .n_spec = strlen(yaml),
                            .model = *model,
                            .finetune_teacher = finetune,
                            .finish_teacher = finish};
    bool done = false;
    service_submit(service, &o, on_reply, &done);
    go_on(&done);
    ck_assert(done);
    return answer;
}

static inline void control(enum control what)
{
    bool done = false;
    service_control(service, 1, what, on_reply, &done);
    go_on(&done);
    ck_assert_msg(done && strstr(answer, "\"state\""), "%s", answer);
}

static const char head[] = "spec_version: 1\nname: t\nmodel: m.onnx\ndata: {kind: synthetic}\n";

static const char *with_head(const char *more)
{
    static char yaml[1024];
    snprintf(yaml, sizeof(yaml), "%s%s", head, more);
    return yaml;
}

static inline void begin_training(void)
{
    ck_assert_str_eq(submit_it(with_head("train: {epochs: 5, lr: 0.2}\n"), &onnx, NULL, NULL), "{\"id\": 1}");
    hello();
}

#endif
