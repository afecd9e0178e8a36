#include "coordinator/service.h"

#include <inttypes.h>
#include <jansson.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "coordinator/scheduler.h"
#include "coordinator/submit.h"

struct service {
    struct scheduler *sch;
};

/* One question whose answer comes later. */
struct question {
    struct service *s;
    int64_t search;
    int32_t episode;
    const char *state; /* control: the new one */
    struct hash hash;
    service_reply *fn;
    void *arg;
};

struct service *service_new(struct scheduler *sch)
{
    struct service *s = xcalloc(1, sizeof(*s));
    s->sch = sch;
    return s;
}

void service_free(struct service *s)
{
    free(s);
}

struct store *service_store(struct service *s)
{
    return scheduler_store(s->sch);
}

void service_submit(struct service *s, const struct order *o, service_reply *fn, void *arg)
{
    submit(s->sch, o, fn, arg);
}

static struct question *ask(struct service *s, int64_t search, int32_t episode, service_reply *fn, void *arg)
{
    struct question *q = xcalloc(1, sizeof(*q));
    q->s = s;
    q->search = search;
    q->episode = episode;
    q->fn = fn;
    q->arg = arg;
    return q;
}

static void answer(struct question *q, const char *json, const struct err *e)
{
    q->fn(q->arg, json, e);
    free(q);
}

/* --- control --- */

static void on_control(void *arg, const struct err *e)
{
    struct question *q = arg;
    char json[96];
    snprintf(json, sizeof(json), "{\"id\": %" PRId64 ", \"state\": \"%s\"}", q->search, q->state);
    answer(q, e ? NULL : json, e);
}

/* A search that isn't here is over, or never was: the record knows. */
static void on_status(void *arg, const char *json, size_t n, const struct err *e)
{
    struct question *q = arg;
    struct err mine;
    json_t *status = e ? NULL : json_loadb(json, n, 0, NULL);
    if (!e) {
        const char *state = json_string_value(json_object_get(status, "state"));
        err_set(&mine, ERR_STATE, "search %" PRId64 " is %s already", q->search, state ? state : "over");
        e = &mine;
    }
    json_decref(status);
    answer(q, NULL, e);
}

void service_control(struct service *s, int64_t id, enum control what, service_reply *fn, void *arg)
{
    struct question *q = ask(s, id, -1, fn, arg);
    struct search *search = scheduler_search(s->sch, id);
    struct err e;
    int rc = 0;
    if (!search) {
        store_report(service_store(s), REPORT_STATUS, id, -1, NULL, on_status, q);
        return;
    }
    if (what == CONTROL_CANCEL) {
        q->state = search_state_name(SEARCH_CANCELLED);
        scheduler_cancel(s->sch, search, on_control, q);
    } else if (what == CONTROL_PAUSE) {
        q->state = search_state_name(SEARCH_PAUSED);
        rc = scheduler_pause(s->sch, search, on_control, q, &e);
    } else {
        q->state = search_state_name(search->paused_from);
        rc = scheduler_resume(s->sch, search, on_control, q, &e);
    }
    if (rc < 0)
        answer(q, NULL, &e);
}

/* --- export --- */

static void answer_pending(struct question *q)
{
    char json[64];
    snprintf(json, sizeof(json), "{\"pending\": true, \"workers\": %d}", fleet_count(scheduler_fleet(q->s->sch)));
    answer(q, json, NULL);
}

static void on_size(void *arg, bool complete, uint64_t size, const struct err *e)
{
    struct question *q = arg;
    char hex[HASH_HEX], json[160];
    struct err mine;
    hash_to_hex(&q->hash, hex);
    snprintf(json, sizeof(json), "{\"hash\": \"%s\", \"size\": %" PRIu64 "}", hex, size);
    if (!e && !complete) {
        err_set(&mine, ERR_NOTFOUND, "the file of search %" PRId64 ", episode %d is no longer on record", q->search,
                q->episode);
        e = &mine;
    }
    answer(q, e ? NULL : json, e);
}

