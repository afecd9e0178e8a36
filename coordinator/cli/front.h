/*
 * front - a search's front as a picture on standard output, from the coordinator's JSON.
 */
#ifndef COORDINATOR_CLI_FRONT_H
#define COORDINATOR_CLI_FRONT_H

#include <jansson.h>

#include "common/base/err.h"

/*
 * status: what GET /v1/searches/ID answers; points: rows of its front; candidates: rows of which those of stage
 * "final" are drawn, too; x: flops, params, bytes or latency. ERR_INVALID when the status isn't one of a search.
 */
MUST_CHECK int front_draw(const json_t *status, const json_t *points, const json_t *candidates, const char *x,
                          struct err *e);

#endif
