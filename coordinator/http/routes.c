/* What the API answers: each handler decodes, makes one call, and hands on what comes back. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/http/reply.h"
#include "coordinator/http/request.h"
#include "coordinator/http/submit.h"
#include "coordinator/http/stream.h"

/* --- answers that come later --- */

static void on_service(void *arg, const char *json, const struct err *e)
{
    struct request *r = arg;
    if (!request_arrived(r))
        return;
    if (e)
        request_fail(r, e);
    else
        request_answer(r, 200, json, strlen(json));
}

static void on_created(void *arg, const char *json, const struct err *e)
{
    struct request *r = arg;
    if (!request_arrived(r))
        return;
    if (e)
        request_fail(r, e);
    else
        request_answer(r, 201, json, strlen(json));
}

static void on_report(void *arg, const char *json, size_t n, const struct err *e)
{
    struct request *r = arg;
    if (!request_arrived(r))
        return;
    if (e)
        request_fail(r, e);
    else
        request_answer(r, 200, json, n);
}

static void on_status(void *arg, const char *json, size_t n, const struct err *e)
{
    struct request *r = arg;
    struct buf b = {0};
    if (!request_arrived(r))
        return;
    if (e) {
        request_fail(r, e);
        return;
    }
    buf_text(&b, "{\"search\": ");
    buf_append(&b, json, n);
    buf_text(&b, ", \"live\": ");
    service_live(r->service, r->search, &b);
    buf_text(&b, "}\n");
    request_answer(r, 200, (const char *)b.p, b.n);
    buf_release(&b);
}

static void report(struct request *r, enum report what, store_report_fn *fn)
{
    request_expect(r);
    store_report(service_store(r->service), what, r->search, r->episode, r->x, fn, r);
}

/* --- handlers --- */

static void get_health(struct request *r)
{
    struct store *s = service_store(r->service);
    struct buf b = {0};
    buf_text(&b, "{\"status\": \"ok\", \"database\": %s, \"queued\": %zu}\n", store_connected(s) ? "true" : "false",
             store_queued(s));
    request_answer(r, 200, (const char *)b.p, b.n);
    buf_release(&b);
}

static void get_workers(struct request *r)
{
    struct buf b = {0};
    service_workers(r->service, &b);
    request_answer(r, 200, (const char *)b.p, b.n);
    buf_release(&b);
}

static void get_searches(struct request *r)
{
    report(r, REPORT_SEARCHES, on_report);
}

static void get_search(struct request *r)
{
    report(r, REPORT_STATUS, on_status);
}

static void get_candidates(struct request *r)
{
    report(r, REPORT_CANDIDATES, on_report);
}

static void get_pareto(struct request *r)
{
    report(r, REPORT_PARETO, on_report);
}

static void get_candidate(struct request *r)
{
    report(r, REPORT_CANDIDATE, on_report);
}

static void get_digest(struct request *r)
{
    report(r, REPORT_DIGEST, on_report);
}

static bool take_number(const char *s, size_t n, int64_t most, int64_t *out)
{
    int64_t x = 0;
    for (size_t i = 0; i < n; i++) {
        if (s[i] < '0' || s[i] > '9' || x > (most - (s[i] - '0')) / 10)
            return false;
        x = x * 10 + (s[i] - '0');
    }
    *out = x;
    return n > 0;
}

/* ?episode=: that finalist's alone */
static void get_curve(struct request *r)
{
    const char *episode = MHD_lookup_connection_value(r->c, MHD_GET_ARGUMENT_KIND, "episode");
    int64_t x = -1;
    struct err e;
    if (episode && !take_number(episode, strlen(episode), INT32_MAX, &x)) {
        err_set(&e, ERR_INVALID, "episode \"%.40s\" isn't a number", episode);
        request_fail(r, &e);
        return;
    }
    r->episode = (int32_t)x;
    report(r, REPORT_CURVE, on_report);
}

static void on_model(void *arg, const struct hash *model, const struct err *e)
{
    struct request *r = arg;
    if (!request_arrived(r))
        return;
    if (e) {
        request_fail(r, e);
        return;
    }
    r->hash = *model;
    stream_get(r);
}

static void get_model(struct request *r)
{
    request_expect(r);
    store_training_model(service_store(r->service), r->search, on_model, r);
}

