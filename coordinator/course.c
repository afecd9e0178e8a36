/* How a search goes on: profile, proposals, finalists, end (scheduler.h). */
#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "coordinator/scheduler_int.h"

#define SLICE_NS       (20 * NS_PER_MS) /* of proposing, until the loop gets a chance to do something else */
#define SNAPSHOT_EVERY 10               /* episodes learnt from */
#define SPARE          2                /* candidates on record ahead of what the workers can take at once */

static void on_state(void *arg, const struct err *e)
{
    (void)arg;
    if (e && e->code != ERR_CANCELLED &&
        e->code != ERR_STATE) /* the program ends; the attempt had ended otherwise */
        log_error("change not recorded", "error=\"%s\"", e->text);
}

static void set_state(struct scheduler *sch, struct search *s, enum search_state to)
{
    log_info("search", "search=%" PRId64 " state=%s", s->id, search_state_name(to));
    s->state = to;
    store_search_state(sch->store, s->id, to, to, NULL, on_state, NULL);
}

static void close_attempt(struct scheduler *sch, struct task *t, const char *why)
{
    store_attempt_end(sch->store, &t->id, "cancelled", why, on_state, NULL);
}

void course_end(struct scheduler *sch, struct search *s, enum search_state to, const char *reason, store_done *done,
                void *arg)
{
    log_line(to == SEARCH_FAILED ? LOG_WARN : LOG_INFO, "search", "search=%" PRId64 " state=%s reason=\"%s\"",
             s->id, search_state_name(to), reason ? reason : "");
    char why[64];
    snprintf(why, sizeof(why), "the search is %s", search_state_name(to));
    for (struct worker *w = fleet_first(sch->fleet); w; w = fleet_next(sch->fleet)) {
        struct task *t = w->task;
        if (!t || t->lists != &s->lists)
            continue;
        if (t->state == TASK_LEASED)
            bus_cancel(sch->bus, &w->peer, &t->id, why);
        else
            close_attempt(sch, t, why); /* STARTING, and so in no list */
        w->task = NULL;                 /* idle as soon as a beat says so */
    }
    for (struct task *t = s->lists.leased.first; t; t = t->next)
        close_attempt(sch, t, why);
    store_search_state(sch->store, s->id, to, to, reason, done ? done : on_state, arg);
    struct search **at = &sch->searches;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
    search_free(s);
}

static void on_candidate(void *arg, const struct err *e)
{
    struct pending *p = arg;
    struct scheduler *sch = p->sch;
    struct search *s = scheduler_search(sch, p->id.search);
    if (s && e && !sch->stopped) {
        course_end(sch, s, SEARCH_FAILED, e->text, NULL, NULL);
    } else if (s && !e) {
        s->storing--;
        task_move(scheduler_task(sch, &p->id), TASK_READY);
    }
    pending_free(p);
    scheduler_wake(sch);
}

static void on_snapshot(void *arg, const struct err *e)
{
    struct pending *p = arg;
    struct search *s = scheduler_search(p->sch, p->id.search);
    if (e && !p->sch->stopped)
        log_warn("snapshot not recorded", "search=%" PRId64 " error=\"%s\"", p->id.search, e->text);
    if (s)
        s->saving = false;
    pending_free(p);
}

/* Written after the candidates that came before it: what restores it finds them all. */
static void save(struct scheduler *sch, struct search *s)
{
    struct buf b = {0};
    policy_save(s->policy, &b);
    s->saving = true;
    store_snapshot(sch->store, s->id, s->observed - 1, b.p, b.n, on_snapshot,
                   pending_new(sch, &s->profiling.id, NULL));
    buf_release(&b);
}

static int propose(struct scheduler *sch, struct search *s, struct err *e)
{
    int before = s->observed / SNAPSHOT_EVERY;
    struct candidate *c;
    int rc = search_propose(s, &c, e);
    if (rc < 0)
        return rc;
    struct candidate_row row;
    search_row_of(s, c, &row);
    s->storing++;
    store_candidate(sch->store, &row, on_candidate, pending_new(sch, &c->evaluate.id, NULL));
    if (s->observed / SNAPSHOT_EVERY > before && !s->saving)
        save(sch, s);
    return 0;
}

