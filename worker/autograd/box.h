/*
 * box - copies a box of one value into a place of another, in any layouts and types: Slice, Pad, the pieces of a
 * Concat and their gradients, and what changes a value's layout.
 */
#ifndef WORKER_AUTOGRAD_BOX_H
#define WORKER_AUTOGRAD_BOX_H

#include "worker/engine/layout.h"

/* y[to + i * to_step] = x[from + i * from_step], i in 0 ... n-1, along an axis. */
struct stride {
    int from, from_step, to, to_step, n;
};

struct box {
    struct layout x, y;
    struct stride c, h, w;
    bool clear; /* y is zeroed first */
};

/* The whole of a value from one layout to another. */
struct box box_all(const struct layout *x, const struct layout *y);

void box_run(const struct box *b, void *y, const void *x);

#endif
