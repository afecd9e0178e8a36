/*
 * toy - small random CNNs with limits, sensitivity curves and an accuracy that a search can look for; for the tests
 * of the policies.
 */
#ifndef TESTS_UNIT_TOY_H
#define TESTS_UNIT_TOY_H

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "coordinator/policy/policy.h"

struct toy {
    struct graph graph;
    struct groups groups;
    struct limits limits;
    float **curve;
    struct latency table; /* in stairs, and not always the faster the smaller */
    double *weight, *power; /* (groups): what the accuracy really loses there */
};

static inline int toy_node(struct graph *g, struct node n, int a, int b)
{
    char name[32];
    int in[2] = {a, b};
    struct err e;
    snprintf(name, sizeof name, "v%d", g->n);
    n.name = name;
    n.label = (char[]){""};
    n.in = in;
    n.n_in = a < 0 ? 0 : b < 0 ? 1 : 2;
    int i = graph_add(g, &n, &e);
    if (i < 0)
        ck_abort_msg("%s", e.text);
    return i;
}

static inline int toy_conv(struct graph *g, int x, int K, int kernel, int stride, int groups)
{
    struct window w = {.R = kernel, .S = kernel, .stride_h = stride, .stride_w = stride, .dil_h = 1, .dil_w = 1};
    w.pad_t = w.pad_l = w.pad_b = w.pad_r = kernel / 2;
    x = toy_node(g, (struct node){.op = OP_CONV, .C = K, .u.conv = {.win = w, .groups = groups}}, x, -1);
    x = toy_node(g, (struct node){.op = OP_BN, .u.bn = {.eps = 1e-5f}}, x, -1);
    return toy_node(g, (struct node){.op = OP_RELU}, x, -1);
}

/* One of: a plain conv, residual blocks of two convs and of one, a depthwise-separable pair, two branches that are
 * concatenated, a grouped conv. */
static inline int toy_block(struct graph *g, struct rng *r, int x)
{
    int C = g->nodes[x].C, K = 4 + (int)rng_below(r, 60);
    switch (rng_below(r, 6)) {
    case 0:
        return toy_conv(g, x, K, 3, g->nodes[x].H > 4 ? 2 : 1, 1);
    case 1:
        return toy_node(g, (struct node){.op = OP_ADD}, toy_conv(g, toy_conv(g, x, K, 3, 1, 1), C, 3, 1, 1), x);
    case 4: /* the conv reads and makes the same group: its cost goes with the square of it */
        return toy_node(g, (struct node){.op = OP_ADD}, toy_conv(g, x, C, 3, 1, 1), x);
    case 2:
        return toy_conv(g, toy_conv(g, x, C, 3, 1, C), K, 1, 1, 1);
    case 3:
        return toy_node(g, (struct node){.op = OP_CONCAT}, toy_conv(g, x, K, 1, 1, 1),
                        toy_conv(g, x, K / 2, 3, 1, 1));
    default:
        x = toy_conv(g, x, 4 * (1 + K / 8), 1, 1, 1);
        return toy_conv(g, x, 2 * g->nodes[x].C, 3, 1, 4);
    }
}

static inline void toy_graph(struct graph *g, struct rng *r, int blocks)
{
    graph_init(g);
    int x = toy_node(g, (struct node){.op = OP_INPUT, .C = 3, .H = 16, .W = 16}, -1, -1);
    x = toy_conv(g, x, 8 + (int)rng_below(r, 24), 3, 1, 1);
    for (int i = 0; i < blocks; i++)
        x = toy_block(g, r, x);
    x = toy_node(g, (struct node){.op = OP_GLOBALPOOL}, x, -1);
    x = toy_node(g, (struct node){.op = OP_FLATTEN}, x, -1);
    g->output = toy_node(g, (struct node){.op = OP_GEMM, .C = 10, .u.gemm = {.bias = true}}, x, -1);
}

static inline void toy_axis(struct latency_axis *x, int dense)
{
    *x = (struct latency_axis){.pitch = dense > 12 ? 8 : 1};
    for (int w = x->pitch; w < dense && x->n < LATENCY_MAX_LEVELS - 1; w += x->pitch)
        x->at[x->n++] = w;
    x->at[x->n++] = dense;
    for (int a = 0; a < LATENCY_ALIGNS; a++)
        x->factor[a] = 1 << a < x->pitch ? 1.5F - 0.1F * (float)a : 1;
}

