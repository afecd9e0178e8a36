/*
 * naive - the engine's twin: every layer kind as plain loops over (N,C,H,W) in double, as its definition reads.
 * Slow, and meant to be obvious; shared by the tests that need a second opinion.
 */
#ifndef TESTS_UNIT_NAIVE_H
#define TESTS_UNIT_NAIVE_H

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/engine/bf16.h"
#include "worker/engine/engine.h"

struct naive {
    const struct graph *g;
    const struct weights *w;
    int N;
    enum engine_mode mode;
    bool rough;           /* values are rounded to bf16 */
    bool *const *dead;    /* (nodes)(C) channels whose values count as zero, or NULL */
    double **value;       /* (nodes)(N,C,H,W) */
    double **mean, **var; /* (nodes)(C) of BN nodes: BATCH mode's statistics */
};

static inline size_t naive_image(const struct node *n)
{
    return (size_t)n->C * (size_t)n->H * (size_t)n->W;
}

static inline double *naive_at(double *v, const struct node *n, int i, int c, int h, int w)
{
    return &v[(((size_t)i * (size_t)n->C + (size_t)c) * (size_t)n->H + (size_t)h) * (size_t)n->W + (size_t)w];
}

/* The pixel, or zero outside. */
static inline double naive_pixel(double *v, const struct node *n, int i, int c, int h, int w)
{
    return h < 0 || w < 0 || h >= n->H || w >= n->W ? 0 : *naive_at(v, n, i, c, h, w);
}

static inline double naive_conv(const struct naive *t, int id, int i, int k, int p, int q)
{
    const struct node *y = &t->g->nodes[id], *x = &t->g->nodes[y->in[0]];
    const struct window *w = &y->u.conv.win;
    int per = x->C / y->u.conv.groups, first = k / (y->C / y->u.conv.groups) * per;
    const float *w_k = t->w->of[id].w + (size_t)k * (size_t)(per * w->R * w->S);
    double s = t->w->of[id].b ? (double)t->w->of[id].b[k] : 0;
    for (int c = 0; c < per; c++)
        for (int r = 0; r < w->R; r++)
            for (int j = 0; j < w->S; j++)
                s += (double)w_k[(c * w->R + r) * w->S + j] *
                     naive_pixel(t->value[y->in[0]], x, i, first + c, p * w->stride_h - w->pad_t + r * w->dil_h,
                                 q * w->stride_w - w->pad_l + j * w->dil_w);
    return s;
}

static inline double naive_pool(const struct naive *t, int id, int i, int c, int p, int q)
{
    const struct node *y = &t->g->nodes[id], *x = &t->g->nodes[y->in[0]];
    const struct window *w = &y->u.pool.win;
    double sum = 0, most = -DBL_MAX;
    int seen = 0;
    for (int r = 0; r < w->R; r++)
        for (int j = 0; j < w->S; j++) {
            int h = p * w->stride_h - w->pad_t + r * w->dil_h, v = q * w->stride_w - w->pad_l + j * w->dil_w;
            if (h < 0 || v < 0 || h >= x->H || v >= x->W)
                continue;
            double at = *naive_at(t->value[y->in[0]], x, i, c, h, v);
            sum += at;
            most = at > most ? at : most;
            seen++;
        }
    if (y->op == OP_MAXPOOL)
        return most;
    return sum / (y->u.pool.count_pad ? w->R * w->S : seen);
}

static inline double naive_mean(const struct naive *t, const struct node *x, double *v, int i, int c)
{
    double s = 0;
    (void)t;
    for (int h = 0; h < x->H; h++)
        for (int w = 0; w < x->W; w++)
            s += *naive_at(v, x, i, c, h, w);
    return s / (x->H * x->W);
}

static inline double naive_concat(const struct naive *t, const struct node *y, int i, int c, int h, int w)
{
    int k = 0;
    while (c >= t->g->nodes[y->in[k]].C)
        c -= t->g->nodes[y->in[k++]].C;
    return *naive_at(t->value[y->in[k]], &t->g->nodes[y->in[k]], i, c, h, w);
}

static inline double naive_gemm(const struct naive *t, int id, int i, int k)
{
    const struct node *y = &t->g->nodes[id];
    int C = t->g->nodes[y->in[0]].C;
    double s = t->w->of[id].b ? (double)t->w->of[id].b[k] : 0;
    for (int c = 0; c < C; c++)
        s += (double)t->w->of[id].w[(size_t)k * (size_t)C + (size_t)c] *
             t->value[y->in[0]][(size_t)i * (size_t)C + (size_t)c];
    return s;
}

static inline double naive_softmax(const struct naive *t, const struct node *y, int i, int c)
{
    const double *x = t->value[y->in[0]] + (size_t)i * (size_t)y->C;
    double most = x[0], s = 0;
    for (int k = 1; k < y->C; k++)
        most = x[k] > most ? x[k] : most;
    for (int k = 0; k < y->C; k++)
        s += exp(x[k] - most);
    return exp(x[c] - most) / s;
}

