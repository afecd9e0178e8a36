/*
 * schedule - the learning rate of a step. Warm-up rises linearly from lr/(its steps) to lr; cosine (Loshchilov and
 * Hutter 2017, equation 5, one period to 0) covers the steps after it; step multiplies by `drop` at each epoch of
 * drop_at.
 */
#ifndef WORKER_TRAIN_SCHEDULE_H
#define WORKER_TRAIN_SCHEDULE_H

#include <stdint.h>

#include "proto/training.h"

/* step: 0 ... steps-1; per_epoch: steps an epoch (> 0). Not scaled for a retry. */
double schedule_rate(const struct training *t, int64_t step, int64_t steps, int64_t per_epoch);

#endif
