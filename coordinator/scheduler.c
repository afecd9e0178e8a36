#include "coordinator/scheduler_int.h"

#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "proto/text.h"

struct scheduler *scheduler_new(zloop_t *loop, struct store *store, struct fleet *fleet, struct bus *bus,
                                const struct scheduler_options *o)
{
    struct scheduler *sch = xcalloc(1, sizeof(*sch));
    sch->loop = loop;
    sch->store = store;
    sch->fleet = fleet;
    sch->bus = bus;
    sch->o = *o;
    sch->timer = -1;
    return sch;
}

void scheduler_free(struct scheduler *sch)
{
    if (!sch)
        return;
    while (sch->searches) {
        struct search *s = sch->searches;
        sch->searches = s->next;
        search_free(s);
    }
    exports_free(sch);
    free(sch);
}

struct store *scheduler_store(const struct scheduler *sch)
{
    return sch->store;
}

struct fleet *scheduler_fleet(const struct scheduler *sch)
{
    return sch->fleet;
}

struct pending *pending_new(struct scheduler *sch, const struct task_id *id, const struct worker *w)
{
    struct pending *p = xcalloc(1, sizeof(*p));
    p->sch = sch;
    p->id = *id;
    p->has_peer = w != NULL;
    if (w)
        p->peer = w->peer;
    return p;
}

void pending_free(struct pending *p)
{
    message_release(&p->m);
    free(p);
}

void scheduler_add(struct scheduler *sch, struct search *s)
{
    struct search **at = &sch->searches;
    while (*at && (*at)->id < s->id)
        at = &(*at)->next;
    s->next = *at;
    *at = s;
    scheduler_wake(sch);
}

struct search *scheduler_search(struct scheduler *sch, int64_t id)
{
    struct search *s = sch->searches;
    while (s && s->id != id)
        s = s->next;
    return s;
}

struct task *scheduler_task(struct scheduler *sch, const struct task_id *id)
{
    if (id->kind == TASK_EXPORT)
        return exports_task(sch, id);
    struct search *s = scheduler_search(sch, id->search);
    return s ? search_task(s, id) : NULL;
}

/* Those that need a quiet machine are handed out by quiet.c. */
static struct task *ready_task(const struct search *s)
{
    struct task *t = s->state == SEARCH_PAUSED ? NULL : s->lists.ready.first;
    while (t && task_kind_quiet(t->id.kind))
        t = t->next;
    return t;
}

/* Searches take turns: the first after the one that got something last, round the end of the list. */
static struct task *next_task(struct scheduler *sch)
{
    if (sch->export_lists.ready.first)
        return sch->export_lists.ready.first;
    struct search *first = NULL;
    for (struct search *s = sch->searches; s; s = s->next) {
        if (!ready_task(s))
            continue;
        if (!first)
            first = s;
        if (s->id > sch->turn) {
            first = s;
            break;
        }
    }
    if (!first)
        return NULL;
    sch->turn = first->id;
    return ready_task(first);
}

static void describe(const struct search *s, const struct task *t, struct msg_work *work)
{
    const struct candidate *c = s->candidates[t->id.episode];
    struct candidate_row row;
    search_row_of(s, c, &row);
    work->has_profile = t->id.kind != TASK_TIME;
    work->profile = s->profile;
    work->n_keep = row.n_keep;
    work->keep = row.keep;
    if (t->id.kind == TASK_TIME)
        work->batch = s->spec.latency_batch;
    if (t->id.kind == TASK_FINAL)
        search_about(s->spec.name, &row, &work->about);
    if (t->id.kind == TASK_FINAL && !training_any(&s->recipe.finish)) /* it is the network that was scored */
        work->lr_scale = task_lr_scale(c->evaluate.diverged);
}

