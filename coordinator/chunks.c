#include "coordinator/chunks.h"

#include "common/base/mem.h"

struct key {
    struct hash hash;
    uint64_t index;
};

struct waiter {
    store_piece *fn;
    void *arg;
    struct waiter *next;
};

struct chunk {
    struct key key;
    struct chunks *owner;
    uint8_t *bytes; /* NULL while it is being read */
    size_t n;
    uint64_t total;
    struct waiter *waiters, **last; /* in the order in which they asked */
    struct chunk *prev, *next;      /* in the list by last use, when it has bytes */
};

struct chunks {
    struct store *store;
    zhashx_t *table;
    struct chunk *oldest, *newest;
    size_t held, most;
};

/* A SHA-256 is its own hash. */
static size_t key_hash(const void *p)
{
    const struct key *k = p;
    size_t h;
    memcpy(&h, k->hash.b, sizeof(h));
    return h ^ (size_t)(k->index * UINT64_C(0x9e3779b97f4a7c15));
}

static int key_compare(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    return x->index == y->index && hash_equal(&x->hash, &y->hash) ? 0 : 1;
}

static void free_chunk(void **item)
{
    struct chunk *k = *item;
    while (k->waiters) {
        struct waiter *w = k->waiters;
        k->waiters = w->next;
        free(w);
    }
    mem_free(k->bytes);
    free(k);
    *item = NULL;
}

struct chunks *chunks_new(struct store *store, size_t most)
{
    struct chunks *c = xcalloc(1, sizeof(*c));
    c->store = store;
    c->most = most;
    c->table = zhashx_new();
    if (!c->table)
        BUG("no memory for an empty table");
    zhashx_set_destructor(c->table, free_chunk);
    zhashx_set_key_hasher(c->table, key_hash);
    zhashx_set_key_comparator(c->table, key_compare);
    zhashx_set_key_duplicator(c->table, NULL);
    zhashx_set_key_destructor(c->table, NULL);
    return c;
}

void chunks_free(struct chunks *c)
{
    if (!c)
        return;
    zhashx_destroy(&c->table);
    free(c);
}

static void unlink_chunk(struct chunks *c, struct chunk *k)
{
    *(k->prev ? &k->prev->next : &c->oldest) = k->next;
    *(k->next ? &k->next->prev : &c->newest) = k->prev;
    k->prev = k->next = NULL;
}

static void append(struct chunks *c, struct chunk *k)
{
    k->prev = c->newest;
    *(k->prev ? &k->prev->next : &c->oldest) = k;
    c->newest = k;
}

static void evict(struct chunks *c)
{
    while (c->held > c->most && c->oldest) {
        struct chunk *k = c->oldest;
        unlink_chunk(c, k);
        c->held -= k->n;
        zhashx_delete(c->table, &k->key);
    }
}

/* Keeps the bytes when there is memory for them. */
static bool keep(struct chunk *k, const void *bytes, size_t n, uint64_t total)
{
    struct chunks *c = k->owner;
    k->bytes = n <= c->most ? mem_dup(bytes, n, 1) : NULL;
    if (!k->bytes)
        return false;
    k->n = n;
    k->total = total;
    c->held += n;
    append(c, k);
    return true;
}

static void on_read(void *arg, const void *bytes, size_t n, uint64_t total, const struct err *e)
{
    struct chunk *k = arg;
    struct chunks *c = k->owner;
    struct waiter *w = k->waiters;
    k->waiters = NULL;
    if (e || n == 0 || !keep(k, bytes, n, total))
        zhashx_delete(c->table, &k->key);
    while (w) {
        struct waiter *next = w->next;
        w->fn(w->arg, bytes, n, total, e);
        free(w);
        w = next;
    }
    evict(c);
}

static void wait_for(struct chunk *k, store_piece *fn, void *arg)
{
    struct waiter *w = xcalloc(1, sizeof(*w));
    w->fn = fn;
    w->arg = arg;
    *k->last = w;
    k->last = &w->next;
}

void chunks_get(struct chunks *c, const struct hash *h, uint64_t index, store_piece *fn, void *arg)
{
    struct key key = {*h, index};
    struct chunk *k = zhashx_lookup(c->table, &key);
    if (k && k->bytes) {
        unlink_chunk(c, k);
        append(c, k);
        fn(arg, k->bytes, k->n, k->total, NULL);
        return;
    }
    if (k) {
        wait_for(k, fn, arg);
        return;
    }
    k = xcalloc(1, sizeof(*k));
    k->key = key;
    k->owner = c;
    k->last = &k->waiters;
    zhashx_insert(c->table, &k->key, k);
    wait_for(k, fn, arg);
    store_blob_read(c->store, h, index * PROTO_CHUNK_BYTES, PROTO_CHUNK_BYTES, on_read, k);
}
