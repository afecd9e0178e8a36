/*
 * map - what is done to each element on its own:  y = clamp(curve((x - m[c]) * a[c] + b[c] + r)).  A normalisation, a
 * residual sum and an activation are one pass over memory, in fp32 whatever the type of x and y. The mean is taken off
 * first: where a channel hardly varies, x * a + b' would cancel.
 */
#ifndef WORKER_ENGINE_MAP_H
#define WORKER_ENGINE_MAP_H

#include "worker/engine/act.h"
#include "worker/engine/layout.h"

#define MAP_ARRAYS 6

/* Per-channel numbers, `padded` of each; lanes of padding map to zero. */
struct map {
    int padded;       /* panels * lanes */
    float *m, *a, *b; /* mean, scale and shift */
    float *lo, *hi;
    float *slope; /* of CURVE_SLOPES */
    struct act act; /* the curve of it; the clamp is in lo and hi */
};

/* Mean 0, scale 1, shift 0, slope 0 and `act`; one block of memory. */
MUST_CHECK int map_new(struct map *map, const struct layout *l, struct act act, struct err *e);
void map_release(struct map *map);

/* x, r, y in layout l; r may be NULL; y may be x or r. `m` and `a` are the map's own or the batch's. */
void map_run(const struct map *map, const float *m, const float *a, const struct layout *l, void *y, const void *x,
             const void *r);

#endif
