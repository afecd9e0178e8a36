/* What becomes of attempts: results judged, recorded and acknowledged, failures counted (scheduler.h). */
#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "coordinator/scheduler_int.h"

/* What a worker says when it hands its task back because somebody stops it (PROTOCOL.md). */
#define STOPPING "worker is stopping"

static const char *const outcomes[] = {"lost", "lost", "failed", "handed back", "diverged"};

static void ack(struct pending *p, const char *reason)
{
    if (p->has_peer)
        bus_ack(p->sch->bus, &p->peer, &p->id, reason);
}

/* --- attempts without a result --- */

static void on_ended(void *arg, const struct err *e)
{
    struct pending *p = arg;
    if (e && !p->sch->stopped) /* ERR_STATE: it is on record already that it ended otherwise */
        log_line(e->code == ERR_STATE ? LOG_DEBUG : LOG_ERROR, "attempt's end not recorded",
                 "search=%" PRId64 " episode=%d attempt=%d error=\"%s\"", p->id.search, p->id.episode,
                 p->id.attempt, e->text);
    if (!e || !p->sch->stopped)
        ack(p, "");
    pending_free(p);
}

static void on_given_up(void *arg, const struct err *e)
{
    struct pending *p = arg;
    struct scheduler *sch = p->sch;
    struct search *s = scheduler_search(sch, p->id.search);
    struct task *t = scheduler_task(sch, &p->id);
    if (e && !sch->stopped)
        log_error("failure not recorded", "search=%" PRId64 " episode=%d error=\"%s\"", p->id.search, p->id.episode,
                  e->text);
    if (t && t->state == TASK_RECORDING) {
        task_move(t, TASK_PARKED);
        if (t->id.kind == TASK_FINAL)
            s->finals_left--;
        else if (t->id.kind == TASK_TIME)
            s->timings_left--;
        else
            search_count(s, s->candidates[t->id.episode]);
    }
    pending_free(p);
    scheduler_wake(sch);
}

/* A search that can't go on without it. */
static void give_up_search(struct scheduler *sch, struct task *t, const char *reason)
{
    struct err e;
    err_set(&e, ERR_STATE, "%s failed: %s", t->id.kind == TASK_TRAIN ? "training" : t->id.kind == TASK_MEASURE ? "latency table" : "profile", reason);
    course_end(sch, scheduler_search(sch, t->id.search), SEARCH_FAILED, e.text, NULL, NULL);
}

static void give_up(struct scheduler *sch, struct task *t, const char *reason)
{
    log_warn("given up", "search=%" PRId64 " episode=%d kind=%s attempts=%d reason=\"%s\"", t->id.search,
             t->id.episode, task_kind_name(t->id.kind), t->id.attempt, reason);
    task_move(t, TASK_RECORDING);
    switch (t->id.kind) {
    case TASK_PROFILE:
    case TASK_TRAIN:
    case TASK_MEASURE:
        give_up_search(sch, t, reason);
        break;
    case TASK_EVALUATE:
        store_candidate_failed(sch->store, t->id.search, t->id.episode, reason, on_given_up,
                               pending_new(sch, &t->id, NULL));
        break;
    case TASK_TIME:
        store_time_failed(sch->store, t->id.search, t->id.episode, reason, on_given_up,
                          pending_new(sch, &t->id, NULL));
        break;
    case TASK_FINAL:
        store_final_failed(sch->store, t->id.search, t->id.episode, reason, on_given_up,
                           pending_new(sch, &t->id, NULL));
        break;
    default:
        exports_parked(sch, t, reason);
    }
}

void record_attempt_end(struct scheduler *sch, struct task *t, enum attempt_outcome o, bool permanent,
                        const char *reason, const struct worker *waits)
{
    t->failures += o == OUTCOME_FAILED;
    t->losses += o == OUTCOME_LOST;
    if (o == OUTCOME_DIVERGED) { /* its checkpoint goes, also one that is still being written */
        t->diverged++;
        t->epoch = t->keeping = 0;
    }
    log_line(o == OUTCOME_HANDED_BACK ? LOG_INFO : LOG_WARN, "attempt ended",
             "search=%" PRId64 " episode=%d kind=%s attempt=%d outcome=\"%s\" reason=\"%s\"", t->id.search,
             t->id.episode, task_kind_name(t->id.kind), t->id.attempt, outcomes[o], reason);
    store_attempt_end(sch->store, &t->id, outcomes[o], reason, on_ended, pending_new(sch, &t->id, waits));
    if (permanent || task_spent(t, sch->o.attempts))
        give_up(sch, t, reason);
    else if (t->state != TASK_READY) /* a late word about an attempt whose lease had run out */
        task_move(t, TASK_READY);
}

