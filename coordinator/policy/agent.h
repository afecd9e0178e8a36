/*
 * agent - DDPG (Lillicrap et al., 2015, algorithm 1) with the sizes of AMC (He et al., 2018, section 4, and its
 * code): actor a = mu(s): 300-300 ReLU, sigmoid; critic Q(s,a): 300-300 ReLU, s and a enter together (its fc11(s) +
 * fc12(a)); Adam with 1e-4 and 1e-3; targets follow with tau 0.01; discount 1.
 *
 * N rows, S state features; one action in [0,1] a row. One thread; the numbers are those of OpenBLAS's kernels for
 * this CPU.
 */
#ifndef COORDINATOR_POLICY_AGENT_H
#define COORDINATOR_POLICY_AGENT_H

#include "common/base/rng.h"
#include "coordinator/policy/coder.h"

#define AGENT_HIDDEN 300
#define AGENT_BATCH  64

struct batch {     /* of AGENT_BATCH transitions */
    float *s, *s2; /* (N,S) */
    float *a, *r;  /* (N) */
    float *going;  /* (N): 0 where the transition ends its episode, else 1 */
};
void batch_init(struct batch *b, int S);
void batch_release(struct batch *b);

struct agent;

/* pull: how much the actor's loss grows with (a - 1/2)^2; 0 in AMC. */
struct agent *agent_new(int S, double pull, struct rng *r);
void agent_free(struct agent *a);

void agent_act(struct agent *a, float *act /* out (N) */, const float *s /* (N,S) */, int N);
void agent_value(struct agent *a, float *q /* out (N) */, const float *s /* (N,S) */, const float *act /* (N) */,
                 int N);

/* One step of critic and actor, then of both targets. The mean squared error of the critic before it. */
double agent_update(struct agent *a, const struct batch *b);

void agent_save(const struct agent *a, struct writer *w);
void agent_restore(struct agent *a, struct reader *r);

#endif
