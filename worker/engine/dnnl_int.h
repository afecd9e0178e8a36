/*
 * dnnl_int - what the files of the door to oneDNN (dnnl*.c, kernel*.c) share; nobody else includes it.
 *
 * Descriptors (md), operations (dnnl_*_desc_t), chosen kernels (pd).
 */
#ifndef WORKER_ENGINE_DNNL_INT_H
#define WORKER_ENGINE_DNNL_INT_H

#include <dnnl.h>

#include "worker/engine/dnnl.h"

struct backend {
    dnnl_engine_t engine;
    dnnl_stream_t stream; /* for packing weights */
    bool wide, bf16;
};

struct prim {
    dnnl_engine_t engine; /* borrowed from the backend */
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_memory_t w, b;
    void *w_data, *b_data;
    size_t bytes;
    const dnnl_memory_desc_t *x, *y, *scratch; /* borrowed from pd */
};

/* `what` completes "oneDNN could not". */
MUST_CHECK int dnnl_check(dnnl_status_t s, const char *what, struct err *e);

/* ---- dnnl_memory.c: descriptors of arrays ---- */

dnnl_memory_desc_t md_image(int N, int C, int H, int W, enum dtype type, enum order order, int lanes);
dnnl_memory_desc_t md_layout(const struct layout *l);
dnnl_memory_desc_t md_flat(int N, int C, enum dtype type);
dnnl_memory_desc_t md_bias(int K); /* fp32 */

/* Weights in whatever order the kernel likes best. */
dnnl_memory_desc_t md_conv_weights(int K, int C, int groups, const struct window *w, enum dtype type);
dnnl_memory_desc_t md_gemm_weights(int K, int C, enum dtype type);

/* The same weights as graph.h has them: plain fp32. */
dnnl_memory_desc_t md_plain(const dnnl_memory_desc_t *md);

/* Into *l's lanes; false for an order that we don't know. */
bool md_recognise(const dnnl_memory_desc_t *md, struct layout *l);

/* ---- dnnl_op.c: operations, and the kernels that do them ---- */

/* `prop` is the pass, and tells which of x, w, b, y are gradients; b may be NULL. */
MUST_CHECK int desc_conv(dnnl_convolution_desc_t *d, dnnl_prop_kind_t prop, bool winograd, const struct window *win,
                         const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *w, const dnnl_memory_desc_t *b,
                         const dnnl_memory_desc_t *y, struct err *e);
MUST_CHECK int desc_gemm(dnnl_inner_product_desc_t *d, dnnl_prop_kind_t prop, const dnnl_memory_desc_t *x,
                         const dnnl_memory_desc_t *w, const dnnl_memory_desc_t *b, const dnnl_memory_desc_t *y,
                         struct err *e);
MUST_CHECK int desc_pool(dnnl_pooling_v2_desc_t *d, dnnl_prop_kind_t prop, enum pooling kind,
                         const struct window *win, const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *y,
                         struct err *e);

/* How a kernel is chosen for an operation: the first in oneDNN's order that will do. */
struct choice {
    const_dnnl_op_desc_t op;
    bool sum; /* post-ops */
    struct act act;
    dnnl_primitive_desc_t hint; /* of the forward pass, or NULL; must outlive the kernel */
    bool reference_ok;          /* plain loops or im2col will do */
    bool (*skip)(const void *arg, const char *kernel);
    const void *arg;
};
MUST_CHECK int pd_choose(dnnl_primitive_desc_t *pd, const struct backend *be, const struct choice *how,
                         struct err *e);
MUST_CHECK int pd_reorder(dnnl_primitive_desc_t *pd, const struct backend *be, const dnnl_memory_desc_t *from,
                          const dnnl_memory_desc_t *to, struct err *e);
const char *pd_name(const_dnnl_primitive_desc_t pd);
const dnnl_memory_desc_t *pd_md(const_dnnl_primitive_desc_t pd, dnnl_query_t what); /* borrowed from pd */

/* A forward convolution's kernels that others beat, for choice.skip; falls back on them when there is no other. */
struct conv_size {
    int C, K, Q;
    enum dtype type;
};
MUST_CHECK int pd_choose_conv(dnnl_primitive_desc_t *pd, const struct backend *be, struct choice how,
                              const struct conv_size *size, struct err *e);

/* ---- dnnl_prim.c: prims ---- */

struct prim *prim_start(struct backend *be);
/* The primitive itself, once pd is chosen; frees the prim when something failed. */
MUST_CHECK int prim_finish(struct prim **out, struct prim *p, int rc, struct err *e);
/* Plain fp32 weights and bias into the kernel's order. */
MUST_CHECK int prim_pack(struct prim *p, struct backend *be, const float *w, const float *b, int K, struct err *e);

#endif
