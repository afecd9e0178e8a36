/*
 * tensor - a constant of an ONNX graph: an initializer, or what shape arithmetic gives. Floats of all sizes are held
 * as float, integers and booleans as int64_t. An integer may stand for the batch size, which isn't known.
 */
#ifndef COMMON_ONNX_TENSOR_H
#define COMMON_ONNX_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "onnx/onnx.pb-c.h"

#include "common/base/err.h"

#define TENSOR_MAX_RANK 8

enum tensor_type { TENSOR_FLOAT, TENSOR_INT };

struct tensor {
    enum tensor_type type;
    int rank;
    int64_t dims[TENSOR_MAX_RANK];
    size_t n;    /* product of dims, 1 for rank 0 */
    float *f;    /* (n) of TENSOR_FLOAT, row-major */
    int64_t *i;  /* (n) of TENSOR_INT */
    bool *batch; /* (n) of TENSOR_INT: this one stands for the batch size; i is 0 there */
    struct tensor *next;
};

/* Owns all constants of one file, and bounds them. */
struct tensors {
    struct tensor *first;
    size_t room; /* bytes that may still be allocated */
};
void tensors_release(struct tensors *ts);

/* Takes bytes from the room that are allocated elsewhere. */
MUST_CHECK int tensors_spend(struct tensors *ts, size_t bytes, struct err *e);

/* Takes `count` floats from the room and allocates them (mem_free), or NULL and an error. */
float *tensors_floats(struct tensors *ts, size_t count, struct err *e);

/* A zeroed tensor that belongs to `ts`, or NULL and an error. */
struct tensor *tensor_new(struct tensors *ts, enum tensor_type type, int rank, const int64_t *dims, struct err *e);

/* Reads one that came with the file; `name` is for the messages. */
struct tensor *tensor_decode(struct tensors *ts, const Onnx__TensorProto *src, const char *name, struct err *e);

/* to->x[at] = from->x[of]; both of one type. */
void tensor_put(struct tensor *to, size_t at, const struct tensor *from, size_t of);

/* Strides, in numbers, of a row-major array. */
void tensor_strides(int rank, const int64_t *dims, int64_t *strides);

/* "FLOAT16" or "of type 77": an ONNX data type for people. */
const char *tensor_type_name(int64_t onnx_type);

#endif
