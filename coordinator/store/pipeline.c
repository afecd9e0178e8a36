#include "coordinator/store/pipeline.h"

#include <inttypes.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "coordinator/store/sql.h"

#define BATCH_REQUESTS 512
#define BATCH_BYTES    (4 << 20)       /* of arguments and expected answers; a single request may be larger */
#define SILENT_NS      (45 * NS_PER_S) /* the server gives up on a statement after 30 s */
#define READ_NS        (60 * NS_PER_S) /* how long a read waits for a connection */
#define STATEMENTS     32

static const struct statement fence = {.name = "fence", .sql = "select espalier.fence($1)"};
static const char join[] = "select espalier.join_session($1, $2, $3, $4)";

/* One query of the batch under way; answers come in this order. */
struct op {
    enum { OP_JOIN, OP_PREPARE, OP_FENCE, OP_CALL } kind;
    const struct statement *st;
    struct request *r; /* OP_CALL, and OP_PREPARE for it */
    bool ok;
};

struct pipeline {
    struct pipeline_setting set;
    struct link link;
    char epoch[24];
    bool joined;                             /* this session has been set up */
    char session_pid[16], session_began[48]; /* of the last session that was, to be ended by the next */
    const struct statement *prepared[STATEMENTS];
    int n_prepared;

    struct request_list waiting, flying;
    size_t queued;
    struct op *ops; /* the batch under way; n_ops 0: none */
    int n_ops, cap_ops, at;
    enum fate fate; /* the first that wasn't FATE_OK, with its reason and request */
    struct err why;
    struct request *culprit;

    bool answering; /* what answers send waits for the last of them, and goes together */
    bool fenced;
    struct err fenced_why;
    int hiccups;
    int64_t heard_ns, not_before_ns;
};

static int on_event(zloop_t *loop, zmq_pollitem_t *item, void *arg)
{
    (void)loop, (void)item;
    pipeline_work(arg);
    return 0;
}

struct pipeline *pipeline_new(const struct pipeline_setting *s)
{
    struct pipeline *p = xcalloc(1, sizeof(*p));
    p->set = *s;
    snprintf(p->epoch, sizeof(p->epoch), "%" PRId64, s->epoch);
    STAILQ_INIT(&p->waiting);
    STAILQ_INIT(&p->flying);
    link_init(&p->link, s->loop, s->conninfo, on_event, p);
    return p;
}

bool pipeline_connected(const struct pipeline *p)
{
    return p->link.state == LINK_UP && !p->fenced;
}

size_t pipeline_queued(const struct pipeline *p)
{
    return p->queued;
}

const zmq_pollitem_t *pipeline_item(const struct pipeline *p)
{
    return &p->link.item;
}

/* ---- the end of a batch */

static void answer(struct pipeline *p, struct request_list *list, const struct err *e)
{
    struct request *r;
    p->answering = true;
    while ((r = STAILQ_FIRST(list))) {
        STAILQ_REMOVE_HEAD(list, next);
        p->queued--;
        request_finish(r, e);
    }
    p->answering = false;
}

/* All that was under way goes back to the head of the queue, in its order. */
static void take_back(struct pipeline *p)
{
    struct request *r;
    STAILQ_FOREACH(r, &p->flying, next)
    {
        PQclear(r->result);
        r->result = NULL;
    }
    STAILQ_CONCAT(&p->flying, &p->waiting);
    STAILQ_CONCAT(&p->waiting, &p->flying);
    p->n_ops = 0;
}

static void lose(struct pipeline *p, const char *why)
{
    take_back(p);
    link_drop(&p->link, why);
    p->joined = false;
    p->n_prepared = 0;
}

static void fail_all(struct pipeline *p, const struct err *e)
{
    struct request_list all = STAILQ_HEAD_INITIALIZER(all);
    take_back(p);
    STAILQ_CONCAT(&all, &p->waiting);
    answer(p, &all, e);
}

static void get_fenced(struct pipeline *p)
{
    bool first = !p->fenced;
    if (first)
        p->fenced_why = p->why;
    p->fenced = true;
    take_back(p);
    link_close(&p->link);
    if (first)
        p->set.on_fenced(p->set.arg, &p->fenced_why);
    fail_all(p, &p->fenced_why);
}

/* ---- a batch goes out */

static bool is_prepared(const struct pipeline *p, const struct statement *st)
{
    for (int i = 0; i < p->n_prepared; i++)
        if (p->prepared[i] == st)
            return true;
    return false;
}

static struct op *add_op(struct pipeline *p, int kind, const struct statement *st, struct request *r)
{
    if (p->n_ops == p->cap_ops) {
        p->cap_ops = p->cap_ops ? 2 * p->cap_ops : 64;
        p->ops = xrealloc(p->ops, (size_t)p->cap_ops * sizeof(*p->ops));
    }
    struct op *o = &p->ops[p->n_ops++];
    *o = (struct op){.st = st, .r = r};
    o->kind = kind;
    return o;
}

