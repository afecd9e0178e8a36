/*
 * tape - a network's values for one batch, kept so that gradients can be taken back through them.
 *
 * Values are channel-major, (C,N,H,W): a channel's numbers lie together, so a convolution over the whole batch is
 * one matrix product and a batch normalisation one pass a channel. A tape is for one thread; it borrows the graph.
 *
 * N batch, C input channels, K output channels, H,W input, P,Q output, R,S kernel; M = N*H*W numbers a channel.
 */
#ifndef TESTS_TRAINER_TAPE_H
#define TESTS_TRAINER_TAPE_H

#include "common/model/weights.h"

struct tape {
    const struct graph *g;
    int N;
    float **value;       /* (g->n) each (C,N,H,W) */
    float **grad;        /* likewise; node 0 has none */
    float **mean, **var; /* (g->n) each (C): BN nodes only, of the batch, biased */
    float *scratch;      /* conv_scratch floats of the most demanding convolution */
};

/* What a layer kind does. Outputs OVERWRITE, gradients ACCUMULATE: a value with two readers gets the sum of both.
 */
struct layer {
    bool (*trainable)(const struct graph *g, const struct node *d); /* NULL: always */
    void (*forward)(struct tape *t, int node, const struct params *w);
    void (*backward)(struct tape *t, int node, const struct params *w, struct params *dw);
};

extern const struct layer tape_layers[OP_COUNT]; /* no functions where a kind isn't trained here */

/* Floats of scratch that the convolution at `node` needs for a batch of N. */
size_t conv_scratch(const struct graph *g, int node, int N);

/* ERR_UNSUPPORTED names the first node that can't be trained. */
MUST_CHECK int tape_init(struct tape *t, const struct graph *g, int N, struct err *e);
void tape_release(struct tape *t); /* a zeroed one is fine */

/* From value[0], which the caller has filled, to value[g->output], the logits (K,N); BN normalises by the batch. */
void tape_forward(struct tape *t, const struct weights *w);

/* Mean cross-entropy (nats) of the logits' softmax; its gradient times `scale` becomes the output's. */
double tape_loss(struct tape *t, const int *label, float scale, int *correct);

/* From the output's gradient; those of the parameters are added to dw's w and b. */
void tape_backward(struct tape *t, const struct weights *w, struct weights *dw);

#endif
