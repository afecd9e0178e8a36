#include "proto/message.h"

#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "proto/codec.h"
#include "proto/recipe_code.h"
#include "proto/walk.h"

/* Each code_* is the schema of one struct or message, for both directions; PROTOCOL.md lists the same fields in the
 * same order. */

static void code_task(struct codec *c, struct task_id *t)
{
    codec_open(c, "task", 4);
    t->kind = (enum task_kind)codec_enum(c, "kind", (int)t->kind, TASK_KINDS);
    codec_i64(c, "search", &t->search, 1, INT64_MAX);
    codec_i32(c, "episode", &t->episode, -1, INT32_MAX);
    codec_i32(c, "attempt", &t->attempt, 1, INT32_MAX);
    codec_require(c, task_kind_dense(t->kind) == (t->episode == -1),
                  "episode %d of a task of kind %s", t->episode, task_kind_name(t->kind));
    codec_close(c);
}

static void code_optional_task(struct codec *c, bool *there, struct task_id *t)
{
    codec_optional(c, there);
    if (*there)
        code_task(c, t);
}

static void code_metrics(struct codec *c, const char *name, struct metrics *m)
{
    codec_open(c, name, 4);
    codec_i32(c, "n", &m->n, 0, INT32_MAX);
    codec_i32(c, "top1", &m->top1, 0, m->n);
    codec_i32(c, "top5", &m->top5, m->top1, m->n);
    codec_f64(c, "loss", &m->loss);
    codec_close(c);
}

static void code_version(struct codec *c, uint32_t *v)
{
    codec_u32(c, "version", v, 0, UINT32_MAX);
}

static void code_hello(struct codec *c, struct msg_hello *h)
{
    code_version(c, &h->version);
    codec_text(c, "name", h->name, sizeof(h->name), 1);
    codec_text(c, "cpu", h->cpu, sizeof(h->cpu), 0);
    codec_text(c, "kernels", h->kernels, sizeof(h->kernels), 0);
    codec_text(c, "host", h->host, sizeof(h->host), 0);
    codec_u32(c, "threads", &h->threads, 1, PROTO_MAX_THREADS);
    code_optional_task(c, &h->busy, &h->task);
}

static void code_beat(struct codec *c, struct msg_beat *b)
{
    code_optional_task(c, &b->busy, &b->task);
    codec_text(c, "stage", b->stage, sizeof(b->stage), 0);
    codec_u64(c, "done", &b->done, INT64_MAX);
    codec_u64(c, "total", &b->total, INT64_MAX);
}

static void *array_of(struct codec *c, uint32_t n, size_t size)
{
    if (codec_failed(c) || n == 0)
        return NULL;
    void *p = mem_zalloc(n, size);
    if (!p) {
        c->failed = true;
        err_set(c->e, ERR_NOMEM, "could not get memory for %u elements", n);
    }
    return p;
}

/* The curves' lengths, then all their points in one list. */
static void code_curve(struct codec *c, struct msg_result *r)
{
    uint64_t sum = 0;
    codec_list(c, "n_curve", &r->n_groups, PROTO_MAX_GROUPS);
    if (codec_reading(c))
        r->n_curve = array_of(c, r->n_groups, sizeof(*r->n_curve));
    for (uint32_t g = 0; g < r->n_groups && !codec_failed(c); g++) {
        codec_u32(c, "", &r->n_curve[g], 2, PROTO_MAX_CLASSES + 1);
        sum += r->n_curve[g];
    }
    codec_close(c);
    codec_list(c, "curve", &r->n_points, PROTO_MAX_CURVE);
    codec_require(c, r->n_points == sum, "%u points for curves of %llu", r->n_points, (unsigned long long)sum);
    if (codec_reading(c))
        r->curve = array_of(c, r->n_points, sizeof(*r->curve));
    for (uint32_t i = 0; i < r->n_points && !codec_failed(c); i++)
        codec_f32(c, "", &r->curve[i]);
    codec_close(c);
}

/* Owned by the message, since a result outlives its frame. */
static void code_table(struct codec *c, struct msg_result *r)
{
    const uint8_t *bytes = r->table;
    codec_bytes(c, "table", &bytes, &r->n_table, PROTO_MAX_TABLE);
    if (!codec_reading(c))
        return;
    r->table = array_of(c, r->n_table, 1);
    if (r->table)
        memcpy(r->table, bytes, r->n_table);
}

static void code_times(struct codec *c, struct msg_result *r)
{
    codec_list(c, "times", &r->n_times, PROTO_MAX_TIMES);
    for (uint32_t i = 0; i < r->n_times && !codec_failed(c); i++) {
        struct timing *t = &r->times[i];
        codec_open(c, "time", 5);
        codec_i32(c, "batch", &t->batch, 1, PROTO_MAX_BATCH);
        codec_bounded(c, "ms", &t->ms, 0, 1e9);
        codec_bounded(c, "dense_ms", &t->dense_ms, 0, 1e9);
        codec_bounded(c, "ratio", &t->ratio, 0, 1e9);
        codec_bounded(c, "spread", &t->spread, 0, 1e9);
        codec_close(c);
    }
    codec_close(c);
}