static void add_call(struct pipeline *p, int kind, const struct statement *st, struct request *r)
{
    if (!is_prepared(p, st)) {
        if (p->n_prepared == STATEMENTS)
            BUG("more than %d statements", STATEMENTS);
        p->prepared[p->n_prepared++] = st;
        add_op(p, OP_PREPARE, st, r);
    }
    add_op(p, kind, st, r);
}

static bool send_op(const struct pipeline *p, const struct op *o)
{
    PGconn *c = p->link.conn;
    const char *epoch[] = {p->epoch};
    const char *session[] = {p->epoch, *p->session_pid ? p->session_pid : NULL,
                             *p->session_began ? p->session_began : NULL, p->set.lock};
    switch (o->kind) {
    case OP_JOIN:
        return PQsendQueryParams(c, join, 4, NULL, session, NULL, NULL, 0) == 1;
    case OP_PREPARE:
        return PQsendPrepare(c, o->st->name, o->st->sql, 0, NULL) == 1;
    case OP_FENCE:
        return PQsendQueryPrepared(c, o->st->name, 1, epoch, NULL, NULL, 0) == 1;
    case OP_CALL:
        return request_send(o->r, c);
    }
    return false;
}

static void write_out(struct pipeline *p)
{
    int left = PQflush(p->link.conn);
    if (left < 0)
        lose(p, PQerrorMessage(p->link.conn));
    else
        link_wait(&p->link, left > 0);
}

static void send_batch(struct pipeline *p)
{
    p->at = 0;
    p->fate = FATE_OK;
    p->culprit = NULL;
    p->heard_ns = clock_mono_ns();
    bool ok = true;
    for (int i = 0; i < p->n_ops && ok; i++)
        ok = send_op(p, &p->ops[i]);
    if (ok && PQpipelineSync(p->link.conn) == 1)
        write_out(p);
    else
        lose(p, PQerrorMessage(p->link.conn));
}

static void take_from_queue(struct pipeline *p)
{
    struct request *r;
    size_t bytes = 0;
    bool writes = false;
    for (int n = 0; n < BATCH_REQUESTS && (r = STAILQ_FIRST(&p->waiting)); n++) {
        bytes += r->bytes.n + r->expects;
        if (n && bytes > BATCH_BYTES)
            break;
        STAILQ_REMOVE_HEAD(&p->waiting, next);
        STAILQ_INSERT_TAIL(&p->flying, r, next);
        writes = writes || r->st->write;
    }
    if (writes)
        add_call(p, OP_FENCE, &fence, NULL);
    STAILQ_FOREACH(r, &p->flying, next)
    add_call(p, OP_CALL, r->st, r);
}

/* Sends the next batch when there is one and nothing is under way. */
static void pump(struct pipeline *p)
{
    if (p->link.state != LINK_UP || p->n_ops || p->answering || p->fenced)
        return;
    if (!p->joined)
        add_op(p, OP_JOIN, NULL, NULL);
    else if (!STAILQ_EMPTY(&p->waiting) && clock_mono_ns() >= p->not_before_ns)
        take_from_queue(p);
    if (p->n_ops)
        send_batch(p);
}

void pipeline_send(struct pipeline *p, struct request *r)
{
    r->sent_ns = clock_mono_ns();
    STAILQ_INSERT_TAIL(&p->waiting, r, next);
    p->queued++;
    pump(p);
}

int pipeline_adopt(struct pipeline *p, PGconn *conn, struct err *e)
{
    int rc = link_adopt(&p->link, conn, e);
    if (rc == 0)
        pump(p);
    return rc;
}

/* ---- answers come in */

static void forget_unprepared(struct pipeline *p)
{
    for (int i = 0; i < p->n_ops; i++)
        for (int k = 0; p->ops[i].kind == OP_PREPARE && !p->ops[i].ok && k < p->n_prepared; k++)
            if (p->prepared[k] == p->ops[i].st)
                p->prepared[k--] = p->prepared[--p->n_prepared];
}

static void wait_and_retry(struct pipeline *p)
{
    int64_t wait = link_backoff_ns(++p->hiccups);
    p->not_before_ns = clock_mono_ns() + wait;
    log_warn("database", "hiccup retry_ms=%" PRId64 " requests=%zu reason=\"%s\"", wait / NS_PER_MS, p->queued,
             p->why.text);
    take_back(p);
}

/* A write is tried until it succeeds; whether a read is tried again is its caller's business. */
static bool is_final(const struct pipeline *p)
{
    return p->culprit && (p->fate == FATE_REFUSED || !p->culprit->st->write);
}

