/*
 * lrn - local response normalisation across channels (Krizhevsky et al. 2012), channels last:
 *
 *   y_c = x_c * s_c^-beta,   s_c = bias + alpha / size * sum of x^2 over the channels c - (size - 1) / 2 ... c + size / 2
 */
#ifndef WORKER_ENGINE_LRN_H
#define WORKER_ENGINE_LRN_H

#include "worker/engine/layout.h"

struct lrn {
    int size;
    float alpha, beta, bias;
};

/* x, y in layout l, whose lanes are all its channels; y isn't x. */
void lrn_run(const struct lrn *k, const struct layout *l, void *y, const void *x);

/* dx from dy; none is another. */
void lrn_back(const struct lrn *k, const struct layout *l, void *dx, const void *dy, const void *x);

#endif
