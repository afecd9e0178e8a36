/*
 * network - a multilayer perceptron of three layers: ReLU after the first two, nothing after the last.
 *
 * N rows, D inputs, H hidden units, one output. Everything is row-major fp32; inside, activations lie units by rows
 * (H,N), and products are cut into pieces that OpenBLAS multiplies without packing, where it can: an update of
 * 300-300 on 64 rows takes 0.83 of its time with whole products (SkylakeX kernels). The parameters lie in one
 * block, so that an optimiser or a snapshot sees a plain array:
 *
 * w1 (H,D)  b1 (H)  w2 (H,H), input by output  b2 (H)  w3 (1,H)  b3 (1)
 */
#ifndef COORDINATOR_POLICY_NETWORK_H
#define COORDINATOR_POLICY_NETWORK_H

#include <stddef.h>

#include "common/base/rng.h"

struct network {
    int D, H;
    size_t n; /* parameters */
    float *p; /* (n) */
};

/* Activations of a forward pass, kept for the backward pass, and room for the gradients there. */
struct trace {
    int N, D, H;    /* N: the most rows it has room for */
    float *xt;      /* (D,N) */
    float *h1, *h2; /* (H,N) after ReLU; (H,2N) in network_slope */
    float *d1, *d2; /* (H,N) */
    float *d2t;     /* (N,H) */
};

void network_init(struct network *w, int D, int H); /* zeros */
void network_release(struct network *w);

/* Uniform in +-1/sqrt(fan-in), the last layer in +-0.003 (Lillicrap et al., 2015, section 7): the first outputs are
 * near zero. */
void network_draw(struct network *w, struct rng *r);

void trace_init(struct trace *t, int N, int D, int H);
void trace_release(struct trace *t);

void network_forward(const struct network *w, float *y /* out (N) */, const float *x /* (N,D) */, int N,
                     struct trace *t);

/* dp (n), overwritten: the gradient of the sum of dy[n] y[n], after network_forward with the same x and t. */
void network_backward(const struct network *w, float *dp, const float *dy /* (N) */, const float *x /* (N,D) */,
                      int N, struct trace *t);

/* slope (N): dy/dx of the last input in each row, carried forward beside the value, layer by layer. */
void network_slope(const struct network *w, float *slope, const float *x /* (N,D) */, int N, struct trace *t);

#endif
