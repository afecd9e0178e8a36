/*
 * origin - whether a request may come from where it says. The API listens on loopback without a password; what
 * protects it from web pages in a browser on the same machine are the headers that pages can't forge.
 */
#ifndef COORDINATOR_HTTP_ORIGIN_H
#define COORDINATOR_HTTP_ORIGIN_H

#include <stdbool.h>

/* "localhost", "127.x.y.z" or "[::1]", with or without a port: any other name was made to point here (DNS
 * rebinding). */
bool origin_host_is_local(const char *host);

/* An Origin header is this very server's: "http://" and then what the Host header says. */
bool origin_is_same(const char *origin, const char *host);

#endif