/* What of a result goes with which kind of task. */
static bool leaves_blob(enum task_kind k)
{
    return k != TASK_EVALUATE && !task_kind_quiet(k);
}

static void code_result(struct codec *c, struct msg_result *r)
{
    code_task(c, &r->task);
    codec_f64(c, "seconds", &r->seconds);
    code_metrics(c, "reward", &r->reward);
    code_metrics(c, "test", &r->test);
    codec_optional_hash(c, "blob", &r->has_blob, &r->blob);
    code_curve(c, r);
    code_table(c, r);
    code_times(c, r);
    enum task_kind k = r->task.kind;
    const char *kind = task_kind_name(k);
    codec_require(c, r->seconds >= 0, "seconds %g", r->seconds);
    codec_require(c, r->has_blob == leaves_blob(k), "%s blob for a task of kind %s", r->has_blob ? "a" : "no",
                  kind);
    codec_require(c, (r->n_groups > 0) == (k == TASK_PROFILE), "%u curves for a task of kind %s", r->n_groups,
                  kind);
    codec_require(c, (r->n_table > 0) == (k == TASK_MEASURE), "a table of %u bytes for a task of kind %s", r->n_table, kind);
    codec_require(c, (r->n_times > 0) == (k == TASK_TIME), "%u times for a task of kind %s", r->n_times, kind);
    codec_require(c, r->test.n == 0 || k == TASK_FINAL || k == TASK_TRAIN, "test scores for a task of kind %s",
                  kind);
}

static void code_failed(struct codec *c, struct msg_failed *f)
{
    code_task(c, &f->task);
    codec_bool(c, "permanent", &f->permanent);
    codec_bool(c, "diverged", &f->diverged);
    codec_text(c, "reason", f->reason, sizeof(f->reason), 0);
}

static void code_get(struct codec *c, struct msg_get *g)
{
    codec_hash(c, "hash", &g->hash);
    codec_u64(c, "offset", &g->offset, INT64_MAX);
    codec_u32(c, "length", &g->length, 1, PROTO_CHUNK_BYTES);
}

static void code_piece(struct codec *c, struct msg_piece *p)
{
    codec_hash(c, "hash", &p->hash);
    codec_u64(c, "offset", &p->offset, INT64_MAX);
    codec_u64(c, "total", &p->total, INT64_MAX);
    codec_bytes(c, "bytes", &p->bytes, &p->n, PROTO_CHUNK_BYTES);
    codec_require(c, p->offset + p->n <= p->total, "%u bytes at %llu of %llu", p->n, (unsigned long long)p->offset,
                  (unsigned long long)p->total);
}

static void code_put(struct codec *c, struct msg_piece *p)
{
    code_piece(c, p);
    codec_require(c, p->offset % PROTO_CHUNK_BYTES == 0, "offset %llu isn't a multiple of %d",
                  (unsigned long long)p->offset, PROTO_CHUNK_BYTES);
    codec_require(c, p->n == PROTO_CHUNK_BYTES || p->offset + p->n == p->total,
                  "a piece of %u bytes that isn't the last", p->n);
}

static void code_welcome(struct codec *c, struct msg_welcome *w)
{
    code_version(c, &w->version);
    codec_u32(c, "beat_ms", &w->beat_ms, 1, PROTO_MAX_WAIT_MS);
    codec_u32(c, "lease_ms", &w->lease_ms, 1, PROTO_MAX_WAIT_MS);
    codec_require(c, w->lease_ms > w->beat_ms, "lease_ms %u isn't above beat_ms %u", w->lease_ms, w->beat_ms);
}

/* Tasks that leave checkpoints. */
static bool trains(enum task_kind k)
{
    return k == TASK_FINAL || k == TASK_TRAIN;
}

static void code_keep(struct codec *c, struct msg_work *w)
{
    codec_list(c, "keep", &w->n_keep, PROTO_MAX_GROUPS);
    if (codec_reading(c))
        w->keep = array_of(c, w->n_keep, sizeof(*w->keep));
    for (uint32_t g = 0; g < w->n_keep && !codec_failed(c); g++)
        codec_i32(c, "", &w->keep[g], 1, PROTO_MAX_CLASSES);
    codec_close(c);
}

