#include "coordinator/store/store.h"

#include <inttypes.h>
#include <stdlib.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "coordinator/store/store_int.h"
#include "coordinator/store/writer.h"

#define TICK_MS 100

static void tick(struct store *s)
{
    pipeline_tick(s->ledger);
    pipeline_tick(s->bulk);
}

static int on_clock(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    (void)loop;
    uint64_t ticks;
    if (read(item->fd, &ticks, sizeof(ticks)) > 0)
        tick(arg);
    return 0;
}

/* A descriptor and not zloop_timer: a timer that is ended outside the loop can fire once more. */
static int start_clock(struct store *s, struct err *e)
{
    const struct timespec every = {.tv_nsec = TICK_MS * NS_PER_MS};
    const struct itimerspec when = {every, every};
    s->clock =
        (zmq_pollitem_t){.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), .events = ZMQ_POLLIN};
    if (s->clock.fd < 0 || timerfd_settime(s->clock.fd, 0, &when, NULL) < 0)
        return err_set(e, ERR_IO, "could not make a timer: %s", strerror(errno));
    if (zloop_poller(s->loop, &s->clock, on_clock, s) < 0)
        return err_set(e, ERR_NOMEM, "the loop takes no timer");
    return 0;
}

static void stop_clock(struct store *s)
{
    if (s->clock.fd < 0)
        return;
    zloop_poller_end(s->loop, &s->clock);
    close(s->clock.fd);
}

static void on_fenced(void *arg, const struct err *why)
{
    struct store *s = arg;
    if (s->lost)
        return;
    s->lost = true;
    log_error("fenced", "reason=\"%s\"", why->text);
    s->on_lost(s->arg, why->text);
}

static struct pipeline *make_pipeline(struct store *s, const char *lock)
{
    const struct pipeline_setting set = {.loop = s->loop,
                                         .conninfo = s->conninfo,
                                         .epoch = s->epoch,
                                         .lock = lock,
                                         .on_fenced = on_fenced,
                                         .arg = s};
    return pipeline_new(&set);
}

int store_open(struct store **out, zloop_t *loop, const char *conninfo, int wait_ms,
               void (*on_lost)(void *arg, const char *why), void *arg, struct err *e)
{
    int64_t epoch = 0;
    PGconn *c = writer_begin(conninfo, clock_mono_ns() + wait_ms * NS_PER_MS, &epoch, e);
    if (!c)
        return e->code;
    struct store *s = xcalloc(1, sizeof(*s));
    s->loop = loop;
    s->conninfo = xstrdup(conninfo);
    s->epoch = epoch;
    s->on_lost = on_lost;
    s->arg = arg;
    s->ledger = make_pipeline(s, WRITER_LOCK);
    s->bulk = make_pipeline(s, NULL);
    int rc = start_clock(s, e);
    if (rc < 0 || (rc = pipeline_adopt(s->ledger, c, e)) < 0) {
        PQfinish(c);
        store_close(s, 0);
        return rc;
    }
    pipeline_tick(s->bulk);
    log_info("writer", "epoch=%" PRId64, epoch);
    *out = s;
    return 0;
}

/* The loop's work without the loop, which runs no more when a program ends. */
static void work(struct store *s, int64_t until_ns)
{
    struct pipeline *both[] = {s->ledger, s->bulk};
    zmq_pollitem_t items[2];
    int n = 0;
    for (int i = 0; i < 2; i++)
        if (pipeline_item(both[i])->fd >= 0)
            items[n++] = *pipeline_item(both[i]);
    int64_t left_ms = (until_ns - clock_mono_ns()) / NS_PER_MS;
    if (zmq_poll(items, n, left_ms < TICK_MS ? left_ms : TICK_MS) > 0)
        for (int i = 0; i < n; i++)
            for (int k = 0; k < 2 && items[i].revents; k++)
                if (pipeline_item(both[k])->fd == items[i].fd)
                    pipeline_work(both[k]);
    tick(s);
}

void store_close(struct store *s, int wait_ms)
{
    if (!s)
        return;
    int64_t until = clock_mono_ns() + wait_ms * NS_PER_MS;
    while (store_queued(s) && !s->lost && clock_mono_ns() < until)
        work(s, until);
    if (store_queued(s))
        log_warn("closing", "requests=%zu reason=\"not done in time\"", store_queued(s));
    stop_clock(s);
    pipeline_close(s->bulk);
    pipeline_close(s->ledger);
    free(s->conninfo);
    free(s);
}

bool store_connected(const struct store *s)
{
    return pipeline_connected(s->ledger);
}

size_t store_queued(const struct store *s)
{
    return pipeline_queued(s->ledger) + pipeline_queued(s->bulk);
}

void store_answer_done(struct request *r, const PGresult *res, const struct err *e)
{
    (void)res;
    if (r->fn)
        ((store_done *)r->fn)(r->arg, e);
    else if (e)
        log_warn("database", "write=%s reason=\"%s\"", r->st->name, e->text);
}

struct request *store_request(const struct statement *st, store_done *fn, void *arg)
{
    return request_new(st, store_answer_done, (void (*)(void))fn, arg);
}

void request_task_id(struct request *q, const struct task_id *t)
{
    request_int(q, t->search);
    request_text(q, task_kind_name(t->kind));
    request_int(q, t->episode);
    request_int(q, t->attempt);
}
