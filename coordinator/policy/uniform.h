/*
 * uniform - the same fraction for every group that can be cut: the baseline of the AMC paper's tables.
 */
#ifndef COORDINATOR_POLICY_UNIFORM_H
#define COORDINATOR_POLICY_UNIFORM_H

#include "coordinator/policy/frame.h"

/* keep (groups): the largest fraction whose rounded vector meets the budget; then one more legal step for each
 * group in order where it still fits. */
void uniform_allocate(const struct frame *f, int budget, int *keep);

#endif
