#include "worker/session.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "worker/dealer.h"

#define PAUSE_MIN_NS   (100 * NS_PER_MS)
#define PAUSE_MAX_NS   (10 * NS_PER_S)
#define ANSWER_WAIT_NS (5 * NS_PER_S)     /* for WELCOME */
#define GOODBYE_NS     (1500 * NS_PER_MS) /* for the last report's ACK */
#define STEADY_NS      (10 * NS_PER_S)    /* a connection that lasted this long wasn't a failed try */
#define REPORT_BEATS   3                  /* beats between two offers of a report */

struct session {
    struct session_options o;
    struct desk *desk;
    struct dealer *dealer;
    pthread_t thread;
    enum { PAUSED, CONNECTING, ASKING, UP } state;
    int64_t beat_ns, lease_ns; /* as WELCOME said */
    int64_t since_ns;          /* the state's beginning */
    int64_t heard_ns;          /* the last message of a coordinator that knows us */
    int64_t beat_due_ns, report_due_ns;
    int64_t pause_ns;    /* the next pause */
    int64_t stop_due_ns; /* 0: nobody asked to stop */
    struct rng jitter;
    struct buf frame; /* scratch */
    char refused[PROTO_MAX_TEXT];
};

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void enter(struct session *s, int state)
{
    s->state = state;
    s->since_ns = clock_mono_ns();
}

static bool send_message(struct session *s, const struct message *m)
{
    buf_clear(&s->frame);
    message_encode(m, &s->frame);
    return dealer_send(s->dealer, &s->frame);
}

static void reconnect(struct session *s)
{
    struct err e;
    if (dealer_connect(s->dealer, &e) == 0) {
        enter(s, CONNECTING);
        return;
    }
    log_warn("connect", "error=\"%s\"", e.text);
    enter(s, PAUSED);
}

/* Pauses grow while connections fail early; jitter keeps workers of a restarted coordinator from coming all at
 * once. */
static void back_off(struct session *s)
{
    if (s->state == UP && clock_mono_ns() - s->since_ns > STEADY_NS)
        s->pause_ns = 0;
    s->pause_ns = s->pause_ns ? least(2 * s->pause_ns, PAUSE_MAX_NS) : PAUSE_MIN_NS;
    enter(s, PAUSED);
    s->since_ns += (int64_t)(rng_uniform(&s->jitter) * 0.25 * (double)s->pause_ns);
}

static void say_hello(struct session *s)
{
    struct message m = {.type = MSG_HELLO};
    struct msg_hello *h = &m.u.hello;
    struct msg_beat now;
    desk_status(s->desk, &now);
    *h = (struct msg_hello){
        .version = PROTO_VERSION, .threads = (uint32_t)s->o.threads, .busy = now.busy, .task = now.task};
    snprintf(h->name, sizeof(h->name), "%s", s->o.name);
    snprintf(h->cpu, sizeof(h->cpu), "%s", s->o.cpu);
    snprintf(h->kernels, sizeof(h->kernels), "%s", s->o.kernels);
    snprintf(h->host, sizeof(h->host), "%s", s->o.host ? s->o.host : "");
    if (send_message(s, &m))
        enter(s, ASKING);
}

/* A message that isn't taken means that the connection is gone; libzmq is making a new one, which begins with
 * HELLO. */
static void lost(struct session *s)
{
    log_warn("disconnected", "coordinator=%s", s->o.endpoint);
    enter(s, CONNECTING);
}

static void send_beat(struct session *s, int64_t now)
{
    struct message m = {.type = MSG_BEAT};
    desk_status(s->desk, &m.u.beat);
    s->beat_due_ns = now + s->beat_ns;
    if (!send_message(s, &m))
        lost(s);
}

static void send_report(struct session *s, int64_t now)
{
    buf_clear(&s->frame);
    if (!desk_report(s->desk, &s->frame))
        return;
    s->report_due_ns = now + REPORT_BEATS * s->beat_ns;
    if (!dealer_send(s->dealer, &s->frame))
        lost(s);
}

static void send_asked(struct session *s)
{
    for (;;) {
        buf_clear(&s->frame);
        if (!desk_asked(s->desk, &s->frame))
            return;
        if (!dealer_send(s->dealer, &s->frame)) {
            lost(s);
            return;
        }
    }
}

