/*
 * price - one kind of cost as a polynomial of what is kept, so that a policy can afford millions of differences.
 *
 * A value's width is linear in the kept numbers (groups.h) and a node's cost at most a product of its output's
 * width with its input's, so the cost of a network is a polynomial of degree two in x_g = most_g - keep_g. Newton's
 * forward differences at the dense network give it exactly, in integers:
 *
 *   cost(x) = dense + sum_g first_g x_g + sum_g second_gg x_g (x_g - 1) / 2 + sum_{g<h} second_gh x_g x_h
 *
 * They are probed with cost_node, whose formula stays the only one.
 *
 * Fine-grained decisions don't meet in any layer: there the cost is a sum over them of whatever fine.h says, kept as a
 * table for each.
 *
 * Latency is none: it comes from a table (toll.h), and a difference takes as long as there are nodes that the group
 * touches.
 */
#ifndef COORDINATOR_POLICY_PRICE_H
#define COORDINATOR_POLICY_PRICE_H

#include "common/model/action.h"
#include "common/model/fine.h"
#include "coordinator/policy/toll.h"

struct price {
    int n;           /* groups */
    const int *most; /* (n) borrowed from the limits */
    int64_t dense;
    int64_t *first;  /* (n) */
    int64_t *second; /* (n,n) symmetric */
    int64_t *table;  /* (n, FINE_MOST + 1): fine; then the two above are NULL */
    bool timed;      /* latency, by the toll: there is none of the three */
    struct toll toll;
};

/* ERR_NOMEM when the table doesn't fit. Groups that can't be cut have zeros. `table`: of COST_LATENCY alone, borrowed,
 * as graph and groups then are. */
MUST_CHECK int price_init(struct price *p, const struct graph *g, const struct groups *gs, const struct limits *l,
                          enum cost_kind kind, const struct latency *table, struct err *e);
MUST_CHECK int price_fine(struct price *p, const struct fine *f, const struct limits *l, enum cost_kind kind, struct err *e);
void price_release(struct price *p);

/* A vector with its running cost: a difference takes one multiplication, a move n of them. */
struct bill {
    const struct price *price; /* borrowed */
    int *keep;                 /* (n) */
    int64_t cost;
    int64_t *slope; /* (n): what the next channel removed from the group adds to the cost, 0 or less; fine: unused */
    int64_t *node;  /* timed: (nodes) what each takes; else NULL */
};

void bill_init(struct bill *b, const struct price *p); /* at the dense network */
void bill_release(struct bill *b);
void bill_set(struct bill *b, const int *keep);

/* What the cost would gain by keeping k of the group. */
int64_t bill_change(const struct bill *b, int group, int k);
void bill_move(struct bill *b, int group, int k);

#endif
