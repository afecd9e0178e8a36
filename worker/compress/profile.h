/*
 * profile - what a search computes once: dense scores, Gram matrices, each group's elimination order and
 * sensitivity curve. A worker makes it; as a blob it goes to all others, so that every worker cuts alike.
 *
 * When single weights are cut, "group" reads "layer": each has FINE_MOST densities in place of classes, in their natural order
 * (magnitudes say which weights go), the curve of sparsify.h, and the Gram matrices that it came from aren't kept.
 */
#ifndef WORKER_COMPRESS_PROFILE_H
#define WORKER_COMPRESS_PROFILE_H

#include "common/base/buf.h"
#include "worker/compress/gram.h"
#include "worker/compress/unfold.h"

struct profile {
    struct metrics dense; /* on the reward split */
    int n_groups;
    int *size;               /* (n_groups) classes */
    int **order;             /* (n_groups)(size): see eliminate.h */
    float **curve;           /* (n_groups)(size + 1) */
    struct stats_list stats; /* of unfold_values, nodes of the original graph */
    struct gram_list grams;  /* nodes of the unfolded graph */
};
void profile_release(struct profile *p);

MUST_CHECK int profile_make(const struct compress_work *cw, struct profile *p, struct err *e);

/* By field, little-endian, with magic and version. Decoding bounds every count by the bytes that are there. */
void profile_encode(const struct profile *p, struct buf *out);
MUST_CHECK int profile_decode(const void *bytes, size_t n, struct profile *p, struct err *e);

#endif
