#include "coordinator/revive.h"

#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "coordinator/blobs.h"

#define RETRY_MS 1000 /* while the database is away */

struct record { /* one search, as its rows say */
    struct search_row row;
    struct candidate_row *candidates;
    int n, cap;
    struct buf snapshot;
    struct task_row *tasks; /* other than EVALUATE */
    int n_tasks, cap_tasks;
    struct record *next;
};

struct revival {
    zloop_t *loop;
    struct scheduler *sch;
    int64_t grace_ns;
    struct record *first, **last;
    int count;
    void (*ready)(void *arg);
    void *arg;
};

static void record_free(struct record *r)
{
    for (int i = 0; i < r->n; i++)
        candidate_row_release(&r->candidates[i]);
    free(r->candidates);
    free(r->tasks);
    buf_release(&r->snapshot);
    search_row_release(&r->row);
    free(r);
}

/* --- rows in --- */

static void take_search(void *arg, struct search_row *row)
{
    struct revival *v = arg;
    struct record *r = xcalloc(1, sizeof(*r));
    r->row = *row;
    *v->last = r;
    v->last = &r->next;
    v->count++;
}

static struct record *find(struct revival *v, int64_t search)
{
    struct record *r = v->first;
    while (r && r->row.id != search)
        r = r->next;
    return r;
}

static void take_candidate(void *arg, struct candidate_row *row)
{
    struct record *r = find(arg, row->search);
    if (!r) {
        candidate_row_release(row);
        return;
    }
    if (r->n == r->cap)
        r->candidates =
            xrealloc(r->candidates, (size_t)(r->cap = r->cap ? 2 * r->cap : 64) * sizeof(*r->candidates));
    r->candidates[r->n++] = *row;
}

static void take_snapshot(void *arg, int64_t search, int32_t episode, const void *bytes, size_t n)
{
    struct record *r = find(arg, search);
    (void)episode; /* the bytes say it too */
    if (r) {
        buf_clear(&r->snapshot);
        buf_append(&r->snapshot, bytes, n);
    }
}

static void take_task(void *arg, const struct task_row *t)
{
    struct record *r = find(arg, t->highest.search);
    if (!r)
        return;
    if (r->n_tasks == r->cap_tasks) {
        r->cap_tasks = r->cap_tasks ? 2 * r->cap_tasks : 8;
        r->tasks = xrealloc(r->tasks, (size_t)r->cap_tasks * sizeof(*r->tasks));
    }
    r->tasks[r->n_tasks++] = *t;
}

/* --- searches out --- */

static void set_task(struct search *s, const struct task_row *r)
{
    const struct task_id *id = &r->highest;
    struct task *t = NULL;
    if (id->kind == TASK_PROFILE)
        t = &s->profiling;
    else if (id->kind == TASK_MEASURE)
        t = &s->measuring;
    else if (id->kind == TASK_TIME && id->episode >= 0 && id->episode < s->proposed)
        t = &s->candidates[id->episode]->timing;
    else if (id->kind == TASK_TRAIN)
        t = &s->training;
    else if (id->kind == TASK_FINAL && id->episode >= 0 && id->episode < s->proposed)
        t = &s->candidates[id->episode]->final;
    if (!t)
        return;
    t->id.attempt = id->attempt;
    t->diverged = r->diverged;
    t->epoch = r->epoch;
    t->checkpoint = r->checkpoint;
}

static int take_profile(struct search *s, const struct search_row *row, struct err *e)
{
    struct msg_result r = {
        .reward = row->dense,
        .has_blob = true,
        .blob = row->profile,
        .n_groups = row->n_groups,
        .n_curve = row->n_curve,
        .n_points = row->n_points,
        .curve = row->curve,
    };
    int rc = search_check_profile(s, &r, e);
    if (rc < 0)
        return rc;
    return search_set_profile(s, &r, e);
}

