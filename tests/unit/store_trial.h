/*
 * store_trial - what the tests of store share: a server for all of a program's tests, a new database and a loop for
 * each, rows to write and callbacks that note what came.
 */
#ifndef TESTS_UNIT_STORE_TRIAL_H
#define TESTS_UNIT_STORE_TRIAL_H

#include <check.h>
#include <inttypes.h>
#include <jansson.h>

#include "coordinator/store/store.h"
#include "tests/unit/pg_private.h"

static struct pg server;
static char database[160]; /* conninfo of the running test's */

/* What came of a request. */
struct note {
    int calls;
    enum err_code code; /* 0: fine */
    char text[512];
    int64_t id;
    bool complete;
    uint64_t size;
    struct buf bytes;
};

static inline void note_error(struct note *n, const struct err *e)
{
    n->calls++;
    n->code = e ? e->code : 0;
    snprintf(n->text, sizeof(n->text), "%s", e ? e->text : "");
}

static inline void note_done(void *arg, const struct err *e)
{
    note_error(arg, e);
}

static inline void note_created(void *arg, int64_t id, const struct err *e)
{
    note_error(arg, e);
    ((struct note *)arg)->id = id;
}

static inline void note_has(void *arg, bool complete, uint64_t size, const struct err *e)
{
    struct note *n = arg;
    note_error(n, e);
    n->complete = complete;
    n->size = size;
}

static inline void note_piece(void *arg, const void *bytes, size_t size, uint64_t total, const struct err *e)
{
    struct note *n = arg;
    note_error(n, e);
    buf_clear(&n->bytes);
    buf_append(&n->bytes, bytes, size);
    n->size = total;
}

static inline void note_report(void *arg, const char *json, size_t size, const struct err *e)
{
    note_piece(arg, json, size, size, e);
}

static inline void note_lost(void *arg, const char *why)
{
    struct note *n = arg;
    n->calls++;
    snprintf(n->text, sizeof(n->text), "%s", why);
}

/* ---- the loop, run until nothing is queued */

struct wait {
    const struct store *s;
    const struct note *n; /* or until this one was called */
    int64_t until_ns;
    bool late;
};

static inline int look(zloop_t *loop, int timer, void *arg)
{
    (void)loop, (void)timer;
    struct wait *w = arg;
    w->late = clock_mono_ns() > w->until_ns;
    return w->late || (w->n ? w->n->calls > 0 : store_queued(w->s) == 0) ? -1 : 0;
}

static inline bool run_for(zloop_t *loop, const struct store *s, const struct note *n, int ms)
{
    struct wait w = {s, n, clock_mono_ns() + ms * NS_PER_MS, false};
    int timer = zloop_timer(loop, 2, 0, look, &w);
    zloop_start(loop);
    zloop_timer_end(loop, timer);
    return !w.late;
}

#define settle(loop, s) ck_assert_msg(run_for(loop, s, NULL, 20000), "%zu requests still queued", store_queued(s))

/* ---- a database for each test */

static inline PGconn *session(const char *conninfo)
{
    PGconn *c = PQconnectdb(conninfo);
    ck_assert_msg(PQstatus(c) == CONNECTION_OK, "%s", PQerrorMessage(c));
    return c;
}

/* The first column of the first row, "" for none; in a buffer that the next call overwrites. */
static inline const char *ask(const char *conninfo, const char *sql)
{
    static char value[4096];
    PGconn *c = session(conninfo);
    PGresult *res = PQexec(c, sql);
    ck_assert_msg(PQresultStatus(res) == PGRES_TUPLES_OK || PQresultStatus(res) == PGRES_COMMAND_OK, "%s: %s", sql,
                  PQerrorMessage(c));
    snprintf(value, sizeof(value), "%s", PQntuples(res) ? PQgetvalue(res, 0, 0) : "");
    PQclear(res);
    PQfinish(c);
    return value;
}

static inline void new_database(void)
{
    char admin[160], sql[64];
    snprintf(sql, sizeof(sql), "create database t%d", (int)getpid());
    pg_conninfo(&server, "postgres", admin, sizeof(admin));
    ask(admin, sql);
    pg_conninfo(&server, sql + strlen("create database "), database, sizeof(database));
}

static inline struct store *open_store(zloop_t *loop, struct note *lost)
{
    struct err e = {0};
    struct store *s = NULL;
    int rc = store_open(&s, loop, database, 5000, note_lost, lost, &e);
    ck_assert_msg(rc == 0, "%s", e.text);
    return s;
}

/* ---- rows to write */

static inline struct hash put_blob(zloop_t *loop, struct store *s, const char *text)
{
    struct hash h = hash_of(text, strlen(text));
    struct note n = {0};
    store_blob_write(s, &h, 0, strlen(text), text, strlen(text), note_done, &n);
    store_blob_seal(s, &h, strlen(text), note_done, &n);
    settle(loop, s);
    ck_assert_msg(n.calls == 2 && n.code == 0, "%s", n.text);
    return h;
}

