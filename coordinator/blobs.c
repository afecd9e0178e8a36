#include "coordinator/blobs.h"

#include "common/base/log.h"
#include "common/base/mem.h"
#include "coordinator/chunks.h"
#include "proto/text.h"

#define CACHE_BYTES ((size_t)64 << 20)

struct blobs {
    struct store *store;
    struct fleet *fleet;
    struct bus *bus;
    struct chunks *chunks;
};

/* One GET or PUT that the store is at; the worker may go meanwhile. */
struct transfer {
    struct blobs *b;
    struct peer peer;
    struct hash hash;
    uint64_t offset, total;
    uint32_t length;
    uint8_t *bytes; /* PUT of a first piece, until it is known that it is wanted */
};

struct blobs *blobs_new(struct store *store, struct fleet *fleet, struct bus *bus)
{
    struct blobs *b = xcalloc(1, sizeof(*b));
    b->store = store;
    b->fleet = fleet;
    b->bus = bus;
    b->chunks = chunks_new(store, CACHE_BYTES);
    return b;
}

void blobs_free(struct blobs *b)
{
    if (!b)
        return;
    chunks_free(b->chunks);
    free(b);
}

static struct transfer *transfer_new(struct blobs *b, const struct worker *w, const struct hash *h)
{
    struct transfer *t = xcalloc(1, sizeof(*t));
    t->b = b;
    t->peer = w->peer;
    t->hash = *h;
    return t;
}

static void transfer_free(struct transfer *t)
{
    mem_free(t->bytes);
    free(t);
}

/* NULL when it has gone. */
static struct worker *who(const struct transfer *t)
{
    return fleet_find(t->b->fleet, &t->peer);
}

static void no_blob(struct blobs *b, const struct peer *to, const struct hash *h, const char *why)
{
    struct message m = {.type = MSG_NOBLOB};
    m.u.blob.hash = *h;
    text_copy(m.u.blob.reason, sizeof(m.u.blob.reason), why);
    bus_send(b->bus, to, &m);
}

/* The database is away, or we stop: no answer, and the worker asks again. */
static bool passing(const struct err *e)
{
    return e->code == ERR_DB || e->code == ERR_TIMEOUT || e->code == ERR_CANCELLED;
}

/* --- to workers --- */

static void on_chunk(void *arg, const void *bytes, size_t n, uint64_t total, const struct err *e)
{
    struct transfer *t = arg;
    struct worker *w = who(t);
    if (w && w->gets > 0)
        w->gets--;
    if (e && !passing(e)) {
        no_blob(t->b, &t->peer, &t->hash, e->text);
    } else if (e) {
        log_debug("piece not read", "error=\"%s\"", e->text);
    } else if (n == 0) {
        no_blob(t->b, &t->peer, &t->hash, "no such piece");
    } else {
        struct message m = {.type = MSG_CHUNK};
        m.u.piece = (struct msg_piece){
            .hash = t->hash,
            .offset = t->offset,
            .total = total,
            .bytes = bytes,
            .n = n < t->length ? (uint32_t)n : t->length,
        };
        bus_send(t->b->bus, &t->peer, &m); /* one that doesn't read asks again, if it lives */
    }
    transfer_free(t);
}

void blobs_get(struct blobs *b, struct worker *w, const struct msg_get *g)
{
    if (g->offset % PROTO_CHUNK_BYTES != 0) {
        no_blob(b, &w->peer, &g->hash, "pieces begin at multiples of 1 MiB");
        return;
    }
    if (w->gets >= BLOBS_MOST_GETS)
        return; /* it asks again for what doesn't come */
    struct transfer *t = transfer_new(b, w, &g->hash);
    t->offset = g->offset;
    t->length = g->length;
    w->gets++;
    chunks_get(b->chunks, &g->hash, g->offset / PROTO_CHUNK_BYTES, on_chunk, t);
}

/* --- from workers --- */

static void stored(struct transfer *t, uint64_t offset)
{
    struct message m = {.type = MSG_STORED};
    m.u.blob.hash = t->hash;
    m.u.blob.offset = offset;
    bus_send(t->b->bus, &t->peer, &m);
}

