/*
 * groups - which channels must be cut together.
 *
 * Every channel of every value belongs to a class: channels that live or die together. A class is a set in a union-find
 * over channels: BN, activations, LRN, pools and Unflatten pass their input's classes on; Add and Mul join their inputs
 * channel by channel; Concat, Pad and Slice shift them; a shuffle ties the channels at the same position of each of its
 * groups and then permutes them; a depthwise conv ties output to input; a grouped conv ties the channels at the same
 * position of each of its groups (so that all groups keep equally many); Flatten repeats a channel's class for each of
 * its pixels; convs or gemms that share a weight are tied, outputs to outputs and inputs to inputs; a zero channel that
 * Pad adds starts a class of its own, which an Add may join to a real one. Classes that reach the network's input or
 * output or an LRN are fixed, and so are those that nothing with weights produces or that stand between the begin and
 * end of a strided channel Slice (were one of those missed, its steps would fall on others).
 *
 * A group is the set of classes that occur in exactly the same values, equally often: nothing but their weights tells
 * them apart, so one decision (how many are kept) covers them, and the cost of a network depends on those numbers alone.
 * Groups are in the order of the first conv or gemm that produces them; classes in the order of their channels there.
 */
#ifndef COMMON_MODEL_GROUPS_H
#define COMMON_MODEL_GROUPS_H

#include "common/model/classes.h"

struct channel_group {
    int n;          /* classes: the largest number that can be kept */
    int *classes;   /* (n) */
    int first;      /* node that produces it first */
    bool tied;      /* some class passes through an Add */
};

struct groups {
    int n;
    struct channel_group *of; /* (n) */
    int n_nodes;
    int **classes;    /* (n_nodes)(C of the node): class of each channel */
    int n_classes;
    int *group;       /* (n_classes): index of the class's group, or -1 when fixed */
    enum fixed_why *fixed; /* (n_classes): why it is fixed, FIXED_NOT when it isn't */
    int *rank;        /* (n_classes): position in its group's `classes`, or -1 */
    struct width *widths; /* private, (n_nodes) */
    struct share *shares; /* private: what the widths point into */
};

/* Private, so that groups_width is a short sum: a value's channels are `fixed` ones and `times` for each class a group keeps. */
struct share {
    int group, times;
};
struct width {
    int fixed;
    int n;
    const struct share *of; /* (n), no group twice */
};

/* ERR_LIMIT when the graph's values have too many channels together, ERR_INVALID when it has no output. */
MUST_CHECK int groups_find(const struct graph *g, struct groups *out, struct err *e);
void groups_release(struct groups *gs);

/*
 * Channels of node i's value that survive: `live` is one bool a class (n_classes). Writes their indices in order to `kept`
 * (room for C) and returns how many.
 */
int groups_kept(const struct groups *gs, const struct graph *g, int node, const bool *live, int *kept);

/* Channels of node i's value that survive when group k keeps keep[k] classes; keep NULL: all. */
int groups_width(const struct groups *gs, const struct graph *g, int node, const int *keep);

#endif
