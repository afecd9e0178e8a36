/*
 * step - one thing that a forward pass does, with its buffers as numbers; and what a run needs to do it.
 */
#ifndef WORKER_ENGINE_STEP_H
#define WORKER_ENGINE_STEP_H

#include "worker/engine/crop.h"
#include "worker/engine/dnnl.h"
#include "worker/engine/lrn.h"
#include "worker/engine/map.h"

enum step_kind {
    STEP_PRIM, /* y = prim(x) */
    STEP_MAP,  /* y = map(x, r) */
    STEP_NORM, /* the same with scale and shift from the batch's own statistics */
    STEP_CROP, /* a box of x into y */
    STEP_MEAN, /* y (N,C), fp32, = mean over the pixels of x */
    STEP_MUL,  /* y = x * r, or with a gate r (N,C) in fp32 */
    STEP_LRN,
    STEP_SHUFFLE
};

/* Buffers that belong to the caller of a forward pass. */
enum { BUF_NONE = -1, BUF_X = -2, BUF_Y = -3 };

struct step {
    enum step_kind kind;
    int node;        /* whose value it helps to make */
    char *name;      /* that node's, owned */
    bool conv;       /* a convolution primitive */
    int x, r, y;     /* buffers; r: second operand or BUF_NONE */
    struct layout l; /* of x (all but PRIM, CROP) */
    struct prim *prim;
    struct map map;
    struct crop crop;
    bool gate;      /* MUL */
    int groups;     /* SHUFFLE */
    struct lrn lrn; /* LRN */
    struct {    /* NORM: y = (x - mean) / sqrt(var + eps) * scale + shift; the shift is the map's */
        int bn; /* node */
        float eps;
        float *scale; /* (padded), owned */
        size_t at;    /* where a run keeps mean, var and the map's a: three times `padded` floats from here */
    } norm;
};

void step_release(struct step *s);

/* What a run lends to a step. */
struct lent {
    float *moments; /* see norm.at; zero at first */
    double *sums;   /* twice the widest `padded` */
    struct bound *call;
};

/* x, r, y: the buffers' addresses. */
MUST_CHECK int step_run(const struct step *s, const struct lent *with, const void *x, const void *r, void *y,
                        struct err *e);

#endif
