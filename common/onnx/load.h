/*
 * load - ONNX bytes to a model. The bytes are untrusted: every count is bounded by the bytes that are there, and an
 * operator, attribute, type or shape that isn't supported is refused with its name and its node's, never skipped.
 */
#ifndef COMMON_ONNX_LOAD_H
#define COMMON_ONNX_LOAD_H

#include <stdint.h>

#include "common/model/weights.h"

#define ONNX_MAX_BYTES (UINT64_C(2) << 30) /* protobuf's own limit */

/* `m` is whole on success and released on failure. The batch may be fixed, symbolic or absent; it isn't kept. */
MUST_CHECK int onnx_load(const void *bytes, size_t n, struct model *m, struct err *e);
MUST_CHECK int onnx_load_file(const char *path, struct model *m, struct err *e); /* errors begin with the path */

#endif
