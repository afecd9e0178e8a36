#include "coordinator/fleet.h"

#include <czmq.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

struct fleet {
    zhashx_t *workers; /* by peer; the key is the worker's own `peer` */
    int64_t beat_ns;
    struct worker *idle_first, *idle_last;
    int banned;
};

/* FNV-1a: ids are short and the table is small. */
static size_t peer_hash(const void *key)
{
    const struct peer *p = key;
    size_t h = (size_t)UINT64_C(14695981039346656037);
    for (int i = 0; i < p->n; i++)
        h = (h ^ p->id[i]) * (size_t)UINT64_C(1099511628211);
    return h;
}

static int peer_compare(const void *a, const void *b)
{
    const struct peer *x = a, *y = b;
    return x->n != y->n ? x->n - y->n : memcmp(x->id, y->id, x->n);
}

static void free_worker(void **item)
{
    free(*item);
    *item = NULL;
}

struct fleet *fleet_new(int64_t beat_ns)
{
    struct fleet *f = xcalloc(1, sizeof(*f));
    f->beat_ns = beat_ns;
    f->workers = zhashx_new();
    if (!f->workers)
        BUG("no memory for an empty table");
    zhashx_set_destructor(f->workers, free_worker);
    zhashx_set_key_hasher(f->workers, peer_hash);
    zhashx_set_key_comparator(f->workers, peer_compare);
    zhashx_set_key_duplicator(f->workers, NULL);
    zhashx_set_key_destructor(f->workers, NULL);
    return f;
}

void fleet_free(struct fleet *f)
{
    if (!f)
        return;
    zhashx_destroy(&f->workers);
    free(f);
}

int fleet_count(const struct fleet *f)
{
    return (int)zhashx_size(f->workers) - f->banned;
}

int fleet_working(const struct fleet *f)
{
    int n = 0;
    for (struct worker *w = zhashx_first(f->workers); w; w = zhashx_next(f->workers))
        n += w->task != NULL;
    return n;
}

struct worker *fleet_find(const struct fleet *f, const struct peer *p)
{
    return zhashx_lookup(f->workers, p);
}

struct worker *fleet_first(struct fleet *f)
{
    return zhashx_first(f->workers);
}

struct worker *fleet_next(struct fleet *f)
{
    return zhashx_next(f->workers);
}

/* What a worker calls itself goes to logs, rows and terminals. */
static void copy_printable(char *to, size_t n, const char *from)
{
    size_t i = 0;
    for (; i + 1 < n && from[i]; i++)
        to[i] = from[i] >= ' ' && from[i] < 127 ? from[i] : '?';
    to[i] = '\0';
}

static struct worker *bearer(struct fleet *f, const char *name, const struct worker *but)
{
    for (struct worker *w = zhashx_first(f->workers); w; w = zhashx_next(f->workers))
        if (w != but && !w->banned && strcmp(w->name, name) == 0)
            return w;
    return NULL;
}

static bool same_worker(const struct fleet *f, const struct worker *old, const struct msg_hello *h, int64_t now_ns)
{
    if (h->busy && old->task && task_id_equal(&old->task->id, &h->task))
        return true;
    return now_ns - old->heard_ns > f->beat_ns * 3 / 2;
}

static struct worker *give_name(struct fleet *f, struct worker *w, const struct msg_hello *h, int64_t now_ns)
{
    char name[RECIPE_NAME];
    copy_printable(name, sizeof(name), h->name[0] ? h->name : "worker");
    struct worker *old = bearer(f, name, w);
    memcpy(w->name, name, sizeof(name));
    if (old && same_worker(f, old, h, now_ns))
        return old;
    if (old) {
        old->rival = w->peer;
        old->rival_ns = now_ns;
    }
    for (int i = 2; old; i++) {
        snprintf(w->name, sizeof(w->name), "%.50s-%d", name, i);
        old = bearer(f, w->name, w);
    }
    return NULL;
}

