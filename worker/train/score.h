/*
 * score - how well a network does on images: correct counts and mean cross-entropy.
 */
#ifndef WORKER_TRAIN_SCORE_H
#define WORKER_TRAIN_SCORE_H

#include "worker/engine/engine.h"
#include "worker/engine/pool.h"
#include "worker/train/dataset.h"

struct score {
    int n;           /* images */
    int top1, top5;  /* correct; a tie counts for the lower class index */
    double loss;     /* mean cross-entropy, nats; summed in image order */
    double images_s; /* images a second of wall time, compiling not counted */
};

struct scored_set { /* which images, prepared how */
    const struct dataset *data;
    const int *index; /* (n), NULL: 0 ... n-1 */
    int n;
    const double *mean, *std; /* a number a channel */
};

/*
 * Runs the network over the set in INFER mode at engine_best_batch; the last batch is padded. `progress` (may be
 * NULL) is called now and then with the images done, from the calling thread; a negative return from it ends the
 * run with ERR_CANCELLED. ERR_INVALID when the network's input shape isn't the set's or its output has fewer
 * classes than the labels need.
 */
MUST_CHECK int score_model(struct pool *pool, const struct graph *g, const struct weights *w, enum dtype type,
                           const struct scored_set *set, int (*progress)(void *arg, int done, int total), void *arg,
                           struct score *out, struct err *e);

#endif
