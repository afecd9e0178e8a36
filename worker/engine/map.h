/*
 * map - what is done to each element on its own:  y = clamp(x * a[c] + b[c] + r).  A normalisation, a residual sum and
 * a ReLU are one pass over memory.
 */
#ifndef WORKER_ENGINE_MAP_H
#define WORKER_ENGINE_MAP_H

#include "worker/engine/act.h"
#include "worker/engine/layout.h"

/* Per-channel numbers, `padded` of each; lanes of padding map to zero. */
struct map {
    int padded;        /* panels * lanes */
    float *a, *b;      /* scale and shift */
    float *lo, *hi;
};

/* Scale 1, shift 0 and the bounds of `act`; one block of memory. */
MUST_CHECK int map_new(struct map *m, const struct layout *l, struct act act, struct err *e);
void map_release(struct map *m);

/* x, r, y in layout l; r may be NULL; y may be x or r. `a` and `b` as in struct map, which holds its own. */
void map_run(const struct map *m, const float *a, const float *b, const struct layout *l, float *y, const float *x,
             const float *r);

#endif
