/*
 * gate - a value times another of its shape, or times one number for each channel of each image, as squeeze-and-excite
 * blocks do.
 */
#ifndef WORKER_ENGINE_GATE_H
#define WORKER_ENGINE_GATE_H

#include "worker/engine/layout.h"

/* y = x * gate, gate (N,C) in fp32; y may be x. */
void gate_run(const struct layout *l, void *y, const void *x, const float *gate);

/* The gate's gradient: d (N,C) in fp32 = sum over the pixels of x * r, both in layout l. */
void gate_sums(const struct layout *l, float *d, const void *x, const void *r);

/* y = x * r, all in layout l; y may be x or r. */
void gate_multiply(const struct layout *l, void *y, const void *x, const void *r);

#endif
