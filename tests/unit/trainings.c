/*
 * Trainings as the coordinator runs them, with a worker that only says that it trains: real store, bus and
 * scheduler, restarted on the way.
 */
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

static void on_ready(void *arg)
{
    *(bool *)arg = true;
}

static int step(zloop_t *l, int timer, void *arg)
{
    (void)l, (void)timer;
    scheduler_tick(reception.scheduler, clock_mono_ns());
    zmq_pollitem_t item = {.socket = worker, .events = ZMQ_POLLIN};
    return (arg && *(bool *)arg) || (!arg && zmq_poll(&item, 1, 0) > 0) ? -1 : 0;
}

static int stop(zloop_t *l, int timer, void *arg)
{
    (void)l, (void)timer, (void)arg;
    return -1;
}

/* Until the worker hears something, or the flag is set; at most some seconds. */
static void go_on(bool *flag)
{
    int timer = zloop_timer(loop, 5, 0, step, flag), limit = zloop_timer(loop, 5000, 1, stop, NULL);
    zloop_start(loop);
    zloop_timer_end(loop, timer);
    zloop_timer_end(loop, limit);
}

static void begin_coordinator(void)
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

static void end_coordinator(void)
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

static void restart(void)
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

static void setup(void)
{
    zsys_handler_set(NULL);
    begin();
    context = zmq_ctx_new();
    onnx = put_net(10);
    wider = put_net(12);
    begin_coordinator();
}

static void teardown(void)
{
    end_coordinator();
    zmq_ctx_destroy(context);
    zloop_destroy(&loop);
}

/* ---- what the worker says and hears */

static void say(const struct message *m)
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

static void hello(void)
{
    struct message m = {.type = MSG_HELLO};
    m.u.hello = (struct msg_hello){.version = PROTO_VERSION, .name = "w", .cpu = "c", .kernels = "k", .threads = 1};
    say(&m);
    hear(MSG_WELCOME);
}

static void bye(void)
{
    struct message m = {.type = MSG_BYE};
    say(&m);
}

static void idle(void)
{
    struct message m = {.type = MSG_BEAT};
    say(&m);
}

static struct msg_work work(enum task_kind kind, int attempt, double lr_scale, int resume_epoch)
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

static void checkpoint(const struct task_id *t, int epoch)
{
    struct message m = {.type = MSG_CHECKPOINT};
    m.u.checkpoint = (struct msg_checkpoint){
        .task = *t, .epoch = epoch, .blob = state_of(epoch), .lr = 0.1, .loss = 1, .top1 = 0.5, .seconds = 1};
    say(&m);
}

static void keep(const struct task_id *t, int epoch)
{
    checkpoint(t, epoch);
    const struct msg_checkpoint *k = &hear(MSG_KEPT)->u.checkpoint;
    ck_assert(task_id_equal(&k->task, t) && k->epoch == epoch);
}

static void cancelled(const char *part)
{
    const char *why = hear(MSG_CANCEL)->u.task.reason;
    ck_assert_msg(strstr(why, part) != NULL, "%s", why);
}

static void report_failure(const struct msg_failed *f)
{
    struct message m = {.type = MSG_FAILED};
    m.u.failed = *f;
    say(&m);
    ck_assert_str_eq(hear(MSG_ACK)->u.task.reason, "");
}

static void diverge(const struct task_id *t)
{
    const struct msg_failed f = {.task = *t, .diverged = true, .reason = "loss is nan at step 7"};
    report_failure(&f);
}

static void deliver(const struct msg_result *r)
{
    struct message m = {.type = MSG_RESULT};
    m.u.result = *r;
    say(&m);
    ck_assert_str_eq(hear(MSG_ACK)->u.task.reason, "");
}

/* ---- what a person asks for */

static char answer[512];

static void on_reply(void *arg, const char *json, const struct err *e)
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

static void control(enum control what)
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

static void begin_training(void)
{
    ck_assert_str_eq(submit_it(with_head("train: {epochs: 5, lr: 0.2}\n"), &onnx, NULL, NULL), "{\"id\": 1}");
    hello();
}

static const char state[] = "select state || coalesce(': ' || reason, '') from espalier.searches";
static const char outcomes[] = "select string_agg(coalesce(outcome::text, 'open'), ', ' order by attempt) from"
                               " espalier.attempts where kind in ('train', 'final')";

