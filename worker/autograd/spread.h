/*
 * spread - the mean of each channel over an image's pixels (global pooling), and its gradient spread over them.
 */
#ifndef WORKER_AUTOGRAD_SPREAD_H
#define WORKER_AUTOGRAD_SPREAD_H

#include "worker/engine/layout.h"

/* y, layout ly of one pixel, from x, layout lx. */
void spread_mean(const struct layout *lx, const void *x, const struct layout *ly, void *y);

/* dx, layout lx, from dy, layout ly. */
void spread_back(const struct layout *lx, void *dx, const struct layout *ly, const void *dy);

#endif
