/*
 * autograd - one training pass over a batch: logits forward with every BN in training mode, then the gradient of
 * any loss with respect to all weights. Compiled once for a graph, a batch size and a precision; the weights change
 * from step to step.
 *
 * The batch is cut into parts, contiguous images that depend on the graph and the batch alone. A part runs on one
 * thread, small enough to stay near the core; at every BN the parts' sums are joined in their order, so each BN
 * normalises with the statistics of the whole batch (Ioffe and Szegedy 2015), gradients are those of the whole
 * batch, and all numbers are the same with any number of threads (design.md 6.1).
 *
 * BF16: activations, their gradients and the kernels' copies of weights in bf16; sums, statistics, weight gradients
 * and the caller's weights in fp32.
 *
 * A Softmax that ends the graph is left out: losses work on its input, the logits.
 */
#ifndef WORKER_AUTOGRAD_AUTOGRAD_H
#define WORKER_AUTOGRAD_AUTOGRAD_H

#include "common/model/weights.h"
#include "worker/engine/layout.h"
#include "worker/engine/pool.h"

struct autograd;

/* The graph is only read here and may go afterwards; the pool is borrowed for the autograd's life. */
MUST_CHECK int autograd_new(struct autograd **ag, const struct graph *g, int batch, enum dtype type,
                            struct pool *pool, struct err *e);
void autograd_free(struct autograd *ag);          /* NULL is fine */
int autograd_parts(const struct autograd *ag);    /* threads beyond so many are idle */
size_t autograd_bytes(const struct autograd *ag); /* activations, gradients, kernels' weights */

/* Takes over these weights for the passes to come; BN's running statistics don't matter. */
MUST_CHECK int autograd_load(struct autograd *ag, const struct weights *w, struct err *e);

/* logits (N,K) of x (N,C,H,W), plain fp32, N = batch. */
MUST_CHECK int autograd_forward(struct autograd *ag, const float *x, float *logits, struct err *e);

/*
 * After a forward pass: the gradient of a loss whose gradient with respect to the logits is dlogits (N,K). grad is
 * overwritten; it has the shapes of the weights (weights_new of the graph): w, b the gradients of w, b. For BN,
 * mean and var are the batch's mean and unbiased variance, from which running averages are made. x must be
 * unchanged.
 */
MUST_CHECK int autograd_backward(struct autograd *ag, const float *dlogits, struct weights *grad, struct err *e);

/* Nanoseconds since the last call of it, over all threads: in all of forward, backward and load, and in convolution
 * primitives of oneDNN. Measured only once `on` was given. */
void autograd_timing(struct autograd *ag, bool on, int64_t *total_ns, int64_t *conv_ns);

#endif
