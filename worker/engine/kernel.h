/*
 * kernel - a primitive of oneDNN for training: all its tensors, weights too, are given by the caller, since weights
 * change with every step. Forward and both backward passes of convolution, Gemm and pooling, and what puts weights
 * into a kernel's own order and their gradients back. Part of the door to oneDNN, beside dnnl.h.
 *
 * A kernel is read-only once made; a call is a kernel tied to addresses, with memory objects of its own, so that
 * several threads run calls of one kernel side by side. All is made for one thread (dnnl_one_thread).
 *
 * Kernels overwrite their results, they never accumulate: whoever has several contributions to one gradient adds
 * them up (traps.md 17).
 */
#ifndef WORKER_ENGINE_KERNEL_H
#define WORKER_ENGINE_KERNEL_H

#include "worker/engine/dnnl.h"

struct kernel;
struct kernel_call;

enum pass { PASS_FORWARD, PASS_DATA, PASS_WEIGHTS }; /* y from x, w;  dx from dy, w;  dw, db from x, dy */

enum tensor {
    TENSOR_X,       /* input of the layer, or its gradient in PASS_DATA */
    TENSOR_Y,       /* output of the layer, or its gradient in PASS_DATA and PASS_WEIGHTS */
    TENSOR_W,       /* weights in the kernel's order and type, or their gradient in PASS_WEIGHTS (always fp32) */
    TENSOR_B,       /* bias fp32 (K), or its gradient */
    TENSOR_WORK,    /* what max pooling's forward pass leaves for its backward pass */
    TENSOR_SCRATCH, /* contents don't outlive the call */
    TENSORS
};

struct kernel_conv {
    struct layout x, y; /* orders and types as asked for; both of one type */
    int groups;
    struct window win;
    bool bias;
    bool winograd; /* fp32, 3x3, stride 1: F(4x4, 3x3), Lavin and Gray 2016 */
};

/* ERR_UNSUPPORTED when oneDNN has only plain loops for it and `reference_ok` is false. */
MUST_CHECK int kernel_conv(struct kernel **k, struct backend *be, enum pass pass, const struct kernel_conv *c,
                           bool reference_ok, struct err *e);

/* y (N,K) = x (N,C) w^T + b, or a gradient of it; x, y flat (N,C) of type `type`, w (K,C). */
MUST_CHECK int kernel_gemm(struct kernel **k, struct backend *be, enum pass pass, int N, int C, int K, bool bias,
                           enum dtype type, struct err *e);

/* PASS_FORWARD or PASS_DATA. */
MUST_CHECK int kernel_pool(struct kernel **k, struct backend *be, enum pass pass, enum pooling kind,
                           const struct window *win, const struct layout *x, const struct layout *y, struct err *e);

/* TENSOR_X -> TENSOR_Y, of another order or type. */
MUST_CHECK int kernel_reorder(struct kernel **k, struct backend *be, const struct layout *x, const struct layout *y,
                              struct err *e);

/* Between the plain fp32 order of graph.h, (K, C/groups, R, S) or (K, C), and that of `of`'s TENSOR_W: TENSOR_X ->
 * TENSOR_Y; to_plain says which way. */
MUST_CHECK int kernel_pack(struct kernel **k, struct backend *be, const struct kernel *of, bool to_plain,
                           struct err *e);
void kernel_free(struct kernel *k); /* NULL is fine */

size_t kernel_bytes(const struct kernel *k, enum tensor t); /* 0: takes no such tensor */
const char *kernel_name(const struct kernel *k);            /* oneDNN's, borrowed */

/* at: an address, aligned to 64, for each tensor with kernel_bytes > 0; borrowed for the call's life. */
MUST_CHECK int kernel_call_new(struct kernel_call **c, const struct kernel *k, void *const at[TENSORS],
                               struct err *e);
void kernel_call_free(struct kernel_call *c); /* NULL is fine */
/* Waits until it is done. */
MUST_CHECK int kernel_call_run(const struct kernel_call *c, struct err *e);

#endif