/* 1: nothing more to propose now; 0: there is, but the slice is over. */
static int propose_ahead(struct scheduler *sch, struct search *s, struct err *e)
{
    int64_t until = clock_mono_ns() + SLICE_NS;
    int ahead = fleet_count(sch->fleet) + SPARE;
    while (s->lists.ready.n + s->storing < ahead && search_may_propose(s)) {
        if (clock_mono_ns() > until)
            return 0;
        int rc = propose(sch, s, e);
        if (rc < 0)
            return rc;
    }
    return 1;
}

/* Its time has come. One that was on record before a restart is left to its worker for a while, which may come
 * back. */
static void release_task(struct scheduler *sch, struct task *t)
{
    t->lease_ns = clock_mono_ns() + sch->o.grace_ns;
    task_move(t, t->id.attempt > 0 ? TASK_LEASED : TASK_READY);
}

/* Finalists are timed before they are finished: those too slow for their budget make room for others. False: not all
 * are, yet. */
static bool time_finalists(struct scheduler *sch, struct search *s)
{
    if (s->timings_left > 0)
        return false;
    if (search_choose_finalists(s) == 0)
        return true;
    for (int i = 0; i < s->proposed; i++) {
        struct task *t = &s->candidates[i]->timing;
        if (!s->candidates[i]->timed || t->state != TASK_NEW)
            continue;
        s->timings_left++;
        release_task(sch, t);
    }
    return false;
}

static void begin_finals(struct scheduler *sch, struct search *s)
{
    int n = 0, at = 0;
    for (int i = 0; i < s->proposed; i++)
        n += s->candidates[i]->finalist;
    int32_t *episodes = xcalloc((size_t)n + 1, sizeof(*episodes));
    s->finals_chosen = true;
    for (int i = 0; i < s->proposed; i++) {
        struct task *t = &s->candidates[i]->final;
        if (!s->candidates[i]->finalist)
            continue;
        episodes[at++] = i;
        if (t->state != TASK_NEW)
            continue;
        s->finals_left++;
        release_task(sch, t);
    }
    store_finalists(sch->store, s->id, episodes, (size_t)at, on_state, NULL);
    free(episodes);
    log_info("finalists", "search=%" PRId64 " finalists=%d left=%d", s->id, n, s->finals_left);
}

/* A training job has one task, and is over with it. */
static void train(struct scheduler *sch, struct search *s)
{
    if (s->training.state == TASK_NEW)
        release_task(sch, &s->training);
    else if (s->training.state == TASK_DONE)
        course_end(sch, s, SEARCH_DONE, NULL, NULL, NULL);
}

/* May free s. */
static bool run(struct scheduler *sch, struct search *s)
{
    struct err e;
    int rc = propose_ahead(sch, s, &e);
    if (rc < 0) {
        course_end(sch, s, SEARCH_FAILED, e.text, NULL, NULL);
        return true;
    }
    if (s->over < s->spec.episodes)
        return rc > 0;
    if (s->scored == 0) {
        course_end(sch, s, SEARCH_FAILED, "no candidate could be evaluated", NULL, NULL);
        return true;
    }
    if (s->spec.finish_top == 0) {
        course_end(sch, s, SEARCH_DONE, NULL, NULL, NULL);
        return true;
    }
    set_state(sch, s, SEARCH_FINISHING);
    return false; /* goes on at once */
}

static void on_table(void *arg, const void *bytes, size_t n, const struct err *e)
{
    struct pending *p = arg;
    struct scheduler *sch = p->sch;
    struct search *s = scheduler_search(sch, p->id.search);
    struct err mine;
    pending_free(p);
    if (!s || sch->stopped)
        return;
    s->asking_table = false;
    if (e) {
        log_error("latency table not looked for", "search=%" PRId64 " error=\"%s\"", s->id, e->text);
    } else if (n > 0 && search_check_table(s, bytes, n, &mine) == 0) {
        log_info("latency table", "search=%" PRId64 ": a former search's, of the same model and CPU", s->id);
        task_move(&s->measuring, TASK_DONE);
        if (search_set_table(s, bytes, n, &mine) < 0)
            course_end(sch, s, SEARCH_FAILED, mine.text, NULL, NULL);
        scheduler_wake(sch);
        return;
    }
    release_task(sch, &s->measuring);
    scheduler_wake(sch);
}

