/*
 * gram - second moments of what a layer reads, from which its weights for any subset of its input channels follow.
 *
 * For a conv or gemm with weights W (K, n), n = C/groups * R * S (gemm: C), X is the matrix of input patches at
 * sampled output positions of the dense network, one row each. Kept are the mean m of the rows and their covariance
 * G = X'X / rows - m m', one of each for every conv group. The mean is left out of G because a bias or the BN
 * behind the layer makes up for it.
 *
 * Least squares (AMC section 3, He et al. 2017, with X and Y = X W from the dense network): for the kept columns S
 *     W_S = (G_SS + lambda I)^-1 G_S: W,    lambda = GRAM_RIDGE * mean diagonal of G
 */
#ifndef WORKER_COMPRESS_GRAM_H
#define WORKER_COMPRESS_GRAM_H

#include "common/model/groups.h"
#include "common/model/weights.h"
#include "worker/engine/pool.h"
#include "worker/train/score.h"

#define GRAM_RIDGE 1e-4
#define GRAM_ROWS  40000 /* rows that are aimed at, spread evenly over the images */
#define GRAM_MOST  6144  /* columns; a layer that reads more is cut without reconstruction */

struct gram {
    int node;    /* the conv or gemm that reads */
    int n;       /* columns: C/groups * R * S */
    int groups;  /* of the conv; 1 for gemm */
    float *cov;  /* (groups, n, n), symmetric */
    float *mean; /* (groups, n) */
};

struct gram_list {
    struct gram *of; /* in node order */
    int n;
};
void gram_list_release(struct gram_list *l);
const struct gram *gram_find(const struct gram_list *l, int node); /* NULL: none */

/*
 * The nodes for which a Gram matrix is of use: convs and gemms with an input class that may be cut, without
 * depthwise convs (each of their channels reads only itself: the least-squares weights are the weights) and those
 * of more than GRAM_MOST columns; gs NULL: all convs and gemms but those. Allocates the list with zeroed matrices.
 */
MUST_CHECK int gram_list_new(struct gram_list *l, const struct graph *g, const struct groups *gs, struct err *e);

/* Whether the list is what gram_list_new would make of this network. */
bool gram_list_fits(const struct gram_list *l, const struct graph *g, const struct groups *gs);

/*
 * Runs the network (in inference mode) over the images and fills the matrices. Sampled positions come from (seed,
 * "gram", image). The same numbers with any number of threads. ERR_INVALID without images.
 */
MUST_CHECK int gram_measure(struct gram_list *l, struct pool *pool, const struct model *m,
                            const struct scored_set *set, uint64_t seed,
                            int (*progress)(void *arg, int done, int total), void *arg, struct err *e);

#endif
