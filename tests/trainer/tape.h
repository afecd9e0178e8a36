/*
 * tape - a network's values for one batch, kept so that the gradients can be taken back through them.
 *
 * Values are channel-major, (C,N,H,W), see layers.h. A tape is for one thread; it borrows the graph.
 */
#ifndef TESTS_TRAINER_TAPE_H
#define TESTS_TRAINER_TAPE_H

#include "common/model/weights.h"

struct tape {
    const struct graph *g;
    int N;
    float **value;      /* (g->n) each (C,N,H,W) */
    float **grad;       /* likewise; node 0 has none */
    float **mean, **var; /* (g->n) each (C): of the batch, BN nodes only */
    float *scratch;
};

/* ERR_UNSUPPORTED names the first node of a kind that isn't trained here. */
MUST_CHECK int tape_init(struct tape *t, const struct graph *g, int N, struct err *e);
void tape_release(struct tape *t); /* a zeroed one is fine */

float *tape_input(struct tape *t); /* (C,N,H,W), for the caller to fill */

/* `batch`: BN normalises by the batch (training), else by the weights' mean and var. Returns the logits (K,N), borrowed. */
const float *tape_forward(struct tape *t, const struct weights *w, bool batch);

/* The output's gradient (K,N), for the caller to fill between forward and backward. */
float *tape_output_grad(struct tape *t);

/* After tape_forward with `batch`: gradients are added to dw's w and b. */
void tape_backward(struct tape *t, const struct weights *w, struct weights *dw);

#endif
