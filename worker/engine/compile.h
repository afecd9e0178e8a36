/*
 * compile - graph and weights to steps. Each layer kind's file turns a unit into steps with what is here: values in
 * the layouts that kernels want, new buffers, buffers that may be written over.
 */
#ifndef WORKER_ENGINE_COMPILE_H
#define WORKER_ENGINE_COMPILE_H

#include "worker/engine/fuse.h"
#include "worker/engine/plan.h"
#include "worker/engine/step.h"

/* A value in one layout. */
struct form {
    struct layout l;
    int buf;
};

#define VALUE_FORMS 4

struct value {
    int n_forms;
    struct form forms[VALUE_FORMS]; /* the first is as it was made, the others were reordered for a reader */
    int left;                       /* reads to come: units, the output, a tap */
    bool wish_blocked;              /* a reader to come would rather have it blocked */
    bool tapped;
};

struct compile {
    const struct graph *g;
    const struct weights *w;
    enum engine_mode mode;
    enum dtype type; /* of values; what a Gemm, a global pool or a Softmax gives is fp32 */
    int batch;
    struct backend *be; /* owned */
    struct units units;
    bool *winograd;       /* (units.n) convs that take the Winograd kernel */
    struct value *values; /* (g->n) */
    struct step *steps;   /* owned */
    int n_steps, cap;
    struct plan plan;
    size_t moments; /* floats that a run needs for the norms */
    int widest;     /* largest `padded` among them */
};

MUST_CHECK int compile_graph(struct compile *c, const struct graph *g, const struct weights *w, int batch,
                             enum engine_mode mode, enum dtype type, const int *taps, int n_taps, struct err *e);
void compile_release(struct compile *c);

/* ---- for the layer kinds ---- */

/* Takes over what *s owns, also on failure, and notes that its buffers are in use. */
MUST_CHECK int compile_step(struct compile *c, struct step *s, struct err *e);

/* The value of `node` with these lanes and of this type, reordered unless some form is such. */
MUST_CHECK int compile_read(struct compile *c, int node, int lanes, enum dtype type, struct form *out,
                            struct err *e);

/* The value as it was made. */
const struct form *compile_form(const struct compile *c, int node);

/* Whether this form may be written over by the reader being compiled. */
bool compile_last(const struct compile *c, int node, const struct form *f);

/* The layout of node's value with these lanes, of the engine's type. */
struct layout compile_layout(const struct compile *c, int node, int lanes);

/* A new buffer for a value of this layout. */
MUST_CHECK int compile_buffer(struct compile *c, const struct layout *l, struct form *out, struct err *e);

/* Says where the value of `node` is from now on. */
MUST_CHECK int compile_give(struct compile *c, int node, const struct form *f, struct err *e);

/* Appends a copy from one form to another. */
MUST_CHECK int compile_copy(struct compile *c, int node, const struct form *from, const struct form *to,
                            struct err *e);

/* ---- the layer kinds: a unit's steps ---- */
MUST_CHECK int conv_compile(struct compile *c, int unit, struct err *e);
MUST_CHECK int gemm_compile(struct compile *c, int unit, struct err *e);
MUST_CHECK int softmax_compile(struct compile *c, int unit, struct err *e);
MUST_CHECK int norm_compile(struct compile *c, int unit, struct err *e); /* BN, Add, activations */
MUST_CHECK int mul_compile(struct compile *c, int unit, struct err *e);
MUST_CHECK int lrn_compile(struct compile *c, int unit, struct err *e);
MUST_CHECK int pool_compile(struct compile *c, int unit, struct err *e);
MUST_CHECK int globalpool_compile(struct compile *c, int unit, struct err *e);
MUST_CHECK int slice_compile(struct compile *c, int unit, struct err *e); /* and Pad */
MUST_CHECK int concat_compile(struct compile *c, int unit, struct err *e);
MUST_CHECK int shuffle_compile(struct compile *c, int unit, struct err *e);
MUST_CHECK int flatten_compile(struct compile *c, int unit, struct err *e); /* and Unflatten */

/* Whether the conv takes the Winograd kernel: decided before the others, since its neighbours' layouts follow from
 * it. */
bool conv_wants_winograd(const struct compile *c, const struct unit *u);

#endif
