/*
 * latency - how long a network takes on one kind of CPU, as a table from which any candidate's time is predicted.
 *
 * The table has what each node took in the dense network, and for each distinct shape of convolution and Gemm how
 * its time goes with the channels that it reads and makes: a grid of points measured on the real kernels. Between
 * two points the time is taken to be a straight line; left of the first it stays what it is there. Kernels work on
 * whole vectors, so times go in steps: a width that isn't a multiple of the grid's pitch takes what the grid says,
 * times what widths of its alignment were measured to take over it. Other nodes take time in proportion to their
 * channels. The share of the saving that doesn't come about end to end, `lost`, was fitted to random candidates;
 * `error_median` and `error_worst` are what the prediction was off by on others.
 *
 * Times are nanoseconds for one batch on one thread.
 */
#ifndef COMMON_MODEL_LATENCY_H
#define COMMON_MODEL_LATENCY_H

#include <stddef.h>

#include "common/base/buf.h"
#include "common/model/cost.h"

#define LATENCY_MAX_BYTES  (1 << 20) /* of an encoded table */
#define LATENCY_MAX_LEVELS 16        /* widths on one side of a grid */
#define LATENCY_ALIGNS     5         /* alignments 1, 2, 4, 8, 16 */
#define LATENCY_TEXT       128

struct latency_axis {
    int n;
    int at[LATENCY_MAX_LEVELS];   /* widths, ascending; the last is the dense one */
    int pitch;                    /* the grid's regular distance: alignments under it have a factor */
    float factor[LATENCY_ALIGNS]; /* of widths whose greatest power of two is 1, 2, 4 ...; 1 from the pitch on */
};

struct latency_shape {
    struct latency_axis in, out;
    float *ns; /* (out.n, in.n) */
};

struct latency {
    int n_nodes;
    float *base; /* (n_nodes) ns in the dense network */
    int *shape;  /* (n_nodes) index, -1: in proportion to the node's channels */
    int n_shapes;
    struct latency_shape *shapes;
    double lost; /* -0.5 ... 0.9 */

    int fitted, checked;              /* candidates measured end to end, for `lost` and for the errors */
    double error_median, error_worst; /* relative */
    double dense_ns;                  /* the dense network end to end */
    double seconds;                   /* that measuring it all took */
    int batch, threads;
    char cpu[LATENCY_TEXT], kernels[LATENCY_TEXT], precision[LATENCY_TEXT];
};

/* Zeroed base and shapes of room for so many; ERR_NOMEM. */
MUST_CHECK int latency_new(struct latency *t, int n_nodes, int n_shapes, struct err *e);
void latency_release(struct latency *t);

/* A shape's time at these widths, in ns. */
double latency_at(const struct latency_shape *s, int in, int out);

/* What node takes when keep[k] classes of group k stay (NULL: all), and the whole network. */
int64_t latency_node(const struct latency *t, const struct graph *g, const struct groups *gs, int node,
                     const int *keep);
int64_t latency_total(const struct latency *t, const struct graph *g, const struct groups *gs, const int *keep);
/* What of latency_total belongs to no node. */
int64_t latency_fixed(const struct latency *t);

/* cost_of, and COST_LATENCY where there is a table (0 where t is NULL). */
void latency_cost(const struct latency *t, const struct graph *g, const struct groups *gs, const int *keep,
                  struct cost *out);

/*
 * The multiple of {1, 2, 4, 8, 16, 32} to which a group's channels should be rounded: the smallest for which no
 * number that is kept is predicted slower than a larger one, all other groups whole.
 */
int latency_round(const struct latency *t, const struct graph *g, const struct groups *gs, int group);

void latency_encode(const struct latency *t, struct buf *out);
/* ERR_INVALID with the reason: what comes back is whole, finite and in bounds, and not more than LATENCY_MAX_BYTES.
 */
MUST_CHECK int latency_decode(const void *bytes, size_t n, struct latency *t, struct err *e);
/* ERR_INVALID when the table isn't one of this graph. */
MUST_CHECK int latency_check(const struct latency *t, const struct graph *g, struct err *e);

#endif