static inline int64_t put_search(zloop_t *loop, struct store *s)
{
    struct note n = {0};
    struct recipe r = {
        .seed = UINT64_MAX, .data = DATA_IDX, .n_files = 2, .n_channels = 1, .reward = 100, .calibrate = 50};
    r.model = put_blob(loop, s, "the model");
    r.mean[0] = 33.3184;
    r.std[0] = 78.567;
    r.files[0] = (struct data_file){"images, \"train\" {1}\\", put_blob(loop, s, "images"), 6};
    r.files[1] = (struct data_file){"labels", put_blob(loop, s, "labels"), 6};
    r.recalibrate = true;
    store_search_create(s, "lenet's \"first\"", "name: lenet\n", &r, false, note_created, &n);
    settle(loop, s);
    ck_assert_msg(n.calls == 1 && n.code == 0 && n.id > 0, "%s", n.text);
    return n.id;
}

/* Candidate `episode`: 3 groups, budget 0.5 of 1000 MACs. */
static inline struct candidate_row candidate(int64_t search, int32_t episode, int32_t keep[3])
{
    for (int i = 0; i < 3; i++)
        keep[i] = 1 + (episode + i) % 16;
    return (struct candidate_row){.search = search,
                                  .episode = episode,
                                  .budget_kind = COST_FLOPS,
                                  .budget_frac = 0.5,
                                  .n_keep = 3,
                                  .keep = keep,
                                  .cost = {{500 - episode % 400, 300, 1200}},
                                  .dense = {{1000, 600, 2400}}};
}

static inline void put_candidate(struct store *s, int64_t search, int32_t episode, store_done *fn, void *arg)
{
    int32_t keep[3];
    struct candidate_row c = candidate(search, episode, keep);
    store_candidate(s, &c, fn, arg);
}

static inline struct task_id task(enum task_kind kind, int64_t search, int32_t episode, int32_t attempt)
{
    return (struct task_id){kind, search, episode, attempt};
}

static inline struct msg_result result(int64_t search, int32_t episode, int32_t attempt)
{
    return (struct msg_result){.task = task(TASK_EVALUATE, search, episode, attempt),
                               .seconds = 0.25,
                               .reward = {.n = 100, .top1 = 50 + episode % 40, .top5 = 95, .loss = 0.1 * episode}};
}

static inline void put_result(struct store *s, int64_t search, int32_t episode, int32_t attempt, store_done *fn,
                              void *arg)
{
    struct msg_result r = result(search, episode, attempt);
    store_result(s, &r, "w1", fn, arg);
}

static inline void put_attempt(struct store *s, int64_t search, int32_t episode, int32_t attempt, store_done *fn,
                               void *arg)
{
    struct task_id t = task(TASK_EVALUATE, search, episode, attempt);
    store_attempt(s, &t, "w1", fn, arg);
}

/* A candidate with its first attempt. */
static inline void put_started(struct store *s, int64_t search, int32_t episode, struct note *n)
{
    put_candidate(s, search, episode, note_done, n);
    put_attempt(s, search, episode, 1, note_done, n);
}

/* ---- the running test's store */

static zloop_t *loop;
static struct store *s;
static struct note lost; /* called when another has taken over */

static inline void begin(void)
{
    new_database();
    lost = (struct note){0};
    loop = zloop_new();
    s = open_store(loop, &lost);
}

static inline void end(void)
{
    store_close(s, 5000);
    zloop_destroy(&loop);
}

static inline void expect(const struct note *n, int calls, enum err_code code, const char *part)
{
    ck_assert_msg(n->calls == calls && n->code == code && strstr(n->text, part),
                  "%d calls, code %d, \"%s\"; not \"%s\"", n->calls, n->code, n->text, part);
}

/* A report, to be json_decref'd. */
static inline json_t *report(enum report what, int64_t search, int32_t episode, const char *x)
{
    struct note n = {0};
    store_report(s, what, search, episode, x, note_report, &n);
    settle(loop, s);
    expect(&n, 1, 0, "");
    json_error_t je;
    json_t *j = json_loadb((char *)n.bytes.p, n.bytes.n, 0, &je);
    ck_assert_msg(j != NULL, "%s", je.text);
    buf_release(&n.bytes);
    return j;
}

static inline double number(json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    ck_assert_msg(json_is_number(v), "%s isn't a number", key);
    return json_number_value(v);
}

static inline const char *text(json_t *j, const char *key)
{
    json_t *v = json_object_get(j, key);
    ck_assert_msg(json_is_string(v), "%s isn't a string", key);
    return json_string_value(v);
}

/* The program's suite over its own server; 77, and a line that says so, when there is none to be had. */
static inline int run_suite(Suite *suite, bool durable)
{
    if (!pg_create(&server, durable)) {
        printf("skipped: PostgreSQL's server isn't installed, or doesn't start\n");
        pg_remove(&server);
        return 77;
    }
    SRunner *sr = srunner_create(suite);
    srunner_run_all(sr, CK_NORMAL);
    int failed = srunner_ntests_failed(sr), run = srunner_ntests_run(sr);
    srunner_free(sr);
    pg_remove(&server);
    return failed || run == 0;
}

#endif
