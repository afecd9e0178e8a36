/*
 * load - ONNX bytes to a model. The bytes are untrusted: every count is bounded by the bytes that are there, and an
 * operator, attribute, type or shape that isn't supported is refused with its name and its node's, never skipped.
 */
#ifndef COMMON_ONNX_LOAD_H
#define COMMON_ONNX_LOAD_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/model/weights.h"

#define ONNX_MAX_BYTES (UINT64_C(2) << 30) /* protobuf's own limit */

/*
 * `m` is whole on success and released on failure. The batch may be fixed, symbolic or absent; it isn't kept. Bytes
 * open no file: a tensor whose data lies elsewhere is refused.
 */
MUST_CHECK int onnx_load(const void *bytes, size_t n, struct model *m, struct err *e);

/*
 * A person's own file as bytes that stand alone, appended to `out`; *joined: data was brought in from its folder
 * (external.h), or else they are the file's own. Errors begin with the path. Not for files from elsewhere, which must
 * not name others.
 */
MUST_CHECK int onnx_read_file(const char *path, struct buf *out, bool *joined, struct err *e);
MUST_CHECK int onnx_load_file(const char *path, struct model *m, struct err *e); /* of what that reads */

#endif
