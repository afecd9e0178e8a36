#include "worker/desk.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

enum { QUEUE = 8 }; /* more than a transfer has under way */

struct desk {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int fd;
    bool closed;

    enum { FREE, OFFERED, WORKING, REPORTING } state;
    struct task_id task; /* unless FREE */
    struct message work; /* OFFERED */
    struct buf report;   /* REPORTING */

    char why[PROTO_MAX_TEXT]; /* the last drop */
    struct msg_beat progress; /* stage, done, total */

    struct buf asks[QUEUE];
    int n_asks;
    struct desk_answer answers[QUEUE];
    int n_answers;
    bool renewed;
};

int desk_new(struct desk **out, struct err *e)
{
    int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (fd < 0)
        return err_set(e, ERR_IO, "could not make an eventfd: %s", strerror(errno));
    struct desk *d = xcalloc(1, sizeof(*d));
    d->fd = fd;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&d->changed, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&d->lock, NULL);
    *out = d;
    return 0;
}

/* Asks and answers belong to one connection and to one task: they end with either. */
static void clear_queues(struct desk *d)
{
    for (int i = 0; i < d->n_asks; i++)
        buf_release(&d->asks[i]);
    for (int i = 0; i < d->n_answers; i++)
        mem_free(d->answers[i].bytes);
    d->n_asks = d->n_answers = 0;
}

void desk_free(struct desk *d)
{
    if (!d)
        return;
    clear_queues(d);
    message_release(&d->work);
    buf_release(&d->report);
    pthread_cond_destroy(&d->changed);
    pthread_mutex_destroy(&d->lock);
    close(d->fd);
    free(d);
}

