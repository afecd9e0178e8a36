/*
 * autograd_net - a training pass over a small net, and its gradients against differences of the naive twin's loss
 * in double. The loss is a fixed random mix of the logits, so its own gradient is exact.
 */
#ifndef TESTS_UNIT_AUTOGRAD_NET_H
#define TESTS_UNIT_AUTOGRAD_NET_H

#include "tests/unit/engine_net.h"
#include "worker/autograd/autograd.h"

struct trial {
    int N;
    enum dtype type;
    int threads;
    float *x, *logits, *dlogits;
    size_t n_logits;
    struct weights grad;
};

/* One forward and backward pass; t->x and t->dlogits are drawn. */
static inline void trial_run(struct trial *t, const struct net *n)
{
    struct autograd *ag;
    struct pool *pool;
    struct err e;
    must(pool_new(&pool, t->threads, &e), &e);
    must(autograd_new(&ag, &n->m.graph, t->N, t->type, pool, &e), &e);
    must(autograd_load(ag, &n->m.weights, &e), &e);
    must(autograd_forward(ag, t->x, t->logits, &e), &e);
    must(autograd_backward(ag, t->dlogits, &t->grad, &e), &e);
    ck_assert_int_ge(autograd_parts(ag), 1);
    ck_assert_uint_gt(autograd_bytes(ag), 0);
    autograd_free(ag);
    pool_free(pool);
}

static inline void trial_new(struct trial *t, struct net *n, int N, enum dtype type, int threads)
{
    const struct graph *g = &n->m.graph;
    struct err e;
    int out = g->nodes[g->output].op == OP_SOFTMAX ? g->nodes[g->output].in[0] : g->output;
    *t = (struct trial){.N = N, .type = type, .threads = threads};
    t->n_logits = (size_t)N * naive_image(&g->nodes[out]);
    t->x = draw_images(&n->rng, g, N);
    t->logits = xcalloc(t->n_logits, sizeof(float));
    t->dlogits = xcalloc(t->n_logits, sizeof(float));
    fill(&n->rng, t->dlogits, t->n_logits, 0, 1);
    must(weights_new(&t->grad, g, &e), &e);
    for (int i = 0; i < g->n; i++) /* whatever was there must not count (traps: accumulation) */
        fill(&n->rng, t->grad.of[i].w, t->grad.of[i].n_w, 5, 1);
}

static inline void trial_release(struct trial *t)
{
    free(t->x);
    free(t->logits);
    free(t->dlogits);
    weights_release(&t->grad);
}

static inline double naive_loss(const struct net *n, const struct trial *t, struct naive *out)
{
    const struct graph *g = &n->m.graph;
    int node = g->nodes[g->output].op == OP_SOFTMAX ? g->nodes[g->output].in[0] : g->output;
    struct naive v;
    double loss = 0;
    naive_run(&v, g, &n->m.weights, t->N, ENGINE_BATCH, t->x);
    for (size_t i = 0; i < t->n_logits; i++)
        loss += (double)t->dlogits[i] * v.value[node][i];
    if (out)
        *out = v;
    else
        naive_release(&v);
    return loss;
}

/*
 * Moves p (n) by +-size each, at random, both ways: what the gradient says of the loss, and what happens. Returns
 * how far apart they are, in units of what is allowed.
 */
static inline double direction_error(struct net *n, const struct trial *t, float *p, const float *grad,
                                     size_t count, double size, double scale)
{
    double said = 0, norm = 0;
    float *was = xcalloc(count, sizeof *was), *up = xcalloc(count, sizeof *up);
    memcpy(was, p, count * sizeof *was);
    for (size_t i = 0; i < count; i++)
        p[i] = up[i] = was[i] + (float)(rng_below(&n->rng, 2) ? size : -size);
    double loss = naive_loss(n, t, NULL);
    for (size_t i = 0; i < count; i++) {
        p[i] = was[i] - (up[i] - was[i]);
        said += (double)grad[i] * ((double)up[i] - (double)p[i]);
        norm += (double)grad[i] * (double)grad[i];
    }
    loss -= naive_loss(n, t, NULL);
    memcpy(p, was, count * sizeof *was);
    free(was);
    free(up);
    return fabs(loss - said) / (2 * size * (3e-3 * sqrt(norm) + 1e-5 * scale));
}

