/*
 * save - a model to ONNX bytes: symbolic batch dimension "N", the source's names, the source's opset, or the first
 * later one that has what is to be written; weights as raw fp32 initializers. What onnx_load reads back is the same
 * graph with the same weights, bit for bit.
 *
 * A weight is called as it was in the source (graph.h: names), or VALUE.WHAT after the value that its node makes where it
 * has no name of its own: VALUE.weight, VALUE.bias, VALUE.scale, VALUE.mean, VALUE.var, VALUE.slope. Vectors of one name are
 * written once as long as they have the same numbers; where they became different, the first node keeps the name.
 *
 * A node stays a node; a mean that is flat at once is a ReduceMean. Several nodes are: a shuffle (Reshape, Transpose,
 * Reshape), an input or a Flatten with channels last (with a Transpose). A weight that several share is written once, as
 * long as they have the same numbers; then reading ties them again.
 */
#ifndef COMMON_ONNX_SAVE_H
#define COMMON_ONNX_SAVE_H

#include "common/base/buf.h"
#include "common/model/weights.h"

/* One pair of metadata_props. */
struct onnx_meta {
    const char *key, *value;
};

MUST_CHECK int onnx_save(const struct model *m, const struct onnx_meta *meta, int n_meta, struct buf *out,
                         struct err *e);

#endif
