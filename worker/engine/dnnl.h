/*
 * dnnl - the only place that knows oneDNN, whose C API changes between major versions.
 *
 * A prim is one oneDNN primitive with its weights in the order that the kernel wants; read-only once made. A bound
 * is a prim tied to the buffers of one run. All is made for one thread: whoever makes or runs something holds
 * dnnl_one_thread.
 *
 * N batch, C input channels, K output channels, H,W input, P,Q output, R,S kernel.
 */
#ifndef WORKER_ENGINE_DNNL_H
#define WORKER_ENGINE_DNNL_H

#include "worker/engine/act.h"
#include "worker/engine/layout.h"

struct backend; /* the CPU as oneDNN sees it */
struct prim;
struct bound;

/* How a layout is asked for; ANY leaves it to oneDNN. */
enum order { ORDER_ANY, ORDER_PLAIN, ORDER_LAST, ORDER_BLOCKED };

MUST_CHECK int backend_new(struct backend **be, struct err *e);
void backend_free(struct backend *be);
int backend_lanes(const struct backend *be); /* of ORDER_BLOCKED: floats in a vector */
bool backend_wide(const struct backend *be); /* AVX-512: Winograd and the channels-last kernels exist */
/* ERR_UNSUPPORTED unless the CPU has fast kernels for values of this type. */
MUST_CHECK int backend_require(const struct backend *be, enum dtype type, struct err *e);
const char *backend_text(void); /* library, version and instruction set */

/* Tells OpenMP to use one thread in this thread; returns what to give to dnnl_threads_restore. */
int dnnl_one_thread(void);
void dnnl_threads_restore(int threads);

struct conv_spec {
    int N, C, H, W, K, P, Q, groups;
    struct window win;
    enum dtype type; /* of x, y and the kernel's weights; sums are fp32 */
    bool sum;        /* y = act(conv(x) + y) instead of y = act(conv(x)) */
    struct act act;
    bool winograd; /* fp32: F(4x4, 3x3), Lavin and Gray 2016; else the direct algorithm */
    enum order x, y;
    bool reference_ok;        /* plain loops or im2col will do; else such kernels count as absent */
    struct layout x_is, y_is; /* out: what was agreed */
};

/* Whether oneDNN has a kernel for it. */
bool conv_spec_exists(struct backend *be, const struct conv_spec *s);
/* w (K, C/groups, R, S), b (K); ERR_UNSUPPORTED when there is no such kernel. */
MUST_CHECK int prim_conv(struct prim **p, struct backend *be, struct conv_spec *s, const float *w, const float *b,
                         struct err *e);

/* y (N,K) = act(x (N,C) w^T + b [+ y]), w (K,C), b (K). */
struct gemm_spec {
    int N, C, K;
    bool sum;
    struct act act;
    enum dtype type; /* of x and the kernel's weights; y is fp32 */
};
MUST_CHECK int prim_gemm(struct prim **p, struct backend *be, const struct gemm_spec *s, const float *w,
                         const float *b, struct err *e);

enum pooling { POOL_MAX, POOL_MEAN, POOL_MEAN_PADDED /* the divisor counts padding */ };
MUST_CHECK int prim_pool(struct prim **p, struct backend *be, enum pooling kind, const struct window *win,
                         const struct layout *x, const struct layout *y, struct err *e);

/* Over the channels of a flat value. */
MUST_CHECK int prim_softmax(struct prim **p, struct backend *be, const struct layout *x, struct err *e);
MUST_CHECK int prim_reorder(struct prim **p, struct backend *be, const struct layout *x, const struct layout *y,
                            struct err *e);
void prim_free(struct prim *p);

const char *prim_kernel(const struct prim *p); /* oneDNN's name of what runs, borrowed */
size_t prim_bytes(const struct prim *p);       /* weights */
size_t prim_scratch(const struct prim *p);     /* bytes that a call needs besides x and y */

/* x, y and scratch (aligned to 64) are borrowed for the call's life; x and y may be bound anew. */
MUST_CHECK int bound_new(struct bound **c, const struct prim *p, const void *x, void *y, void *scratch,
                         struct err *e);
void bound_free(struct bound *c);
MUST_CHECK int bound_bind(struct bound *c, const void *x, void *y, struct err *e); /* NULL: leave as it is */
MUST_CHECK int bound_run(const struct bound *c, struct err *e);

#endif
