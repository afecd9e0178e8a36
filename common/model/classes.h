/*
 * classes - which channels live or die together, by the rules that groups.h states.
 */
#ifndef COMMON_MODEL_CLASSES_H
#define COMMON_MODEL_CLASSES_H

#include "common/model/graph.h"

struct classes {
    int n;
    int **of;    /* (nodes)(C of the node): class of each channel, numbered as they occur; of[0] is the one block */
    int *first;  /* (n): the conv or gemm whose value is the first to hold it, -1 when none does */
    bool *fixed; /* (n): must all be kept */
};

#define CLASSES_MAX_CHANNELS (1 << 24) /* of all values together */

/* ERR_LIMIT when there are more, ERR_INVALID when it has no output. */
MUST_CHECK int classes_find(const struct graph *g, struct classes *out, struct err *e);
void classes_release(struct classes *cs);

#endif