static int begin_export(struct question *q, const struct search_row *s, const struct candidate_row *c,
                        struct err *e)
{
    if (c->failed)
        return err_set(e, ERR_STATE, "episode %d could not be evaluated, so there is nothing to export",
                       q->episode);
    if (!c->has_result || !s->has_profile)
        return err_set(e, ERR_STATE, "episode %d has no result yet", q->episode);
    if (scheduler_export(q->s->sch, q->search, q->episode))
        return 0; /* asked for twice at the same time */
    return scheduler_export_begin(q->s->sch, s, c, e);
}

static void on_rows(void *arg, const struct search_row *s, const struct candidate_row *c, const struct err *failed)
{
    struct question *q = arg;
    struct err e;
    if (failed) {
        answer(q, NULL, failed);
        return;
    }
    if (c->has_model) {
        q->hash = c->model;
        store_blob_has(service_store(q->s), &c->model, on_size, q);
    } else if (begin_export(q, s, c, &e) < 0) {
        answer(q, NULL, &e);
    } else {
        answer_pending(q);
    }
}

void service_export(struct service *s, int64_t search, int32_t episode, service_reply *fn, void *arg)
{
    struct question *q = ask(s, search, episode, fn, arg);
    struct export *x = scheduler_export(s->sch, search, episode);
    struct err e;
    char why[PROTO_MAX_TEXT];
    if (!x) {
        store_export_read(service_store(s), search, episode, on_rows, q);
    } else if (scheduler_export_failed(s->sch, x, why, sizeof(why))) {
        err_set(&e, ERR_STATE, "could not make the file of search %" PRId64 ", episode %d: %s", search, episode,
                why);
        answer(q, NULL, &e);
    } else {
        answer_pending(q);
    }
}

/* --- what only the live coordinator knows --- */

static void append(struct buf *out, json_t *j)
{
    char *text = j ? json_dumps(j, JSON_COMPACT) : NULL;
    if (!text)
        BUG("could not make JSON");
    buf_append(out, text, strlen(text));
    free(text);
    json_decref(j);
}

static json_t *worker_json(struct service *s, const struct worker *w, int64_t now_ns)
{
    bool silent = fleet_silent(scheduler_fleet(s->sch), w, now_ns);
    const struct task *t = w->task;
    json_t *j = json_pack("{s:s, s:s, s:s, s:I, s:s, s:s, s:I, s:I, s:I, s:f, s:f}", "name", w->name, "cpu", w->cpu,
                          "kernels", w->kernels, "threads", (json_int_t)w->threads, "state",
                          silent ? "silent"
                          : t    ? "working"
                                 : "idle",
                          "stage", t ? w->stage : "", "done", (json_int_t)w->done, "total", (json_int_t)w->total,
                          "evaluations", (json_int_t)w->evaluations, "per_minute", worker_per_minute(w, now_ns),
                          "connected_s", (double)(now_ns - w->connected_ns) / (double)NS_PER_S);
    json_object_set_new(j, "search", t ? json_integer(t->id.search) : json_null());
    json_object_set_new(j, "episode", t && t->id.episode >= 0 ? json_integer(t->id.episode) : json_null());
    json_object_set_new(j, "kind", t ? json_string(task_kind_name(t->id.kind)) : json_null());
    return j;
}

void service_workers(struct service *s, struct buf *json)
{
    struct fleet *f = scheduler_fleet(s->sch);
    int64_t now_ns = clock_mono_ns();
    json_t *all = json_array();
    for (struct worker *w = fleet_first(f); w; w = fleet_next(f))
        if (!w->banned)
            json_array_append_new(all, worker_json(s, w, now_ns));
    append(json, all);
}

void service_live(struct service *s, int64_t id, struct buf *json)
{
    struct fleet *f = scheduler_fleet(s->sch);
    struct search *search = scheduler_search(s->sch, id);
    char waiting[160] = "";
    int working = 0;
    for (struct worker *w = fleet_first(f); w; w = fleet_next(f))
        working += w->task && w->task->id.search == id;
    if (search)
        scheduler_waiting(s->sch, search, waiting, sizeof(waiting));
    const char *note =
        search && search->mixed ? "workers with different CPU kernels took part: equal numbers aren't certain" : "";
    append(json, json_pack("{s:i, s:i, s:s, s:s}", "workers", fleet_count(f), "working", working, "waiting",
                           waiting, "note", note));
}