static void post_search(struct request *r)
{
    struct submit s;
    struct err e;
    if (submit_parse(r->body.p ? (const char *)r->body.p : "", r->body.n, &s, &e) < 0) {
        request_fail(r, &e);
        return;
    }
    const struct order o = {
        .spec = s.spec,
        .n_spec = s.n_spec,
        .model = s.model,
        .files = s.files,
        .n_files = s.n_files,
        .finetune_teacher = s.has_finetune_teacher ? &s.finetune_teacher : NULL,
        .finish_teacher = s.has_finish_teacher ? &s.finish_teacher : NULL,
    };
    request_expect(r);
    service_submit(r->service, &o, on_created, r);
    submit_release(&s);
}

static void control(struct request *r, enum control what)
{
    request_expect(r);
    service_control(r->service, r->search, what, on_service, r);
}

static void post_pause(struct request *r)
{
    control(r, CONTROL_PAUSE);
}

static void post_resume(struct request *r)
{
    control(r, CONTROL_RESUME);
}

static void post_cancel(struct request *r)
{
    control(r, CONTROL_CANCEL);
}

static void post_export(struct request *r)
{
    request_expect(r);
    service_export(r->service, r->search, r->episode, on_service, r);
}

/* --- the table --- */

static const struct route routes[] = {
    {"GET", "/v1/health", get_health, NULL},
    {"GET", "/v1/workers", get_workers, NULL},
    {"GET", "/v1/searches", get_searches, NULL},
    {"POST", "/v1/searches", post_search, NULL},
    {"GET", "/v1/searches/#", get_search, NULL},
    {"POST", "/v1/searches/#/pause", post_pause, NULL},
    {"POST", "/v1/searches/#/resume", post_resume, NULL},
    {"POST", "/v1/searches/#/cancel", post_cancel, NULL},
    {"GET", "/v1/searches/#/candidates", get_candidates, NULL},
    {"GET", "/v1/searches/#/pareto", get_pareto, NULL},
    {"GET", "/v1/searches/#/digest", get_digest, NULL},
    {"GET", "/v1/searches/#/curve", get_curve, NULL},
    {"GET", "/v1/searches/#/model", get_model, NULL},
    {"GET", "/v1/searches/#/candidates/#", get_candidate, NULL},
    {"POST", "/v1/searches/#/candidates/#/export", post_export, NULL},
    {"HEAD", "/v1/blobs/@", stream_get, NULL},
    {"GET", "/v1/blobs/@", stream_get, NULL},
    {"PUT", "/v1/blobs/@", stream_put_end, stream_put},
};

/* One part between slashes; `place`: how many numbers there were before. */
static bool take_part(struct request *r, const char *want, size_t n_want, const char *s, size_t n, int *place)
{
    char hex[HASH_HEX];
    int64_t x;
    if (n_want == 1 && *want == '@') {
        if (n != HASH_HEX - 1)
            return false;
        memcpy(hex, s, n);
        hex[n] = 0;
        return hash_from_hex(hex, &r->hash);
    }
    if (n_want != 1 || *want != '#')
        return n == n_want && memcmp(want, s, n) == 0;
    bool first = (*place)++ == 0;
    if (!take_number(s, n, first ? INT64_MAX : INT32_MAX, &x))
        return false;
    if (first)
        r->search = x;
    else
        r->episode = (int32_t)x;
    return true;
}

static bool match(struct request *r, const char *want, const char *path)
{
    int place = 0;
    while (*want == '/' && *path == '/') {
        size_t n_want = strcspn(++want, "/"), n = strcspn(++path, "/");
        if (!take_part(r, want, n_want, path, n, &place))
            return false;
        want += n_want;
        path += n;
    }
    return !*want && !*path;
}

const struct route *route_find(struct request *r, const char *method, const char *path)
{
    bool known = false;
    struct err e;
    const char *x = MHD_lookup_connection_value(r->c, MHD_GET_ARGUMENT_KIND, "x");
    r->x = x ? x : "flops";
    for (size_t i = 0; i < sizeof(routes) / sizeof(*routes); i++) {
        if (!match(r, routes[i].path, path))
            continue;
        known = true;
        if (strcmp(routes[i].method, method) == 0)
            return &routes[i];
    }
    struct buf b = {0};
    err_set(&e, ERR_NOTFOUND, known ? "%s isn't possible for %s" : "there is no %s %s", method, path);
    reply_error(&b, e.text);
    request_answer(r, known ? 405 : 404, (const char *)b.p, b.n);
    buf_release(&b);
    return NULL;
}
