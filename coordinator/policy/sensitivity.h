/*
 * sensitivity - the allocation that the groups' own curves ask for.
 *
 * curve[g][k] is the reconstruction error, relative to the layer's output, when group g keeps k of its classes.
 * Starting from the dense network, always take the legal step that adds the least error for each unit of cost that
 * it saves as things stand (a step's saving depends on what its neighbours still keep), until the budget is met;
 * then give back what still fits, most error for each unit of cost first.
 */
#ifndef COORDINATOR_POLICY_SENSITIVITY_H
#define COORDINATOR_POLICY_SENSITIVITY_H

#include "coordinator/policy/frame.h"

/* keep (groups): the allocation for a budget. */
void sensitivity_allocate(const struct frame *f, int budget, int *keep);

/* The two halves, for any vector; pinned (groups) are left alone, NULL: none. Shrinking says whether the bill fits.
 */
bool sensitivity_shrink(const struct frame *f, struct bill *b, int64_t most, const bool *pinned);
void sensitivity_grow(const struct frame *f, struct bill *b, int64_t most, const bool *pinned);

#endif
