/*
 * mask - weights that are to stay zero while a network is trained.
 */
#ifndef WORKER_TRAIN_MASK_H
#define WORKER_TRAIN_MASK_H

#include "common/model/weights.h"
#include "worker/engine/pool.h"

struct mask {
    int n;
    int *node;      /* (n) convs and gemms with zeros among their weights */
    uint8_t **zero; /* (n)(weights of the node): 1 where it is zero */
};

/* Of the zeros that m's convs and gemms have now. */
MUST_CHECK int mask_new(struct mask *k, const struct model *m, struct err *e);
void mask_release(struct mask *k);

/* Zeroes what is masked of w and of its velocity: after a step nothing of it is left, so the next one begins as if there were
 * no such weights. */
MUST_CHECK int mask_apply(const struct mask *k, struct weights *w, struct weights *velocity, struct pool *pool, struct err *e);

#endif
