/*
 * reconstruct - the weights of a cut network that come closest to the dense network's outputs (gram.h has the
 * formula).
 */
#ifndef WORKER_COMPRESS_RECONSTRUCT_H
#define WORKER_COMPRESS_RECONSTRUCT_H

#include "worker/compress/gram.h"

/*
 * `out` is cut(dense, gs, live): for every layer of `grams` whose input lost channels its weights are replaced by
 * the least-squares ones, and the shift of its output's mean goes to its bias or to the running mean of the BN
 * behind it (a gemm without a bias gets one).
 */
MUST_CHECK int reconstruct(struct model *out, const struct model *dense, const struct groups *gs, const bool *live,
                           const struct gram_list *grams, struct pool *pool, struct err *e);

#endif
