/*
 * tape - what is known while a graph is turned into a program: where each node's value lies, which contributions to
 * its gradient there are, which BNs' sums wait to be joined.
 */
#ifndef WORKER_AUTOGRAD_TAPE_H
#define WORKER_AUTOGRAD_TAPE_H

#include "worker/autograd/blend.h"
#include "worker/autograd/program.h"

struct value {
    int buffer;
    struct layout l;
    struct norm *norm;   /* of a BN node */
    struct param *param; /* of a Conv or Gemm */
    int work;            /* of a max pooling: what its forward pass leaves */
    struct slopes *slopes; /* of a PRelu */
    int gate;            /* of a Mul by a gate: the gate as plain fp32 */
    int n_grads, cap;
    int *grads; /* buffers with contributions to the gradient; plan's `owners` counts such entries */
};

struct tape {
    const struct graph *g;
    struct program *p;
    enum dtype type;
    bool blocked;       /* fp32 values with pixels lie in panels, else channels last */
    int output;         /* node whose value is the logits */
    bool *live, *inner; /* what the output depends on; what isn't the tail of its blend */
    bool *wants;        /* the node's gradient is needed: some weights come before it, or are its own */
    int *reads;         /* by live nodes, and by the output */
    struct value *values;
    struct norm **pending;
    int n_pending, cap;
};

/* The program for the graph, but for program_finish. */
MUST_CHECK int tape_record(struct program *p, const struct graph *g, enum dtype type, struct err *e);

/* ---- for the node kinds ---- */
MUST_CHECK int tape_forward(struct tape *t, int node, struct err *e);
MUST_CHECK int tape_backward(struct tape *t, int node, struct err *e);

MUST_CHECK int curve_forward(struct tape *t, int node, struct err *e);
MUST_CHECK int curve_backward(struct tape *t, int node, struct err *e);
MUST_CHECK int mul_forward(struct tape *t, int node, struct err *e);
MUST_CHECK int mul_backward(struct tape *t, int node, struct err *e);

/* How a node's value lies. */
struct layout tape_layout(const struct tape *t, int node);
MUST_CHECK int tape_buffer(struct tape *t, const struct layout *l, struct err *e);
/* A new buffer for the node's value. */
MUST_CHECK int tape_value(struct tape *t, int node, struct err *e);

/* Puts it on the list of those to be joined; appends the join. */
void tape_pend(struct tape *t, struct norm *n);
void tape_join(struct tape *t, int node);

/* Appends out = box(in). */
void tape_box(struct tape *t, int node, const struct box *b, int in, int out);

/* A kernel's deed; takes over `own`. */
struct deed *tape_kernel(struct tape *t, int node, const struct kernel *k, struct kernel *own);

/* Adds a contribution, if anybody wants the node's gradient. */
void tape_contribute(struct tape *t, int node, int buffer);
/* Brings the contributions down to `most` (1 or 2) by adding some up, and takes them off the node. Returns how many
 * there are. */
MUST_CHECK int tape_gather(struct tape *t, int node, int most, int grads[2], struct err *e);
/* The node's gradient in one buffer. */
MUST_CHECK int tape_gathered(struct tape *t, int node, struct err *e);
/* One of the n buffers if nobody else holds it, else a new one of this layout. */
MUST_CHECK int tape_over(struct tape *t, const int *buffers, int n, const struct layout *l, struct err *e);

#endif