static inline double naive_bn(const struct naive *t, int id, int i, int c, int h, int w)
{
    const struct node *y = &t->g->nodes[id];
    const struct params *p = &t->w->of[id];
    bool batch = t->mode == ENGINE_BATCH;
    double mean = batch ? t->mean[id][c] : (double)p->mean[c], var = batch ? t->var[id][c] : (double)p->var[c];
    double x = *naive_at(t->value[y->in[0]], y, i, c, h, w);
    return (x - mean) / sqrt(var + (double)y->u.bn.eps) * (double)p->w[c] + (p->b ? (double)p->b[c] : 0);
}

/* The operators that make each number another by itself. */
static inline double naive_act(const struct naive *t, int id, int c, double x)
{
    const struct node *y = &t->g->nodes[id];
    double alpha = (double)y->u.act.alpha;
    switch (y->op) {
    case OP_RELU:
        return fmax(x, 0);
    case OP_CLIP:
        return fmin(fmax(x, (double)y->u.clip.lo), (double)y->u.clip.hi);
    case OP_SIGMOID:
        return 1 / (1 + exp(-x));
    case OP_TANH:
        return tanh(x);
    case OP_HARDSIGMOID:
        return fmin(fmax(alpha * x + (double)y->u.act.beta, 0), 1);
    case OP_HARDSWISH:
        return x * fmin(fmax(x / 6 + 0.5, 0), 1);
    case OP_LEAKYRELU:
        return x < 0 ? alpha * x : x;
    case OP_ELU:
        return x < 0 ? alpha * (exp(x) - 1) : x;
    case OP_PRELU:
        return x < 0 ? (double)t->w->of[id].w[c] * x : x;
    default:
        BUG("no naive %s", op_name(y->op));
    }
}

/* ONNX: from floor((size - 1) / 2) channels before to ceil((size - 1) / 2) after. */
static inline double naive_lrn(const struct naive *t, int id, int i, int c, int h, int w)
{
    const struct node *y = &t->g->nodes[id];
    double *v = t->value[y->in[0]], sum = 0;
    int size = y->u.lrn.size;
    for (int k = c - (size - 1) / 2; k <= c + size / 2; k++)
        if (k >= 0 && k < y->C)
            sum += pow(*naive_at(v, y, i, k, h, w), 2);
    return *naive_at(v, y, i, c, h, w) /
           pow((double)y->u.lrn.bias + (double)y->u.lrn.alpha / size * sum, (double)y->u.lrn.beta);
}

/* The second may be a gate of one pixel. */
static inline double naive_mul(const struct naive *t, const struct node *y, int i, int c, int h, int w)
{
    const struct node *a = &t->g->nodes[y->in[0]], *b = &t->g->nodes[y->in[1]];
    return *naive_at(t->value[y->in[0]], a, i, c, h, w) *
           *naive_at(t->value[y->in[1]], b, i, c, b->H == 1 ? 0 : h, b->W == 1 ? 0 : w);
}

static inline double naive_flatten(const struct naive *t, const struct node *y, int i, int c)
{
    const struct node *x = &t->g->nodes[y->in[0]];
    double *v = t->value[y->in[0]];
    if (y->u.flatten.last)
        return *naive_at(v, x, i, c % x->C, c / x->C / x->W, c / x->C % x->W);
    return v[(size_t)i * naive_image(x) + (size_t)c];
}

/* Channel j * groups + i of the value is channel i * (C / groups) + j of the input. */
static inline double naive_shuffle(const struct naive *t, const struct node *y, int i, int c, int h, int w)
{
    int groups = y->u.shuffle.groups;
    return *naive_at(t->value[y->in[0]], y, i, c % groups * (y->C / groups) + c / groups, h, w);
}