void record_refused(struct scheduler *sch, struct task *t, const char *reason)
{
    log_error("attempt not recorded", "search=%" PRId64 " episode=%d kind=%s attempt=%d error=\"%s\"", t->id.search,
              t->id.episode, task_kind_name(t->id.kind), t->id.attempt, reason);
    t->id.attempt--;
    t->failures++;
    if (task_spent(t, sch->o.attempts))
        give_up(sch, t, reason);
    else
        task_move(t, TASK_READY);
}

/* --- results --- */

static void note_kernels(struct search *s, const struct worker *w)
{
    if (!s->kernels[0])
        snprintf(s->kernels, sizeof(s->kernels), "%s", w->kernels);
    if (s->mixed || strcmp(s->kernels, w->kernels) == 0)
        return;
    s->mixed = true;
    log_warn("different kernels",
             "search=%" PRId64 " worker=%s kernels=\"%s\" others=\"%s\": equal numbers aren't certain", s->id,
             w->name, w->kernels, s->kernels);
}

/* A durable result becomes part of its search. May free the search. */
static void settle(struct scheduler *sch, struct task *t, const struct msg_result *r)
{
    struct search *s = scheduler_search(sch, t->id.search);
    struct err e;
    task_move(t, TASK_DONE);
    switch (t->id.kind) {
    case TASK_PROFILE:
        if (search_set_profile(s, r, &e) < 0)
            course_end(sch, s, SEARCH_FAILED, e.text, NULL, NULL);
        break;
    case TASK_EVALUATE: {
        struct candidate *c = s->candidates[t->id.episode];
        c->reward = r->reward;
        search_count(s, c);
        break;
    }
    case TASK_MEASURE:
        if (search_set_table(s, r->table, r->n_table, &e) < 0)
            course_end(sch, s, SEARCH_FAILED, e.text, NULL, NULL);
        break;
    case TASK_TIME: {
        struct candidate *c = s->candidates[t->id.episode];
        c->ratio = r->times[0].ratio;
        c->spread = r->times[0].spread;
        s->timings_left--;
        break;
    }
    case TASK_FINAL:
        s->finals_left--;
        break;
    case TASK_TRAIN:
        break; /* its search is over as soon as it is looked at */
    default:
        exports_done(sch, t);
    }
}

static void recorded(struct scheduler *sch, struct pending *p, struct task *t)
{
    const struct msg_result *r = &p->m.u.result;
    const struct metrics *score = r->test.n > 0 ? &r->test : &r->reward;
    struct worker *w = p->has_peer ? fleet_find(sch->fleet, &p->peer) : NULL;
    if (w && p->id.kind == TASK_EVALUATE)
        worker_finished(w, clock_mono_ns());
    log_info("recorded", "search=%" PRId64 " episode=%d kind=%s attempt=%d top1=%d of=%d seconds=%.2f worker=%s",
             p->id.search, p->id.episode, task_kind_name(p->id.kind), p->id.attempt, score->top1, score->n,
             r->seconds, w ? w->name : "gone");
    ack(p, "");
    if (t)
        settle(sch, t, r);
}

static void on_recorded(void *arg, const struct err *e)
{
    struct pending *p = arg;
    struct scheduler *sch = p->sch;
    struct task *t = scheduler_task(sch, &p->id);
    if (t && (t->state != TASK_RECORDING || !task_id_equal(&t->id, &p->id)))
        t = NULL; /* its search was ended meanwhile */
    if (!e) {
        recorded(sch, p, t);
    } else if (!sch->stopped) { /* else the program ends and knows nothing: the worker keeps the result and offers
                                   it again */
        ack(p, e->text);
        if (t)
            record_attempt_end(sch, t, OUTCOME_FAILED, false, e->text, NULL);
    }
    pending_free(p);
    scheduler_wake(sch);
}

/* What every result of its kind must have, whoever sends it. */
static int judge(struct scheduler *sch, const struct msg_result *r, struct err *e)
{
    struct search *s = scheduler_search(sch, r->task.search);
    if (r->task.kind == TASK_MEASURE)
        return search_check_table(s, r->table, r->n_table, e);
    if (r->task.kind == TASK_TIME)
        return r->times[0].batch == 1 ? 0 : err_set(e, ERR_INVALID, "times at batch %d, not 1", r->times[0].batch);
    if (r->task.kind != TASK_EXPORT && r->task.kind != TASK_TRAIN && r->reward.n != s->recipe.reward)
        return err_set(e, ERR_INVALID, "result over %d reward images, not %d", r->reward.n, s->recipe.reward);
    if (r->task.kind != TASK_EVALUATE && !r->has_blob)
        return err_set(e, ERR_INVALID, "result of a %s without its file", task_kind_name(r->task.kind));
    if ((r->task.kind == TASK_FINAL || r->task.kind == TASK_TRAIN) && r->test.n == 0)
        return err_set(e, ERR_INVALID, "result of a %s without a test score", task_kind_name(r->task.kind));
    return r->task.kind == TASK_PROFILE ? search_check_profile(s, r, e) : 0;
}

