/*
 * resize - a rectangle of an image made smaller or larger, while its rows come in from top to bottom: bilinear with
 * antialiasing (a triangle as wide as an output pixel), first along the rows, then along the columns, each pass
 * rounded to bytes, the weights as whole numbers of 22 bits: to the bit what the Python imaging library's
 * Image.resize(..., BILINEAR) gives. Only what a window of the result needs is computed and kept.
 *
 * Pixels are 3 bytes, R G B.
 */
#ifndef WORKER_TRAIN_RESIZE_H
#define WORKER_TRAIN_RESIZE_H

#include <stdint.h>

#include "common/base/err.h"

struct rect { /* in pixels */
    int top, left, H, W;
};

struct resize_axis { /* how each output pixel of the window is made of input pixels */
    int *first, *n;  /* (outputs) */
    int32_t *weight; /* (outputs, taps) */
    int taps;
};

struct resize {
    struct rect from, to;
    struct resize_axis row, column; /* along a row: of W; along a column: of H */
    int first, n;                   /* input rows that are needed, from the rectangle's top */
    uint8_t *mid;                   /* (n, to.W, 3) */
};

/* from: a rectangle of the input; H, W: the size that it gets; to: the part of that which is wanted. */
MUST_CHECK int resize_init(struct resize *r, const struct rect *from, int H, int W, const struct rect *to,
                           struct err *e);
void resize_release(struct resize *r); /* zeroed is fine */

/* Row h of the whole input, in any number of columns that reach over the rectangle. Rows that aren't needed are
 * passed over. */
void resize_row(struct resize *r, int h, const uint8_t *rgb /* (W,3) */);
/* After all rows. */
void resize_finish(const struct resize *r, uint8_t *out /* (to.H,to.W,3) */);

#endif
