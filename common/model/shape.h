/*
 * shape - the rules by which a node's shape follows from its inputs' and its attributes. Used by graph.c alone.
 */
#ifndef COMMON_MODEL_SHAPE_H
#define COMMON_MODEL_SHAPE_H

#include "common/model/graph.h"

/*
 * Checks `d`, which is or will be node i of g, and fills its C, H, W and flat (see graph_add for those it must
 * bring along). Errors begin with the operator and d's name.
 */
MUST_CHECK int shape_infer(const struct graph *g, struct node *d, int i, struct err *e);

/* As graph_can_share, of a node that may not be in the graph yet. */
bool shape_can_share(const struct graph *g, const struct node *a, const struct node *b);

#endif
