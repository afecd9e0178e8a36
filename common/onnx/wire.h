/*
 * wire - a look at protobuf bytes before anything is allocated for them: how deep messages nest and what unpacking
 * them would cost. Format: https://protobuf.dev/programming-guides/encoding
 */
#ifndef COMMON_ONNX_WIRE_H
#define COMMON_ONNX_WIRE_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

#include "common/base/err.h"

#define WIRE_MAX_DEPTH 32 /* a plain graph's deepest message, the shape of an input, is the sixth */

/*
 * Walks a message of type `d`: well-formed, no deeper than WIRE_MAX_DEPTH, no message that stands twice where it
 * can stand once, and its unpacked structs (without what strings and packed numbers hold) within 256 MiB + 2 * n
 * bytes.
 */
MUST_CHECK int wire_check(const void *bytes, size_t n, const ProtobufCMessageDescriptor *d, struct err *e);

#endif
