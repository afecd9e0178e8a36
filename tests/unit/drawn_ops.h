/*
 * drawn_ops - activations, gates and shuffles drawn at random, for nets of the drawn tests.
 */
#ifndef TESTS_UNIT_DRAWN_OPS_H
#define TESTS_UNIT_DRAWN_OPS_H

#include "tests/unit/engine_net.h"

static inline int drawn_act(struct net *n, int x)
{
    switch (rng_below(&n->rng, 9)) {
    case 0:
        return unary(n, OP_SIGMOID, x);
    case 1:
        return unary(n, OP_TANH, x);
    case 2:
        return act(n, OP_HARDSIGMOID, x, 0.2F, 0.5F);
    case 3:
        return unary(n, OP_HARDSWISH, x);
    case 4:
        return act(n, OP_LEAKYRELU, x, 0.1F, 0);
    case 5:
        return act(n, OP_ELU, x, 0.7F, 0);
    case 6:
        return unary(n, OP_PRELU, x);
    case 7:
        return mul(n, unary(n, OP_SIGMOID, x), x);
    default:
        return mul(n, x, act(n, OP_HARDSIGMOID, x, 1.0F / 6, 0.5F));
    }
}

/* A squeeze-and-excite block. */
static inline int drawn_gate(struct net *n, int x)
{
    int C = n->m.graph.nodes[x].C, s = unary(n, OP_GLOBALPOOL, x);
    if (rng_below(&n->rng, 2))
        s = conv_win(n, relu(n, conv_win(n, s, 5, window(1, 1, 0), 1, true)), C, window(1, 1, 0), 1, true);
    else
        s = unary(n, OP_UNFLATTEN, gemm(n, unary(n, OP_FLATTEN, s), C, true));
    return mul(n, x, unary(n, OP_SIGMOID, s));
}

static inline int drawn_shuffle(struct net *n, int x)
{
    int C = n->m.graph.nodes[x].C, groups = 2 + (int)rng_below(&n->rng, 3);
    while (C % groups)
        groups--;
    if (rng_below(&n->rng, 2) && groups > 1)
        x = conv_win(n, x, 3 * groups * (1 + (int)rng_below(&n->rng, 4)), window(1, 1, 0), groups, true);
    return shuffle(n, x, groups);
}

static inline int drawn_lrn(struct net *n, int x)
{
    return lrn(n, x, 1 + (int)rng_below(&n->rng, 6), 0.3F, rng_below(&n->rng, 2) ? 0.75F : 0.5F, 1);
}

#endif
