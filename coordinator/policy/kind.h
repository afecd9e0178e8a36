/*
 * kind - what one kind of policy has to do; policy.c holds the table of them and does what they have in common.
 */
#ifndef COORDINATOR_POLICY_KIND_H
#define COORDINATOR_POLICY_KIND_H

#include "common/base/rng.h"
#include "coordinator/policy/coder.h"
#include "coordinator/policy/frame.h"

struct kind {
    MUST_CHECK int (*create)(void **self, const struct frame *f, struct err *e); /* f is borrowed */
    void (*destroy)(void *self);

    /* A vector within the budget of `episode`. Called again with attempt + 1 and the same stream when the vector is
     * on record. */
    void (*propose)(void *self, int episode, int attempt, struct rng *r, int *keep);

    /* NULL in kinds that don't learn. */
    void (*observe)(void *self, int episode, const int *keep, double reward);
    void (*save)(const void *self, struct writer *w);
    void (*restore)(void *self, struct reader *r); /* mistakes stick to r */
};

extern const struct kind kind_uniform, kind_sensitivity; /* fixed.c */
extern const struct kind kind_random;
extern const struct kind kind_ddpg; /* ddpg.h says how */

#endif