START_TEST(a_training_goes_on_where_it_was)
{
    begin_training();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    ck_assert(w.task.episode == -1 && !w.has_profile && w.n_keep == 0 && hash_equal(&w.recipe.model, &onnx));
    ck_assert(w.recipe.finish.epochs == 5 && w.recipe.finish.lr == 0.2);
    keep(&w.task, 1);
    keep(&w.task, 1);
    keep(&w.task, 2);
    bye();
    hello();
    struct msg_work again = work(TASK_TRAIN, 2, 1, 2);
    struct hash two = state_of(2);
    ck_assert(hash_equal(&again.resume, &two));
    checkpoint(&w.task, 3);
    cancelled("isn't yours");
    restart();
    hello();
    again = work(TASK_TRAIN, 3, 1, 2);
    ck_assert(hash_equal(&again.resume, &two) && again.recipe.finish.lr == 0.2);
    keep(&again.task, 3);
    keep(&again.task, 4);
    keep(&again.task, 5);
    struct hash made = put_blob(loop, s, "trained");
    const struct msg_result r = {
        .task = again.task, .seconds = 9, .test = {1000, 800, 990, 0.7}, .has_blob = true, .blob = made};
    deliver(&r);
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "done");
    ck_assert_str_eq(ask(database, outcomes), "lost, lost, done");
    ck_assert_str_eq(ask(database, "select top1 from espalier.trainings"), "800");
    ck_assert_str_eq(ask(database, "select string_agg(attempt::text, '' order by epoch) from espalier.curves"),
                     "11333");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.checkpoints"), "0");
}
END_TEST

/* The coordinator dies between the result and the end of the search. */
START_TEST(a_training_that_is_on_record_is_done)
{
    begin_training();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    const struct msg_result r = {.task = w.task,
                                 .seconds = 9,
                                 .test = {1000, 800, 990, 0.7},
                                 .has_blob = true,
                                 .blob = put_blob(loop, s, "trained")};
    scheduler_stop(reception.scheduler);
    struct note n = {0};
    store_result(s, &r, "w", note_done, &n);
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "running");
    restart();
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "done");
}
END_TEST

START_TEST(a_training_diverges_twice)
{
    begin_training();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    keep(&w.task, 1);
    diverge(&w.task);
    w = work(TASK_TRAIN, 2, 0.25, 0);
    keep(&w.task, 1);
    restart(); /* the rate and the epoch are on record */
    hello();
    w = work(TASK_TRAIN, 3, 0.25, 1);
    diverge(&w.task);
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "failed: training failed: loss is nan at step 7");
    ck_assert_str_eq(ask(database, outcomes), "diverged, lost, diverged");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.checkpoints"), "0");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.curves"), "1"); /* of the last */
}
END_TEST

START_TEST(a_pause_stops_a_training_at_its_next_epoch)
{
    begin_training();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    keep(&w.task, 1);
    control(CONTROL_PAUSE);
    checkpoint(&w.task, 2);
    cancelled("paused");
    idle();
    control(CONTROL_RESUME);
    w = work(TASK_TRAIN, 2, 1, 2);
    ck_assert_str_eq(ask(database, outcomes), "handed back, open");
    control(CONTROL_CANCEL);
    cancelled("cancelled");
    checkpoint(&w.task, 3);
    cancelled("isn't yours");
    ck_assert_str_eq(ask(database, state), "cancelled");
}
END_TEST

START_TEST(a_checkpoint_that_is_none)
{
    begin_training();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    checkpoint(&w.task, 6);
    cancelled("checkpoint of epoch 6, there are 5");
    idle();
    w = work(TASK_TRAIN, 2, 1, 0);
    struct message m = {.type = MSG_CHECKPOINT};
    m.u.checkpoint = (struct msg_checkpoint){.task = w.task, .epoch = 1, .blob = hash_of("nowhere", 7)};
    say(&m);
    cancelled("isn't on record");
    idle();
    w = work(TASK_TRAIN, 3, 1, 0);
    ck_assert_str_eq(ask(database, outcomes), "failed, failed, open");
}
END_TEST

/* ---- finalists */

