/*
 * frame - the ground that every kind of policy stands on: the setting, what each kind of cost in use comes to,
 * which groups can be cut, and the vectors on record.
 */
#ifndef COORDINATOR_POLICY_FRAME_H
#define COORDINATOR_POLICY_FRAME_H

#include "coordinator/policy/policy.h"
#include "coordinator/policy/price.h"

struct frame {
    const struct setting *s; /* borrowed */
    int n;                   /* groups */
    struct price price[COST_KINDS];
    bool priced[COST_KINDS]; /* the kinds that a budget names */
    int *cut, n_cut;         /* groups with a choice, in order */
    int **record;            /* (episodes): the vector of each, or NULL */
};

/* Checks the setting: budgets that can be met, curves that are finite. */
MUST_CHECK int frame_init(struct frame *f, const struct setting *s, struct err *e);
void frame_release(struct frame *f);

int frame_budget(const struct frame *f, int episode); /* its index */
const struct price *frame_price(const struct frame *f, int budget);

void frame_note(struct frame *f, int episode, const int *keep);
/* Whether an episode before this one and under the same budget has this vector. */
bool frame_seen(const struct frame *f, int episode, const int *keep);

/* By setting_cost: whole groups, after rounding; what the promise of policy.h is checked with. */
bool frame_fits(const struct frame *f, int budget, const int *keep);

#endif
