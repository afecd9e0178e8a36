/*
 * engine_net - small nets in a line a node, and how the engine's numbers are compared with its naive twin's.
 */
#ifndef TESTS_UNIT_ENGINE_NET_H
#define TESTS_UNIT_ENGINE_NET_H

#include <check.h>
#include <stdio.h>

#include "common/base/rng.h"
#include "tests/unit/naive.h"
#include "tests/unit/types.h"

#define NEAR 1e-4 /* how far from the twin, as a share of the largest number */

/* ---- building nets ---- */

struct net {
    struct model m;
    struct rng rng;
    int last; /* newest node */
};

static inline int add(struct net *n, struct node proto)
{
    struct err e;
    char name[32];
    snprintf(name, sizeof name, "n%d", n->m.graph.n);
    proto.name = name;
    proto.label = name;
    n->last = graph_add(&n->m.graph, &proto, &e);
    ck_assert_msg(n->last >= 0, "%s", n->last < 0 ? e.text : "");
    n->m.graph.output = n->last;
    return n->last;
}

static inline int input(struct net *n, int C, int H, int W)
{
    return add(n, (struct node){.op = OP_INPUT, .C = C, .H = H, .W = W});
}

static inline struct window window(int R, int stride, int pad)
{
    return (struct window){.R = R,
                           .S = R,
                           .stride_h = stride,
                           .stride_w = stride,
                           .dil_h = 1,
                           .dil_w = 1,
                           .pad_t = pad,
                           .pad_l = pad,
                           .pad_b = pad,
                           .pad_r = pad};
}

static inline int conv_win(struct net *n, int x, int K, struct window w, int groups, bool bias)
{
    struct node p = {.op = OP_CONV, .n_in = 1, .in = &x, .C = K};
    p.u.conv.win = w;
    p.u.conv.groups = groups;
    p.u.conv.bias = bias;
    return add(n, p);
}

static inline int conv(struct net *n, int x, int K, int R, int stride)
{
    return conv_win(n, x, K, window(R, stride, R / 2), 1, false);
}

static inline int unary(struct net *n, enum op op, int x)
{
    return add(n, (struct node){.op = op, .n_in = 1, .in = &x});
}

static inline int relu(struct net *n, int x)
{
    return unary(n, OP_RELU, x);
}

static inline int bn(struct net *n, int x)
{
    struct node p = {.op = OP_BN, .n_in = 1, .in = &x};
    p.u.bn.eps = 1e-5F;
    return add(n, p);
}

static inline int clip(struct net *n, int x, float lo, float hi)
{
    struct node p = {.op = OP_CLIP, .n_in = 1, .in = &x};
    p.u.clip.lo = lo;
    p.u.clip.hi = hi;
    return add(n, p);
}

static inline int sum(struct net *n, int a, int b)
{
    int in[] = {a, b};
    return add(n, (struct node){.op = OP_ADD, .n_in = 2, .in = in});
}

static inline int mul(struct net *n, int a, int b)
{
    int in[] = {a, b};
    return add(n, (struct node){.op = OP_MUL, .n_in = 2, .in = in});
}

/* LeakyRelu, Elu (alpha), HardSigmoid (both). */
static inline int act(struct net *n, enum op op, int x, float alpha, float beta)
{
    struct node p = {.op = op, .n_in = 1, .in = &x};
    p.u.act.alpha = alpha;
    p.u.act.beta = beta;
    return add(n, p);
}

static inline int lrn(struct net *n, int x, int size, float alpha, float beta, float bias)
{
    struct node p = {.op = OP_LRN, .n_in = 1, .in = &x};
    p.u.lrn.size = size;
    p.u.lrn.alpha = alpha;
    p.u.lrn.beta = beta;
    p.u.lrn.bias = bias;
    return add(n, p);
}

static inline int shuffle(struct net *n, int x, int groups)
{
    struct node p = {.op = OP_SHUFFLE, .n_in = 1, .in = &x};
    p.u.shuffle.groups = groups;
    return add(n, p);
}

static inline int flatten_last(struct net *n, int x)
{
    struct node p = {.op = OP_FLATTEN, .n_in = 1, .in = &x};
    p.u.flatten.last = true;
    return add(n, p);
}

static inline int concat(struct net *n, int a, int b, int c)
{
    int in[] = {a, b, c};
    return add(n, (struct node){.op = OP_CONCAT, .n_in = c < 0 ? 2 : 3, .in = in});
}

