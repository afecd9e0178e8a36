/*
 * stream - a blob on its way in or out, piece by piece, never whole in memory. The client's speed is bounded by the
 * database's: a connection is suspended while as many pieces are under way as may be.
 */
#ifndef COORDINATOR_HTTP_STREAM_H
#define COORDINATOR_HTTP_STREAM_H

#include "coordinator/http/request.h"

#define STREAM_MAX_BYTES (UINT64_C(4) << 30) /* of a blob */
#define STREAM_PIECES    4                   /* of an upload under way at once */

struct stream;

void stream_get(struct request *r); /* HEAD too */
bool stream_put(struct request *r, const uint8_t *p, size_t *n);
void stream_put_end(struct request *r);
void stream_free(struct stream *s); /* NULL is fine */

#endif