static void give_profile(const struct msg_work *w)
{
    const struct search *search = scheduler_search(reception.scheduler, 1);
    static uint32_t n_curve[8];
    static float curve[512];
    struct msg_result r = {.task = w->task, .reward = {100, 90, 99, 1}, .has_blob = true};
    r.blob = put_blob(loop, s, "profile");
    r.n_groups = (uint32_t)search->groups.n;
    for (int g = 0; g < search->groups.n; g++)
        r.n_points += n_curve[g] = (uint32_t)search->groups.of[g].n + 1;
    r.n_curve = n_curve;
    r.curve = curve;
    deliver(&r);
}

/* Two episodes of a search; the first one's training diverges once, so it is scored at the lower rate. Ends with
 * the first finalist's work. */
static struct msg_work begin_finals(void)
{
    ck_assert_str_eq(submit_it(with_head("split: {reward: 100}\nbudgets: {flops: [0.5, 0.9]}\n"
                                         "search: {policy: random, episodes: 2}\nfinetune: {steps: 10}\n"
                                         "finish: {epochs: 3}\n"),
                               &onnx, NULL, NULL),
                     "{\"id\": 1}");
    hello();
    struct msg_work w = work(TASK_PROFILE, 1, 1, 0);
    give_profile(&w);
    w = work(TASK_EVALUATE, 1, 1, 0);
    ck_assert_int_eq(w.recipe.finetune.steps, 10);
    diverge(&w.task);
    for (int i = 0; i < 2; i++) {
        w = work(TASK_EVALUATE, i == 0 ? 2 : 1, i == 0 ? 0.25 : 1, 0);
        ck_assert_int_eq(w.task.episode, i);
        const struct msg_result r = {.task = w.task, .reward = {100, 60 + 10 * i, 99, 1}};
        deliver(&r);
    }
    return work(TASK_FINAL, 1, 1, 0);
}

static const char finals[] = "select string_agg(episode || coalesce(' ' || failed, ''), ', ' order by episode)"
                             " from espalier.finals";

START_TEST(a_finalist_that_diverges_twice_is_failed_for_good)
{
    struct msg_work w = begin_finals();
    ck_assert_int_eq(w.task.episode, 0);
    keep(&w.task, 1);
    diverge(&w.task);
    w = work(TASK_FINAL, 2, 0.25, 0);
    keep(&w.task, 1);
    restart();
    hello();
    w = work(TASK_FINAL, 3, 0.25, 1);
    ck_assert_int_eq(w.task.episode, 0);
    diverge(&w.task);
    w = hear(MSG_WORK)->u.work;
    ck_assert(w.task.kind == TASK_FINAL && w.task.episode == 1);
    ck_assert_str_eq(ask(database, finals), "0 loss is nan at step 7");
    ck_assert_str_eq(ask(database, state), "finishing");
    restart(); /* and it isn't tried again */
    hello();
    w = hear(MSG_WORK)->u.work;
    ck_assert(w.task.kind == TASK_FINAL && w.task.episode == 1 && w.lr_scale == 1);
    const struct msg_result r = {.task = w.task,
                                 .reward = {100, 70, 99, 1},
                                 .test = {1000, 800, 990, 0.7},
                                 .has_blob = true,
                                 .blob = put_blob(loop, s, "finished")};
    deliver(&r);
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "done");
    ck_assert_str_eq(ask(database, finals), "0 loss is nan at step 7, 1");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.attempts where kind = 'final' and episode = 0"),
                     "3");
}
END_TEST

START_TEST(all_finalists_fail)
{
    struct msg_work w = begin_finals();
    struct msg_failed f = {.task = w.task, .permanent = true, .reason = "no room"};
    report_failure(&f);
    w = work(TASK_FINAL, 1, 1, 0);
    ck_assert_int_eq(w.task.episode, 1);
    restart(); /* the first isn't tried again */
    hello();
    w = work(TASK_FINAL, 2, 1, 0);
    ck_assert_int_eq(w.task.episode, 1);
    f.task = w.task;
    report_failure(&f);
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "done");
    ck_assert_str_eq(ask(database, finals), "0 no room, 1 no room");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.attempts where kind = 'final' and episode = 0"),
                     "1");
}
END_TEST

/* An export makes the network that was scored, at the rate at which it was. */
START_TEST(an_export_has_the_rate_of_the_evaluation)
{
    struct msg_work w = begin_finals();
    bool done = false;
    control(CONTROL_CANCEL);
    cancelled("cancelled");
    service_export(service, 1, 0, on_reply, &done);
    go_on(&done);
    ck_assert_msg(strstr(answer, "pending") != NULL, "%s", answer);
    idle();
    w = work(TASK_EXPORT, 1, 0.25, 0);
    ck_assert_int_eq(w.recipe.finetune.steps, 10);
    diverge(&w.task);
    settle(loop, s);
    done = false;
    service_export(service, 1, 0, on_reply, &done);
    go_on(&done);
    ck_assert_msg(strstr(answer, "loss is nan") != NULL, "%s", answer);
}
END_TEST