/* The table is measured once, or is that of a former search on the CPU of the worker that comes first. */
static void want_table(struct scheduler *sch, struct search *s)
{
    const struct worker *w = fleet_idle(sch->fleet);
    if (!s->wants_table || s->has_table || s->asking_table || s->measuring.state != TASK_NEW)
        return;
    if (s->measuring.id.attempt > 0) { /* begun before a restart */
        release_task(sch, &s->measuring);
        return;
    }
    if (!w)
        return;
    s->asking_table = true;
    struct measured_by by = {w->name, w->cpu, w->kernels, precision_name(s->spec.precision)};
    store_table_find(sch->store, s->id, &by, on_table, pending_new(sch, &s->measuring.id, NULL));
}

bool course_advance(struct scheduler *sch, struct search *s)
{
    if (s->state == SEARCH_PROFILING) {
        if (!s->has_profile && s->profiling.state == TASK_NEW)
            release_task(sch, &s->profiling);
        want_table(sch, s);
        if (!s->policy)
            return true;
        set_state(sch, s, SEARCH_RUNNING);
    }
    if (s->state == SEARCH_RUNNING && s->spec.training) {
        train(sch, s);
        return true;
    }
    if (s->state == SEARCH_RUNNING)
        return run(sch, s);
    if (s->state == SEARCH_FINISHING) {
        if (!s->finals_chosen && time_finalists(sch, s))
            begin_finals(sch, s);
        if (s->finals_chosen && s->finals_left == 0)
            course_end(sch, s, SEARCH_DONE, NULL, NULL, NULL);
    }
    return true;
}

int scheduler_pause(struct scheduler *sch, struct search *s, store_done *done, void *arg, struct err *e)
{
    if (s->state == SEARCH_PAUSED)
        return err_set(e, ERR_STATE, "search %" PRId64 " is paused already", s->id);
    s->paused_from = s->state;
    s->state = SEARCH_PAUSED;
    log_info("search", "search=%" PRId64 " state=paused", s->id);
    store_search_state(sch->store, s->id, SEARCH_PAUSED, s->paused_from, NULL, done, arg);
    return 0;
}

int scheduler_resume(struct scheduler *sch, struct search *s, store_done *done, void *arg, struct err *e)
{
    if (s->state != SEARCH_PAUSED)
        return err_set(e, ERR_STATE, "search %" PRId64 " isn't paused, it is %s", s->id,
                       search_state_name(s->state));
    s->state = s->paused_from;
    log_info("search", "search=%" PRId64 " state=%s", s->id, search_state_name(s->state));
    store_search_state(sch->store, s->id, s->state, s->state, NULL, done, arg);
    scheduler_wake(sch);
    return 0;
}

void scheduler_cancel(struct scheduler *sch, struct search *s, store_done *done, void *arg)
{
    course_end(sch, s, SEARCH_CANCELLED, NULL, done, arg);
}

void scheduler_waiting(struct scheduler *sch, const struct search *s, char *out, size_t n)
{
    int episode = search_awaits(s);
    out[0] = '\0';
    if (!store_connected(sch->store))
        snprintf(out, n, "the database is not reachable");
    else if (s->state == SEARCH_PAUSED)
        snprintf(out, n, "paused");
    else if (fleet_count(sch->fleet) == 0)
        snprintf(out, n, "no worker is connected");
    else if (!fleet_idle(sch->fleet) || s->lists.ready.n > 0)
        return;
    else if (s->spec.training)
        snprintf(out, n, "one worker trains the model");
    else if (s->state == SEARCH_PROFILING)
        snprintf(out, n, s->has_profile ? "one worker measures the latency table, alone on its machine"
                                        : "one worker computes the profile first");
    else if (s->state == SEARCH_FINISHING && s->timings_left > 0)
        snprintf(out, n, "finalists are timed, alone on their machine");
    else if (s->state == SEARCH_FINISHING)
        snprintf(out, n, "the last finalists are under way");
    else if (episode >= 0)
        snprintf(out, n, "episode %d follows from the result of episode %d (lookahead %d)", s->proposed, episode,
                 s->spec.lookahead);
    else if (s->proposed == s->spec.episodes)
        snprintf(out, n, "the last candidates are under way");
}
