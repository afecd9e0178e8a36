/*
 * region - Slice, Pad and Concat as boxes, forward and backward; and what other operators are to those who compute them.
 */
#ifndef WORKER_AUTOGRAD_REGION_H
#define WORKER_AUTOGRAD_REGION_H

#include "worker/autograd/box.h"
#include "worker/engine/dnnl.h"
#include "worker/engine/lrn.h"

/* What input k of a Slice, Pad or Concat puts into its value. */
struct box region_box(const struct graph *g, const struct node *n, int k, const struct layout *x,
                      const struct layout *y);

/* The same the other way, for gradients: from y's layout to x's. */
struct box region_back(const struct graph *g, const struct node *n, int k, const struct layout *x,
                       const struct layout *y);

/* The plain fp32 layout of the same shape. */
struct layout region_plain(const struct layout *l);

/* How the input, x, of a Flatten or Unflatten lies where it is the value of it, y. */
struct layout region_flat(const struct node *n, const struct layout *x, const struct layout *y);

struct lrn region_lrn(const struct node *n);
enum pooling region_pooling(const struct node *n);

#endif
