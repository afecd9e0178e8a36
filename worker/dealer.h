/*
 * dealer - the worker's one socket: a ZeroMQ DEALER connected to the coordinator. One thread uses it.
 *
 * Nothing is queued for a coordinator that isn't there (ZMQ_IMMEDIATE): a message either goes onto a connection or
 * isn't taken. libzmq makes the connection again by itself; whether that is the same coordinator is for HELLO to
 * find out.
 */
#ifndef WORKER_DEALER_H
#define WORKER_DEALER_H

#include "proto/message.h"

/*
 * "tcp://HOST:PORT" or "ipc://PATH". Without keys only this machine is reached: ERR_UNSUPPORTED for a host that
 * isn't localhost, in 127.0.0.0/8 or [::1]; ERR_INVALID for what isn't an address.
 */
MUST_CHECK int dealer_check(const char *endpoint, struct err *e);

struct dealer;

MUST_CHECK int dealer_new(struct dealer **d, const char *endpoint, struct err *e);
void dealer_free(struct dealer *d); /* what was sent has 300 ms to go out; NULL is fine */

/* A connection of its own, in place of the one there was; made in the background. */
MUST_CHECK int dealer_connect(struct dealer *d, struct err *e);
bool dealer_connected(struct dealer *d); /* a message would be taken now */
bool dealer_send(struct dealer *d, const struct buf *frame);

/* 1: *m is the next message, its bytes borrowed until the next call; 0: there is none; ERR_INVALID: what came isn't
 * one. */
MUST_CHECK int dealer_receive(struct dealer *d, struct message *m, struct err *e);

/* Waits until a message came, one could be sent (when asked for), one of the two descriptors is readable (-1:
 * none), or ms are over. */
void dealer_wait(struct dealer *d, bool to_send, int fd, int other_fd, int ms);

#endif
