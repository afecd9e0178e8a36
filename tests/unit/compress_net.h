/*
 * compress_net - networks, images and plain algebra for the tests of worker/compress.
 */
#ifndef TESTS_UNIT_COMPRESS_NET_H
#define TESTS_UNIT_COMPRESS_NET_H

#include "common/model/groups.h"
#include "tests/unit/drawn_ops.h"
#include "worker/engine/pool.h"
#include "worker/train/score.h"

/* ---- drawn networks ---- */

static inline int one_of(struct net *n, int count)
{
    return (int)rng_below(&n->rng, (uint64_t)count);
}

/* Some node with pixels that `like` could be added to, or put beside; `like` itself when there is no other. */
static inline int partner(struct net *n, int like, bool any_channels)
{
    const struct node *nodes = n->m.graph.nodes, *l = &nodes[like];
    for (int tries = 0; tries < 30; tries++) {
        int i = one_of(n, n->m.graph.n);
        if (nodes[i].H == l->H && nodes[i].W == l->W && !nodes[i].flat && (any_channels || nodes[i].C == l->C))
            return i;
    }
    return like;
}

static inline int drawn_conv(struct net *n, int x)
{
    static const int widths[] = {4, 6, 8, 8, 12, 12}, kernels[] = {1, 1, 3, 3, 5};
    int C = n->m.graph.nodes[x].C, K = widths[one_of(n, 6)], R = kernels[one_of(n, 5)], groups = 1 + one_of(n, 4);
    int stride = one_of(n, 5) == 0 && n->m.graph.nodes[x].H > 4 ? 2 : 1;
    bool bias = one_of(n, 2);
    if (one_of(n, 5) == 0)
        return conv_win(n, x, C * (1 + one_of(n, 2)), window(3, stride, 1), C, bias);
    if (C % groups != 0 || K % groups != 0)
        groups = 1;
    return conv_win(n, x, K, window(R, stride, R / 2), groups, bias);
}

static inline int drawn_slice(struct net *n, int x)
{
    int C = n->m.graph.nodes[x].C, begin = one_of(n, C);
    return slice(n, x, (struct span){begin, begin + 1 + one_of(n, C - begin), 1 + (one_of(n, 3) == 0)}, 1);
}

static inline int drawn_node(struct net *n)
{
    int x = one_of(n, 4) > 0 ? n->last : one_of(n, n->m.graph.n);
    while (n->m.graph.nodes[x].flat)
        x = one_of(n, n->m.graph.n);
    switch (one_of(n, 18)) {
    case 0:
    case 1:
    case 2:
    case 3:
        x = drawn_conv(n, x);
        return one_of(n, 2) ? bn(n, x) : x;
    case 4:
        return bn(n, x);
    case 5:
        return relu(n, x);
    case 6:
        return clip(n, x, -0.5F, 2);
    case 7:
    case 8:
        return sum(n, x, partner(n, x, false));
    case 9: {
        int y = partner(n, x, true);
        return n->m.graph.nodes[x].C + n->m.graph.nodes[y].C < 40 ? concat(n, x, y, -1) : relu(n, x);
    }
    case 10:
        return pool(n, one_of(n, 2) ? OP_MAXPOOL : OP_AVGPOOL, x, window(3, 1, 1), one_of(n, 2));
    case 11:
        return n->m.graph.nodes[x].C < 40 ? pad(n, x, one_of(n, 3), one_of(n, 3), 0) : relu(n, x);
    case 12:
        return drawn_act(n, x);
    case 13:
        return drawn_gate(n, x);
    case 14:
        return drawn_shuffle(n, x);
    case 15:
        return mul(n, x, partner(n, x, false));
    case 16:
        return one_of(n, 3) ? drawn_act(n, x) : drawn_lrn(n, x);
    default:
        return drawn_slice(n, x);
    }
}

/* Every kind of layer that cutting must understand; input (3,S,S), output flat. */
static inline void draw_net(struct net *n)
{
    int side = 5 + one_of(n, 4), more = 5 + one_of(n, 14), x;
    conv(n, input(n, 3, side, side), 8, 3, 1);
    while (more-- > 0) {
        x = drawn_node(n);
        if (one_of(n, 2))
            relu(n, x);
    }
    if (one_of(n, 2)) {
        int flat = one_of(n, 2) ? flatten_last(n, n->last) : unary(n, OP_FLATTEN, n->last);
        x = relu(n, gemm(n, flat, 6, one_of(n, 2)));
        gemm(n, one_of(n, 2) ? bn(n, x) : x, 5, one_of(n, 2));
    } else {
        tail(n, n->last, 5);
    }
}

static inline void find_groups(const struct net *n, struct groups *gs)
{
    struct err e;
    must(groups_find(&n->m.graph, gs, &e), &e);
}

/* A random number of classes of each group in random order; `keep` and `order` are the caller's to free. */
static inline void draw_keep(struct net *n, const struct groups *gs, int **keep, int ***order)
{
    *keep = xcalloc((size_t)gs->n, sizeof(int));
    *order = xcalloc((size_t)gs->n, sizeof(int *));
    for (int g = 0; g < gs->n; g++) {
        int size = gs->of[g].n;
        (*keep)[g] = 1 + one_of(n, size);
        (*order)[g] = xcalloc((size_t)size, sizeof(int));
        for (int k = 0; k < size; k++)
            (*order)[g][k] = k;
        rng_shuffle(&n->rng, (*order)[g], (size_t)size);
    }
}

