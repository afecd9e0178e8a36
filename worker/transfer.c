#include "worker/transfer.h"

#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

enum { WINDOW = 4 }; /* pieces under way: one travels while others are read and written */
#define ASK_AGAIN_NS (5 * NS_PER_S)
#define GIVE_UP_NS   (60 * NS_PER_S)   /* without a new piece */
#define PUT_PAUSE_NS (100 * NS_PER_MS) /* before a piece is put again that the coordinator didn't take */

/* --- getting --- */

struct piece {
    uint8_t *bytes;
    uint32_t n;
    bool there;
};

struct get {
    struct desk *desk;
    const struct hash *hash;
    uint64_t at;    /* written up to here; the window's first piece begins here */
    uint64_t total; /* once known */
    uint64_t most;
    bool total_known;
    struct piece window[WINDOW]; /* whole chunks from `at` on, but for the blob's last */
    int asked;                   /* pieces of the window that were asked for */
};

static uint64_t offset_of(const struct get *g, int i)
{
    return g->at + (uint64_t)i * PROTO_CHUNK_BYTES;
}

static void ask(const struct get *g, int i)
{
    struct message m = {.type = MSG_GET};
    m.u.get = (struct msg_get){*g->hash, offset_of(g, i), PROTO_CHUNK_BYTES};
    desk_ask(g->desk, &m);
}

/* Until the first piece has told the blob's size, it alone is asked for. */
static void ask_more(struct get *g)
{
    int most = g->total_known ? WINDOW : 1;
    while (g->asked < most && (!g->total_known || offset_of(g, g->asked) < g->total))
        ask(g, g->asked++);
}

static void ask_again(const struct get *g)
{
    for (int i = 0; i < g->asked; i++)
        if (!g->window[i].there)
            ask(g, i);
}

static int check_total(struct get *g, const struct msg_piece *p, struct err *e)
{
    if (!g->total_known && (p->total > g->most || p->total < g->at))
        return err_set(e, ERR_IO, "blob of %llu bytes, at most %llu expected", (unsigned long long)p->total,
                       (unsigned long long)g->most);
    if (g->total_known && p->total != g->total)
        return err_set(e, ERR_IO, "blob of %llu bytes, not %llu", (unsigned long long)p->total,
                       (unsigned long long)g->total);
    g->total = p->total;
    g->total_known = true;
    return 0;
}

/* Puts a piece where it belongs in the window; one that isn't waited for is dropped. */
static int keep(struct get *g, struct desk_answer *a, struct err *e)
{
    const struct msg_piece *p = &a->m.u.piece;
    int i = 0;
    while (i < g->asked && offset_of(g, i) != p->offset)
        i++;
    if (i == g->asked || g->window[i].there)
        return 0;
    int rc = check_total(g, p, e);
    if (rc < 0)
        return rc;
    uint64_t left = p->total - p->offset;
    if (p->n != (left < PROTO_CHUNK_BYTES ? left : PROTO_CHUNK_BYTES))
        return err_set(e, ERR_IO, "piece of %u bytes at %llu of %llu", p->n, (unsigned long long)p->offset,
                       (unsigned long long)p->total);
    g->window[i] = (struct piece){a->bytes, p->n, true};
    a->bytes = NULL;
    return 1;
}