START_TEST(an_evaluation_diverges_twice)
{
    submit_it(with_head("split: {reward: 100}\nbudgets: {flops: [0.5]}\nsearch: {policy: random, episodes: 1}\n"
                        "finetune: {epochs: 1}\n"),
              &onnx, NULL, NULL);
    hello();
    struct msg_work w = work(TASK_PROFILE, 1, 1, 0);
    give_profile(&w);
    w = work(TASK_EVALUATE, 1, 1, 0);
    bye();
    hello();
    w = work(TASK_EVALUATE, 2, 1, 0); /* a worker that goes says nothing of the rate */
    diverge(&w.task);
    w = work(TASK_EVALUATE, 3, 0.25, 0);
    restart();
    hello();
    w = work(TASK_EVALUATE, 4, 0.25, 0);
    diverge(&w.task);
    settle(loop, s);
    ck_assert_str_eq(ask(database, "select failed from espalier.results"), "loss is nan at step 7");
    ck_assert_str_eq(ask(database, state), "failed: no candidate could be evaluated");
}
END_TEST

/* ---- orders */

START_TEST(orders_that_make_no_sense)
{
    static const char taught[] = "train: {epochs: 2, distill: {teacher: big.onnx}}\n";
    static const char tuned[] = "budgets: {flops: [0.5]}\nfinetune: {epochs: 1, distill: {teacher: big.onnx}}\n";
    const struct hash nowhere = hash_of("nowhere", 7), text = put_blob(loop, s, "no network");
    const struct {
        const char *more;
        const struct hash *model, *finetune, *finish;
        const char *line;
    } bad[] = {
        {taught, &onnx, NULL, NULL, "finish_teacher is missing: the spec names the teacher \"big.onnx\""},
        {tuned, &onnx, NULL, &onnx, "finetune_teacher is missing"},
        {tuned, &onnx, &onnx, &onnx, "finish_teacher is given, but the spec names no such teacher"},
        {"train: {epochs: 2}\n", &onnx, &onnx, NULL,
         "finetune_teacher is given, but the spec names no such teacher"},
        {taught, &onnx, NULL, &nowhere, "teacher: blob"},
        {taught, &onnx, NULL, &text, "teacher: "},
        {taught, &onnx, NULL, &wider, "teacher tells 12 classes apart, the model 10"},
        {"train: {epochs: 2}\n", &text, NULL, NULL, "model: "},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        submit_it(with_head(bad[i].more), bad[i].model, bad[i].finetune, bad[i].finish);
        ck_assert_msg(strstr(answer, bad[i].line) != NULL, "%s, not %s", answer, bad[i].line);
    }
    submit_it(with_head(taught), &onnx, NULL, &onnx);
    ck_assert_str_eq(answer, "{\"id\": 1}");
    hello();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    ck_assert(w.recipe.finish.distill.other && hash_equal(&w.recipe.finish.distill.teacher, &onnx));
    restart();
    hello();
    w = work(TASK_TRAIN, 2, 1, 0);
    ck_assert(w.recipe.finish.distill.kind == DISTILL_KL && hash_equal(&w.recipe.finish.distill.teacher, &onnx));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainings");
    TCase *t = tcase_create("trainings");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_training_goes_on_where_it_was);
    tcase_add_test(t, a_training_that_is_on_record_is_done);
    tcase_add_test(t, a_training_diverges_twice);
    tcase_add_test(t, a_pause_stops_a_training_at_its_next_epoch);
    tcase_add_test(t, a_checkpoint_that_is_none);
    tcase_add_test(t, a_finalist_that_diverges_twice_is_failed_for_good);
    tcase_add_test(t, all_finalists_fail);
    tcase_add_test(t, an_export_has_the_rate_of_the_evaluation);
    tcase_add_test(t, an_evaluation_diverges_twice);
    tcase_add_test(t, orders_that_make_no_sense);
    suite_add_tcase(suite, t);
    return run_suite(suite, false);
}
