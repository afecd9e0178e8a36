/*
 * policy - what proposes candidates. Numbers only: no socket, no SQL, no message.
 *
 * The proposal of episode e is a function of the setting (seed included) and of the results of episodes 0 ... e - lookahead alone; whoever drives
 * the policy calls policy_observe for exactly those, in episode order, before policy_propose(e), and proposes in episode
 * order too. Every random draw comes from rng_init(seed, purpose, episode).
 *
 * Episode e works under budget e % n_budgets. No proposal costs more than its budget.
 */
#ifndef COORDINATOR_POLICY_POLICY_H
#define COORDINATOR_POLICY_POLICY_H

#include <stdint.h>

#include "common/base/buf.h"
#include "common/model/action.h"
#include "common/model/fine.h"
#include "common/model/latency.h"

enum policy_kind { POLICY_DDPG, POLICY_RANDOM, POLICY_UNIFORM, POLICY_SENSITIVITY, POLICY_KINDS };
enum reward_kind { REWARD_ACCURACY, REWARD_ERROR_FLOPS, REWARD_ERROR_PARAMS, REWARD_KINDS };
enum policy_start { START_SENSITIVITY, START_RANDOM }; /* where DDPG's warm-up explores */

struct budget {
    enum cost_kind kind;
    double frac;    /* of the dense network's cost, (0..1] */
    int64_t most;   /* floor(frac * dense cost): what no candidate exceeds */
};

struct setting { /* borrowed by the policy for its whole life */
    const struct graph *graph;
    const struct groups *groups; /* what is decided on; NULL: the layers of `fine` are, which else is NULL ("group" then reads
                                    "layer" in all of policy/) */
    const struct fine *fine;
    const struct limits *limits;
    const float *const *curve; /* (groups)(most + 1): relative error of the layers when k are kept; curve[g][most] = 0 */
    const struct latency *latency; /* NULL where no budget is of COST_LATENCY */
    const struct budget *budgets;
    int n_budgets;
    uint64_t seed;
    int episodes, warmup, lookahead;
    enum policy_kind kind;
    enum policy_start start;
    enum reward_kind reward;
};

void setting_cost(const struct setting *s, const int *keep /* NULL: the dense network */, struct cost *out);

struct outcome { /* what an evaluation found, on the reward split */
    double top1; /* fraction correct, 0..1 */
    bool failed; /* the candidate could not be evaluated: counts as the worst reward */
};

struct policy;

/* ERR_INVALID when a budget can't be met even with every group at its least; the text names the budget and the smallest
 * possible fraction. */
MUST_CHECK int policy_new(struct policy **p, const struct setting *s, struct err *e);
void policy_free(struct policy *p);

const char *policy_name(enum policy_kind k);
const char *reward_name(enum reward_kind k);
bool policy_from_name(const char *s, enum policy_kind *k);
bool reward_from_name(const char *s, enum reward_kind *k);

/* keep (groups): the candidate of `episode`. A vector that was proposed before for this budget is avoided where the policy has a choice. */
void policy_propose(struct policy *p, int episode, int *keep);

/* In place of policy_propose where the candidate is already on record (after a restart). */
void policy_recall(struct policy *p, int episode, const int *keep);

/* The result of `episode`, the next one in order, whose candidate was `keep`. DDPG learns here. */
void policy_observe(struct policy *p, int episode, const int *keep, const struct outcome *o);

double policy_reward(enum reward_kind k, double top1, const struct cost *cost);

/*
 * All of the learner's state after the last observed episode, with magic, version and that episode's number; restoring it into a
 * policy_new of the same setting gives the same proposals as having observed everything, bit for bit. The vectors
 * on record are not in it: policy_recall gives those back.
 */
void policy_save(const struct policy *p, struct buf *out);
MUST_CHECK int policy_restore(struct policy *p, const void *bytes, size_t n, int *observed /* out: episodes observed */,
                              struct err *e);

#endif