static void code_about(struct codec *c, struct msg_about *a)
{
    codec_open(c, "about", 7);
    codec_text(c, "name", a->name, sizeof(a->name), 0);
    codec_text(c, "budget", a->budget, sizeof(a->budget), 0);
    code_metrics(c, "reward", &a->reward);
    codec_i64(c, "macs", &a->macs, 0, INT64_MAX);
    codec_i64(c, "params", &a->params, 0, INT64_MAX);
    codec_i64(c, "dense_macs", &a->dense_macs, 0, INT64_MAX);
    codec_i64(c, "dense_params", &a->dense_params, 0, INT64_MAX);
    codec_close(c);
}

static void code_work(struct codec *c, struct msg_work *w)
{
    code_task(c, &w->task);
    recipe_code(c, &w->recipe);
    codec_optional_hash(c, "profile", &w->has_profile, &w->profile);
    code_keep(c, w);
    code_about(c, &w->about);
    codec_bounded(c, "lr_scale", &w->lr_scale, 0, 1);
    codec_i32(c, "resume_epoch", &w->resume_epoch, 0, TRAINING_MAX_EPOCHS);
    bool resumes = w->resume_epoch > 0, dense = task_kind_dense(w->task.kind);
    codec_optional_hash(c, "resume", &resumes, &w->resume);
    codec_i32(c, "batch", &w->batch, 0, PROTO_MAX_BATCH);
    const char *kind = task_kind_name(w->task.kind);
    codec_require(c, resumes == (w->resume_epoch > 0), "%s checkpoint of epoch %d", resumes ? "a" : "no",
                  w->resume_epoch);
    codec_require(c, (w->n_keep == 0) == dense, "%u groups to keep for a task of kind %s", w->n_keep, kind);
    codec_require(c, !(w->has_profile && dense), "a profile for a task of kind %s", kind);
    codec_require(c, (w->batch > 0) == (w->task.kind == TASK_TIME), "batch %d for a task of kind %s", w->batch, kind);
    codec_require(c, !resumes || trains(w->task.kind), "a checkpoint for a task of kind %s", kind);
}

static void code_kept(struct codec *c, struct msg_checkpoint *k)
{
    code_task(c, &k->task);
    codec_i32(c, "epoch", &k->epoch, 1, TRAINING_MAX_EPOCHS);
    codec_require(c, trains(k->task.kind), "a checkpoint of a task of kind %s", task_kind_name(k->task.kind));
}

static void code_checkpoint(struct codec *c, struct msg_checkpoint *k)
{
    code_kept(c, k);
    codec_hash(c, "blob", &k->blob);
    codec_bounded(c, "lr", &k->lr, 0, TRAINING_MAX_FACTOR);
    codec_f64(c, "loss", &k->loss);
    codec_bounded(c, "top1", &k->top1, 0, 1);
    codec_bounded(c, "seconds", &k->seconds, 0, INFINITY);
}

static void code_noblob(struct codec *c, struct msg_blob *b)
{
    codec_hash(c, "hash", &b->hash);
    codec_text(c, "reason", b->reason, sizeof(b->reason), 0);
}

static void code_stored(struct codec *c, struct msg_blob *b)
{
    codec_hash(c, "hash", &b->hash);
    codec_u64(c, "offset", &b->offset, INT64_MAX);
}

static void code_verdict(struct codec *c, struct msg_task *t)
{
    code_task(c, &t->task);
    codec_text(c, "reason", t->reason, sizeof(t->reason), 0);
}

/* Fields of each message, its type included. */
static const uint32_t arity[MSG_TYPES] = {
    [MSG_HELLO] = 8,  [MSG_BEAT] = 5,    [MSG_RESULT] = 10, [MSG_FAILED] = 5, [MSG_GET] = 4,        [MSG_PUT] = 5,
    [MSG_BYE] = 2,    [MSG_WELCOME] = 4, [MSG_REFUSE] = 2, [MSG_WORK] = 10,   [MSG_ALIVE] = 1,      [MSG_CHUNK] = 5,
    [MSG_NOBLOB] = 3, [MSG_STORED] = 3,  [MSG_ACK] = 3,    [MSG_CANCEL] = 3, [MSG_CHECKPOINT] = 8, [MSG_KEPT] = 3,
};

