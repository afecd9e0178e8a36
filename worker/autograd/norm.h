/*
 * norm - a BN in training mode (Ioffe and Szegedy 2015). Parts of the batch take their sums by themselves, on any
 * thread; joining adds them up in the parts' order, in double, and works out what the element-wise passes need:
 *
 *   y  = (x - mean) istd scale + shift = a x + b,   istd = 1 / sqrt(var + eps)
 *   dx = scale istd (g - sum(g)/M - xhat sum(g xhat)/M),   xhat = (x - mean) istd     M = N H W of the whole batch
 */
#ifndef WORKER_AUTOGRAD_NORM_H
#define WORKER_AUTOGRAD_NORM_H

#include "worker/autograd/elem.h"

struct norm {
    int node;
    double eps;
    int parts;
    double part_count, count;      /* numbers of a channel in a part, in the batch */
    struct flat flat;              /* of a part's x */
    float *scale, *shift;          /* (C); shift is zero where the model has none */
    float *m, *a, *b;              /* forward, expanded */
    float *A, *B, *D;              /* backward, expanded: dx = A g + B x + D */
    double *sums;                  /* (parts)(2)(C) */
    double *mean, *istd;           /* (C) */
    float *d_scale, *d_shift;      /* (C) gradients */
    float *batch_mean, *batch_var; /* (C), the variance unbiased */
    float *pivots;                 /* (parts)(C) that the statistics count from */
    void *floats, *doubles;        /* all of the above, owned */
};

/* What a thread lends to the passes: elem's sums, doubles twice the width and twice C, and a pivot. */
struct norm_lent {
    float *floats;   /* 3 * width */
    double *doubles; /* 2 * width + 2 * C */
};

/* l: of a part's x. */
MUST_CHECK int norm_new(struct norm **out, int node, double eps, const struct layout *l, int parts, struct err *e);
void norm_free(struct norm *n); /* NULL is fine */
size_t norm_bytes(const struct norm *n);

/* Sums of part `part` of x. */
void norm_stats(struct norm *n, int part, const void *x, const struct norm_lent *lent);
void norm_join_stats(struct norm *n);

/* e: the pass of kind ELEM_SUMS..., complete but for its sums. */
void norm_sums(struct norm *n, int part, enum elem_kind kind, struct elem *e, const struct norm_lent *lent);
void norm_join_sums(struct norm *n);

#endif
