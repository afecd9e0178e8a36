/*
 * feed - batches of training images, shuffled anew each epoch, augmented ahead of the compute by a thread of its
 * own; picture files are decoded by as many as the compute has. The order of epoch k comes from (seed, "shuffle",
 * k) alone.
 */
#ifndef WORKER_TRAIN_FEED_H
#define WORKER_TRAIN_FEED_H

#include "worker/train/augment.h"
#include "worker/train/score.h"

struct feed;

struct feed_batch {      /* borrowed until the next feed_next */
    const float *x;      /* (batch,C,H,W) */
    const int *labels;   /* (batch) */
    const int *images;   /* (batch): places in the set */
    const bool *flipped; /* (batch) */
};

/* `set` is borrowed; batches an epoch: set->n / batch, at least 1 or ERR_INVALID. Begins with batch `step` of epoch
 * `epoch`. threads: of the decoding. */
MUST_CHECK int feed_new(struct feed **f, const struct scored_set *set, const struct augment *a, int batch,
                        uint64_t seed, int epoch, int step, int threads, struct err *e);
void feed_free(struct feed *f); /* NULL is fine */
/* The next batch; epochs follow each other without end. Fails for an image that can't be decoded, from then on. */
MUST_CHECK int feed_next(struct feed *f, struct feed_batch *b, struct err *e);

#endif
