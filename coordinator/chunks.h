/*
 * chunks - pieces of blobs on their way to workers: a cache before the store, so that a fleet that starts and wants
 * the same data set asks PostgreSQL once. Least recently used goes first; two who want the same piece share one
 * read.
 */
#ifndef COORDINATOR_CHUNKS_H
#define COORDINATOR_CHUNKS_H

#include "coordinator/store/store.h"

struct chunks;

struct chunks *chunks_new(struct store *store, size_t most /* bytes kept */);
void chunks_free(struct chunks *c); /* no read may be under way, nor come back */

/* Piece `index` (PROTO_CHUNK_BYTES each, the last one shorter) of a blob; `fn` runs at once when it is here, else
 * later. Bytes are borrowed while it runs. */
void chunks_get(struct chunks *c, const struct hash *h, uint64_t index, store_piece *fn, void *arg);

#endif
