/*
 * classes - which channels live or die together, by the rules that groups.h states.
 */
#ifndef COMMON_MODEL_CLASSES_H
#define COMMON_MODEL_CLASSES_H

#include "common/model/graph.h"

/* Why channels can't be cut; where there are several reasons, the first. */
enum fixed_why {
    FIXED_NOT,
    FIXED_INPUT,  /* the network's input has them */
    FIXED_OUTPUT, /* the network's output has them */
    FIXED_LRN,    /* a channel's neighbours count */
    FIXED_STEPS,  /* a Slice takes every second, third ... of them */
    FIXED_NO_WEIGHTS, /* no conv or gemm makes them: there is nothing to cut */
    FIXED_REASONS
};

/* For people: "output", "LRN" ... */
const char *fixed_why_text(enum fixed_why d);

struct classes {
    int n;
    int **of;    /* (nodes)(C of the node): class of each channel, numbered as they occur; of[0] is the one block */
    int *first;  /* (n): the conv or gemm whose value is the first to hold it, -1 when none does */
    enum fixed_why *fixed; /* (n): why it must be kept whole; FIXED_NOT: it needn't */
};

#define CLASSES_MAX_CHANNELS (1 << 24) /* of all values together */

/* ERR_LIMIT when there are more, ERR_INVALID when it has no output. */
MUST_CHECK int classes_find(const struct graph *g, struct classes *out, struct err *e);
void classes_release(struct classes *cs);

#endif