static int write_first(struct get *g, const struct transfer_sink *sink, struct err *e)
{
    while (g->asked && g->window[0].there) {
        struct piece p = g->window[0];
        memmove(&g->window[0], &g->window[1], (WINDOW - 1) * sizeof(g->window[0]));
        g->window[WINDOW - 1] = (struct piece){0};
        g->asked--;
        g->at += p.n;
        int rc = p.n ? sink->write(sink->arg, p.bytes, p.n, e) : 0;
        mem_free(p.bytes);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* One answer, or the lack of it. 1 when it brought a piece. */
static int get_step(struct get *g, struct err *e)
{
    struct desk_answer a;
    int rc = desk_wait(g->desk, clock_mono_ns() + ASK_AGAIN_NS, &a, e);
    if (rc < 0)
        return rc;
    if (rc != DESK_ANSWER) {
        ask_again(g);
        return 0;
    }
    rc = 0;
    if (a.m.type == MSG_CHUNK && hash_equal(&a.m.u.piece.hash, g->hash))
        rc = keep(g, &a, e);
    else if (a.m.type == MSG_NOBLOB && hash_equal(&a.m.u.blob.hash, g->hash))
        rc = err_set(e, ERR_NOTFOUND, "%s", a.m.u.blob.reason);
    mem_free(a.bytes);
    return rc;
}

static int get_all(struct get *g, const struct transfer_sink *sink, struct err *e)
{
    int64_t news_ns = clock_mono_ns();
    while (!g->total_known || g->at < g->total) {
        ask_more(g);
        int rc = get_step(g, e);
        if (rc > 0) {
            news_ns = clock_mono_ns();
            rc = write_first(g, sink, e);
            if (rc == 0)
                rc = desk_progress(g->desk, "fetch", g->at, g->total, e);
        }
        if (rc < 0)
            return rc;
        if (clock_mono_ns() - news_ns > GIVE_UP_NS)
            return err_set(e, ERR_TIMEOUT, "nothing came for %lld s", (long long)(GIVE_UP_NS / NS_PER_S));
    }
    return 0;
}

static int wrap(const struct hash *h, const char *verb, struct err *e)
{
    char hex[HASH_HEX];
    hash_to_hex(h, hex);
    return err_wrap(e, "could not %s blob %.12s", verb, hex);
}

int transfer_get(struct desk *d, const struct hash *h, uint64_t from, uint64_t size, uint64_t most,
                 const struct transfer_sink *sink, struct err *e)
{
    struct get g = {.desk = d, .hash = h, .at = from, .total = size, .most = most, .total_known = size > 0};
    int rc = get_all(&g, sink, e);
    for (int i = 0; i < WINDOW; i++)
        mem_free(g.window[i].bytes);
    return rc < 0 ? wrap(h, "fetch", e) : 0;
}

/* --- putting --- */

static void put_piece(struct desk *d, const struct hash *h, const uint8_t *bytes, uint64_t at, uint64_t n)
{
    struct message m = {.type = MSG_PUT};
    uint64_t left = n - at;
    m.u.piece =
        (struct msg_piece){*h, at, n, bytes + at, (uint32_t)(left < PROTO_CHUNK_BYTES ? left : PROTO_CHUNK_BYTES)};
    desk_ask(d, &m);
}

/* 1: *at is where the coordinator wants us to go on; 0: it didn't say. */
static int put_step(struct desk *d, const struct hash *h, uint64_t n, uint64_t *at, struct err *e)
{
    struct desk_answer a;
    int rc = desk_wait(d, clock_mono_ns() + ASK_AGAIN_NS, &a, e);
    mem_free(a.bytes);
    if (rc < 0)
        return rc;
    bool is_ours = a.m.type == MSG_STORED || a.m.type == MSG_NOBLOB;
    if (rc != DESK_ANSWER || !is_ours || !hash_equal(&a.m.u.blob.hash, h))
        return 0;
    if (a.m.type == MSG_NOBLOB)
        return err_set(e, ERR_NOTFOUND, "%s", a.m.u.blob.reason);
    uint64_t to = a.m.u.blob.offset;
    if (to > n || (to < n && to % PROTO_CHUNK_BYTES != 0))
        return err_set(e, ERR_IO, "coordinator has %llu bytes of %llu", (unsigned long long)to,
                       (unsigned long long)n);
    *at = to;
    return 1;
}

static int put_all(struct desk *d, const struct hash *h, const uint8_t *bytes, uint64_t n, struct err *e)
{
    uint64_t at = 0, furthest = 0;
    int64_t news_ns = clock_mono_ns();
    for (;;) {
        put_piece(d, h, bytes, at, n);
        int rc = put_step(d, h, n, &at, e);
        if (rc < 0)
            return rc;
        if (rc > 0 && at == n)
            return 0;
        if (at > furthest) {
            furthest = at;
            news_ns = clock_mono_ns();
        } else if (clock_mono_ns() - news_ns > GIVE_UP_NS) {
            return err_set(e, ERR_TIMEOUT, "no progress for %lld s", (long long)(GIVE_UP_NS / NS_PER_S));
        } else if (rc > 0) {
            clock_sleep_ns(PUT_PAUSE_NS);
        }
        rc = desk_progress(d, "store", at, n, e);
        if (rc < 0)
            return rc;
    }
}

int transfer_put(struct desk *d, const struct hash *h, const void *bytes, size_t n, struct err *e)
{
    int rc = put_all(d, h, bytes, n, e);
    return rc < 0 ? wrap(h, "store", e) : 0;
}

/* --- checkpoints --- */

static bool is_kept(const struct desk_answer *a, const struct msg_checkpoint *k)
{
    const struct msg_checkpoint *got = &a->m.u.checkpoint;
    return a->m.type == MSG_KEPT && task_id_equal(&got->task, &k->task) && got->epoch == k->epoch;
}

/* A wait that ended with nothing, or with a new connection: it is said again. */
static int say_until_kept(struct desk *d, const struct msg_checkpoint *k, struct err *e)
{
    const struct message m = {.type = MSG_CHECKPOINT, .u.checkpoint = *k};
    int64_t give_up_ns = clock_mono_ns() + GIVE_UP_NS;
    int rc = DESK_RENEWED;
    while (clock_mono_ns() < give_up_ns) {
        struct desk_answer a;
        if (rc != DESK_ANSWER)
            desk_ask(d, &m);
        rc = desk_wait(d, clock_mono_ns() + ASK_AGAIN_NS, &a, e);
        mem_free(a.bytes);
        if (rc < 0 || (rc == DESK_ANSWER && is_kept(&a, k)))
            return rc < 0 ? rc : 0;
    }
    return err_set(e, ERR_TIMEOUT, "no answer for %lld s", (long long)(GIVE_UP_NS / NS_PER_S));
}

int transfer_checkpoint(struct desk *d, const struct msg_checkpoint *k, const struct buf *bytes, struct err *e)
{
    int rc = transfer_put(d, &k->blob, bytes->p, bytes->n, e);
    if (rc == 0)
        rc = say_until_kept(d, k, e);
    return rc < 0 ? err_wrap(e, "checkpoint of epoch %d", k->epoch) : 0;
}
