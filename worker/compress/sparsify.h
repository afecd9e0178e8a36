/*
 * sparsify - single weights that become zero: in every conv and gemm those of the least magnitude.
 */
#ifndef WORKER_COMPRESS_SPARSIFY_H
#define WORKER_COMPRESS_SPARSIFY_H

#include "common/model/fine.h"
#include "worker/compress/gram.h"

/* Leaves the `count` largest of w's n numbers by magnitude, among equals the first, and sets the others to zero. */
void sparsify_largest(float *w, size_t n, int64_t count);

/* The network of a candidate: layers is fine_find of m->graph, keep (layers->n) per mille. */
void sparsify(struct model *m, const struct fine *layers, const int *keep);

/*
 * curve (FINE_MOST + 1): the error of layer `node`'s output when k per mille of its weights stay, relative to the output's
 * variance: tr(D G D') / tr(W G W'), D what is gone of W (K, n), each row times what the BN behind it multiplies it with,
 * G the covariance of what it reads (gram.h; gr NULL: the identity), for a gemm, whose mean nothing makes up for, its
 * second moment. Computed at 23 densities and straight in between; 1 at k = 0, never rising.
 */
MUST_CHECK int sparsify_curve(const struct model *m, int node, const struct gram *gr, float *curve, struct err *e);

#endif