/* The worker has let go of the task, whatever becomes of it. */
static void release(struct scheduler *sch, struct worker *w, struct task *t)
{
    if (t && t->worker) {
        t->worker->task = NULL;
        t->worker = NULL;
    }
    if (!w->task)
        fleet_set_idle(sch->fleet, w, true);
}

/* NULL: the report is about an attempt that still counts. */
static const char *unwanted(const struct task *t, const struct task_id *id)
{
    if (!t)
        return "the search is over, or has no such task";
    if (!task_id_equal(&t->id, id))
        return "another attempt has replaced this one";
    if (t->state == TASK_NEW || t->state == TASK_STARTING)
        return "this attempt hasn't begun";
    return t->state == TASK_PARKED ? "the task has been given up" : NULL;
}

/* With what people ask about it. */
static void record_table(struct scheduler *sch, const struct msg_result *r, const struct measured_by *by, struct pending *p)
{
    const struct search *s = scheduler_search(sch, r->task.search);
    struct latency t;
    struct err e;
    if (latency_decode(r->table, r->n_table, &t, &e) < 0)
        BUG("search %" PRId64 ": a table that was fine is none: %s", s->id, e.text);
    int32_t *rounds = xcalloc((size_t)s->groups.n, sizeof(*rounds));
    for (int g = 0; g < s->groups.n; g++)
        rounds[g] = latency_round(&t, &s->graph, &s->groups, g);
    store_table(sch->store, r, by, &t, rounds, (size_t)s->groups.n, on_recorded, p);
    free(rounds);
    latency_release(&t);
}

/* Figures of a clock are worth something with the name of the machine alone. */
static void record_measured(struct scheduler *sch, const struct worker *w, const struct msg_result *r, struct pending *p)
{
    const char *precision = precision_name(scheduler_search(sch, r->task.search)->spec.precision);
    struct measured_by by = {w->name, w->cpu, w->kernels, precision};
    if (r->task.kind == TASK_MEASURE)
        record_table(sch, r, &by, p);
    else
        store_times(sch->store, r, &by, on_recorded, p);
}

void scheduler_result(struct scheduler *sch, struct worker *w, struct message *m)
{
    struct msg_result *r = &m->u.result;
    struct task *t = scheduler_task(sch, &r->task);
    const char *why = unwanted(t, &r->task);
    struct err e;
    if (why || t->state == TASK_DONE) {
        bus_ack(sch->bus, &w->peer, &r->task, why ? why : "");
        release(sch, w, NULL);
    } else if (t->state == TASK_RECORDING) {
        release(sch, w, NULL); /* a repeat: the answer is on its way */
    } else if (judge(sch, r, &e) < 0) {
        release(sch, w, t);
        record_attempt_end(sch, t, OUTCOME_FAILED, false, e.text, w);
    } else {
        if (!task_kind_dense(r->task.kind) && !task_kind_quiet(r->task.kind) && r->task.kind != TASK_EXPORT)
            note_kernels(scheduler_search(sch, r->task.search), w);
        release(sch, w, t);
        task_move(t, TASK_RECORDING);
        struct pending *p = pending_new(sch, &r->task, w);
        p->m = *m;
        memset(m, 0, sizeof(*m));
        r = &p->m.u.result;
        if (r->task.kind == TASK_PROFILE)
            store_profile(sch->store, r->task.search, r, on_recorded, p);
        else if (task_kind_quiet(r->task.kind))
            record_measured(sch, w, r, p);
        else
            store_result(sch->store, r, w->name, on_recorded, p);
    }
    scheduler_wake(sch); /* the next attempt is written with this result: one commit, then ACK and WORK */
}

/* An export that diverges is given up: at a lower rate its file would be of another network than the one scored. */
static enum attempt_outcome outcome_of(const struct msg_failed *f)
{
    if (strcmp(f->reason, STOPPING) == 0)
        return OUTCOME_HANDED_BACK;
    return f->diverged && f->task.kind != TASK_EXPORT ? OUTCOME_DIVERGED : OUTCOME_FAILED;
}

void scheduler_failed(struct scheduler *sch, struct worker *w, const struct msg_failed *f)
{
    struct task *t = scheduler_task(sch, &f->task);
    const char *why = unwanted(t, &f->task);
    enum attempt_outcome o = outcome_of(f);
    if (why || t->state == TASK_DONE || t->state == TASK_RECORDING) {
        bus_ack(sch->bus, &w->peer, &f->task, why ? why : "");
        release(sch, w, NULL);
    } else {
        release(sch, w, t);
        record_attempt_end(sch, t, o, o == OUTCOME_FAILED && (f->permanent || f->diverged), f->reason, w);
    }
    if (o == OUTCOME_HANDED_BACK)
        fleet_set_idle(sch->fleet, w, false); /* it says BYE next */
    scheduler_wake(sch);
}