/* A step that takes some activation over its kink says little: then smaller ones are tried. */
static inline void compare_direction(struct net *n, const struct trial *t, float *p, const float *grad,
                                     size_t count, double scale, const char *what)
{
    double size = 0, off = 0;
    for (size_t i = 0; i < count; i++)
        size += (double)p[i] * (double)p[i];
    size = 1e-4 * (sqrt(size / (double)count) + 0.1);
    for (int attempt = 0; attempt < 4; attempt++, size /= 5)
        if ((off = direction_error(n, t, p, grad, count, size, scale)) <= 1)
            return;
    ck_abort_msg("%s: the loss and its gradient disagree by %g times what is allowed", what, off);
}

static inline void compare_batch(const struct trial *t, const struct naive *v, const struct net *n, int node,
                                 const char *what)
{
    const struct params *p = &t->grad.of[node];
    const struct node *y = &n->m.graph.nodes[node];
    double count = (double)t->N * y->H * y->W;
    for (int c = 0; c < y->C; c++) {
        double sd = sqrt(v->var[node][c]), var = v->var[node][c] * count / fmax(count - 1, 1);
        ck_assert_msg(fabs((double)p->mean[c] - v->mean[node][c]) <= 1e-4 * (sd + 1),
                      "%s: mean %d of node %d: %g, %g", what, c, node, (double)p->mean[c], v->mean[node][c]);
        ck_assert_msg(fabs((double)p->var[c] - var) <= 1e-4 * (var + 1e-3),
                      "%s: variance %d of node %d: %g, not %g", what, c, node, (double)p->var[c], var);
    }
}

/* Whether nothing but BNs reads the value: they take a bias off again, its gradient is what rounding leaves of 0. */
static inline bool only_normed(const struct graph *g, int node)
{
    bool normed = false;
    for (int i = 0; i < g->n; i++)
        for (int k = 0; k < g->nodes[i].n_in; k++)
            if (g->nodes[i].in[k] == node) {
                normed = true;
                if (g->nodes[i].op != OP_BN)
                    return false;
            }
    return normed;
}

static inline void compare_bias(struct net *n, const struct trial *t, int node, double scale, const char *what)
{
    const struct params *p = &n->m.weights.of[node], *q = &t->grad.of[node];
    if (!only_normed(&n->m.graph, node)) {
        compare_direction(n, t, p->b, q->b, p->n_b, scale, what);
        return;
    }
    for (size_t c = 0; c < p->n_b; c++)
        ck_assert_msg(fabs((double)q->b[c]) < 1e-3 * scale, "%s: %g", what, (double)q->b[c]);
}

/* Everything about one fp32 pass. */
static inline void compare_gradients(struct net *n, int N, int threads, const char *what)
{
    struct trial t;
    struct naive v;
    char where[96];
    const struct graph *g = &n->m.graph;
    trial_new(&t, n, N, DTYPE_F32, threads);
    trial_run(&t, n);
    double scale = fabs(naive_loss(n, &t, &v));
    int out = g->nodes[g->output].op == OP_SOFTMAX ? g->nodes[g->output].in[0] : g->output;
    double d = naive_distance(t.logits, v.value[out], t.n_logits);
    ck_assert_msg(d < NEAR, "%s: logits are off by %g", what, d);
    for (size_t i = 0; i < t.n_logits; i++)
        scale += fabs((double)t.dlogits[i] * v.value[out][i]);
    for (int i = 0; i < g->n; i++) {
        struct params *p = &n->m.weights.of[i], *q = &t.grad.of[i];
        if (!p->w)
            continue;
        snprintf(where, sizeof where, "%s: w of node %d (%s)", what, i, op_name(g->nodes[i].op));
        compare_direction(n, &t, p->w, q->w, p->n_w, scale, where);
        snprintf(where, sizeof where, "%s: b of node %d (%s)", what, i, op_name(g->nodes[i].op));
        if (p->b)
            compare_bias(n, &t, i, scale, where);
        if (g->nodes[i].op == OP_BN && (q->mean[0] != 0 || q->var[0] != 1)) /* the output depends on it */
            compare_batch(&t, &v, n, i, what);
    }
    naive_release(&v);
    trial_release(&t);
}

#endif
