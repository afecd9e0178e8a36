/*
 * peer - one connection to the bus, by the routing id that ZeroMQ gave it. Where to send to, never who it is:
 * whoever connects may choose it.
 */
#ifndef COORDINATOR_PEER_H
#define COORDINATOR_PEER_H

#include <stdint.h>

#define PEER_MAX_ID 32 /* bytes; a longer one is ignored altogether */
#define PEER_TEXT   (2 * PEER_MAX_ID + 1)

struct peer {
    uint8_t n, id[PEER_MAX_ID];
};

void peer_text(const struct peer *p, char out[PEER_TEXT]); /* hexadecimal, for logs */

#endif