static bool send_work(struct scheduler *sch, const struct worker *w, const struct task *t)
{
    struct message m = {.type = MSG_WORK};
    struct msg_work *work = &m.u.work;
    work->task = t->id;
    if (t->id.kind == TASK_EXPORT) {
        exports_work(sch, t, work);
        return bus_send(sch->bus, &w->peer, &m);
    }
    const struct search *s = scheduler_search(sch, t->id.search);
    work->recipe = s->recipe;
    work->lr_scale = task_lr_scale(t->diverged);
    work->resume_epoch = t->epoch;
    work->resume = t->checkpoint;
    if (t->id.episode >= 0)
        describe(s, t, work);
    else if (t->id.kind == TASK_TRAIN)
        text_copy(work->about.name, sizeof(work->about.name), s->spec.name);
    return bus_send(sch->bus, &w->peer, &m);
}

/* The connection is gone or clogged: whoever is at its other end has to say hello again. */
static void unreachable(struct scheduler *sch, struct worker *w)
{
    scheduler_lost(sch, w, "connection lost");
    fleet_drop(sch->fleet, w);
}

/* The store has refused the attempt, so its number is still to be had. */
static void not_started(struct scheduler *sch, struct task *t, const char *why)
{
    struct worker *w = t->worker;
    if (w) {
        w->task = NULL;
        fleet_set_idle(sch->fleet, w, true);
    }
    record_refused(sch, t, why);
}

static void started(struct scheduler *sch, struct task *t)
{
    struct worker *w = t->worker;
    if (!w) {
        record_attempt_end(sch, t, OUTCOME_LOST, false, "the worker went before it got the work", NULL);
        return;
    }
    task_move(t, TASK_LEASED);
    t->lease_ns = clock_mono_ns() + sch->o.lease_ns;
    log_line(t->epoch > 0 ? LOG_INFO : LOG_DEBUG, "leased",
             "search=%" PRId64 " episode=%d kind=%s attempt=%d from_epoch=%d lr_scale=%g worker=%s", t->id.search,
             t->id.episode, task_kind_name(t->id.kind), t->id.attempt, t->epoch, task_lr_scale(t->diverged),
             w->name);
    if (!send_work(sch, w, t))
        unreachable(sch, w);
}

/* The attempt is on record: now the work may go out. */
static void on_started(void *arg, const struct err *e)
{
    struct pending *p = arg;
    struct scheduler *sch = p->sch;
    struct task *t = sch->stopped ? NULL : scheduler_task(sch, &p->id);
    if (t && t->state == TASK_STARTING && task_id_equal(&t->id, &p->id)) {
        if (e)
            not_started(sch, t, e->text);
        else
            started(sch, t);
    }
    pending_free(p);
    scheduler_wake(sch);
}

static void start(struct scheduler *sch, struct worker *w, struct task *t)
{
    fleet_set_idle(sch->fleet, w, false);
    t->id.attempt++;
    task_move(t, TASK_STARTING);
    t->worker = w;
    w->task = t;
    w->stage[0] = '\0';
    w->done = w->total = 0;
    w->idle_beats = 0;
    store_attempt(sch->store, &t->id, w->name, on_started, pending_new(sch, &t->id, w));
}

static int on_soon(zloop_t *loop, int timer, void *arg)
{
    struct scheduler *sch = arg;
    (void)loop;
    if (timer == sch->timer)
        sch->timer = -1;
    scheduler_wake(sch);
    return 0;
}

static struct worker *next_worker(struct scheduler *sch)
{
    struct worker *w = fleet_idle(sch->fleet);
    while (w && quiet_forbids(sch, w))
        w = fleet_idle_next(w);
    return w;
}

void scheduler_wake(struct scheduler *sch)
{
    if (sch->stopped)
        return;
    bool all = true;
    for (struct search *s = sch->searches, *next; s; s = next) {
        next = s->next;
        all &= course_advance(sch, s);
    }
    struct worker *w;
    struct task *t;
    while ((w = quiet_worker(sch, &t, clock_mono_ns())))
        start(sch, w, t);
    while ((w = next_worker(sch)) && (t = next_task(sch)))
        start(sch, w, t);
    if (!all && sch->timer < 0)
        sch->timer = zloop_timer(sch->loop, 1, 1, on_soon, sch);
}

