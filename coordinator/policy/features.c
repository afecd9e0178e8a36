#include "coordinator/policy/features.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* Nodes with weights that read at least one channel of the group. */
static int consumers(const struct frame *f, int group)
{
    const struct graph *g = f->s->graph;
    const struct groups *gs = f->s->groups;
    int n = 0;
    for (int i = 0; i < g->n; i++) {
        if (g->nodes[i].op != OP_CONV && g->nodes[i].op != OP_GEMM)
            continue;
        int in = g->nodes[i].in[0];
        bool reads = false;
        for (int c = 0; c < g->nodes[in].C && !reads; c++)
            reads = gs->group[gs->classes[in][c]] == group;
        n += reads;
    }
    return n;
}

static float curve_at(const struct frame *f, int group, double frac)
{
    return f->s->curve[group][limits_round(f->s->limits, group, frac)];
}

static void describe(const struct frame *f, int t, float *x)
{
    int k = f->cut[t];
    const struct fine *fine = f->s->fine;
    const struct node *d = &f->s->graph->nodes[fine ? fine->of[k].node : f->s->groups->of[k].first];
    bool conv = d->op == OP_CONV;
    x[FEATURE_INDEX] = (float)t;
    x[FEATURE_GEMM] = !conv;
    x[FEATURE_IN] = (float)f->s->graph->nodes[d->in[0]].C;
    x[FEATURE_OUT] = (float)d->C;
    x[FEATURE_HEIGHT] = (float)d->H;
    x[FEATURE_WIDTH] = (float)d->W;
    x[FEATURE_STRIDE] =
        conv ? (float)d->u.conv.win.stride_h : 0; /* as AMC has it for FC layers: stride 0, kernel 1 */
    x[FEATURE_KERNEL] = conv ? (float)d->u.conv.win.R : 1;
    x[FEATURE_CONSUMERS] = fine ? (float)fine->of[k].weights : (float)consumers(f, k);
    x[FEATURE_TIED] = fine ? conv && d->u.conv.groups > 1 : f->s->groups->of[k].tied;
    x[FEATURE_CURVE_25] = curve_at(f, k, 0.25);
    x[FEATURE_CURVE_50] = curve_at(f, k, 0.5);
    x[FEATURE_CURVE_75] = curve_at(f, k, 0.75);
}

static void scale_column(float *x, int rows, int stride)
{
    float lo = INFINITY, hi = -INFINITY;
    for (int i = 0; i < rows; i++) {
        lo = fminf(lo, x[i * stride]);
        hi = fmaxf(hi, x[i * stride]);
    }
    for (int i = 0; i < rows; i++)
        x[i * stride] = hi > lo ? (x[i * stride] - lo) / (hi - lo) : 0;
}

static float *shares(const struct frame *f, const struct price *p)
{
    float *share = xcalloc((size_t)f->n_cut, sizeof *share);
    struct bill b;
    bill_init(&b, p);
    for (int t = 0; t < f->n_cut; t++) {
        int g = f->cut[t];
        share[t] = (float)(-(double)bill_change(&b, g, f->s->limits->least[g]) / (double)p->dense);
    }
    bill_release(&b);
    return share;
}

void features_init(struct features *x, const struct frame *f, const int *sensitive)
{
    *x = (struct features){.f = f, .sensitive = sensitive};
    x->fixed = xcalloc((size_t)f->n_cut, FEATURES_FIXED * sizeof *x->fixed);
    for (int t = 0; t < f->n_cut; t++)
        describe(f, t, x->fixed + t * FEATURES_FIXED);
    for (int i = 0; i < FEATURES_FIXED; i++)
        scale_column(x->fixed + i, f->n_cut, FEATURES_FIXED);
    for (int k = 0; k < COST_KINDS; k++)
        if (f->priced[k])
            x->share[k] = shares(f, &f->price[k]);
}

void features_release(struct features *x)
{
    free(x->fixed);
    for (int k = 0; k < COST_KINDS; k++)
        free(x->share[k]);
    *x = (struct features){0};
}

void features_at(const struct features *x, int budget, int t, const struct bill *b, float *s)
{
    const struct frame *f = x->f;
    const struct budget *bg = &f->s->budgets[budget];
    const float *share = x->share[bg->kind];
    const int *most = f->s->limits->most, g = f->cut[t];
    float rest = 0;
    for (int i = t + 1; i < f->n_cut; i++)
        rest += share[i];
    memcpy(s, x->fixed + t * FEATURES_FIXED, FEATURES_FIXED * sizeof *s);
    s[FEATURE_SHARE] = share[t];
    s[FEATURE_SENSITIVE] = (float)x->sensitive[(size_t)budget * (size_t)f->n + (size_t)g] / (float)most[g];
    s[FEATURE_BUDGET] = (float)bg->frac;
    s[FEATURE_PARAMS] = bg->kind == COST_PARAMS || bg->kind == COST_LATENCY;
    s[FEATURE_BYTES] = bg->kind == COST_BYTES || bg->kind == COST_LATENCY;
    s[FEATURE_REDUCED] = (float)(1 - (double)b->cost / (double)b->price->dense);
    s[FEATURE_REST] = rest;
    s[FEATURE_LAST] = t == 0 ? 1 : (float)b->keep[f->cut[t - 1]] / (float)most[f->cut[t - 1]];
}
