/*
 * wall - the budget, enforced while acting.
 *
 * AMC (He et al., 2018, section 3.4, algorithm 1) lets a layer keep at most what still leaves room for all later
 * layers at their least. Here the numbers are whole groups, already rounded, so what passes the wall meets the
 * budget and stays so: nothing is rounded afterwards. A bill is built up from its least (wall_begin), group after
 * group (wall_act).
 */
#ifndef COORDINATOR_POLICY_WALL_H
#define COORDINATOR_POLICY_WALL_H

#include "coordinator/policy/price.h"

struct wall {
    const struct limits *limits; /* borrowed */
    int64_t most;                /* the budget, in the bill's kind of cost */
};

/* Every group at its least: what undecided ones count as. */
void wall_begin(const struct wall *w, struct bill *b);

/* The largest legal number up to k that leaves room for the others as they are; the group's least where none does.
 */
int wall_reach(const struct wall *w, const struct bill *b, int group, int k);

/* Decides a group: the legal number nearest to frac, or the largest under it that leaves room for the others as
 * they are. Returns it. */
int wall_act(const struct wall *w, struct bill *b, int group, double frac);

/* Brings a vector under the budget: takes one legal step from each group of `order` in turn, and again, until it
 * fits or all are at their least. True when it fits. */
bool wall_repair(const struct wall *w, struct bill *b, const int *order, int n);

/* Adds a legal step to each group of `order`, once, where it still fits. True when something was added. */
bool wall_fill(const struct wall *w, struct bill *b, const int *order, int n);

#endif
