/*
 * external - tensors whose numbers lie in files beside the model, as exporters write what is too much for one file.
 */
#ifndef COMMON_ONNX_EXTERNAL_H
#define COMMON_ONNX_EXTERNAL_H

#include "onnx/onnx.pb-c.h"

#include <stdbool.h>

#include "common/base/err.h"

/* Does any tensor of the graph or of its nodes' attributes lie elsewhere? */
bool external_any(const Onnx__GraphProto *g);

/*
 * Brings all of them into the message, from the folder of the file at `path` and from nowhere else: a location is
 * a name without slashes, of a regular file that isn't a link. With the `has` bytes of the
 * file itself they are at most ONNX_MAX_BYTES.
 */
MUST_CHECK int external_read(Onnx__GraphProto *g, const char *path, size_t has, struct err *e);

#endif
