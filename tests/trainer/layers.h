/*
 * layers - forward and backward of the layer kinds that the demo's network is made of, single precision.
 *
 * Values are channel-major, (C,N,H,W): a channel's numbers lie together, so a convolution over the whole batch is one matrix
 * product and a batch normalisation one pass a channel.
 *
 * N batch, C input channels, K output channels, H,W input, P,Q output, R,S kernel; M = N*H*W numbers a channel.
 *
 * Outputs OVERWRITE, gradients ACCUMULATE (+=): a value with two readers gets the sum of both. Nothing allocates.
 */
#ifndef TESTS_TRAINER_LAYERS_H
#define TESTS_TRAINER_LAYERS_H

#include "common/model/graph.h"

/* One convolution: no groups, no dilation, no bias. */
struct conv {
    struct window win;
    int N, C, H, W;
    int K, P, Q;
};

/* Floats of scratch that forward and backward need: C*R*S*N*P*Q. */
size_t conv_scratch(const struct conv *c);

/* y (K,N,P,Q) = conv(x, w) */
void conv_forward(const struct conv *c, const float *w, /* (K,C,R,S) */
                  const float *x,                       /* (C,N,H,W) */
                  float *y, float *scratch);

/* dx, dw += given dy; dx may be NULL. */
void conv_backward(const struct conv *c, const float *w, const float *x, const float *dy, float *dw, float *dx,
                   float *scratch);

/* y (K,N) = w x + b */
void gemm_forward(int K, int C, int N, const float *w, /* (K,C) */
                  const float *b,                      /* (K) */
                  const float *x,                      /* (C,N) */
                  float *y);
void gemm_backward(int K, int C, int N, const float *w, const float *x, const float *dy, float *dw, float *db,
                   float *dx);

/* Mean and biased variance (C) of x (C,M). */
void bn_measure(int C, int M, const float *x, float *mean, float *var);

/* y (C,M) = (x - mean) / sqrt(var + eps) * w + b */
void bn_forward(int C, int M, float eps, const float *mean, const float *var, const float *w, const float *b,
                const float *x, float *y);

/* For mean and var that are those of x (Ioffe and Szegedy 2015, section 3). */
void bn_backward(int C, int M, float eps, const float *mean, const float *var, const float *w, const float *x,
                 const float *dy, float *dw, float *db, float *dx);

/* y (n) = max(x, 0); its gradient goes where y is positive. */
void relu_forward(size_t n, const float *x, float *y);
void relu_backward(size_t n, const float *y, const float *dy, float *dx);

/* y (rows) = mean over the columns of x (rows,cols). */
void mean_forward(int rows, int cols, const float *x, float *y);
void mean_backward(int rows, int cols, const float *dy, float *dx);

/*
 * Mean cross-entropy (nats) of softmax(y) over the batch, y (K,N); `correct` gets the number whose largest is their label.
 * dy (K,N), overwritten, may be NULL; `scale` multiplies it.
 */
double softmax_loss(int K, int N, const float *y, const int *label, float scale, float *dy, int *correct);

#endif
