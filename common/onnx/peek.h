/*
 * peek - what an ONNX file says beside the graph that onnx_load makes of it: its metadata, and what its nodes' weights are
 * called there.
 */
#ifndef COMMON_ONNX_PEEK_H
#define COMMON_ONNX_PEEK_H

#include <stddef.h>

#include "common/base/err.h"

struct onnx_peek;

/* The bytes are untrusted and may go afterwards. */
MUST_CHECK int onnx_peek_open(const void *bytes, size_t n, struct onnx_peek **p, struct err *e);
void onnx_peek_close(struct onnx_peek *p); /* NULL is fine */

/* The first value of a key in metadata_props, NULL: there is none. Borrowed until onnx_peek_close. */
const char *onnx_peek_meta(const struct onnx_peek *p, const char *key);

/* The name of the weight that makes a conv's, gemm's, BN's or PRelu's value, through the Add that brings a MatMul's bias;
 * NULL where none is to be found. Likewise borrowed. */
const char *onnx_peek_weight(const struct onnx_peek *p, const char *value);

#endif
