/*
 * blend - which nodes are one element-wise pass: a tail with what goes before it, as long as nobody else reads the
 * values in between.
 *
 *   y = act(sum of one or two operands),  an operand being a value or its BN
 *
 * that is BN | Act | BN Act | Add | Add Act with any of Add's operands a BN; Act = Relu | Clip.
 */
#ifndef WORKER_AUTOGRAD_BLEND_H
#define WORKER_AUTOGRAD_BLEND_H

#include "common/model/graph.h"

struct blend {
    int tail;
    float lo, hi; /* infinite without an activation */
    int n;        /* operands */
    int x[2];     /* nodes whose values they are; a BN comes first if there is one */
    int bn[2];    /* the BN that x goes through, or -1 */
};

bool blend_begins(enum op op); /* BN, Add, Relu, Clip: the kinds that are in blends */

/* The blend that ends at node `tail`; reads: how often each value is read. */
void blend_of(const struct graph *g, const int *reads, int tail, struct blend *b);

/* Whether it has an activation. */
bool blend_clamps(const struct blend *b);

/* Marks the nodes of all blends that aren't their tails; live: nodes that count. */
void blend_inner(const struct graph *g, const int *reads, const bool *live, bool *inner);

#endif