/* Vectors of 16 channels, with something of the weather in each point. */
static inline void toy_table(struct toy *t, struct rng *r)
{
    const struct graph *g = &t->graph;
    struct err e;
    if (latency_new(&t->table, g->n, g->n, &e) < 0)
        ck_abort_msg("%s", e.text);
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        struct latency_shape *s = &t->table.shapes[i];
        bool heavy = d->op == OP_CONV || d->op == OP_GEMM;
        t->table.base[i] = d->op == OP_BN || d->op == OP_RELU ? 0 : (float)(1000 + (int)rng_below(r, 50000));
        t->table.shape[i] = heavy ? i : -1;
        toy_axis(&s->in, heavy ? g->nodes[d->in[0]].C : 1);
        toy_axis(&s->out, heavy ? d->C : 1);
        s->ns = mem_zalloc((size_t)s->in.n * (size_t)s->out.n, sizeof *s->ns);
        for (int k = 0; k < s->in.n * s->out.n; k++)
            s->ns[k] = (float)(((s->in.at[k % s->in.n] + 15) / 16) * ((s->out.at[k / s->in.n] + 15) / 16)) *
                       (float)(900 + 200 * rng_uniform(r));
    }
    t->table.lost = 0.1;
    t->table.batch = t->table.threads = 1;
}

static inline double toy_loss(double weight, double power, double frac)
{
    return weight * pow(1 - frac, power);
}

/* Curves that tell the truth up to a factor drawn for each group, e^(normal * lie). */
static inline void toy_init(struct toy *t, struct rng *r, int blocks, double keep_min, int round_to, double lie)
{
    struct err e;
    toy_graph(&t->graph, r, blocks);
    if (groups_find(&t->graph, &t->groups, &e) < 0)
        ck_abort_msg("%s", e.text);
    limits_new(&t->limits, &t->groups, keep_min, round_to, false);
    struct rng clock = *r; /* what is drawn here moves nothing else */
    toy_table(t, &clock);
    size_t n = (size_t)t->groups.n;
    t->curve = xcalloc(n, sizeof *t->curve);
    t->weight = xcalloc(n, sizeof *t->weight);
    t->power = xcalloc(n, sizeof *t->power);
    for (size_t g = 0; g < n; g++) {
        int most = t->limits.most[g];
        t->weight[g] = exp(rng_normal(r)) * 1.5 / (double)n;
        t->power[g] = 1.5 + 2 * rng_uniform(r);
        double factor = exp(lie * rng_normal(r));
        t->curve[g] = xcalloc((size_t)most + 1, sizeof **t->curve);
        for (int k = 0; k <= most; k++)
            t->curve[g][k] = (float)toy_loss(factor * t->weight[g], t->power[g], (double)k / most);
    }
}

static inline void toy_release(struct toy *t)
{
    for (int g = 0; g < t->groups.n; g++)
        free(t->curve[g]);
    free(t->curve);
    free(t->weight);
    free(t->power);
    latency_release(&t->table);
    limits_release(&t->limits);
    groups_release(&t->groups);
    graph_release(&t->graph);
}

/* Its logarithm is concave in the fractions kept. */
static inline double toy_top1(const struct toy *t, const int *keep)
{
    double loss = 0;
    for (int g = 0; g < t->groups.n; g++)
        loss += toy_loss(t->weight[g], t->power[g], (double)keep[g] / t->limits.most[g]);
    return 0.95 * exp(-loss);
}

static inline struct budget toy_budget(const struct toy *t, enum cost_kind kind, double frac)
{
    struct cost dense;
    latency_cost(&t->table, &t->graph, &t->groups, NULL, &dense);
    return (struct budget){.kind = kind, .frac = frac, .most = (int64_t)floor(frac * (double)dense.of[kind])};
}

static inline struct setting toy_setting(const struct toy *t, const struct budget *budgets, int n_budgets)
{
    return (struct setting){.graph = &t->graph,
                            .groups = &t->groups,
                            .limits = &t->limits,
                            .latency = &t->table,
                            .curve = (const float *const *)t->curve,
                            .budgets = budgets,
                            .n_budgets = n_budgets,
                            .seed = 1,
                            .episodes = 60,
                            .warmup = 20,
                            .lookahead = 8};
}

#endif