static void rouse_session(struct desk *d)
{
    uint64_t one = 1;
    if (write(d->fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        BUG("eventfd: %s", strerror(errno));
}

int desk_fd(const struct desk *d)
{
    return d->fd;
}

void desk_heed(struct desk *d)
{
    uint64_t n;
    if (read(d->fd, &n, sizeof(n)) < 0 && errno != EAGAIN && errno != EINTR)
        BUG("eventfd: %s", strerror(errno));
}

/* The only place where the state changes, with the lock held. */
static void move(struct desk *d, int state)
{
    static const bool legal[4][4] = {
        [FREE] = {[OFFERED] = true},
        [OFFERED] = {[FREE] = true, [WORKING] = true, [REPORTING] = true},
        [WORKING] = {[FREE] = true, [REPORTING] = true},
        [REPORTING] = {[FREE] = true},
    };
    if (!legal[d->state][state])
        BUG("desk goes from %d to %d", (int)d->state, state);
    if (d->state == OFFERED && state != WORKING)
        message_release(&d->work);
    if (d->state == WORKING)
        clear_queues(d);
    if (state == FREE)
        buf_clear(&d->report);
    if (state == WORKING) {
        d->progress = (struct msg_beat){.stage = "start"};
        d->renewed = false;
    }
    d->state = state;
    pthread_cond_broadcast(&d->changed);
}

/* --- the compute thread --- */

/* WORKING again would need another desk_take. */
static bool dropped(const struct desk *d)
{
    return d->state != WORKING;
}

bool desk_take(struct desk *d, struct message *work)
{
    pthread_mutex_lock(&d->lock);
    while (!d->closed && d->state != OFFERED)
        pthread_cond_wait(&d->changed, &d->lock);
    bool got = !d->closed;
    if (got) {
        *work = d->work;
        memset(&d->work, 0, sizeof(d->work));
        move(d, WORKING);
    }
    pthread_mutex_unlock(&d->lock);
    return got;
}

void desk_finish(struct desk *d, const struct message *report)
{
    pthread_mutex_lock(&d->lock);
    if (!dropped(d)) {
        if (report)
            message_encode(report, &d->report);
        move(d, report ? REPORTING : FREE);
        rouse_session(d);
    }
    pthread_mutex_unlock(&d->lock);
}

int desk_progress(struct desk *d, const char *stage, uint64_t done, uint64_t total, struct err *e)
{
    int rc = 0;
    pthread_mutex_lock(&d->lock);
    if (dropped(d)) {
        rc = err_set(e, ERR_CANCELLED, "task was dropped: %s", d->why);
    } else {
        snprintf(d->progress.stage, sizeof(d->progress.stage), "%s", stage);
        d->progress.done = done;
        d->progress.total = total;
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

void desk_ask(struct desk *d, const struct message *m)
{
    pthread_mutex_lock(&d->lock);
    if (!dropped(d) && d->n_asks < QUEUE) {
        struct buf *b = &d->asks[d->n_asks++];
        *b = (struct buf){0};
        message_encode(m, b);
        rouse_session(d);
    }
    pthread_mutex_unlock(&d->lock);
}

static int wait_event(struct desk *d, int64_t until_ns)
{
    struct timespec until = {until_ns / NS_PER_S, until_ns % NS_PER_S};
    while (!dropped(d) && !d->renewed && d->n_answers == 0)
        if (pthread_cond_timedwait(&d->changed, &d->lock, &until) == ETIMEDOUT)
            break;
    return d->renewed ? DESK_RENEWED : d->n_answers ? DESK_ANSWER : DESK_NOTHING;
}

int desk_wait(struct desk *d, int64_t until_ns, struct desk_answer *a, struct err *e)
{
    memset(a, 0, sizeof(*a));
    pthread_mutex_lock(&d->lock);
    int rc = wait_event(d, until_ns);
    if (dropped(d)) {
        rc = err_set(e, ERR_CANCELLED, "task was dropped: %s", d->why);
    } else if (rc == DESK_RENEWED) {
        d->renewed = false;
    } else if (rc == DESK_ANSWER) {
        *a = d->answers[0];
        memmove(&d->answers[0], &d->answers[1], (size_t)--d->n_answers * sizeof(d->answers[0]));
    }
    pthread_mutex_unlock(&d->lock);
    return rc;
}

/* --- the session thread --- */

static const struct task_id *task_of(const struct message *work)
{
    return &work->u.work.task;
}

enum desk_offer desk_offer(struct desk *d, struct message *work)
{
    enum desk_offer verdict = DESK_BUSY;
    pthread_mutex_lock(&d->lock);
    if (d->state == FREE && !d->closed) {
        d->work = *work;
        d->task = *task_of(work);
        memset(work, 0, sizeof(*work));
        move(d, OFFERED);
        verdict = DESK_ACCEPTED;
    } else if (d->state != FREE && task_id_equal(&d->task, task_of(work))) {
        verdict = d->state == REPORTING ? DESK_REPORTED : DESK_UNDER_WAY;
    }
    pthread_mutex_unlock(&d->lock);
    return verdict;
}

void desk_status(struct desk *d, struct msg_beat *b)
{
    pthread_mutex_lock(&d->lock);
    *b = (struct msg_beat){.busy = d->state != FREE};
    if (d->state == WORKING)
        *b = d->progress;
    b->busy = d->state != FREE;
    if (b->busy)
        b->task = d->task;
    if (d->state == REPORTING)
        strcpy(b->stage, "report");
    pthread_mutex_unlock(&d->lock);
}

bool desk_report(struct desk *d, struct buf *out)
{
    pthread_mutex_lock(&d->lock);
    bool there = d->state == REPORTING;
    if (there && out)
        buf_append(out, d->report.p, d->report.n);
    pthread_mutex_unlock(&d->lock);
    return there;
}

static bool holds(const struct desk *d, const struct task_id *task)
{
    return d->state != FREE && (!task || task_id_equal(&d->task, task));
}

bool desk_drop(struct desk *d, const struct task_id *task, bool report_too, const char *why)
{
    pthread_mutex_lock(&d->lock);
    bool there = holds(d, task) && (report_too || d->state != REPORTING);
    if (there) {
        snprintf(d->why, sizeof(d->why), "%s", why);
        move(d, FREE);
    }
    pthread_mutex_unlock(&d->lock);
    return there;
}

bool desk_settle(struct desk *d, const struct task_id *task)
{
    pthread_mutex_lock(&d->lock);
    bool there = d->state == REPORTING && holds(d, task);
    if (there)
        move(d, FREE);
    pthread_mutex_unlock(&d->lock);
    return there;
}

bool desk_asked(struct desk *d, struct buf *out)
{
    pthread_mutex_lock(&d->lock);
    bool there = d->n_asks > 0;
    if (there) {
        buf_append(out, d->asks[0].p, d->asks[0].n);
        buf_release(&d->asks[0]);
        memmove(&d->asks[0], &d->asks[1], (size_t)--d->n_asks * sizeof(d->asks[0]));
    }
    pthread_mutex_unlock(&d->lock);
    return there;
}

static bool copy_answer(const struct message *m, struct desk_answer *a)
{
    *a = (struct desk_answer){.m = *m};
    if (m->type != MSG_CHUNK)
        return true;
    a->bytes = mem_dup(m->u.piece.bytes, m->u.piece.n, 1);
    a->m.u.piece.bytes = a->bytes;
    return a->bytes || m->u.piece.n == 0;
}

void desk_deliver(struct desk *d, const struct message *m)
{
    pthread_mutex_lock(&d->lock);
    if (!dropped(d) && d->n_answers < QUEUE && copy_answer(m, &d->answers[d->n_answers])) {
        d->n_answers++;
        pthread_cond_broadcast(&d->changed);
    }
    pthread_mutex_unlock(&d->lock);
}

void desk_renew(struct desk *d)
{
    pthread_mutex_lock(&d->lock);
    clear_queues(d);
    d->renewed = d->state == WORKING;
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}

void desk_retire(struct desk *d, const char *why)
{
    pthread_mutex_lock(&d->lock);
    d->closed = true;
    snprintf(d->why, sizeof(d->why), "%s", why);
    if (d->state == OFFERED || d->state == WORKING) {
        struct message m = {.type = MSG_FAILED};
        m.u.failed.task = d->task;
        snprintf(m.u.failed.reason, sizeof(m.u.failed.reason), "%s", why);
        message_encode(&m, &d->report);
        move(d, REPORTING);
    }
    pthread_cond_broadcast(&d->changed);
    pthread_mutex_unlock(&d->lock);
}
