/*
 * walk - reads over MessagePack bytes without keeping anything, to know that unpacking them is harmless.
 *
 * msgpack_unpack_next allocates for an array's elements before it has seen one: the five bytes dd 0f 00 00 00 cost
 * it gigabytes. What passes here costs at most PROTO_MAX_ELEMENTS objects, nests at most PROTO_MAX_DEPTH deep, and
 * is exactly one value.
 */
#ifndef PROTO_WALK_H
#define PROTO_WALK_H

#include <stddef.h>

#include "common/base/err.h"

/* ERR_INVALID when the n bytes aren't one MessagePack value within limits.h, of nil, booleans, numbers, text, bytes
 * and arrays. */
MUST_CHECK int walk_check(const void *bytes, size_t n, struct err *e);

#endif
