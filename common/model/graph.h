/*
 * graph - a CNN without its weights: nodes in topological order, one output each, shapes for one image.
 *
 * A value is the output of the node with the same index. Its shape is (C,H,W), batch excluded; a flat value has
 * H = W = 1 and `flat` set (rank 2 in ONNX). Node 0 is the one OP_INPUT; `output` is the node whose value is the result.
 * What an exporter wrote in other ways arrives here in one form: ReduceMean over H and W as OP_GLOBALPOOL, MatMul + Add
 * as OP_GEMM, a per-channel Add or Mul by a constant as OP_BN, shape arithmetic not at all.
 *
 * N batch, C input channels, K output channels, H,W input, P,Q output, R,S kernel (height, width).
 */
#ifndef COMMON_MODEL_GRAPH_H
#define COMMON_MODEL_GRAPH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

enum op {
    OP_INPUT,
    OP_CONV,       /* params: w (K, C/groups, R, S), b (K) or none */
    OP_BN,         /* params: w = scale (C), b = shift (C), mean (C), var (C):  y = (x - mean) / sqrt(var + eps) * w + b */
    OP_RELU,
    OP_CLIP,       /* to [lo, hi] */
    OP_MAXPOOL,
    OP_AVGPOOL,
    OP_GLOBALPOOL, /* mean over H and W: (C,H,W) -> (C,1,1), flat or not */
    OP_ADD,        /* two values of one shape */
    OP_MUL,        /* two values of one shape, or (C,H,W) by a gate (C,1,1) */
    OP_SIGMOID,
    OP_TANH,
    OP_HARDSIGMOID, /* clamp(alpha * x + beta, 0, 1) */
    OP_HARDSWISH,  /* x * clamp(x / 6 + 1 / 2, 0, 1) */
    OP_LEAKYRELU,  /* x, or alpha * x where x < 0 */
    OP_ELU,        /* x, or alpha * (exp(x) - 1) where x < 0 */
    OP_PRELU,      /* params: w = slope (C):  x, or slope * x where x < 0 */
    OP_LRN,        /* across channels: x / (bias + alpha / size * sum of x^2 over `size` neighbours)^beta */
    OP_SHUFFLE,    /* channels as (groups, C / groups) -> (C / groups, groups): ShuffleNet's */
    OP_CONCAT,     /* along channels */
    OP_PAD,        /* zeros around channels, height and width */
    OP_SLICE,      /* [begin, end) by step along channels, height and width */
    OP_FLATTEN,    /* (C,H,W) -> (C*H*W,1,1) flat, channel-major or, with `last`, pixel-major */
    OP_UNFLATTEN,  /* (C,1,1) flat -> (C,1,1) */
    OP_GEMM,       /* params: w (K, C), b (K) or none; flat -> flat */
    OP_SOFTMAX,    /* over channels of a flat value */
    OP_COUNT
};

struct window { /* a kernel sliding over H and W */
    int R, S;
    int stride_h, stride_w;
    int dil_h, dil_w;                     /* 1: no dilation */
    int pad_t, pad_l, pad_b, pad_r;       /* pixels */
};

struct span { /* one axis of OP_SLICE */
    int begin, end, step; /* 0 <= begin < end <= size, step >= 1 */
};

/* The parameters a node may have, as weights.h calls them. */
enum { NAME_W, NAME_B, NAME_MEAN, NAME_VAR, NAME_COUNT };

struct node {
    enum op op;
    char *name;  /* the source's name of the value (its tensor), unique in the graph */
    char *label; /* the source's name of the node, or "" */
    /*
     * The source's names of the initializers that its parameters are; NULL where there is none: a parameter that the node
     * doesn't have, or that was computed of others, or that the source kept no name for. They say where numbers come from,
     * not that they are still those; so they stay when channels go or weights are trained. Several nodes may have one name.
     */
    char *names[NAME_COUNT];
    int n_in, *in;
    int C, H, W; /* shape of the value */
    bool flat;
    int shares; /* CONV, GEMM: the first node that has the same weight, so that both keep the same channels; 0: none */
    union {
        struct {
            bool last; /* the file's input is (N,H,W,C); here it is (C,H,W) as all values are */
        } input;
        struct {
            struct window win;
            int groups;
            bool bias;
        } conv;
        struct {
            struct window win;
            bool count_pad; /* AVGPOOL: the divisor counts padding */
        } pool;
        struct {
            float eps;
        } bn;
        struct {
            float lo, hi;
        } clip;
        struct {
            int front, back; /* channels */
            int top, left, bottom, right;
        } pad;
        struct {
            struct span c, h, w;
        } slice;
        struct {
            float alpha, beta;
        } act; /* HARDSIGMOID, LEAKYRELU, ELU */
        struct {
            int size;
            float alpha, beta, bias;
        } lrn;
        struct {
            int groups; /* divides C */
        } shuffle;
        struct {
            bool last; /* index (h * W + w) * C + c instead of (c * H + h) * W + w */
        } flatten;
        struct {
            bool bias;
        } gemm;
    } u;
};

struct graph {
    struct node *nodes;
    int n, cap;
    int output;
    char *name;     /* of the ONNX graph */
    int64_t opset;  /* of the source file */
    int *slots;     /* private: hash table of the nodes' names, by index, -1 where empty */
    int n_slots;    /* private: a power of two, or 0 */
};

#define GRAPH_MAX_NODES 20000
#define GRAPH_MAX_DIM   (1 << 20) /* channels, height, width, kernel, padding; C*H*W and a weight's floats: INT32_MAX */
#define GRAPH_MAX_MACS  (INT64_C(1) << 48) /* of one node, so that the sum over all of them fits */

void graph_init(struct graph *g); /* empty; output = -1, name NULL */
void graph_release(struct graph *g);
MUST_CHECK int graph_copy(const struct graph *g, struct graph *out, struct err *e);

/*
 * Appends a node: copies names and inputs, infers and checks the shape from the inputs' (for OP_INPUT and OP_CONV, OP_GEMM
 * the caller has set C (= K) in `proto`; OP_INPUT all of C,H,W; OP_INPUT and OP_GLOBALPOOL `flat`). Returns the new node's
 * index or an error that names the node. `proto->name` and `proto->label` (may be NULL) are borrowed and copied. `in` and
 * `names` of `proto` likewise. Nodes' own names don't change afterwards: the table that keeps them unique points at them.
 */
MUST_CHECK int graph_add(struct graph *g, const struct node *proto, struct err *e);

/*
 * Infers the shape of nodes[i] again from its inputs' shapes; C of conv and gemm stays as it is. On an error nothing has
 * changed.
 */
MUST_CHECK int graph_infer(struct graph *g, int i, struct err *e);

const char *op_name(enum op op); /* the ONNX name: "Conv", "BatchNormalization" ... */
bool op_has_params(enum op op);  /* CONV, BN, GEMM, PRELU */
bool op_elementwise(enum op op); /* one input, and each number becomes another by itself: RELU, CLIP, SIGMOID ... PRELU */

/* Are nodes i and j convs or gemms whose weights have one meaning, so that one may share the other's? */
bool graph_can_share(const struct graph *g, int i, int j);

/*
 * How often value i is read: once for each place in a node's `in` (twice for x + x), and once more when it is the graph's
 * output. `readers` has room for g->n ints.
 */
void graph_readers(const struct graph *g, int *readers);

#endif
