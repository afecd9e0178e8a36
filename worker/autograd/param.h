/*
 * param - the weights of a Conv or Gemm as its kernels want them, and what each part's gradient of them goes into.
 */
#ifndef WORKER_AUTOGRAD_PARAM_H
#define WORKER_AUTOGRAD_PARAM_H

#include "common/model/weights.h"
#include "worker/engine/kernel.h"

struct param {
    int node, parts;
    size_t n_w, n_b;                         /* as weights.h has them */
    struct kernel *forward, *data, *weights; /* owned; data is NULL where nobody asks for dx */
    void *w[2];                              /* for forward, for data */
    void *dw;                                /* (parts), `dw_bytes` apart, fp32 in the kernel's order */
    size_t dw_bytes;
    float *bias; /* (K) */
    float *db;   /* (parts), `db_floats` apart */
    size_t db_floats;
    float *plain;            /* on its way in or out */
    struct kernel *packs[3]; /* plain -> w[0], plain -> w[1], dw -> plain */
    struct kernel_call *calls[3];
    void *scratch[3];
    size_t bytes;
};

/* shape: its n_w, and n_b (0 without a bias). Takes over the kernels, also on failure. */
MUST_CHECK int param_new(struct param **out, struct backend *be, int node, const struct params *shape, int parts,
                         struct kernel *forward, struct kernel *data, struct kernel *weights, struct err *e);
void param_free(struct param *p); /* NULL is fine */

/* Weights into the kernels' orders. */
MUST_CHECK int param_load(struct param *p, const struct params *from, struct err *e);

/* The sum over the parts, in their order, as plain gradients; uses up the parts' own. */
MUST_CHECK int param_collect(struct param *p, struct params *grad, struct err *e);

#endif
