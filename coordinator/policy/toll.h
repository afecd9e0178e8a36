/*
 * toll - what a network takes by a latency table, node by node, so that a change in one group asks only those nodes whose channels
 * it changes. There is no polynomial here: times go in steps.
 */
#ifndef COORDINATOR_POLICY_TOLL_H
#define COORDINATOR_POLICY_TOLL_H

#include "common/model/latency.h"

struct toll {
    const struct latency *table; /* borrowed, as are the next two */
    const struct graph *g;
    const struct groups *gs;
    int **nodes; /* (groups): those that take time and read or make channels of the group */
    int *n;      /* (groups) */
};

void toll_init(struct toll *t, const struct latency *table, const struct graph *g, const struct groups *gs);
void toll_release(struct toll *t);

int64_t toll_of(const struct toll *t, int node, const int *keep);

#endif