static inline int pool(struct net *n, enum op op, int x, struct window w, bool count_pad)
{
    struct node p = {.op = op, .n_in = 1, .in = &x};
    p.u.pool.win = w;
    p.u.pool.count_pad = count_pad;
    return add(n, p);
}

static inline int pad(struct net *n, int x, int front, int back, int spatial)
{
    struct node p = {.op = OP_PAD, .n_in = 1, .in = &x};
    p.u.pad.front = front;
    p.u.pad.back = back;
    p.u.pad.top = spatial;
    p.u.pad.right = 2 * spatial;
    return add(n, p);
}

static inline int slice(struct net *n, int x, struct span c, int step)
{
    struct node p = {.op = OP_SLICE, .n_in = 1, .in = &x};
    p.u.slice.c = c;
    p.u.slice.h = (struct span){0, n->m.graph.nodes[x].H, step};
    p.u.slice.w = (struct span){step - 1, n->m.graph.nodes[x].W, step};
    return add(n, p);
}

static inline int gemm(struct net *n, int x, int K, bool bias)
{
    struct node p = {.op = OP_GEMM, .n_in = 1, .in = &x, .C = K};
    p.u.gemm.bias = bias;
    return add(n, p);
}

static inline int tail(struct net *n, int x, int K) /* pool, flatten, gemm */
{
    return gemm(n, unary(n, OP_FLATTEN, unary(n, OP_GLOBALPOOL, x)), K, true);
}

static inline void fill(struct rng *r, float *p, size_t n, double mean, double sd)
{
    for (size_t i = 0; p && i < n; i++)
        p[i] = (float)(mean + sd * rng_normal(r));
}

static inline void draw_weights(struct net *n)
{
    struct err e;
    ck_assert_int_eq(weights_new(&n->m.weights, &n->m.graph, &e), 0);
    for (int i = 0; i < n->m.graph.n; i++) {
        struct params *p = &n->m.weights.of[i];
        bool norm = n->m.graph.nodes[i].op == OP_BN;
        double fan = p->n_w ? (double)p->n_w / n->m.graph.nodes[i].C : 1;
        if (n->m.graph.nodes[i].op == OP_PRELU)
            fill(&n->rng, p->w, p->n_w, 0.25, 0.3);
        else
            fill(&n->rng, p->w, p->n_w, norm ? 1 : 0, norm ? 0.2 : sqrt(2 / fan));
        fill(&n->rng, p->b, p->n_b, 0.1, 0.3);
        fill(&n->rng, p->mean, p->n_b, 0, 0.3);
        for (size_t c = 0; p->var && c < p->n_b; c++)
            p->var[c] = (float)(0.5 + rng_uniform(&n->rng));
    }
}

/* ---- comparing ---- */

static inline float *draw_images(struct rng *r, const struct graph *g, int N)
{
    size_t floats = (size_t)N * naive_image(&g->nodes[0]);
    float *x = xcalloc(floats, sizeof *x);
    fill(r, x, floats, 0.2, 1);
    return x;
}

static inline void must(int rc, const struct err *e)
{
    ck_assert_msg(rc == 0, "%s", rc < 0 ? e->text : "");
}

/* The net's naive twin and, for a bf16 engine, a second one that rounds. */
struct twins {
    const struct naive *exact, *rough; /* rough: NULL for fp32 */
};

/* How far the engine may be from `exact`: what rounding does to such a net depends on how it cancels, so the rough
 * twin's own distance is the measure. */
static inline double near(const double *exact, const double *rough, size_t n)
{
    double most = 1e-6, off = 0;
    if (!rough)
        return NEAR;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs(exact[i]));
        off = fmax(off, fabs(rough[i] - exact[i]));
    }
    return 5e-3 + 6 * off / most;
}

static inline void compare_value(const struct twins *t, int node, const float *v, const char *what)
{
    const struct naive *x = t->exact;
    size_t n = (size_t)x->N * naive_image(&x->g->nodes[node]);
    double d = naive_distance(v, x->value[node], n);
    double most = near(x->value[node], t->rough ? t->rough->value[node] : NULL, n);
    ck_assert_msg(d < most, "%s: %s, mode %d, node %d (%s) is off by %g, %g is allowed", what,
                  type_name(t->rough ? DTYPE_BF16 : DTYPE_F32), (int)x->mode, node, op_name(x->g->nodes[node].op),
                  d, most);
}

