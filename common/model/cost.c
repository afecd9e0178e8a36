#include "common/model/cost.h"

static const char *const names[COST_KINDS] = {"flops", "params", "bytes", "latency"};

const char *cost_name(enum cost_kind k)
{
    if ((int)k < 0 || k >= COST_KINDS)
        BUG("cost kind %d", (int)k);
    return names[k];
}

static void put(struct cost *out, int64_t macs, int64_t params, int64_t floats)
{
    out->of[COST_FLOPS] = macs;
    out->of[COST_PARAMS] = params;
    out->of[COST_BYTES] = 4 * floats;
    out->of[COST_LATENCY] = 0;
}

/* A conv's channels per group under an action: a depthwise one keeps 1 and loses groups, others keep their groups.
 */
static int64_t conv_depth(const struct node *d, int dense, int width)
{
    return d->u.conv.groups == dense ? 1 : width / d->u.conv.groups;
}

void cost_node(const struct graph *g, const struct groups *gs, int node, const int *keep, struct cost *out)
{
    const struct node *d = &g->nodes[node];
    put(out, 0, 0, 0);
    if (!op_has_params(d->op))
        return;
    int64_t K = groups_width(gs, g, node, keep);
    if (d->op == OP_BN) {
        put(out, 0, 2 * K, 4 * K);
        return;
    }
    if (d->op == OP_PRELU) {
        put(out, 0, K, K);
        return;
    }
    int C = groups_width(gs, g, d->in[0], keep);
    if (d->op == OP_CONV) {
        const struct window *w = &d->u.conv.win;
        int64_t weight = K * conv_depth(d, g->nodes[d->in[0]].C, C) * w->R * w->S;
        int64_t params = weight + (d->u.conv.bias ? K : 0);
        put(out, weight * d->H * d->W, params, params);
    } else {
        int64_t params = K * C + (d->u.gemm.bias ? K : 0);
        put(out, K * C, params, params);
    }
}

void cost_of(const struct graph *g, const struct groups *gs, const int *keep, struct cost *out)
{
    put(out, 0, 0, 0);
    for (int i = 0; i < g->n; i++) {
        if (!op_has_params(g->nodes[i].op))
            continue;
        struct cost one;
        cost_node(g, gs, i, keep, &one);
        for (int k = 0; k < COST_KINDS; k++)
            out->of[k] += one.of[k];
    }
}
