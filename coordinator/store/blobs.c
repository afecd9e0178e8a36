#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/store/store_int.h"

static uint64_t big_endian(const PGresult *res, int column)
{
    uint64_t v = 0;
    if (PQgetlength(res, 0, column) == sizeof(v))
        memcpy(&v, PQgetvalue(res, 0, column), sizeof(v));
    return be64toh(v);
}

static struct request *ask_piece(const struct hash *h, uint64_t offset, uint32_t length, request_answer *answer,
                                 void (*fn)(void), void *arg)
{
    static const struct statement st = {
        .name = "read_piece", .sql = "select bytes, total from espalier.read_piece($1,$2,$3)", .binary = true};
    struct request *q = request_new(&st, answer, fn, arg);
    request_hash(q, h);
    request_int(q, offset > INT64_MAX ? INT64_MAX : (int64_t)offset);
    request_int(q, length);
    q->expects = length;
    return q;
}

static void answer_piece(struct request *r, const PGresult *res, const struct err *e)
{
    store_piece *fn = (store_piece *)r->fn;
    if (e)
        fn(r->arg, NULL, 0, 0, e);
    else
        fn(r->arg, PQgetvalue(res, 0, 0), (size_t)PQgetlength(res, 0, 0), big_endian(res, 1), NULL);
}

void store_blob_read(struct store *s, const struct hash *h, uint64_t offset, uint32_t length, store_piece *fn,
                     void *arg)
{
    pipeline_send(s->bulk, ask_piece(h, offset, length, answer_piece, (void (*)(void))fn, arg));
}

static void answer_has(struct request *r, const PGresult *res, const struct err *e)
{
    bool there = !e && PQntuples(res) == 1;
    ((store_has *)r->fn)(r->arg, there, there ? big_endian(res, 0) : 0, e);
}

void store_blob_has(struct store *s, const struct hash *h, store_has *fn, void *arg)
{
    static const struct statement st = {
        .name = "has_blob", .sql = "select size from espalier.blobs where hash = $1 and complete", .binary = true};
    struct request *q = request_new(&st, answer_has, (void (*)(void))fn, arg);
    request_hash(q, h);
    pipeline_send(s->bulk, q);
}

void store_blob_write(struct store *s, const struct hash *h, uint64_t offset, uint64_t total, const void *bytes,
                      size_t n, store_done *fn, void *arg)
{
    static const struct statement st = {
        .name = "write_piece", .sql = "select espalier.write_piece($1,$2,$3,$4)", .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_hash(q, h);
    request_uint(q, offset);
    request_uint(q, total);
    request_bytes(q, bytes, n);
    pipeline_send(s->bulk, q);
}

/*
 * Sealing: begin_seal says whether all pieces are there, then they are read back one by one and summed (the server
 * could do it, but only with the whole blob in its memory), then end_seal marks the blob complete, or drops it.
 */
struct seal {
    struct store *s;
    struct hash name;
    uint64_t total, at;
    struct hasher sum;
    struct err wrong; /* what the caller gets when the sum isn't right */
    store_done *fn;
    void *arg;
};

static void seal_finish(struct seal *t, const struct err *e)
{
    if (t->fn)
        t->fn(t->arg, e);
    free(t);
}

static void seal_ended(struct request *r, const PGresult *res, const struct err *e)
{
    (void)res;
    struct seal *t = r->arg;
    seal_finish(t, e || t->wrong.code == 0 ? e : &t->wrong);
}

static void seal_end(struct seal *t)
{
    static const struct statement st = {
        .name = "end_seal", .sql = "select espalier.end_seal($1,$2)", .write = true};
    char is[HASH_HEX], name[HASH_HEX];
    struct hash sum = hasher_end(&t->sum);
    bool right = hash_equal(&sum, &t->name);
    hash_to_hex(&sum, is);
    hash_to_hex(&t->name, name);
    if (!right)
        err_set(&t->wrong, ERR_INVALID, "the SHA-256 of blob %s is %s", name, is);
    struct request *q = request_new(&st, seal_ended, NULL, t);
    request_hash(q, &t->name);
    request_bool(q, right);
    pipeline_send(t->s->bulk, q);
}

static void seal_next(struct seal *t);

static void seal_piece(struct request *r, const PGresult *res, const struct err *e)
{
    struct seal *t = r->arg;
    struct err gone;
    if (!e && PQntuples(res) == 0) {
        err_set(&gone, ERR_STATE, "the piece at %" PRIu64 " has been dropped meanwhile", t->at);
        e = &gone;
    }
    if (e) {
        seal_finish(t, e);
        return;
    }
    size_t n = (size_t)PQgetlength(res, 0, 0);
    hasher_add(&t->sum, PQgetvalue(res, 0, 0), n);
    t->at += n;
    seal_next(t);
}

static void seal_next(struct seal *t)
{
    static const struct statement st = {
        .name = "unsealed_piece",
        .sql = "select bytes from espalier.blob_chunks where hash = $1 and position = $2",
        .binary = true};
    if (t->at >= t->total) {
        seal_end(t);
        return;
    }
    struct request *q = request_new(&st, seal_piece, NULL, t);
    request_hash(q, &t->name);
    request_uint(q, t->at / PROTO_CHUNK_BYTES);
    pipeline_send(t->s->bulk, q);
}

static void seal_begun(struct request *r, const PGresult *res, const struct err *e)
{
    struct seal *t = r->arg;
    if (e || PQgetvalue(res, 0, 0)[0] == 't')
        seal_finish(t, e);
    else
        seal_next(t);
}

void store_blob_seal(struct store *s, const struct hash *h, uint64_t total, store_done *fn, void *arg)
{
    static const struct statement st = {.name = "begin_seal", .sql = "select espalier.begin_seal($1,$2)"};
    struct seal *t = xcalloc(1, sizeof(*t));
    *t = (struct seal){.s = s, .name = *h, .total = total, .fn = fn, .arg = arg};
    hasher_init(&t->sum);
    struct request *q = request_new(&st, seal_begun, NULL, t);
    request_hash(q, h);
    request_uint(q, total);
    pipeline_send(s->bulk, q);
}
