/*
 * simworker - many workers that only pretend to compute, for trying and loading a coordinator. They speak the real
 * protocol from one process: hello, beats, GET and PUT, results until acknowledged. Scores are a function of the
 * channels kept alone, so any number of them give a search the same results.
 *
 *   simworker --connect tcp://127.0.0.1:7411 [--count 4] [--delay-ms 10] [--fail 7: every seventh attempt fails]
 */
#include <czmq.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "common/model/groups.h"
#include "proto/message.h"

enum phase { IDLE, FETCHING, WORKING, STORING, REPORTING };

struct sim {
    void *sock;
    char name[RECIPE_NAME];
    bool welcome;
    enum phase phase;
    struct task_id task;
    int64_t due_ns; /* of the next thing to do: a beat, or the end of the work */
    int64_t done_ns;
    int64_t beat_ns;
    struct message report; /* REPORTING: RESULT or FAILED */
    struct buf model;      /* FETCHING */
    struct buf file;       /* STORING */
    struct hash model_hash;
    bool fails;
};

static struct buf out;
static int fail_every, works;

static void send_message(struct sim *s, const struct message *m)
{
    buf_clear(&out);
    message_encode(m, &out);
    zmq_send(s->sock, out.p, out.n, ZMQ_DONTWAIT);
}

static void hello(struct sim *s)
{
    struct message m = {.type = MSG_HELLO};
    m.u.hello = (struct msg_hello){.version = PROTO_VERSION, .cpu = "simulated", .kernels = "none", .threads = 1};
    memcpy(m.u.hello.name, s->name, sizeof(s->name));
    m.u.hello.busy = s->phase != IDLE;
    m.u.hello.task = s->task;
    s->welcome = false;
    send_message(s, &m);
}

static void beat(struct sim *s)
{
    struct message m = {.type = MSG_BEAT};
    m.u.beat.busy = s->phase != IDLE;
    m.u.beat.task = s->task;
    snprintf(m.u.beat.stage, sizeof(m.u.beat.stage), "%s", s->phase == IDLE ? "" : "pretend");
    send_message(s, &m);
    if (s->phase == REPORTING)
        send_message(s, &s->report);
}

static void get(struct sim *s)
{
    struct message m = {.type = MSG_GET};
    m.u.get = (struct msg_get){.hash = s->model_hash, .offset = s->model.n, .length = PROTO_CHUNK_BYTES};
    send_message(s, &m);
}

static void put(struct sim *s)
{
    struct message m = {.type = MSG_PUT};
    m.u.piece = (struct msg_piece){
        .hash = s->report.u.result.blob, .total = s->file.n, .bytes = s->file.p, .n = (uint32_t)s->file.n};
    send_message(s, &m);
}

static void report(struct sim *s)
{
    s->phase = REPORTING;
    send_message(s, &s->report);
}

/* --- the pretended work --- */

static uint64_t mix(const int32_t *keep, uint32_t n)
{
    uint64_t h = UINT64_C(14695981039346656037);
    for (uint32_t i = 0; i < n; i++)
        h = (h ^ (uint64_t)keep[i]) * UINT64_C(1099511628211);
    return h ^ h >> 29;
}

static struct metrics pretend(const struct msg_work *w, int n, int luck)
{
    double sum = 0;
    for (uint32_t i = 0; i < w->n_keep; i++)
        sum += w->keep[i] / (w->keep[i] + 8.0);
    double mean = w->n_keep ? sum / w->n_keep : 0.9;
    struct metrics m = {.n = n,
                        .top1 = (int)(n * (0.2 + 0.6 * mean)) + (int)(mix(w->keep, w->n_keep) % (uint64_t)luck)};
    m.top5 = m.top1 + (n - m.top1) / 2;
    m.loss = 1 - mean;
    return m;
}

