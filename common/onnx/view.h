/*
 * view - how a file lays a value out: its dimensions as runs of the batch and of the graph's C, H and W.
 *
 * Exporters turn and split values (channels last, the halves of a shuffle, height and width as one dimension) and turn
 * them back again. A view follows that without a node, until the layout is one that the graph has. What has size 1
 * (except the batch) is in no dimension, so that (N,C,1,1), (N,1,1,C) and (N,C) differ in nothing but the dimensions.
 */
#ifndef COMMON_ONNX_VIEW_H
#define COMMON_ONNX_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "common/model/graph.h"

#define VIEW_MAX_RANK 8

enum factor {
    FACTOR_NONE, /* a dimension of size 1 */
    FACTOR_N,
    FACTOR_C,
    FACTOR_HI, /* channels that a Reshape has split: HI * LO */
    FACTOR_LO,
    FACTOR_H,
    FACTOR_W,
    FACTOR_MANY, /* a dimension of several */
};

struct view {
    int rank;
    int n;             /* factors: none twice, either C or HI and LO */
    enum factor of[5]; /* (n) as the dimensions run */
    int dim[5];        /* (n) ascending: where each belongs */
    int lo;            /* size of LO */
};

enum layout {
    LAYOUT_FLAT,  /* (N,C) */
    LAYOUT_IMAGE, /* (N,C,H,W) */
    LAYOUT_LAST,  /* (N,H,W,C) */
    LAYOUT_OTHER,
};

/* x in a layout that isn't LAYOUT_OTHER; flat needs H = W = 1. */
void view_init(struct view *v, const struct node *x, enum layout layout);
/* Where several fit, the first of them. */
enum layout view_layout(const struct view *v);
bool view_same(const struct view *a, const struct view *b);

/* Sizes of the dimensions, -1 for the batch; room for VIEW_MAX_RANK. */
void view_dims(const struct view *v, const struct node *x, int64_t *dims);
enum factor view_at(const struct view *v, int dim);

/* perm names each of the v->rank dimensions once. */
void view_transpose(struct view *v, const int *perm);
/* Row-major into other dimensions, dims[0] the batch (not looked at); false when that mixes or splits anything but C,
 * or splits that into more than two. */
bool view_reshape(struct view *v, const struct node *x, int rank, const int64_t *dims);
/* Takes the dimensions away that are marked; they hold nothing. */
void view_squeeze(struct view *v, const bool *gone);
/* Puts dimensions in so that those marked are new ones of size 1; v->rank grows by `more`. */
void view_unsqueeze(struct view *v, const bool *added, int more);

/* Were the halves of the channels changed over, and do they stand together again? Then they become C, *groups the
 * number of groups that they were. */
bool view_shuffled(struct view *v, const struct node *x, int *groups);
/* Is all but the batch one dimension, and is that C, H, W (*last false) or H, W, C (*last)? */
bool view_flattened(const struct view *v, const struct node *x, bool *last);

/* For people: "(N,H,W,C)". */
void view_describe(const struct view *v, char out[96]);

#endif
