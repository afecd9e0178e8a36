/*
 * mean - the average of each channel over a whole image (global pooling).
 */
#ifndef WORKER_ENGINE_MEAN_H
#define WORKER_ENGINE_MEAN_H

#include "worker/engine/layout.h"

/* y (N,C) in fp32, from x in layout l. */
void mean_run(const struct layout *l, float *y, const void *x);

#endif