static void attach(struct sim *s, const char *text)
{
    buf_clear(&s->file);
    buf_text(&s->file, "%s", text);
    s->report.u.result.has_blob = true;
    s->report.u.result.blob = hash_of(s->file.p, s->file.n);
}

static void fail(struct sim *s)
{
    struct message m = {.type = MSG_FAILED};
    m.u.failed.task = s->task;
    snprintf(m.u.failed.reason, sizeof(m.u.failed.reason), "pretended failure");
    s->report = m;
    report(s);
}

static void begin_work(struct sim *s, const struct msg_work *w, int delay_ms)
{
    if (s->phase != IDLE)
        return;
    message_release(&s->report);
    memset(&s->report, 0, sizeof(s->report));
    struct msg_result *r = &s->report.u.result;
    s->report.type = MSG_RESULT;
    s->task = r->task = w->task;
    r->seconds = delay_ms / 1000.0;
    r->reward = pretend(w, w->recipe.reward, 20);
    s->done_ns = clock_mono_ns() + delay_ms * NS_PER_MS;
    s->phase = WORKING;
    if (w->task.kind == TASK_PROFILE) {
        s->phase = FETCHING;
        s->model_hash = w->recipe.model;
        buf_clear(&s->model);
        get(s);
    } else if (w->task.kind != TASK_EVALUATE) {
        char text[96];
        snprintf(text, sizeof(text), "pretended model of search %lld, episode %d\n", (long long)w->task.search,
                 w->task.episode);
        attach(s, text);
    }
    if (w->task.kind == TASK_FINAL)
        r->test = pretend(w, 10000, 40);
    s->fails = fail_every > 0 && ++works % fail_every == 0;
}

/* Curves that fall from a height that differs from group to group. */
static void make_profile(struct sim *s)
{
    struct msg_result *r = &s->report.u.result;
    struct model m;
    struct groups gs;
    struct err e;
    if (onnx_load(s->model.p, s->model.n, &m, &e) < 0 || groups_find(&m.graph, &gs, &e) < 0) {
        fprintf(stderr, "simworker: %s\n", e.text);
        exit(1);
    }
    r->n_groups = (uint32_t)gs.n;
    r->n_curve = mem_zalloc((size_t)gs.n, sizeof(*r->n_curve));
    for (int g = 0; g < gs.n; g++)
        r->n_points += r->n_curve[g] = (uint32_t)gs.of[g].n + 1;
    r->curve = mem_zalloc(r->n_points, sizeof(*r->curve));
    float *p = r->curve;
    for (int g = 0; g < gs.n; g++)
        for (uint32_t k = 0; k < r->n_curve[g]; k++) {
            float gone = 1 - (float)k / (float)gs.of[g].n;
            *p++ = gone * gone * (1 + (float)(g * 7 % 5)) / 5;
        }
    groups_release(&gs);
    model_release(&m);
    attach(s, "pretended profile\n");
    s->phase = WORKING;
}

static void on_chunk(struct sim *s, const struct msg_piece *p)
{
    if (s->phase != FETCHING || p->offset != s->model.n)
        return;
    buf_append(&s->model, p->bytes, p->n);
    if (s->model.n < p->total)
        get(s);
    else
        make_profile(s);
}

static void finish_work(struct sim *s)
{
    if (s->fails) {
        fail(s);
    } else if (s->report.u.result.has_blob) {
        s->phase = STORING;
        put(s);
    } else {
        report(s);
    }
}

/* --- messages and time --- */

