/*
 * recalibrate - new running statistics for every BN: the average over batches of what the cut network itself shows
 * on calibration images, each BN normalising with the batch's own statistics meanwhile (EagleEye, Li et al. 2020,
 * section 3).
 */
#ifndef WORKER_COMPRESS_RECALIBRATE_H
#define WORKER_COMPRESS_RECALIBRATE_H

#include "worker/train/score.h"

/* Images, at most; fewer where two of the network's largest values would take more than a quarter of a gigabyte. The set is
 * divided evenly, a remainder smaller than the number of batches is left out. */
#define RECALIBRATE_BATCH 100

/* `type`: what the network computes in meanwhile. */
MUST_CHECK int recalibrate(struct model *m, enum dtype type, struct pool *pool, const struct scored_set *set,
                           int (*progress)(void *arg, int done, int total), void *arg, struct err *e);

#endif