static int64_t silence_due(const struct session *s)
{
    return s->heard_ns + (s->lease_ns / 2 > 2 * s->beat_ns ? s->lease_ns / 2 : 2 * s->beat_ns);
}

/* --- what comes in --- */

static void on_welcome(struct session *s, const struct msg_welcome *w)
{
    if (w->version != PROTO_VERSION) {
        log_error("welcome", "version=%u expected=%d", w->version, PROTO_VERSION);
        back_off(s);
        return;
    }
    s->beat_ns = w->beat_ms * NS_PER_MS;
    s->lease_ns = w->lease_ms * NS_PER_MS;
    if (s->state != UP) {
        log_info("connected", "coordinator=%s beat_ms=%u lease_ms=%u", s->o.endpoint, w->beat_ms, w->lease_ms);
        s->refused[0] = 0;
        enter(s, UP);
        desk_renew(s->desk);
        s->beat_due_ns = s->report_due_ns = s->since_ns;
    }
}

static void on_refuse(struct session *s, const char *reason)
{
    if (strcmp(reason, s->refused) != 0) /* once, not at each try */
        log_warn("refused", "coordinator=%s reason=\"%s\"", s->o.endpoint, reason);
    snprintf(s->refused, sizeof(s->refused), "%s", reason);
    back_off(s);
}

static void on_work(struct session *s, struct message *m)
{
    struct task_id t = m->u.work.task;
    switch (desk_offer(s->desk, m)) {
    case DESK_ACCEPTED:
        log_info("task", "kind=%s search=%lld episode=%d attempt=%d", task_kind_name(t.kind), (long long)t.search,
                 t.episode, t.attempt);
        s->beat_due_ns = s->report_due_ns = 0; /* its report goes out as soon as there is one */
        break;
    case DESK_UNDER_WAY:
        break;
    case DESK_REPORTED:
        s->report_due_ns = 0;
        break;
    case DESK_BUSY: {
        struct message no = {.type = MSG_FAILED};
        no.u.failed = (struct msg_failed){.task = t, .reason = "worker is busy with another task"};
        if (!send_message(s, &no))
            lost(s);
        break;
    }
    }
}

static void on_verdict(struct session *s, const struct message *m)
{
    const struct msg_task *t = &m->u.task;
    bool ack = m->type == MSG_ACK;
    const char *reason = t->reason[0] ? t->reason : ack ? "recorded" : "cancelled by the coordinator";
    if (ack ? !desk_settle(s->desk, &t->task) : !desk_drop(s->desk, &t->task, true, reason))
        return;
    log_info(ack ? "acknowledged" : "cancelled", "search=%lld episode=%d attempt=%d reason=\"%s\"",
             (long long)t->task.search, t->task.episode, t->task.attempt, reason);
    s->beat_due_ns = 0; /* says that we are idle */
}

static void handle(struct session *s, struct message *m)
{
    if (m->type == MSG_REFUSE) {
        on_refuse(s, m->u.reason);
        return;
    }
    if (m->type != MSG_WELCOME && s->state != UP) /* from before a reconnect */
        return;
    s->heard_ns = clock_mono_ns();
    switch (m->type) {
    case MSG_WELCOME:
        on_welcome(s, &m->u.welcome);
        break;
    case MSG_WORK:
        on_work(s, m);
        break;
    case MSG_ACK:
    case MSG_CANCEL:
        on_verdict(s, m);
        break;
    case MSG_CHUNK:
    case MSG_NOBLOB:
    case MSG_STORED:
    case MSG_KEPT:
        desk_deliver(s->desk, m);
        break;
    case MSG_ALIVE:
        break;
    default:
        log_warn("message", "unexpected=%s", message_name(m->type));
    }
}

static void receive_all(struct session *s)
{
    struct message m;
    struct err e;
    int rc;
    while ((rc = dealer_receive(s->dealer, &m, &e)) != 0) {
        if (rc > 0)
            handle(s, &m);
        else
            log_warn("message", "error=\"%s\"", e.text);
        message_release(&m);
        if (s->state == PAUSED || s->state == CONNECTING)
            return;
    }
}

/* --- what time brings --- */

static void check_lease(struct session *s, int64_t now)
{
    if (s->lease_ns && now >= s->heard_ns + s->lease_ns &&
        desk_drop(s->desk, NULL, false, "no word from the coordinator for a whole lease"))
        log_warn("lease", "lost_after_ms=%lld", (long long)(s->lease_ns / NS_PER_MS));
}

