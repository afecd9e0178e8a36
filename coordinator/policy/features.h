/*
 * features - the state that the agent sees when it decides on a group.
 *
 * AMC (He et al., 2018, section 3.2) has 11 numbers: t, n, c, h, w, stride, k, FLOPs, reduced, rest, a_{t-1}. Here
 * they're those of the group's first producer, followed by what a graph with branches, several budgets and
 * sensitivity curves has to say. What is constant over a search is scaled to 0..1 over the groups (a column that's
 * the same everywhere is 0); the rest are fractions already.
 *
 * T steps: the groups that can be cut, in order. S = FEATURES numbers a step.
 */
#ifndef COORDINATOR_POLICY_FEATURES_H
#define COORDINATOR_POLICY_FEATURES_H

#include "coordinator/policy/frame.h"

enum feature {
    FEATURE_INDEX,  /* t */
    FEATURE_GEMM,   /* kind: 0 conv, 1 gemm */
    FEATURE_IN,     /* c: channels that its first producer reads */
    FEATURE_OUT,    /* n: channels that it makes */
    FEATURE_HEIGHT, /* h, w of its output */
    FEATURE_WIDTH,
    FEATURE_STRIDE,
    FEATURE_KERNEL,    /* k */
    FEATURE_CONSUMERS, /* nodes with weights that read the group; fine: the layer's weights */
    FEATURE_TIED,      /* passes through a residual add; fine: a grouped conv */
    FEATURE_CURVE_25,  /* sensitivity: error with a quarter, a half, three quarters kept */
    FEATURE_CURVE_50,
    FEATURE_CURVE_75,
    FEATURES_FIXED,
    FEATURE_SHARE = FEATURES_FIXED, /* of the dense cost: what goes with the group at its least, all others whole */
    FEATURE_SENSITIVE,              /* what the sensitivity allocation keeps */
    FEATURE_BUDGET,                 /* fraction */
    FEATURE_PARAMS,                 /* kind of the budget's cost: 0 0 for MACs, 1 1 for latency */
    FEATURE_BYTES,
    FEATURE_REDUCED, /* of the dense cost: what is gone with the undecided groups at their least */
    FEATURE_REST,    /* of the dense cost: the shares of the groups still to come */
    FEATURE_LAST,    /* the fraction that the last decided group keeps, 1 at first */
    FEATURES
};

struct features {
    const struct frame *f;    /* borrowed */
    const int *sensitive;     /* (n_budgets, groups) borrowed: the sensitivity allocations */
    float *fixed;             /* (T, FEATURES_FIXED) */
    float *share[COST_KINDS]; /* (T) each, NULL for a kind that no budget names */
};

void features_init(struct features *x, const struct frame *f, const int *sensitive);
void features_release(struct features *x);

/* s (S): at step t under a budget; the bill has the groups of earlier steps as decided, the others at their least.
 */
void features_at(const struct features *x, int budget, int t, const struct bill *b, float *s);

#endif