static inline void free_keep(const struct groups *gs, int *keep, int **order)
{
    for (int g = 0; g < gs->n; g++)
        free(order[g]);
    free(order);
    free(keep);
}

/* ---- images ---- */

struct album {
    struct dataset data;
    struct scored_set set;
    double mean[4], std[4];
};

/* n random pictures, smooth enough that neighbours are alike; labels 0 ... classes-1 in turn. */
static inline void album_init(struct album *a, const struct node *in, int n, int classes, uint64_t seed)
{
    struct rng r;
    size_t area = (size_t)in->H * (size_t)in->W;
    rng_init(&r, seed, "album", 0);
    *a = (struct album){.data = {.n = n, .C = in->C, .H = in->H, .W = in->W, .n_classes = classes}};
    a->data.pixels = mem_alloc((size_t)n, (size_t)in->C * area);
    a->data.labels = mem_alloc((size_t)n, 1);
    for (int i = 0; i < n; i++) {
        a->data.labels[i] = (uint8_t)(i % classes);
        for (size_t k = 0; k < (size_t)in->C * area; k++) {
            double level = k % area == 0 ? 40 + 160 * rng_uniform(&r) : 0;
            uint8_t *p = &a->data.pixels[(size_t)i * (size_t)in->C * area + k];
            double before = k % area == 0 ? level : p[-1];
            *p = (uint8_t)fmin(255, fmax(0, before + 50 * (rng_uniform(&r) - 0.5)));
        }
    }
    for (int c = 0; c < 4; c++) {
        a->mean[c] = 110 + 10 * c;
        a->std[c] = 60;
    }
    a->set = (struct scored_set){.data = &a->data, .n = n, .mean = a->mean, .std = a->std};
}

/* The pictures as the network's input (n,C,H,W); the caller frees. */
static inline float *album_floats(const struct album *a, int first, int n)
{
    int *index = xcalloc((size_t)n, sizeof(int));
    float *x = xcalloc((size_t)n * (size_t)a->data.C * (size_t)a->data.H * (size_t)a->data.W, sizeof(float));
    for (int i = 0; i < n; i++)
        index[i] = a->set.index ? a->set.index[first + i] : first + i;
    struct err e;
    ck_assert_int_eq(dataset_fill(&a->data, index, n, a->mean, a->std, x, &e), 0);
    free(index);
    return x;
}

static inline void album_release(struct album *a)
{
    dataset_release(&a->data);
}

/* ---- running ---- */

/* Output of the engine for x (N,C,H,W); the caller frees. */
static inline float *run_model(const struct model *m, const float *x, int N)
{
    struct engine *eng;
    struct engine_run *run;
    struct err e;
    float *y = xcalloc((size_t)N * naive_image(&m->graph.nodes[m->graph.output]), sizeof(float));
    must(engine_new(&eng, &m->graph, &m->weights, N, ENGINE_INFER, DTYPE_F32, NULL, 0, &e), &e);
    must(engine_run_new(&run, eng, &e), &e);
    must(engine_forward(run, x, y, &e), &e);
    engine_run_free(run);
    engine_free(eng);
    return y;
}

/* Largest distance of two models' outputs for the same images, as a fraction of b's largest output. */
static inline double model_distance(const struct model *a, const struct model *b, const float *x, int N)
{
    size_t n = (size_t)N * naive_image(&b->graph.nodes[b->graph.output]);
    float *ya = run_model(a, x, N), *yb = run_model(b, x, N);
    double *want = xcalloc(n, sizeof(double));
    for (size_t i = 0; i < n; i++)
        want[i] = (double)yb[i];
    double d = naive_distance(ya, want, n);
    free(want);
    free(ya);
    free(yb);
    return d;
}

static inline struct pool *new_pool(int threads)
{
    struct pool *p;
    struct err e;
    must(pool_new(&p, threads, &e), &e);
    return p;
}

/* ---- algebra, plainly ---- */

/* b (n,k) := a^-1 b by Gauss with pivots; a (n,n) is destroyed. */
static inline void plain_solve(double *a, int n, double *b, int k)
{
    for (int c = 0; c < n; c++) {
        int p = c;
        for (int r = c + 1; r < n; r++)
            p = fabs(a[r * n + c]) > fabs(a[p * n + c]) ? r : p;
        for (int i = 0; i < n; i++) {
            double t = a[c * n + i];
            a[c * n + i] = a[p * n + i];
            a[p * n + i] = t;
        }
        for (int i = 0; i < k; i++) {
            double t = b[c * k + i];
            b[c * k + i] = b[p * k + i];
            b[p * k + i] = t;
        }
        for (int r = 0; r < n; r++) {
            double f = r == c ? 0 : a[r * n + c] / a[c * n + c];
            for (int i = c; i < n && r != c; i++)
                a[r * n + i] -= f * a[c * n + i];
            for (int i = 0; i < k && r != c; i++)
                b[r * k + i] -= f * b[c * k + i];
        }
    }
    for (int r = 0; r < n; r++)
        for (int i = 0; i < k; i++)
            b[r * k + i] /= a[r * n + r];
}

#endif
