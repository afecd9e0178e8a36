/*
 * fine - fine-grained pruning: single weights become zero, the shapes stay. AMC's other mode (He et al., 2018, section 3.1:
 * non-zero weights of all).
 *
 * A decision is a conv's or gemm's density: the per mille k of its n weights that stay, ceil(k n / 1000) of them. What else a
 * network has (biases, BN, slopes) stays whole. Costs follow from the counts alone, so a budget holds whichever weights go.
 *
 *   MACs     a weight that isn't zero costs one at each output position
 *   params   weights that aren't zero, and all other parameters
 *   bytes    of a weight array of n numbers with m that aren't zero, the least of
 *              4 n                             as it is
 *              4 m + ceil(n / 8)               a bitmap, and the numbers
 *              5 (m + floor((n - m) / 256))    numbers, each with 8 bits that say how far behind the last one it is; where
 *                                              that is more than 256 a zero is stored in between (Han et al., Deep Compression,
 *                                              2016, section 2: there 8 bits for conv, 5 for gemm). Such a zero ends 256
 *                                              that aren't stored, so there are never more of them than this counts.
 *            and 4 of every other stored number, as cost.h has it.
 */
#ifndef COMMON_MODEL_FINE_H
#define COMMON_MODEL_FINE_H

#include "common/model/action.h"
#include "common/model/cost.h"

#define FINE_MOST 1000 /* per mille: all weights */
#define FINE_STEP 5    /* what decisions are multiples of */

struct fine_layer {
    int node;
    int64_t weights, positions; /* numbers; output positions that each of them serves */
};

struct fine {
    int n;
    struct fine_layer *of; /* (n) in node order */
    struct cost rest;      /* of all that isn't a conv's or gemm's weights */
};

void fine_find(struct fine *f, const struct graph *g);
void fine_release(struct fine *f);

/* Every layer may keep what is between keep_min (0..1] and all. */
void fine_limits(const struct fine *f, double keep_min, struct limits *l);

/* Weights that layer i keeps at k per mille. */
int64_t fine_count(const struct fine *f, int i, int k);
int64_t fine_bytes(int64_t weights, int64_t nonzero);
/* What layer i's weights cost at k per mille. */
void fine_layer_cost(const struct fine *f, int i, int k, struct cost *out);
/* Of the network: keep (n) per mille, NULL: dense, which is what cost_of says. */
void fine_cost(const struct fine *f, const int *keep, struct cost *out);

#endif