static void tick_up(struct session *s, int64_t now)
{
    if (!dealer_connected(s->dealer)) {
        lost(s);
        return;
    }
    if (now >= silence_due(s)) {
        log_warn("silent", "coordinator=%s ms=%lld", s->o.endpoint, (long long)((now - s->heard_ns) / NS_PER_MS));
        reconnect(s);
        return;
    }
    if (now >= s->report_due_ns)
        send_report(s, now);
    if (s->state == UP && now >= s->beat_due_ns)
        send_beat(s, now);
    if (s->state == UP)
        send_asked(s);
}

static void tick(struct session *s, int64_t now)
{
    check_lease(s, now);
    switch (s->state) {
    case PAUSED:
        if (now >= s->since_ns + s->pause_ns)
            reconnect(s);
        break;
    case CONNECTING:
        if (dealer_connected(s->dealer))
            say_hello(s);
        break;
    case ASKING:
        if (!dealer_connected(s->dealer)) {
            enter(s, CONNECTING);
        } else if (now >= s->since_ns + ANSWER_WAIT_NS) {
            log_warn("hello", "no answer from coordinator=%s", s->o.endpoint);
            back_off(s);
        }
        break;
    case UP:
        tick_up(s, now);
        break;
    }
}

/* How long the loop may sleep. */
static int sleep_ms(struct session *s, int64_t now)
{
    int64_t due = now + NS_PER_S;
    if (s->state == PAUSED)
        due = least(due, s->since_ns + s->pause_ns);
    if (s->state == UP) {
        due = least(due, least(s->beat_due_ns, silence_due(s)));
        if (desk_report(s->desk, NULL))
            due = least(due, s->report_due_ns);
    }
    if (s->stop_due_ns)
        due = least(due, s->stop_due_ns);
    return due <= now ? 0 : (int)((due - now) / NS_PER_MS) + 1;
}

/* --- stopping --- */

static void check_stop(struct session *s, int64_t now)
{
    struct pollfd p = {.fd = s->o.stop_fd, .events = POLLIN};
    if (s->stop_due_ns || s->o.stop_fd < 0 || poll(&p, 1, 0) <= 0)
        return;
    log_info("stopping", "worker=%s", s->o.name);
    if (s->o.kill_after_s)
        alarm(s->o.kill_after_s);
    desk_retire(s->desk, "worker is stopping");
    s->stop_due_ns = now + GOODBYE_NS;
    s->report_due_ns = 0;
}

static bool goodbye_said(struct session *s, int64_t now)
{
    if (!s->stop_due_ns || (s->state == UP && now < s->stop_due_ns && desk_report(s->desk, NULL)))
        return false;
    struct message m = {.type = MSG_BYE, .u.reason = "worker is stopping"};
    if (s->state == UP)
        (void)send_message(s, &m);
    return true;
}

static void *session_run(void *arg)
{
    struct session *s = arg;
    reconnect(s);
    for (;;) {
        int64_t now = clock_mono_ns();
        check_stop(s, now);
        tick(s, now);
        if (goodbye_said(s, now))
            return NULL;
        int stop_fd = s->stop_due_ns ? -1 : s->o.stop_fd;
        dealer_wait(s->dealer, s->state == CONNECTING, desk_fd(s->desk), stop_fd, sleep_ms(s, now));
        desk_heed(s->desk);
        receive_all(s);
    }
}

int session_start(struct session **out, const struct session_options *o, struct desk *d, struct err *e)
{
    struct session *s = xcalloc(1, sizeof(*s));
    s->o = *o;
    s->desk = d;
    rng_init(&s->jitter, (uint64_t)clock_mono_ns(), "jitter", (uint64_t)getpid());
    int rc = dealer_new(&s->dealer, o->endpoint, e);
    if (rc == 0 && (errno = pthread_create(&s->thread, NULL, session_run, s)) != 0)
        rc = err_set(e, ERR_IO, "could not start the session's thread: %s", strerror(errno));
    if (rc < 0) {
        dealer_free(s->dealer);
        free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void session_join(struct session *s)
{
    if (!s)
        return;
    pthread_join(s->thread, NULL);
    dealer_free(s->dealer);
    buf_release(&s->frame);
    free(s);
}
