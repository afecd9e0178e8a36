/*
 * reply - answers as JSON texts, and which HTTP status an error is.
 */
#ifndef COORDINATOR_HTTP_REPLY_H
#define COORDINATOR_HTTP_REPLY_H

#include "common/base/buf.h"

int reply_status(enum err_code code); /* 400, 404, 409, 413 or 503 */

/* Appends {"error": "..."}; bytes that aren't ASCII become "?". */
void reply_error(struct buf *out, const char *text);

#endif
