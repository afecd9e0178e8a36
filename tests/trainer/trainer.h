/*
 * trainer - stochastic gradient descent on a model, in place.
 *
 * A step takes TRAINER_SHARDS shards of the batch, each on a thread of the pool with batch normalisation of its
 * own, and adds their gradients up in order: the same weights come out whatever the number of threads.
 */
#ifndef TESTS_TRAINER_TRAINER_H
#define TESTS_TRAINER_TRAINER_H

#include "common/model/weights.h"
#include "worker/engine/pool.h"
#include "worker/train/dataset.h"

enum { TRAINER_SHARDS = 4, TRAINER_SHARD = 16, TRAINER_BATCH = TRAINER_SHARDS * TRAINER_SHARD };

struct training {
    const struct dataset *data;
    const double *mean, *std; /* a number a channel */
    int epochs;
    double peak_rate; /* the learning rate rises to it over the first quarter of the steps and falls to 0 over the
                         rest */
    double momentum, decay;
    uint64_t seed; /* of the order of images */
};

struct trainer;

/* Borrows the pool, the model (whose weights it changes) and what `how` points at. */
MUST_CHECK int trainer_new(struct trainer **t, struct pool *pool, struct model *m, const struct training *how,
                           struct err *e);
void trainer_free(struct trainer *t); /* NULL is fine */

int trainer_steps(const struct trainer *t); /* in all epochs together */

/* The next step; loss (mean, nats) and number correct of its TRAINER_BATCH images. At most trainer_steps times. */
MUST_CHECK int trainer_step(struct trainer *t, double *loss, int *correct, struct err *e);

#endif
