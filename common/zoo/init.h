/*
 * init - the numbers that a training begins with.
 */
#ifndef COMMON_ZOO_INIT_H
#define COMMON_ZOO_INIT_H

#include "common/model/weights.h"

/*
 * Fills w, which weights_new made for g, as zoo.h says. Conv: normal with variance 2 / fan out (He et al. 2015,
 * section 2.2, backward case), where an input channel's fan out is the K / groups filters that read it times R * S;
 * biases 0. Gemm: weights and biases uniform in +-1 / sqrt(C). BN: the identity, running mean 0 and variance 1.
 * Node i draws from (seed, "init", i).
 */
void init_weights(const struct graph *g, struct weights *w, uint64_t seed);

#endif