int fleet_hello(struct fleet *f, const struct peer *p, const struct msg_hello *h, int64_t now_ns,
                struct worker **out, struct worker **replaces, struct err *e)
{
    struct worker *w = fleet_find(f, p);
    *replaces = NULL;
    if (!w) {
        if (zhashx_size(f->workers) >= FLEET_MAX)
            return err_set(e, ERR_LIMIT, "%d workers are connected already, the most there can be", FLEET_MAX);
        w = xcalloc(1, sizeof(*w));
        w->peer = *p;
        w->connected_ns = now_ns;
        *replaces = give_name(f, w, h, now_ns);
        zhashx_insert(f->workers, &w->peer, w);
    }
    copy_printable(w->cpu, sizeof(w->cpu), h->cpu);
    copy_printable(w->kernels, sizeof(w->kernels), h->kernels);
    copy_printable(w->host, sizeof(w->host), h->host);
    w->threads = h->threads;
    w->heard_ns = now_ns;
    *out = w;
    return 0;
}

void fleet_drop(struct fleet *f, struct worker *w)
{
    if (w->task)
        BUG("worker %s leaves with a task", w->name);
    fleet_set_idle(f, w, false);
    f->banned -= w->banned;
    zhashx_delete(f->workers, &w->peer);
}

void fleet_ban(struct fleet *f, struct worker *w)
{
    if (w->task)
        BUG("worker %s is shut out with a task", w->name);
    fleet_set_idle(f, w, false);
    f->banned += !w->banned;
    w->banned = true;
}

void fleet_set_idle(struct fleet *f, struct worker *w, bool idle)
{
    if (w->idle == idle)
        return;
    if (idle && (w->task || w->banned))
        BUG("worker %s can't be idle", w->name);
    if (idle) {
        w->prev = f->idle_last;
        *(w->prev ? &w->prev->next : &f->idle_first) = w;
        f->idle_last = w;
    } else {
        *(w->prev ? &w->prev->next : &f->idle_first) = w->next;
        *(w->next ? &w->next->prev : &f->idle_last) = w->prev;
        w->prev = w->next = NULL;
    }
    w->idle = idle;
}

struct worker *fleet_idle(const struct fleet *f)
{
    return f->idle_first;
}

struct worker *fleet_idle_next(const struct worker *w)
{
    return w->next;
}

static bool same_host(const struct worker *a, const struct worker *b)
{
    return a == b || (a->host[0] && strcmp(a->host, b->host) == 0);
}

bool fleet_host_works(const struct fleet *f, const struct worker *w, bool quiet_only)
{
    for (struct worker *x = zhashx_first(f->workers); x; x = zhashx_next(f->workers))
        if (x->task && same_host(w, x) && (!quiet_only || task_kind_quiet(x->task->id.kind)))
            return true;
    return false;
}

bool fleet_silent(const struct fleet *f, const struct worker *w, int64_t now_ns)
{
    return now_ns - w->heard_ns > 3 * f->beat_ns;
}

bool fleet_displaced(const struct fleet *f, const struct worker *w, int64_t now_ns)
{
    return w->rival_ns > w->heard_ns && now_ns - w->rival_ns > f->beat_ns * 3 / 2;
}

void fleet_inherit(struct fleet *f, struct worker *w)
{
    char name[RECIPE_NAME];
    struct worker *heir = fleet_find(f, &w->rival);
    if (!heir || heir == w)
        return;
    memcpy(name, heir->name, sizeof(name));
    memcpy(heir->name, w->name, sizeof(name));
    memcpy(w->name, name, sizeof(name));
}

#define RING ((uint64_t)(sizeof(((struct worker *)0)->finished_ns) / sizeof(int64_t)))

void worker_finished(struct worker *w, int64_t now_ns)
{
    w->finished_ns[w->evaluations++ % RING] = now_ns;
}

double worker_per_minute(const struct worker *w, int64_t now_ns)
{
    if (w->evaluations == 0)
        return 0;
    bool full = w->evaluations > RING; /* then the oldest entry is where the span begins, else the connection is */
    int64_t since = full ? w->finished_ns[w->evaluations % RING] : w->connected_ns;
    double n = full ? (double)RING - 1 : (double)w->evaluations;
    return now_ns > since ? n * 60 * (double)NS_PER_S / (double)(now_ns - since) : 0;
}