static inline void compare_stats(const struct twins *t, const struct engine_run *run, const char *what)
{
    const struct naive *x = t->exact;
    for (int i = 0; i < x->g->n; i++) {
        const float *mean, *var;
        if (x->g->nodes[i].op != OP_BN)
            continue;
        engine_stats(run, i, &mean, &var);
        size_t C = (size_t)x->g->nodes[i].C;
        double scale = 0, most = near(x->mean[i], t->rough ? t->rough->mean[i] : NULL, C);
        for (size_t c = 0; c < C; c++)
            scale = fmax(scale, sqrt(x->var[i][c]) + (t->rough ? fabs(x->mean[i][c]) : 0));
        for (size_t c = 0; c < C; c++)
            ck_assert_msg(fabs((double)mean[c] - x->mean[i][c]) <= most * (scale + fabs(x->mean[i][c])),
                          "%s: mean of channel %zu at node %d: %g, not %g", what, c, i, (double)mean[c],
                          x->mean[i][c]);
        most = near(x->var[i], t->rough ? t->rough->var[i] : NULL, C);
        double d = naive_distance(var, x->var[i], C);
        ck_assert_msg(d < most, "%s: variance at node %d is off by %g, %g is allowed", what, i, d, most);
    }
}

static inline void compare_tap(const struct twins *t, struct engine_run *run, int node, const char *what)
{
    struct err e;
    float *v = xcalloc((size_t)t->exact->N * naive_image(&t->exact->g->nodes[node]), sizeof *v);
    must(engine_tap(run, node, v, &e), &e);
    compare_value(t, node, v, what);
    free(v);
}

/* Output, taps and statistics; twice with one run, so that whatever the first pass left behind shows. */
static inline void compare(const struct net *n, const struct twins *t, const float *x, const int *taps, int n_taps,
                           const char *what)
{
    struct engine *eng;
    struct engine_run *run;
    struct err e;
    const struct graph *g = &n->m.graph;
    enum engine_mode mode = t->exact->mode;
    enum dtype type = t->rough ? DTYPE_BF16 : DTYPE_F32;
    size_t floats = (size_t)t->exact->N * naive_image(&g->nodes[g->output]);
    float *y = xcalloc(floats, sizeof *y);
    must(engine_new(&eng, g, &n->m.weights, t->exact->N, mode, type, taps, n_taps, &e), &e);
    must(engine_run_new(&run, eng, &e), &e);
    for (int pass = 0; pass < 2; pass++) {
        memset(y, 0xff, floats * sizeof *y);
        must(engine_forward(run, x, y, &e), &e);
        compare_value(t, g->output, y, what);
    }
    for (int i = 0; i < n_taps; i++)
        compare_tap(t, run, taps[i], what);
    if (mode == ENGINE_BATCH)
        compare_stats(t, run, what);
    engine_run_free(run);
    engine_free(eng);
    free(y);
}

/* Without taps, with some, with all. */
static inline void compare_taps(struct net *n, const struct twins *t, const float *x, const char *what)
{
    int nodes = n->m.graph.n, *taps = xcalloc((size_t)nodes, sizeof *taps), some = 0;
    compare(n, t, x, NULL, 0, what);
    for (int i = 0; i < nodes; i++)
        if (rng_below(&n->rng, 3) == 0)
            taps[some++] = i;
    compare(n, t, x, taps, some, what);
    for (int i = 0; i < nodes; i++)
        taps[i] = i;
    compare(n, t, x, taps, nodes, what);
    free(taps);
}

/* Both modes in both types. */
static inline void compare_modes(struct net *n, int N, const char *what)
{
    const struct graph *g = &n->m.graph;
    float *x = draw_images(&n->rng, g, N);
    for (int mode = ENGINE_INFER; mode <= ENGINE_BATCH; mode++) {
        struct naive exact, rough;
        naive_run(&exact, g, &n->m.weights, N, (enum engine_mode)mode, x);
        compare_taps(n, &(struct twins){.exact = &exact}, x, what);
        if (has_type(DTYPE_BF16)) {
            naive_run_as(&rough, g, &n->m.weights, N, (enum engine_mode)mode, true, x);
            compare_taps(n, &(struct twins){.exact = &exact, .rough = &rough}, x, what);
            naive_release(&rough);
        }
        naive_release(&exact);
    }
    free(x);
}

static inline void net_init(struct net *n, uint64_t seed, const char *what)
{
    *n = (struct net){0};
    graph_init(&n->m.graph);
    rng_init(&n->rng, seed, what, 0);
}

#endif
