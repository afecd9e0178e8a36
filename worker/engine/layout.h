/*
 * layout - how a value lies in memory. One picture covers the three orders in use: channels are dealt into panels
 * of `lanes` channels, and an array is
 *
 *   (N, panels, H, W, lanes)        panels = ceil(C / lanes)
 *
 *   lanes 1            plain (N,C,H,W)
 *   lanes C            channels last (N,H,W,C)
 *   lanes 8 or 16      blocked; the last panel is padded with lanes that hold zeros
 */
#ifndef WORKER_ENGINE_LAYOUT_H
#define WORKER_ENGINE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

#include "common/model/graph.h"

enum dtype { DTYPE_F32, DTYPE_BF16 }; /* bf16: the upper half of an fp32, rounded to nearest even */

struct layout {
    int N, C, H, W;
    int lanes;
    enum dtype type;
};

/* The value of `node` for N images. */
struct layout layout_of(const struct node *node, int N, int lanes);

int layout_panels(const struct layout *l);
size_t layout_floats(const struct layout *l); /* elements, padding included */
size_t layout_bytes(const struct layout *l);
size_t dtype_bytes(enum dtype type); /* of an element */

/* Where panel p of image n begins, in elements. */
size_t layout_panel(const struct layout *l, int n, int p);

/* Both are of one type and put every element in the same place: always with equal lanes, and for single pixels
 * without padding. */
bool layout_same(const struct layout *a, const struct layout *b);

#endif
