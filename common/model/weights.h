/*
 * weights - the numbers of a graph: per node what graph.h says its parameters are, row-major, fp32. Owned by this struct,
 * each array from mem_alloc. Nodes without parameters have NULLs.
 */
#ifndef COMMON_MODEL_WEIGHTS_H
#define COMMON_MODEL_WEIGHTS_H

#include <stddef.h>

#include "common/model/graph.h"

struct params {
    float *w;          /* n_w floats */
    float *b;          /* one a channel, or NULL */
    float *mean, *var; /* BN only */
    size_t n_w;
    size_t n_b; /* floats in b, mean and var each: the node's C */
};

struct weights {
    struct params *of; /* (n), index = node */
    int n;
};

/* Sizes that node i demands. */
size_t weights_count(const struct graph *g, int i); /* floats in w */

/* The array that graph.h's NAME_* is about, and its *n numbers; NULL where it isn't there. */
const float *params_of(const struct params *p, int which, size_t *n);

/* Allocates zeroed arrays for every node of g that has parameters. */
MUST_CHECK int weights_new(struct weights *w, const struct graph *g, struct err *e);
MUST_CHECK int weights_copy(const struct weights *w, struct weights *out, struct err *e);
void weights_release(struct weights *w);

/* A model: what an ONNX file holds. */
struct model {
    struct graph graph;
    struct weights weights;
};
void model_release(struct model *m);

#endif
