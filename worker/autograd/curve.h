/*
 * curve - activations with a curve in a training pass: Sigmoid, Tanh, HardSigmoid, HardSwish, LeakyRelu, Elu, PRelu and
 * x * Sigmoid(x), x * HardSigmoid(x). The backward pass works the curve's slope out again from its input.
 */
#ifndef WORKER_AUTOGRAD_CURVE_H
#define WORKER_AUTOGRAD_CURVE_H

#include "common/model/graph.h"
#include "worker/engine/act.h"
#include "worker/engine/layout.h"

/* The slopes of a PRelu and what the parts' gradients of them go into. */
struct slopes {
    int node, C, padded, parts;
    float *slope; /* (padded), zeros beyond C */
    double *sums; /* (parts)(padded) */
    float *grad;  /* (C) */
};

/* l: of a part's value. */
MUST_CHECK int slopes_new(struct slopes **out, int node, const struct layout *l, int parts, struct err *e);
void slopes_free(struct slopes *s); /* NULL is fine */

/* grad = the sum over the parts, in their order. */
void slopes_join(struct slopes *s);

/* The curve that ends at node `tail`, if it is one, and the node that it is of. reads: how often each value is read. */
bool curve_at(const struct graph *g, const int *reads, int tail, struct act *a, int *x);

/* Marks the Sigmoids and HardSigmoids that are part of a swish. */
void curve_inner(const struct graph *g, const int *reads, const bool *live, bool *inner);

/* dx = dy * slope(x), all in layout l; dx may be dy. Of PRelu, part `part` of the batch. */
void curve_back(struct act act, struct slopes *s, int part, const struct layout *l, void *dx, const void *dy,
                const void *x);

#endif