static void handle(struct sim *s, struct message *m, int delay_ms)
{
    switch (m->type) {
    case MSG_WELCOME:
        s->welcome = true;
        s->beat_ns = m->u.welcome.beat_ms * NS_PER_MS;
        if (s->phase == REPORTING)
            report(s);
        break;
    case MSG_REFUSE:
        clock_sleep_ns(20 * NS_PER_MS);
        hello(s);
        break;
    case MSG_WORK:
        begin_work(s, &m->u.work, delay_ms);
        break;
    case MSG_CHUNK:
        on_chunk(s, &m->u.piece);
        break;
    case MSG_STORED:
        if (s->phase == STORING && m->u.blob.offset == s->file.n)
            report(s);
        break;
    case MSG_NOBLOB:
        fprintf(stderr, "simworker: %s: %s\n", s->name, m->u.blob.reason);
        break;
    case MSG_ACK:
    case MSG_CANCEL:
        if (task_id_equal(&m->u.task.task, &s->task))
            s->phase = IDLE;
        break;
    default:
        break;
    }
}

static void receive(struct sim *s, int delay_ms)
{
    zmq_msg_t frame;
    struct message m;
    struct err e;
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, s->sock, ZMQ_DONTWAIT) >= 0) {
        if (message_decode(zmq_msg_data(&frame), zmq_msg_size(&frame), &m, &e) < 0) {
            fprintf(stderr, "simworker: %s\n", e.text);
            continue;
        }
        handle(s, &m, delay_ms);
        message_release(&m);
    }
    zmq_msg_close(&frame);
}

static void tick(struct sim *s, int64_t now_ns)
{
    if (s->phase == WORKING && now_ns >= s->done_ns)
        finish_work(s);
    if (now_ns < s->due_ns)
        return;
    s->due_ns = now_ns + s->beat_ns;
    if (!s->welcome) {
        hello(s);
        return;
    }
    beat(s);
    if (s->phase == FETCHING)
        get(s);
    if (s->phase == STORING)
        put(s);
}

static void open_sim(struct sim *s, void *context, const char *endpoint, int i)
{
    int zero = 0, ivl = 100, one = 1;
    s->sock = zmq_socket(context, ZMQ_DEALER);
    s->beat_ns = NS_PER_S / 2;
    snprintf(s->name, sizeof(s->name), "sim-%d-%d", (int)getpid(), i);
    zmq_setsockopt(s->sock, ZMQ_LINGER, &zero, sizeof(zero));
    zmq_setsockopt(s->sock, ZMQ_RECONNECT_IVL, &ivl, sizeof(ivl));
    zmq_setsockopt(s->sock, ZMQ_IMMEDIATE, &one, sizeof(one));
    if (zmq_connect(s->sock, endpoint) < 0) {
        fprintf(stderr, "simworker: could not connect to %s: %s\n", endpoint, zmq_strerror(zmq_errno()));
        exit(1);
    }
}

int main(int argc, char **argv)
{
    const char *endpoint = NULL;
    int count = 1, delay_ms = 10;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--connect") == 0)
            endpoint = argv[i + 1];
        else if (strcmp(argv[i], "--count") == 0)
            count = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--delay-ms") == 0)
            delay_ms = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--fail") == 0)
            fail_every = atoi(argv[i + 1]);
    }
    if (!endpoint || count < 1 || count > 5000 || delay_ms < 0) {
        fprintf(stderr, "usage: simworker --connect ENDPOINT [--count N] [--delay-ms N] [--fail N]\n");
        return 2;
    }
    void *context = zmq_ctx_new();
    zmq_ctx_set(context, ZMQ_MAX_SOCKETS, count + 10);
    struct sim *sims = xcalloc((size_t)count, sizeof(*sims));
    zmq_pollitem_t *items = xcalloc((size_t)count, sizeof(*items));
    for (int i = 0; i < count; i++) {
        open_sim(&sims[i], context, endpoint, i);
        items[i] = (zmq_pollitem_t){.socket = sims[i].sock, .events = ZMQ_POLLIN};
    }
    for (;;) {
        zmq_poll(items, count, delay_ms < 10 ? 1 : 5);
        int64_t now_ns = clock_mono_ns();
        for (int i = 0; i < count; i++) {
            if (items[i].revents)
                receive(&sims[i], delay_ms);
            tick(&sims[i], now_ns);
        }
    }
}
