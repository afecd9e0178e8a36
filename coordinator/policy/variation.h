/*
 * variation - a vector near another one, at equal cost: some groups are moved, the others make room or take what is
 * left.
 */
#ifndef COORDINATOR_POLICY_VARIATION_H
#define COORDINATOR_POLICY_VARIATION_H

#include "common/base/rng.h"
#include "coordinator/policy/frame.h"

enum variation_fit {
    FIT_ANY,       /* the others give way in random order */
    FIT_SENSITIVE, /* the others give way where their curves say that it costs the least */
};

/*
 * keep (groups): near `base`, within the budget. A random few of the groups move, each by a normal draw whose sigma
 * is a fraction of the group, itself drawn between small and large and multiplied by `widen`; a draw that rounding
 * would undo becomes one legal step.
 */
void variation_draw(const struct frame *f, int budget, const int *base, double widen, enum variation_fit fit,
                    struct rng *r, int *keep);

/* Brings any vector to the budget: over it, groups that aren't pinned give way first; then what is left is used up.
 * pinned NULL: none. */
void variation_settle(const struct frame *f, int budget, struct bill *b, const bool *pinned, enum variation_fit fit,
                      struct rng *r);

#endif
