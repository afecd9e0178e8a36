/*
 * All parameters' arrays are cut into slices of at most SLICE floats, and consecutive slices are gathered into
 * pieces for the pool; both are fixed by the graph. No element depends on another, so numbers don't depend on the
 * threads.
 */
#include "worker/train/sgd.h"

#include "common/base/mem.h"
#include "common/base/wide.h"

#define SLICE 16384

struct slice {
    float *w, *v; /* v NULL: a running statistic */
    const float *g;
    size_t n;
    bool decay;
};

struct stepper {
    struct slice *slices;
    int n_slices;
    int *pieces; /* (n_pieces + 1): first slice */
    int n_pieces;
    float lr, momentum, decay;
    bool nesterov;
};

WIDE static void update(float *restrict w, float *restrict v, const float *restrict g, size_t n, float lr,
                        float momentum, float decay)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        v[i] = momentum * v[i] + (g[i] + decay * w[i]);
        w[i] -= lr * v[i];
    }
}

WIDE static void update_nesterov(float *restrict w, float *restrict v, const float *restrict g, size_t n, float lr,
                                 float momentum, float decay)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        float d = g[i] + decay * w[i];
        v[i] = momentum * v[i] + d;
        w[i] -= lr * (d + momentum * v[i]);
    }
}

static void follow(float *restrict running, const float *restrict batch, size_t n)
{
    for (size_t i = 0; i < n; i++)
        running[i] = (float)(1 - SGD_BN_MOMENTUM) * running[i] + (float)SGD_BN_MOMENTUM * batch[i];
}

static int step_piece(void *arg, int piece, int thread, struct err *e)
{
    const struct stepper *s = arg;
    (void)thread;
    (void)e;
    for (int i = s->pieces[piece]; i < s->pieces[piece + 1]; i++) {
        const struct slice *c = &s->slices[i];
        float decay = c->decay ? s->decay : 0;
        if (!c->v)
            follow(c->w, c->g, c->n);
        else if (s->nesterov)
            update_nesterov(c->w, c->v, c->g, c->n, s->lr, s->momentum, decay);
        else
            update(c->w, c->v, c->g, c->n, s->lr, s->momentum, decay);
    }
    return 0;
}

static size_t slices_of(size_t n)
{
    return (n + SLICE - 1) / SLICE;
}

/* At most so many. */
static size_t count_slices(const struct weights *w)
{
    size_t n = 0;
    for (int i = 0; i < w->n; i++)
        n += slices_of(w->of[i].n_w) + 3 * slices_of(w->of[i].n_b);
    return n;
}

static void add(struct stepper *s, float *w, float *v, const float *g, size_t n, bool decay)
{
    for (size_t at = 0; w && at < n; at += SLICE) {
        size_t some = n - at < SLICE ? n - at : SLICE;
        s->slices[s->n_slices++] = (struct slice){w + at, v ? v + at : NULL, g + at, some, decay};
    }
}

static void add_params(struct stepper *s, struct params *w, struct params *v, const struct params *g, bool decay_w,
                       bool decay_b)
{
    add(s, w->w, v->w, g->w, w->n_w, decay_w);
    add(s, w->b, v->b, g->b, w->n_b, decay_b);
    add(s, w->mean, NULL, g->mean, w->n_b, false);
    add(s, w->var, NULL, g->var, w->n_b, false);
}

static void gather(struct stepper *s)
{
    size_t filled = SLICE;
    for (int i = 0; i < s->n_slices; i++) {
        if (filled + s->slices[i].n > SLICE) {
            s->pieces[s->n_pieces++] = i;
            filled = 0;
        }
        filled += s->slices[i].n;
    }
    s->pieces[s->n_pieces] = s->n_slices;
}

int sgd_step(const struct training *t, double lr, const struct graph *g, struct weights *w,
             struct weights *velocity, const struct weights *grad, struct pool *pool, struct err *e)
{
    struct stepper s = {
        .lr = (float)lr, .momentum = (float)t->momentum, .decay = (float)t->weight_decay, .nesterov = t->nesterov};
    size_t most = count_slices(w);
    int rc;
    s.slices = mem_alloc(most, sizeof(*s.slices));
    s.pieces = mem_alloc(most + 1, sizeof(*s.pieces));
    if (s.slices && s.pieces) {
        for (int i = 0; i < g->n; i++) {
            bool kernel = g->nodes[i].op == OP_CONV || g->nodes[i].op == OP_GEMM;
            add_params(&s, &w->of[i], &velocity->of[i], &grad->of[i], t->decay_all || kernel, t->decay_all);
        }
        gather(&s);
        rc = pool_run(pool, s.n_pieces, step_piece, &s, e);
    } else {
        rc = err_set(e, ERR_NOMEM, "no memory for the optimiser's %zu slices", most);
    }
    mem_free(s.slices);
    mem_free(s.pieces);
    return rc;
}
