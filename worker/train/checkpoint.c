/*
 * The state of a training, and as bytes: "ESPT", version, a hash of the graph, epoch, losses, then for each
 * node w, b, mean, var and the velocities of w, b; at last the SHA-256 of all that. Little-endian. The graph says
 * how many numbers there are, so there are no counts to believe.
 */
#include <math.h>
#include <string.h>

#include "worker/train/fit.h"

#define MAGIC   "ESPT"
#define VERSION 1
#define HEADER  (4 + 4 + HASH_BYTES + 4 + 8 + 8 * (1 + FIT_WINDOW))
#define CHUNK   4096 /* bytes */

int fit_state_new(struct fit_state *st, struct model *m, struct err *e)
{
    *st = (struct fit_state){.model = m};
    return weights_new(&st->velocity, &m->graph, e);
}

void fit_state_release(struct fit_state *st)
{
    weights_release(&st->velocity);
    *st = (struct fit_state){0};
}

/* ---- the arrays of a state, in their order ---- */

struct array {
    float *x;
    size_t n;
};

enum { ARRAYS = 6 }; /* of one node */

/* Those of node i; returns how many. */
static int arrays_of(const struct fit_state *st, int i, struct array a[ARRAYS])
{
    const struct params *p = &st->model->weights.of[i], *v = &st->velocity.of[i];
    const struct array all[ARRAYS] = {{p->w, p->n_w},   {p->b, p->n_b}, {p->mean, p->n_b},
                                      {p->var, p->n_b}, {v->w, v->n_w}, {v->b, v->n_b}};
    int n = 0;
    for (int k = 0; k < ARRAYS; k++)
        if (all[k].x)
            a[n++] = all[k];
    return n;
}

static size_t bytes_of(const struct fit_state *st)
{
    size_t floats = 0;
    for (int i = 0; i < st->model->graph.n; i++) {
        struct array a[ARRAYS];
        for (int k = arrays_of(st, i, a); k-- > 0;)
            floats += a[k].n;
    }
    return HEADER + 4 * floats + HASH_BYTES;
}

static void hash_int(struct hasher *h, int x)
{
    uint32_t u = (uint32_t)x;
    uint8_t b[4] = {(uint8_t)u, (uint8_t)(u >> 8), (uint8_t)(u >> 16), (uint8_t)(u >> 24)};
    hasher_add(h, b, sizeof b);
}

/* Of what says where each number belongs: operators, wiring, shapes, sizes. */
static struct hash graph_hash(const struct fit_state *st)
{
    struct hasher h;
    const struct graph *g = &st->model->graph;
    hasher_init(&h);
    hash_int(&h, g->n);
    hash_int(&h, g->output);
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        const int facts[] = {(int)d->op, d->C, d->H, d->W, (int)weights_count(g, i), d->n_in};
        for (size_t k = 0; k < sizeof facts / sizeof *facts; k++)
            hash_int(&h, facts[k]);
        for (int k = 0; k < d->n_in; k++)
            hash_int(&h, d->in[k]);
        struct array a[ARRAYS];
        hash_int(&h, arrays_of(st, i, a));
    }
    return hasher_end(&h);
}

/* ---- writing ---- */

static void put(struct buf *b, uint64_t x, int bytes)
{
    uint8_t p[8];
    for (int i = 0; i < bytes; i++)
        p[i] = (uint8_t)(x >> (8 * i));
    buf_append(b, p, (size_t)bytes);
}

static void put_f64(struct buf *b, double x)
{
    uint64_t u;
    memcpy(&u, &x, sizeof u);
    put(b, u, 8);
}

static void put_floats(struct buf *b, const float *x, size_t n)
{
    uint8_t chunk[CHUNK];
    while (n > 0) {
        size_t some = n < CHUNK / 4 ? n : CHUNK / 4;
        for (size_t i = 0; i < some; i++) {
            uint32_t u;
            memcpy(&u, x + i, sizeof u);
            for (int k = 0; k < 4; k++)
                chunk[4 * i + (size_t)k] = (uint8_t)(u >> (8 * k));
        }
        buf_append(b, chunk, 4 * some);
        x += some;
        n -= some;
    }
}

