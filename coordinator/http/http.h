/*
 * http - the API on the coordinator's loop: requests in, what the service and the store's reports answer out. It
 * lives in the loop's thread and never blocks it: libmicrohttpd's own descriptor is one of the loop's, and a
 * request whose answer isn't there yet is suspended.
 */
#ifndef COORDINATOR_HTTP_HTTP_H
#define COORDINATOR_HTTP_HTTP_H

#include <czmq.h>

#include "common/base/err.h"
#include "coordinator/service.h"

struct http;

/*
 * Listens on host (an address or "localhost", as config.h let it through: loopback only) and port (0: any that is
 * free). The service is borrowed until http_close. ERR_IO names the address and what the system said.
 */
MUST_CHECK int http_open(struct http **h, zloop_t *loop, const char *host, int port, struct service *s,
                         struct err *e);
int http_port(const struct http *h); /* the one it listens on */

/* Drops the connections. To be called after store_close: nobody owes an answer then. NULL is fine. */
void http_close(struct http *h);

#endif