void scheduler_stop(struct scheduler *sch)
{
    sch->stopped = true;
}

static void renew(struct scheduler *sch, struct task *t)
{
    if (t->state == TASK_LEASED)
        t->lease_ns = clock_mono_ns() + sch->o.lease_ns;
}

bool scheduler_adopt(struct scheduler *sch, struct worker *w, const struct task_id *id)
{
    struct task *t = scheduler_task(sch, id);
    if (!t || !task_id_equal(&t->id, id))
        return false;
    if (t->state == TASK_RECORDING || t->state == TASK_DONE)
        return true; /* its acknowledgement is on the way, or follows when the result is repeated */
    if (w->task == t && t->state == TASK_LEASED) {
        renew(sch, t);
        return true;
    }
    if (w->task || (t->state != TASK_READY && t->state != TASK_LEASED) || (t->worker && t->worker != w))
        return false;
    if (t->state == TASK_READY)
        task_move(t, TASK_LEASED);
    fleet_set_idle(sch->fleet, w, false);
    t->worker = w;
    w->task = t;
    renew(sch, t);
    log_info("adopted", "search=%" PRId64 " episode=%d kind=%s attempt=%d worker=%s", t->id.search, t->id.episode,
             task_kind_name(t->id.kind), t->id.attempt, w->name);
    return true;
}

void scheduler_disown(struct scheduler *sch, const struct worker *w, const struct task_id *id)
{
    bus_cancel(sch->bus, &w->peer, id, "this attempt isn't yours any more");
}

/* The same worker over a new connection: what it had stays its own when it says that it is at it. */
static void take_over(struct scheduler *sch, struct worker *w, struct worker *old, const struct msg_hello *h)
{
    struct task *t = old->task;
    if (t && h->busy && task_id_equal(&t->id, &h->task)) {
        old->task = NULL;
        t->worker = w;
        w->task = t;
    } else {
        scheduler_lost(sch, old, "the worker began anew");
    }
    fleet_drop(sch->fleet, old);
}

void scheduler_hello(struct scheduler *sch, struct worker *w, struct worker *replaces, const struct msg_hello *h)
{
    if (replaces)
        take_over(sch, w, replaces, h);
    if (h->busy) {
        if (!scheduler_adopt(sch, w, &h->task))
            scheduler_disown(sch, w, &h->task);
    } else if (!w->task) {
        fleet_set_idle(sch->fleet, w, true);
    } else if (w->task->state == TASK_LEASED && !send_work(sch, w, w->task)) { /* it crossed with the hello */
        unreachable(sch, w);
    }
    scheduler_wake(sch);
}

void scheduler_beat(struct scheduler *sch, struct worker *w, const struct msg_beat *b)
{
    snprintf(w->stage, sizeof(w->stage), "%s", b->stage);
    w->done = b->done;
    w->total = b->total;
    w->idle_beats = b->busy ? 0 : w->idle_beats + 1;
    if (b->busy) {
        if (!scheduler_adopt(sch, w, &b->task))
            scheduler_disown(sch, w, &b->task);
    } else if (!w->task && !w->idle) {
        fleet_set_idle(sch->fleet, w, true);
        scheduler_wake(sch);
    } else if (w->task && w->task->state == TASK_LEASED &&
               w->idle_beats >= 3) { /* the work never got there; a repeat is harmless */
        w->idle_beats = 0;
        if (!send_work(sch, w, w->task))
            unreachable(sch, w);
    }
}

void scheduler_lost(struct scheduler *sch, struct worker *w, const char *why)
{
    struct task *t = w->task;
    w->task = NULL;
    fleet_set_idle(sch->fleet, w, false);
    if (!t)
        return;
    t->worker = NULL;
    if (t->state == TASK_LEASED) /* STARTING: on_started finds nobody there */
        record_attempt_end(sch, t, OUTCOME_LOST, false, why, NULL);
}
