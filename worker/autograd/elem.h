/*
 * elem - what is done to each number of a value on its own, a pass over memory each; fp32 or bf16 in memory, fp32
 * in between. Channels' numbers are expanded (flat.h). In every pass `out` may be one of the inputs.
 *
 *   ELEM_STATS    sums of  t and t^2,  t = x - m                                x: in[0]
 *   ELEM_BLEND    out = clamp(affine(x))                affine(v) = v a + b, the first or the second set
 *   ELEM_BLEND_R  out = clamp(affine(x) + r)                                    r: in[1]
 *   ELEM_BLEND_2  out = clamp(affine(x) + affine2(r))
 *   ELEM_SUMS     sums of  g and g (x - m)                                      g: in[0], x: in[2]
 *   ELEM_SUMS_X   likewise, with g only where affine(x) is inside the clamp
 *   ELEM_SUMS_2, ELEM_SUMS_2X   likewise with g + h for g, which goes out       h: in[1]
 *   ELEM_SUMS_Y, ELEM_SUMS_2Y   g or g + h only where y is inside, goes out     y: in[3]
 *   ELEM_MASK_Y, ELEM_ADD, ELEM_ADD_Y   the same without sums: g where y is inside; g + h; g + h where y is inside
 *   ELEM_SLOPE    out = A g + B x + D                                           g: in[0], x: in[2]
 *   ELEM_SLOPE_X  likewise, with g only where affine(x) is inside the clamp
 */
#ifndef WORKER_AUTOGRAD_ELEM_H
#define WORKER_AUTOGRAD_ELEM_H

#include "worker/autograd/flat.h"

enum elem_kind {
    ELEM_STATS,
    ELEM_BLEND,
    ELEM_BLEND_R,
    ELEM_BLEND_2,
    ELEM_SUMS,
    ELEM_SUMS_X,
    ELEM_SUMS_2,
    ELEM_SUMS_2X,
    ELEM_SUMS_Y,
    ELEM_SUMS_2Y,
    ELEM_MASK_Y,
    ELEM_ADD,
    ELEM_ADD_Y,
    ELEM_SLOPE,
    ELEM_SLOPE_X,
    ELEM_KINDS
};

#define ELEM_INPUTS 4

struct elem {
    const void *in[ELEM_INPUTS];
    void *out;
    const float *m;         /* what sums count from */
    const float *a, *b;     /* affine */
    const float *a2, *b2;   /* affine2 */
    const float *A, *B, *D; /* slope */
    float lo, hi;           /* of the clamp; inside: lo < v < hi */
    double *sums[2];        /* (width), added to */
    float *lent;            /* 2 * width floats, contents of no meaning; for sums */
};

void elem_run(enum elem_kind kind, const struct flat *f, const struct elem *e);

#endif