static void finish_put(struct transfer *t, uint64_t offset, const struct err *e)
{
    struct worker *w = who(t);
    if (w && w->puts > 0)
        w->puts--;
    if (e && !passing(e))
        no_blob(t->b, &t->peer, &t->hash, e->text);
    else if (!e)
        stored(t, offset);
    transfer_free(t);
}

static void on_sealed(void *arg, const struct err *e)
{
    struct transfer *t = arg;
    finish_put(t, t->total, e);
}

static void on_written(void *arg, const struct err *e)
{
    struct transfer *t = arg;
    uint64_t end = t->offset + t->length;
    if (!e && end == t->total)
        store_blob_seal(t->b->store, &t->hash, t->total, on_sealed, t);
    else
        finish_put(t, end, e);
}

static void on_has(void *arg, bool complete, uint64_t size, const struct err *e)
{
    struct transfer *t = arg;
    if (e || (complete && size == t->total)) {
        finish_put(t, t->total, e);
        return;
    }
    store_blob_write(t->b->store, &t->hash, t->offset, t->total, t->bytes, t->length, on_written, t);
    mem_free(t->bytes);
    t->bytes = NULL;
}

void blobs_put(struct blobs *b, struct worker *w, const struct msg_piece *p)
{
    if (w->puts >= BLOBS_MOST_PUTS) {
        no_blob(b, &w->peer, &p->hash, "too many pieces at once");
        return;
    }
    struct transfer *t = transfer_new(b, w, &p->hash);
    t->offset = p->offset;
    t->total = p->total;
    t->length = p->n;
    w->puts++;
    if (p->offset > 0) {
        store_blob_write(b->store, &p->hash, p->offset, p->total, p->bytes, p->n, on_written, t);
        return;
    }
    t->bytes = mem_dup(p->bytes, p->n, 1); /* a blob that is there already needn't come again */
    if (!t->bytes && p->n > 0) {
        struct err e;
        err_set(&e, ERR_NOMEM, "no memory for a piece of %u bytes", p->n);
        finish_put(t, 0, &e);
        return;
    }
    store_blob_has(b->store, &p->hash, on_has, t);
}

/* --- whole --- */

struct whole {
    struct store *store;
    struct hash hash;
    uint64_t most;
    struct buf b;
    blob_whole_fn *fn;
    void *arg;
};

static void finish_whole(struct whole *w, const struct err *e)
{
    w->fn(w->arg, e ? NULL : w->b.p, e ? 0 : w->b.n, e);
    buf_release(&w->b);
    free(w);
}

static void on_piece(void *arg, const void *bytes, size_t n, uint64_t total, const struct err *e)
{
    struct whole *w = arg;
    struct err mine;
    char hex[HASH_HEX];
    hash_to_hex(&w->hash, hex);
    if (!e && total > w->most) {
        err_set(&mine, ERR_LIMIT, "blob %.12s has %llu bytes, more than %llu", hex, (unsigned long long)total,
                (unsigned long long)w->most);
        e = &mine;
    } else if (!e && n == 0 && total > 0) {
        err_set(&mine, ERR_INVALID, "blob %.12s ends after %zu of %llu bytes", hex, w->b.n,
                (unsigned long long)total);
        e = &mine;
    } else if (!e && w->b.n == 0 && buf_reserve(&w->b, (size_t)total, &mine) < 0) {
        e = &mine;
    }
    if (e) {
        finish_whole(w, e);
        return;
    }
    buf_append(&w->b, bytes, n);
    if (w->b.n >= total)
        finish_whole(w, NULL);
    else
        store_blob_read(w->store, &w->hash, w->b.n, PROTO_CHUNK_BYTES, on_piece, w);
}

void blob_whole(struct store *store, const struct hash *h, uint64_t most, blob_whole_fn *fn, void *arg)
{
    struct whole *w = xcalloc(1, sizeof(*w));
    w->store = store;
    w->hash = *h;
    w->most = most;
    w->fn = fn;
    w->arg = arg;
    store_blob_read(store, h, 0, PROTO_CHUNK_BYTES, on_piece, w);
}
