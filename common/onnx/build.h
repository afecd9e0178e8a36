/*
 * build - an ONNX file in the making: messages that live in one arena until build_release. Names are copied; the
 * numbers of initializers are borrowed.
 */
#ifndef COMMON_ONNX_BUILD_H
#define COMMON_ONNX_BUILD_H

#include "onnx/onnx.pb-c.h"

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"

struct build_block;

struct build {
    struct build_block *blocks;
    Onnx__ModelProto *file;
    Onnx__GraphProto *graph;
};

void build_init(struct build *b, int64_t opset, const char *graph_name);
void build_release(struct build *b);

/* Appends the file's bytes to `out`. ERR_LIMIT where they are more than protobuf can carry. */
MUST_CHECK int build_pack(const struct build *b, struct buf *out, struct err *e);

/* Text in the arena. */
char *build_text(struct build *b, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* (N, C, H, W), or (N, C) when flat, to be appended to the graph's inputs or outputs. */
void build_input(struct build *b, const char *name, bool flat, int C, int H, int W);
void build_output(struct build *b, const char *name, bool flat, int C, int H, int W);

/* A node with one output; attributes and inputs are appended to it afterwards. */
Onnx__NodeProto *build_node(struct build *b, const char *op, const char *label, const char *output);
void build_read(struct build *b, Onnx__NodeProto *n, const char *value);
void build_int(struct build *b, Onnx__NodeProto *n, const char *name, int64_t v);
void build_ints(struct build *b, Onnx__NodeProto *n, const char *name, const int64_t *v, int count);
void build_float(struct build *b, Onnx__NodeProto *n, const char *name, float v);
void build_string(struct build *b, Onnx__NodeProto *n, const char *name, const char *v);

/* An initializer in raw form; `data` stays the caller's until the build is packed. */
Onnx__TensorProto *build_floats(struct build *b, const char *name, int rank, const int64_t *dims,
                                const float *data);
/* A list of integers, copied. */
Onnx__TensorProto *build_list(struct build *b, const char *name, const int64_t *v, int count);

void build_meta(struct build *b, const char *key, const char *value);

#endif
