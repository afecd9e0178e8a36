/*
 * net - the demo's network: a residual CNN for (3,32,32) pictures, untrained.
 *
 *   3x3 conv by 2 -> stages of two-conv blocks, each stage after the first by 2 and with a 1x1 conv on its first
 * shortcut
 *   -> mean over the picture -> ten logits
 */
#ifndef TESTS_TRAINER_NET_H
#define TESTS_TRAINER_NET_H

#include "common/model/weights.h"

#define NET_MAX_STAGES 4

struct net_plan {
    int stages, blocks;        /* blocks of each stage */
    int width[NET_MAX_STAGES]; /* channels of each stage */
    int classes;
};

/* Weights drawn as He et al. 2015 have it, from `seed`. `m` is released on failure. */
MUST_CHECK int net_new(struct model *m, const struct net_plan *plan, uint64_t seed, struct err *e);

#endif
