/*
 * cost - what a network costs under an action, for whole groups, after rounding.
 *
 * A MAC is one multiply-add, counted once, as in the AMC paper: conv P*Q*K*(C/groups)*R*S, gemm K*C; nothing else
 * counts. Parameters are the trained ones: weights, biases, BN scale and shift. Bytes are 4 for every stored float:
 * parameters and the BN's running statistics.
 */
#ifndef COMMON_MODEL_COST_H
#define COMMON_MODEL_COST_H

#include <stdint.h>

#include "common/model/groups.h"

enum cost_kind {
    COST_FLOPS, /* counts MACs */
    COST_PARAMS,
    COST_BYTES,
    COST_LATENCY, /* predicted nanoseconds: not to be counted in the graph, 0 from here (latency.h) */
    COST_KINDS
};

struct cost {
    int64_t of[COST_KINDS];
};

const char *cost_name(enum cost_kind k); /* "flops" "params" "bytes" "latency" */

/* keep: classes kept in every group (gs->n ints), NULL for the dense network. */
void cost_of(const struct graph *g, const struct groups *gs, const int *keep, struct cost *out);

/* The same of one node. */
void cost_node(const struct graph *g, const struct groups *gs, int node, const int *keep, struct cost *out);

#endif
