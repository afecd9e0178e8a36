/*
 * transfer - whole blobs between the compute thread and the coordinator, piece by piece, and checkpoints, over any
 * number of connections. Errors: ERR_CANCELLED when the task was dropped meanwhile, ERR_NOTFOUND when the
 * coordinator says no, ERR_TIMEOUT when it says nothing for a minute, ERR_IO for pieces that don't fit together.
 */
#ifndef WORKER_TRANSFER_H
#define WORKER_TRANSFER_H

#include "worker/desk.h"

struct transfer_sink { /* where bytes go, in order */
    int (*write)(void *arg, const void *bytes, size_t n, struct err *e);
    void *arg;
};

/* The blob's bytes from `from` (a multiple of PROTO_CHUNK_BYTES) to its end. size: of the whole blob, 0: not known;
 * then it may be at most `most`. The hash is for the caller to check. */
MUST_CHECK int transfer_get(struct desk *d, const struct hash *h, uint64_t from, uint64_t size, uint64_t most,
                            const struct transfer_sink *sink, struct err *e);

/* Returns when the coordinator has said that all of it is durable. */
MUST_CHECK int transfer_put(struct desk *d, const struct hash *h, const void *bytes, size_t n, struct err *e);

/* Puts the bytes of k->blob, then says CHECKPOINT until the coordinator has it on record. */
MUST_CHECK int transfer_checkpoint(struct desk *d, const struct msg_checkpoint *k, const struct buf *bytes,
                                   struct err *e);

#endif
