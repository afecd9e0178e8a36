/*
 * moments - mean and biased variance of every channel over a batch, in one pass over memory.
 */
#ifndef WORKER_ENGINE_MOMENTS_H
#define WORKER_ENGINE_MOMENTS_H

#include "worker/engine/layout.h"

/* mean, var: one float a channel, padding included (layout_panels * lanes); sums: as many doubles twice over, for
 * the caller to lend. */
void moments_of(const struct layout *l, const void *x, float *mean, float *var, double *sums);

#endif
