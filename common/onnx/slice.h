/*
 * slice - the arguments of ONNX's Slice, for constants and for computed values alike.
 */
#ifndef COMMON_ONNX_SLICE_H
#define COMMON_ONNX_SLICE_H

#include "common/onnx/loader.h"

struct slice {
    int64_t begin[TENSOR_MAX_RANK]; /* first index along each axis */
    int64_t count[TENSOR_MAX_RANK]; /* how many; may be 0 */
    int64_t step[TENSOR_MAX_RANK];  /* not 0 */
};

/*
 * Reads attributes or inputs 1 ... 4, whichever the opset has, for a value of these dims. A dim of -1 isn't known:
 * the slice must take all of it, and has count -1 there.
 */
void slice_read(struct call *c, int rank, const int64_t *dims, struct slice *s);

#endif