static int rebuild(struct revival *v, struct record *r, const void *onnx, size_t n, struct search **out,
                   struct err *e)
{
    struct search *s;
    int rc = search_new(&s, r->row.spec, strlen(r->row.spec), &r->row.recipe, onnx, n, e);
    if (rc < 0)
        return rc;
    search_set_id(s, r->row.id);
    s->state = r->row.state;
    s->paused_from = r->row.paused_from;
    if (r->row.has_profile && (rc = take_profile(s, &r->row, e)) < 0)
        goto out;
    if (s->wants_table && r->row.n_table > 0) {
        if ((rc = search_check_table(s, r->row.table, r->row.n_table, e)) < 0 ||
            (rc = search_set_table(s, r->row.table, r->row.n_table, e)) < 0)
            goto out;
        task_move(&s->measuring, TASK_DONE);
    }
    if (s->has_profile && s->profiling.state == TASK_NEW)
        task_move(&s->profiling, TASK_DONE);
    if (r->row.trained)
        task_move(&s->training, TASK_DONE);
    int64_t lease_ns = clock_mono_ns() + v->grace_ns;
    for (int i = 0; i < r->n; i++)
        if ((rc = search_take_candidate(s, &r->candidates[i], lease_ns, e)) < 0)
            goto out;
    for (int i = 0; i < r->n_tasks; i++)
        set_task(s, &r->tasks[i]);
    if (s->policy && (rc = search_take_policy(s, r->snapshot.n > 0 ? r->snapshot.p : NULL, r->snapshot.n, e)) < 0)
        goto out;
    *out = s;
    return 0;
out:
    search_free(s);
    return rc;
}

static void on_failed(void *arg, const struct err *e)
{
    (void)arg;
    if (e)
        log_error("state not recorded", "error=\"%s\"", e->text);
}

static void next_one(struct revival *v);

static int on_time(zloop_t *loop, int timer, void *arg)
{
    (void)loop;
    (void)timer;
    next_one(arg);
    return 0;
}

static void again(struct revival *v, size_t in_ms)
{
    if (zloop_timer(v->loop, in_ms, 1, on_time, v) < 0)
        BUG("no memory for a timer");
}

static void on_model(void *arg, const void *onnx, size_t n, const struct err *failed)
{
    struct revival *v = arg;
    struct record *r = v->first;
    struct search *s = NULL;
    struct err e;
    if (failed && (failed->code == ERR_DB || failed->code == ERR_TIMEOUT)) {
        again(v, RETRY_MS); /* no fault of the search's */
        return;
    }
    if (failed && failed->code == ERR_CANCELLED)
        return; /* the program ends */
    if (failed)
        e = *failed;
    if (failed || rebuild(v, r, onnx, n, &s, &e) < 0) {
        err_wrap(&e, "could not be brought back");
        log_error("search", "search=%" PRId64 " state=failed reason=\"%s\"", r->row.id, e.text);
        store_search_state(scheduler_store(v->sch), r->row.id, SEARCH_FAILED, SEARCH_FAILED, e.text, on_failed,
                           NULL);
    } else {
        log_info("search", "search=%" PRId64 " state=%s proposed=%d over=%d learnt=%d", s->id,
                 search_state_name(s->state), s->proposed, s->over, s->observed);
        scheduler_add(v->sch, s);
    }
    v->first = r->next;
    record_free(r);
    next_one(v);
}

static void next_one(struct revival *v)
{
    if (v->first)
        blob_whole(scheduler_store(v->sch), &v->first->row.recipe.model, ONNX_MAX_BYTES, on_model, v);
    else
        v->ready(v->arg);
}

int revive(struct revival **out, zloop_t *loop, struct scheduler *sch, int64_t grace_ns, void (*ready)(void *arg),
           void *arg, struct err *e)
{
    struct revival *v = xcalloc(1, sizeof(*v));
    v->loop = loop;
    v->sch = sch;
    v->grace_ns = grace_ns;
    v->last = &v->first;
    v->ready = ready;
    v->arg = arg;
    *out = v;
    const struct store_loader loader = {v, take_search, take_candidate, take_snapshot, take_task};
    int rc = store_load(scheduler_store(sch), &loader, e);
    if (rc < 0)
        return rc;
    log_info("loaded", "searches=%d", v->count);
    again(v, 1);
    return 0;
}

void revival_free(struct revival *v)
{
    if (!v)
        return;
    while (v->first) {
        struct record *r = v->first;
        v->first = r->next;
        record_free(r);
    }
    free(v);
}
