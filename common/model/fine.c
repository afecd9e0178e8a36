#include "common/model/fine.h"

#include "common/base/mem.h"
#include "common/model/weights.h"

void fine_find(struct fine *f, const struct graph *g)
{
    int64_t params = 0, floats = 0;
    *f = (struct fine){.of = xcalloc((size_t)g->n, sizeof(*f->of))};
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        bool conv = d->op == OP_CONV;
        if (!op_has_params(d->op))
            continue;
        if (conv || d->op == OP_GEMM) {
            f->of[f->n++] = (struct fine_layer){
                .node = i, .weights = (int64_t)weights_count(g, i), .positions = conv ? (int64_t)d->H * d->W : 1};
            int64_t bias = (conv ? d->u.conv.bias : d->u.gemm.bias) ? d->C : 0;
            params += bias;
            floats += bias;
        } else {
            params += d->op == OP_BN ? 2 * (int64_t)d->C : d->C;
            floats += d->op == OP_BN ? 4 * (int64_t)d->C : d->C;
        }
    }
    f->rest.of[COST_PARAMS] = params;
    f->rest.of[COST_BYTES] = 4 * floats;
}

void fine_release(struct fine *f)
{
    mem_free(f->of);
    *f = (struct fine){0};
}

void fine_limits(const struct fine *f, double keep_min, struct limits *l)
{
    limits_even(l, f->n, FINE_MOST, FINE_STEP, keep_min);
}

int64_t fine_count(const struct fine *f, int i, int k)
{
    int64_t n = f->of[i].weights;
    return n / FINE_MOST * k + (n % FINE_MOST * k + FINE_MOST - 1) / FINE_MOST;
}

int64_t fine_bytes(int64_t weights, int64_t nonzero)
{
    int64_t whole = 4 * weights, bitmap = 4 * nonzero + (weights + 7) / 8,
            relative = 5 * (nonzero + (weights - nonzero) / 256);
    int64_t least = bitmap < relative ? bitmap : relative;
    return least < whole ? least : whole;
}

void fine_layer_cost(const struct fine *f, int i, int k, struct cost *out)
{
    int64_t m = fine_count(f, i, k);
    *out = (struct cost){0};
    out->of[COST_FLOPS] = m * f->of[i].positions;
    out->of[COST_PARAMS] = m;
    out->of[COST_BYTES] = fine_bytes(f->of[i].weights, m);
    out->of[COST_LATENCY] = 0;
}

void fine_cost(const struct fine *f, const int *keep, struct cost *out)
{
    *out = f->rest;
    for (int i = 0; i < f->n; i++) {
        struct cost one;
        fine_layer_cost(f, i, keep ? keep[i] : FINE_MOST, &one);
        for (int k = 0; k < COST_KINDS; k++)
            out->of[k] += one.of[k];
    }
}
