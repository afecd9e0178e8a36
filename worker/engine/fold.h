/*
 * fold - what a conv and a gemm have in common: BN folded into weights and bias, and the residual operand brought
 * to where the result is added to it.
 */
#ifndef WORKER_ENGINE_FOLD_H
#define WORKER_ENGINE_FOLD_H

#include "worker/engine/compile.h"

struct folded {
    float *w; /* as the head's w */
    float *b; /* (K), zeros where the graph has none */
};

/*
 * y = (x - mean) / sqrt(var + eps) * scale + shift after x = w . in + b is
 *   w' = w * f,  b' = (b - mean) * f + shift,  f = scale / sqrt(var + eps)
 */
MUST_CHECK int folded_new(struct folded *f, const struct graph *g, const struct weights *w, const struct unit *u,
                          struct err *e);
void folded_release(struct folded *f);

/* `out` holds the value of `node` in layout l and may be written over: its own buffer if this is its last read,
 * else a copy. */
MUST_CHECK int sum_into(struct compile *c, int node, const struct layout *l, struct form *out, struct err *e);

#endif