static void code_fields(struct codec *c, struct message *m)
{
    switch (m->type) {
    case MSG_HELLO:
        code_hello(c, &m->u.hello);
        break;
    case MSG_BEAT:
        code_beat(c, &m->u.beat);
        break;
    case MSG_RESULT:
        code_result(c, &m->u.result);
        break;
    case MSG_FAILED:
        code_failed(c, &m->u.failed);
        break;
    case MSG_GET:
        code_get(c, &m->u.get);
        break;
    case MSG_PUT:
        code_put(c, &m->u.piece);
        break;
    case MSG_CHUNK:
        code_piece(c, &m->u.piece);
        break;
    case MSG_WELCOME:
        code_welcome(c, &m->u.welcome);
        break;
    case MSG_BYE:
    case MSG_REFUSE:
        codec_text(c, "reason", m->u.reason, sizeof(m->u.reason), 0);
        break;
    case MSG_WORK:
        code_work(c, &m->u.work);
        break;
    case MSG_NOBLOB:
        code_noblob(c, &m->u.blob);
        break;
    case MSG_STORED:
        code_stored(c, &m->u.blob);
        break;
    case MSG_ACK:
    case MSG_CANCEL:
        code_verdict(c, &m->u.task);
        break;
    case MSG_CHECKPOINT:
        code_checkpoint(c, &m->u.checkpoint);
        break;
    case MSG_KEPT:
        code_kept(c, &m->u.checkpoint);
        break;
    case MSG_ALIVE:
        break;
    case MSG_TYPES:
        BUG("message type %d", (int)m->type);
    }
}

/* What HELLO holds in other versions isn't known here: it is its type and version alone, so that it can be refused.
 */
static bool hello_is_foreign(const struct message *m)
{
    return m->type == MSG_HELLO && m->u.hello.version != PROTO_VERSION;
}

void message_encode(const struct message *m, struct buf *out)
{
    struct codec c;
    struct message copy = *m; /* the schemas take what they may write, and don't write while packing */
    size_t before = out->n;
    int type = (int)copy.type;
    codec_pack(&c, out);
    codec_open(&c, message_name(copy.type), hello_is_foreign(m) ? 2 : arity[copy.type]);
    codec_enum(&c, "type", type, MSG_TYPES);
    if (hello_is_foreign(m))
        code_version(&c, &copy.u.hello.version);
    else
        code_fields(&c, &copy);
    codec_close(&c);
    if (out->n - before > PROTO_MAX_BYTES)
        BUG("%s of %zu bytes", message_name(m->type), out->n - before);
}

static bool read_foreign(const msgpack_object *fields, uint32_t n, struct message *m)
{
    if (m->type != MSG_HELLO || n < 2 || fields[1].type != MSGPACK_OBJECT_POSITIVE_INTEGER ||
        fields[1].via.u64 > UINT32_MAX)
        return false;
    m->u.hello.version = (uint32_t)fields[1].via.u64;
    return hello_is_foreign(m);
}

static int read_fields(const msgpack_object *root, struct message *m, struct err *e)
{
    if (root->type != MSGPACK_OBJECT_ARRAY)
        return err_set(e, ERR_INVALID, "message isn't an array");
    const msgpack_object *fields = root->via.array.ptr;
    uint32_t n = root->via.array.size;
    if (n == 0 || fields[0].type != MSGPACK_OBJECT_POSITIVE_INTEGER)
        return err_set(e, ERR_INVALID, "message doesn't begin with its type");
    if (fields[0].via.u64 >= MSG_TYPES)
        return err_set(e, ERR_INVALID, "message of unknown type %llu", (unsigned long long)fields[0].via.u64);
    m->type = (enum message_type)fields[0].via.u64;
    if (read_foreign(fields, n, m))
        return 0;
    struct codec c;
    codec_read(&c, root, e);
    codec_open(&c, message_name(m->type), arity[m->type]);
    codec_enum(&c, "type", (int)m->type, MSG_TYPES);
    if (!codec_failed(&c))
        code_fields(&c, m);
    codec_close(&c);
    return codec_failed(&c) ? (int)e->code : 0;
}

int message_decode(const void *frame, size_t n, struct message *m, struct err *e)
{
    memset(m, 0, sizeof(*m));
    int rc = walk_check(frame, n, e);
    if (rc < 0)
        return rc;
    msgpack_unpacked box;
    msgpack_unpacked_init(&box);
    size_t used = 0;
    msgpack_unpack_return got = msgpack_unpack_next(&box, frame, n, &used);
    if (got == MSGPACK_UNPACK_NOMEM_ERROR)
        rc = err_set(e, ERR_NOMEM, "could not get memory for a message of %zu bytes", n);
    else if (got != MSGPACK_UNPACK_SUCCESS || used != n)
        rc = err_set(e, ERR_INVALID, "message isn't MessagePack");
    else
        rc = read_fields(&box.data, m, e);
    msgpack_unpacked_destroy(&box);
    if (rc < 0) {
        message_release(m);
        memset(m, 0, sizeof(*m));
    }
    return rc;
}

void message_release(struct message *m)
{
    if (m->type == MSG_RESULT) {
        mem_free(m->u.result.n_curve);
        mem_free(m->u.result.curve);
        m->u.result.n_curve = NULL;
        mem_free(m->u.result.table);
        m->u.result.curve = NULL;
        m->u.result.table = NULL;
    } else if (m->type == MSG_WORK) {
        mem_free(m->u.work.keep);
        m->u.work.keep = NULL;
    }
}
