/*
 * curve - activations as loops over floats, in fp32 throughout: what oneDNN's post-ops do to a conv's sums, for values
 * that no conv makes.
 */
#ifndef WORKER_ENGINE_CURVE_H
#define WORKER_ENGINE_CURVE_H

#include <stddef.h>

#include "worker/engine/act.h"

/* v[i] = curve(v[i]); the clamp isn't applied. slope: (n), of CURVE_SLOPES alone. */
void curve_run(struct act act, const float *slope, float *v, size_t n);

/* d[i] = derivative of the curve at v[i]; at a kink that of the lower side, and 0 at the ends of a clamp. */
void curve_slope(struct act act, const float *slope, const float *v, float *d, size_t n);

/* The exponential function within 2 units in the last place: 0 below -87.3, no more than exp(88) above. */
void curve_exp(float *v, size_t n);

#endif