static inline double naive_element(const struct naive *t, int id, int i, int c, int h, int w)
{
    const struct node *y = &t->g->nodes[id], *x = &t->g->nodes[y->in[0]];
    double *v = t->value[y->in[0]];
    switch (y->op) {
    case OP_CONV:
        return naive_conv(t, id, i, c, h, w);
    case OP_BN:
        return naive_bn(t, id, i, c, h, w);
    case OP_MAXPOOL:
    case OP_AVGPOOL:
        return naive_pool(t, id, i, c, h, w);
    case OP_GLOBALPOOL:
        return naive_mean(t, x, v, i, c);
    case OP_ADD:
        return *naive_at(v, x, i, c, h, w) + *naive_at(t->value[y->in[1]], x, i, c, h, w);
    case OP_MUL:
        return naive_mul(t, y, i, c, h, w);
    case OP_LRN:
        return naive_lrn(t, id, i, c, h, w);
    case OP_SHUFFLE:
        return naive_shuffle(t, y, i, c, h, w);
    case OP_CONCAT:
        return naive_concat(t, y, i, c, h, w);
    case OP_PAD:
        c -= y->u.pad.front;
        return c < 0 || c >= x->C ? 0 : naive_pixel(v, x, i, c, h - y->u.pad.top, w - y->u.pad.left);
    case OP_SLICE:
        return *naive_at(v, x, i, y->u.slice.c.begin + c * y->u.slice.c.step,
                         y->u.slice.h.begin + h * y->u.slice.h.step, y->u.slice.w.begin + w * y->u.slice.w.step);
    case OP_FLATTEN:
        return naive_flatten(t, y, i, c);
    case OP_UNFLATTEN:
        return *naive_at(v, x, i, c, 0, 0);
    case OP_GEMM:
        return naive_gemm(t, id, i, c);
    case OP_SOFTMAX:
        return naive_softmax(t, y, i, c);
    default:
        return naive_act(t, id, c, *naive_at(v, x, i, c, h, w));
    }
}

static inline void naive_statistics(struct naive *t, int id)
{
    const struct node *x = &t->g->nodes[t->g->nodes[id].in[0]];
    double *v = t->value[t->g->nodes[id].in[0]];
    for (int c = 0; c < x->C; c++) {
        double s = 0, q = 0;
        for (int i = 0; i < t->N; i++)
            s += naive_mean(t, x, v, i, c);
        t->mean[id][c] = s / t->N;
        for (int i = 0; i < t->N; i++)
            for (int h = 0; h < x->H; h++)
                for (int w = 0; w < x->W; w++)
                    q += pow(*naive_at(v, x, i, c, h, w) - t->mean[id][c], 2);
        t->var[id][c] = q / ((double)t->N * x->H * x->W);
    }
}

static inline double naive_store(const struct naive *t, double v)
{
    return t->rough ? (double)bf16_value(bf16_of((float)v)) : v;
}

static inline void naive_node(struct naive *t, int id)
{
    const struct node *y = &t->g->nodes[id];
    if (y->op == OP_BN && t->mode == ENGINE_BATCH)
        naive_statistics(t, id);
    for (int i = 0; i < t->N; i++)
        for (int c = 0; c < y->C; c++)
            for (int h = 0; h < y->H; h++)
                for (int w = 0; w < y->W; w++)
                    *naive_at(t->value[id], y, i, c, h, w) =
                        t->dead && t->dead[id][c] ? 0 : naive_store(t, naive_element(t, id, i, c, h, w));
}

/* What `t` says, over the images x. */
static inline void naive_run_this(struct naive *t, const float *x)
{
    const struct graph *g = t->g;
    size_t n = (size_t)g->n;
    int N = t->N;
    t->value = xcalloc(n, sizeof *t->value);
    t->mean = xcalloc(n, sizeof *t->mean);
    t->var = xcalloc(n, sizeof *t->var);
    for (int id = 0; id < g->n; id++) {
        size_t floats = (size_t)N * naive_image(&g->nodes[id]);
        t->value[id] = xcalloc(floats, sizeof **t->value);
        t->mean[id] = xcalloc((size_t)g->nodes[id].C, sizeof **t->mean);
        t->var[id] = xcalloc((size_t)g->nodes[id].C, sizeof **t->var);
        for (size_t i = 0; id == 0 && i < floats; i++)
            t->value[0][i] = naive_store(t, (double)x[i]);
        if (id > 0)
            naive_node(t, id);
    }
}

/* As naive_run, rounded on the way like a bf16 engine's values: says how much rounding can do to this net. */
static inline void naive_run_as(struct naive *t, const struct graph *g, const struct weights *w, int N,
                                enum engine_mode mode, bool rough, const float *x)
{
    *t = (struct naive){.g = g, .w = w, .N = N, .mode = mode, .rough = rough};
    naive_run_this(t, x);
}

/* Every node's value for the images x (N,C,H,W). */
static inline void naive_run(struct naive *t, const struct graph *g, const struct weights *w, int N,
                             enum engine_mode mode, const float *x)
{
    naive_run_as(t, g, w, N, mode, false, x);
}

static inline void naive_release(struct naive *t)
{
    for (int id = 0; id < t->g->n; id++) {
        free(t->value[id]);
        free(t->mean[id]);
        free(t->var[id]);
    }
    free(t->value);
    free(t->mean);
    free(t->var);
}

/* Largest distance between the two, as a fraction of the largest number in `want`. */
static inline double naive_distance(const float *got, const double *want, size_t n)
{
    double most = 1e-6, off = 0;
    for (size_t i = 0; i < n; i++) {
        most = fmax(most, fabs(want[i]));
        off = isfinite(got[i]) ? fmax(off, fabs((double)got[i] - want[i])) : INFINITY;
    }
    return off / most;
}

#endif