static void end_batch(struct pipeline *p)
{
    struct request_list done = STAILQ_HEAD_INITIALIZER(done);
    bool joining = p->ops[0].kind == OP_JOIN;
    struct err why = p->why, *e = NULL;
    forget_unprepared(p);
    if (p->fate == FATE_FENCED) {
        get_fenced(p);
        return;
    }
    if (p->fate == FATE_LOST || (joining && p->fate != FATE_OK)) {
        lose(p, why.text);
        return;
    }
    if (joining) {
        p->joined = true;
        link_good(&p->link);
    } else if (p->fate == FATE_OK) {
        STAILQ_CONCAT(&done, &p->flying);
        p->hiccups = 0;
    } else if (is_final(p)) {
        STAILQ_REMOVE(&p->flying, p->culprit, request, next);
        STAILQ_INSERT_TAIL(&done, p->culprit, next);
        e = &why;
        take_back(p);
    } else {
        wait_and_retry(p);
    }
    p->n_ops = 0;
    pump(p); /* the server works on while we run the answers */
    answer(p, &done, e);
    pump(p);
}

static void note_session(struct pipeline *p, const PGresult *res)
{
    snprintf(p->session_pid, sizeof(p->session_pid), "%d", PQbackendPID(p->link.conn));
    snprintf(p->session_began, sizeof(p->session_began), "%s", PQgetvalue(res, 0, 0));
}

/* One result of the query that is next to be answered. */
static void take_result(struct pipeline *p, PGresult *res)
{
    struct op *o = p->at < p->n_ops ? &p->ops[p->at] : NULL;
    struct err e;
    enum fate f = sql_fate(res, &e);
    if (f != FATE_OK && p->fate == FATE_OK) { /* those after it are PGRES_PIPELINE_ABORTED */
        p->fate = f;
        p->why = e;
        p->culprit = o ? o->r : NULL;
    }
    if (o && f == FATE_OK) {
        o->ok = true;
        if (o->kind == OP_JOIN)
            note_session(p, res);
        if (o->kind == OP_CALL) {
            PQclear(o->r->result);
            o->r->result = res;
            return;
        }
    }
    PQclear(res);
}

static void read_answers(struct pipeline *p)
{
    bool ended = false; /* the last thing read was the end of a query's results */
    while (p->n_ops && !PQisBusy(p->link.conn)) {
        PGresult *res = PQgetResult(p->link.conn);
        if (PQstatus(p->link.conn) == CONNECTION_BAD || (!res && ended)) {
            PQclear(res);
            lose(p, PQerrorMessage(p->link.conn));
            return;
        }
        ended = !res;
        if (!res) {
            p->at++;
        } else if (PQresultStatus(res) == PGRES_PIPELINE_SYNC) {
            PQclear(res);
            end_batch(p);
            return; /* what the next batch gets back is for the next round */
        } else {
            take_result(p, res);
        }
    }
}

void pipeline_work(struct pipeline *p)
{
    if (p->link.state == LINK_UP) {
        p->heard_ns = clock_mono_ns();
        if (!PQconsumeInput(p->link.conn)) {
            lose(p, PQerrorMessage(p->link.conn));
            return;
        }
        write_out(p);
        if (p->link.state == LINK_UP)
            read_answers(p);
    } else if (!p->fenced && link_step(&p->link)) {
        pump(p);
    }
}

/* Somebody waits for the answer to a read: not for ever. Writes stay. */
static void give_up_reads(struct pipeline *p)
{
    const struct err e = {ERR_DB, "the database can't be reached"};
    struct request_list all = STAILQ_HEAD_INITIALIZER(all), late = STAILQ_HEAD_INITIALIZER(late);
    struct request *r;
    int64_t oldest = clock_mono_ns() - READ_NS;
    STAILQ_CONCAT(&all, &p->waiting);
    while ((r = STAILQ_FIRST(&all))) {
        STAILQ_REMOVE_HEAD(&all, next);
        if (r->st->write || r->sent_ns > oldest)
            STAILQ_INSERT_TAIL(&p->waiting, r, next);
        else
            STAILQ_INSERT_TAIL(&late, r, next);
    }
    answer(p, &late, &e);
}

void pipeline_tick(struct pipeline *p)
{
    if (p->fenced) {
        fail_all(p, &p->fenced_why);
        return;
    }
    if (p->link.state != LINK_UP && link_step(&p->link))
        pump(p);
    if (p->n_ops && clock_mono_ns() - p->heard_ns > SILENT_NS)
        lose(p, "the server is silent");
    if (!p->joined)
        give_up_reads(p);
    pump(p);
}

void pipeline_close(struct pipeline *p)
{
    const struct err closed = {ERR_CANCELLED, "the store was closed"};
    struct request *r;
    fail_all(p, &closed);
    while ((r = STAILQ_FIRST(&p->waiting))) {
        STAILQ_REMOVE_HEAD(&p->waiting, next);
        request_free(r);
    }
    link_close(&p->link);
    free(p->ops);
    free(p);
}