void fit_encode(const struct fit_state *st, struct buf *out)
{
    size_t start = out->n;
    struct hash graph = graph_hash(st);
    buf_append(out, MAGIC, 4);
    put(out, VERSION, 4);
    buf_append(out, graph.b, HASH_BYTES);
    put(out, (uint64_t)st->epoch, 4);
    put(out, (uint64_t)st->losses.steps, 8);
    put_f64(out, st->losses.first);
    for (int i = 0; i < FIT_WINDOW; i++)
        put_f64(out, st->losses.recent[i]);
    for (int i = 0; i < st->model->graph.n; i++) {
        struct array a[ARRAYS];
        int n = arrays_of(st, i, a);
        for (int k = 0; k < n; k++)
            put_floats(out, a[k].x, a[k].n);
    }
    struct hash sum = hash_of(out->p + start, out->n - start);
    buf_append(out, sum.b, HASH_BYTES);
}

/* ---- reading ---- */

static uint64_t get(const uint8_t **p, int bytes)
{
    uint64_t x = 0;
    for (int i = 0; i < bytes; i++)
        x |= (uint64_t)(*p)[i] << (8 * i);
    *p += bytes;
    return x;
}

static double get_f64(const uint8_t **p)
{
    uint64_t u = get(p, 8);
    double x;
    memcpy(&x, &u, sizeof x);
    return x;
}

static float get_f32(const uint8_t **p)
{
    uint32_t u = (uint32_t)get(p, 4);
    float x;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Whose bytes they are: this program's, this graph's, all of them as they were written. */
static int check_frame(const struct fit_state *st, const uint8_t *p, size_t n, struct err *e)
{
    size_t want = bytes_of(st);
    if (n < HEADER + HASH_BYTES || memcmp(p, MAGIC, 4) != 0)
        return err_set(e, ERR_INVALID, "not a checkpoint: %zu bytes without its magic", n);
    const uint8_t *at = p + 4;
    uint32_t version = (uint32_t)get(&at, 4);
    if (version != VERSION)
        return err_set(e, ERR_INVALID, "checkpoint of version %u, this program reads %d", version, VERSION);
    struct hash graph = graph_hash(st), sum = hash_of(p, n - HASH_BYTES);
    if (memcmp(at, graph.b, HASH_BYTES) != 0)
        return err_set(e, ERR_INVALID, "the checkpoint is one of another network than \"%s\"",
                       st->model->graph.name ? st->model->graph.name : "");
    if (n != want)
        return err_set(e, ERR_INVALID, "checkpoint of %zu bytes, expected %zu", n, want);
    if (memcmp(p + n - HASH_BYTES, sum.b, HASH_BYTES) != 0)
        return err_set(e, ERR_INVALID, "checkpoint of %zu bytes is damaged", n);
    return 0;
}

/* The numbers before the arrays. */
static int get_header(struct fit_state *st, const uint8_t **p, struct err *e)
{
    uint64_t epoch = get(p, 4), steps = get(p, 8);
    bool finite = isfinite(st->losses.first = get_f64(p));
    for (int i = 0; i < FIT_WINDOW; i++)
        finite = isfinite(st->losses.recent[i] = get_f64(p)) && finite;
    if (epoch > INT32_MAX || steps > INT64_MAX / 2 || !finite)
        return err_set(e, ERR_INVALID, "the checkpoint's epoch %llu, step %llu or losses are out of range",
                       (unsigned long long)epoch, (unsigned long long)steps);
    st->epoch = (int)epoch;
    st->losses.steps = (int64_t)steps;
    return 0;
}

static int check_floats(const uint8_t *p, size_t n, struct err *e)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(get_f32(&p)))
            return err_set(e, ERR_INVALID, "number %zu of the checkpoint is not finite", i);
    return 0;
}

int fit_decode(struct fit_state *st, const void *bytes, size_t n, struct err *e)
{
    struct fit_state header = {0};
    int rc = check_frame(st, bytes, n, e);
    if (rc < 0)
        return rc;
    const uint8_t *p = (const uint8_t *)bytes + 8 + HASH_BYTES;
    rc = get_header(&header, &p, e);
    if (rc == 0)
        rc = check_floats(p, (n - HEADER - HASH_BYTES) / 4, e);
    if (rc < 0)
        return rc;
    st->epoch = header.epoch;
    st->losses = header.losses;
    for (int i = 0; i < st->model->graph.n; i++) {
        struct array a[ARRAYS];
        int count = arrays_of(st, i, a);
        for (int k = 0; k < count; k++)
            for (size_t j = 0; j < a[k].n; j++)
                a[k].x[j] = get_f32(&p);
    }
    return 0;
}
