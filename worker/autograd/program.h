/*
 * program - what a training pass does, as a list of deeds: first those of the forward pass, then those of the
 * backward pass. Every deed but DEED_JOIN is done for each part of the batch on its own, in the part's own arena;
 * between two joins a thread takes one part through all deeds, then its next part, so that what a deed leaves is
 * still near the core for the next. A join is a barrier: the parts' sums of some BNs become one.
 */
#ifndef WORKER_AUTOGRAD_PROGRAM_H
#define WORKER_AUTOGRAD_PROGRAM_H

#include "worker/autograd/box.h"
#include "worker/autograd/curve.h"
#include "worker/autograd/norm.h"
#include "worker/autograd/param.h"
#include "worker/autograd/team.h"
#include "worker/engine/lrn.h"
#include "worker/engine/map.h"
#include "worker/engine/plan.h"

/* Tensors that belong to the caller of a pass, where a deed names buffers. */
enum { BUFFER_NONE = -1, BUFFER_X = -2, BUFFER_LOGITS = -3, BUFFER_DLOGITS = -4 };

enum deed_kind {
    DEED_KERNEL, /* oneDNN's */
    DEED_ELEM,   /* a pass without sums */
    DEED_STATS,  /* sums for a BN's forward pass */
    DEED_SUMS,   /* sums for its backward pass, and what the pass writes */
    DEED_BOX,    /* out = box(in[0]) */
    DEED_MEAN,   /* out = global pool of in[0] */
    DEED_SPREAD, /* its gradient */
    DEED_CURVE,  /* out = curve(in[0]) */
    DEED_CURVE_BACK, /* out = in[0] * the curve's slope at in[1] */
    DEED_MUL,        /* out = in[0] * in[1] */
    DEED_GATE,       /* out = in[0] * in[1], (N,C) plain fp32 */
    DEED_GATE_SUMS,  /* out (N,C) plain fp32 = sum over the pixels of in[0] * in[1] */
    DEED_LRN,        /* out = LRN of in[0] */
    DEED_LRN_BACK,   /* out = its gradient, from in[0] that of the result and in[1] */
    DEED_SHUFFLE,    /* out = in[0] with its channels shuffled */
    DEED_JOIN
};

struct deed {
    enum deed_kind kind;
    int node;                 /* that it is done for */
    int in[ELEM_INPUTS], out; /* buffers */
    struct layout lx, ly;     /* MEAN, SPREAD: of the many pixels, of the one; CURVE ... SHUFFLE: lx, of the value */
    struct box box;
    struct { /* CURVE, CURVE_BACK */
        struct map map; /* owned, of CURVE alone */
        struct act act;
        struct slopes *slopes; /* of PRelu */
    } curve;
    struct lrn lrn;
    struct {
        int groups;
        bool back;
    } shuffle;
    struct { /* ELEM, STATS, SUMS */
        enum elem_kind kind;
        struct flat flat;
        struct norm *norm[2]; /* whose numbers it takes; NULL: a = 1, b = 0 */
        float lo, hi;
    } elem;
    struct { /* KERNEL; its x, y, work are in[0], in[1], in[2] */
        const struct kernel *kernel;
        struct kernel *own;    /* to be freed with the deed */
        void *w, *b;           /* of the first part */
        size_t w_step, b_step; /* bytes from part to part */
        bool conv;
        struct kernel_call **calls; /* (parts) */
    } prim;
    struct {
        struct norm **norms; /* owned list */
        int n;
    } join;
};

struct program {
    struct backend *be;       /* owned */
    struct team *team;        /* owned */
    int batch, parts, images; /* images in a part */
    struct layout x, y;       /* a part's images and logits: plain fp32 */
    struct deed *deeds;
    int n, cap, forward; /* deeds 0 ... forward-1 are the forward pass */
    struct plan plan;
    struct norm **norms;
    int n_norms;
    struct param **params;
    int n_params;
    struct slopes **slopes;
    int n_slopes;
    float *plain[2]; /* zeros and ones, as wide as the widest flat */
    size_t widest, most_channels;
    char *arena; /* (parts), `arena_bytes` apart */
    size_t arena_bytes;
    struct lent *lent; /* (team) */
    bool timing;
};

/* ---- building ---- */
/* Buffers of the program's plan that the deed names are in use by it. Returns the deed, valid until the next. */
struct deed *program_add(struct program *p, enum deed_kind kind, int node);
void program_uses(struct program *p, const struct deed *d);
/* All deeds are there: places the buffers, allocates, binds the kernels. */
MUST_CHECK int program_finish(struct program *p, struct pool *pool, struct err *e);
void program_release(struct program *p);
size_t program_bytes(const struct program *p);

/* ---- running ---- */
struct program_io {
    const float *x, *dlogits;
    float *logits;
};

/* Deeds from ... to-1, on the team. */
MUST_CHECK int program_run(struct program *p, int from, int to, const struct program_io *io, struct err *e);

/* Nanoseconds in convolutions since the last call. */
int64_t program_conv_ns(struct program *p);

#endif
