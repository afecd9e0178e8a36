/*
 * bus - the ROUTER socket that workers connect to: frames in and out of messages. One frame after the routing id is
 * one message; whatever else arrives is told to `on_bad`. Bounded: the bytes of a frame, the messages that wait in
 * each direction for one peer.
 */
#ifndef COORDINATOR_BUS_H
#define COORDINATOR_BUS_H

#include <czmq.h>

#include "coordinator/peer.h"
#include "proto/message.h"

struct bus;

struct bus_handler { /* both run from the loop */
    void *arg;
    /* May take the message's insides by zeroing *m; `bytes` of a piece are borrowed until it returns. */
    void (*on_message)(void *arg, const struct peer *from, struct message *m);
    void (*on_bad)(void *arg, const struct peer *from, const char *why);
};

MUST_CHECK int bus_open(struct bus **b, zloop_t *loop, const struct bus_handler *h, struct err *e);
/* From here on messages come. endpoint: "tcp://127.0.0.1:7411"; port * or 0: any. */
MUST_CHECK int bus_bind(struct bus *b, const char *endpoint, struct err *e);
const char *bus_endpoint(const struct bus *b); /* as bound; "" before */
void bus_close(struct bus *b);                 /* NULL is fine */

/* Never waits. False: the peer is gone, or doesn't read what it is sent; either way it has to say hello again. */
bool bus_send(struct bus *b, const struct peer *to, const struct message *m);
/* REFUSE, ACK, CANCEL: the messages that are only a text. */
bool bus_refuse(struct bus *b, const struct peer *to, const char *fmt, ...) PRINTF_LIKE(3, 4);
bool bus_ack(struct bus *b, const struct peer *to, const struct task_id *t, const char *reason);
bool bus_cancel(struct bus *b, const struct peer *to, const struct task_id *t, const char *reason);

#endif
