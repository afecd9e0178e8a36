/*
 * sgd - stochastic gradient descent with momentum, as PyTorch counts it:
 *   g += weight_decay w;  v = momentum v + g;  w -= lr (nesterov ? g + momentum v : v)
 * Weight decay leaves BN's parameters, PRelu's slopes and biases alone unless decay_all. BN's running statistics follow the batches':
 * running = 0.9 running + 0.1 batch.
 */
#ifndef WORKER_TRAIN_SGD_H
#define WORKER_TRAIN_SGD_H

#include "common/model/weights.h"
#include "proto/training.h"
#include "worker/engine/pool.h"

#define SGD_BN_MOMENTUM 0.1

/* velocity: shapes of w, zero at first, its mean and var unused. grad: see autograd_backward; unchanged. Spread over
 * the pool. */
MUST_CHECK int sgd_step(const struct training *t, double lr, const struct graph *g, struct weights *w,
                        struct weights *velocity, const struct weights *grad, struct pool *pool, struct err *e);

#endif
