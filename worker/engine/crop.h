/*
 * crop - copies a box of one value into a place of another: Slice, Pad and the pieces of a Concat, in any layout.
 */
#ifndef WORKER_ENGINE_CROP_H
#define WORKER_ENGINE_CROP_H

#include "worker/engine/layout.h"

/* y[to + i] = x[from + i * step], i in 0 ... n-1, along an axis. */
struct stretch {
    int from, step, to, n;
};

struct crop {
    struct layout x, y; /* of one type; both plain, both channels last, or of equal lanes */
    struct stretch c, h, w;
    bool clear; /* y is zeroed first */
};

void crop_run(const struct crop *k, void *y, const void *x);

#endif
