/*
 * blobs - pieces of blobs between workers and the store: GET is answered with CHUNK or NOBLOB, PUT with STORED or
 * NOBLOB, when it is durable. What one worker may have under way is bounded; beyond that it is told so and asks
 * again.
 */
#ifndef COORDINATOR_BLOBS_H
#define COORDINATOR_BLOBS_H

#include "coordinator/bus.h"
#include "coordinator/fleet.h"
#include "coordinator/store/store.h"

#define BLOBS_MOST_GETS 32 /* a worker's, at once */
#define BLOBS_MOST_PUTS 4

struct blobs;

struct blobs *blobs_new(struct store *store, struct fleet *fleet, struct bus *bus); /* all borrowed */
void blobs_free(struct blobs *b);

void blobs_get(struct blobs *b, struct worker *w, const struct msg_get *g);
void blobs_put(struct blobs *b, struct worker *w, const struct msg_piece *p);

/* A whole blob at once, at most `most` bytes (ERR_LIMIT). Bytes are borrowed while `fn` runs. */
typedef void blob_whole_fn(void *arg, const void *bytes, size_t n, const struct err *e);
void blob_whole(struct store *store, const struct hash *h, uint64_t most, blob_whole_fn *fn, void *arg);

#endif
