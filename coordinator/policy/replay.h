/*
 * replay - a ring of explicit transitions (s, a, r, s', end), oldest overwritten. (AMC's code samples the successor
 * by position and so loses the first transition of each episode.) Several actions end in the same executed number,
 * by rounding and by the wall; what is remembered is the interval of them, and each time that a transition is
 * drawn, so is an action from there. (AMC's code keeps the raw action. With the executed one alone the critic would
 * never hear of what lies beyond the wall, and promise anything.) Rewards are kept as they were, with the budget
 * that they were got under; what to subtract is decided when they're used.
 */
#ifndef COORDINATOR_POLICY_REPLAY_H
#define COORDINATOR_POLICY_REPLAY_H

#include <stdbool.h>

#include "common/base/rng.h"
#include "coordinator/policy/coder.h"

struct replay {
    int S, cap, n, next; /* next: where the next transition goes */
    float *s, *s2;       /* (cap,S) */
    float *lo, *hi;      /* (cap) the actions */
    float *r;            /* (cap) */
    int *budget;         /* (cap) */
    bool *end;           /* (cap) */
};

struct transition {
    const float *s, *s2; /* (S), borrowed; s2 isn't read when `end` */
    float lo, hi;        /* lo <= hi */
    float r;
    int budget;
    bool end;
};

MUST_CHECK int replay_init(struct replay *p, int S, int cap, struct err *e);
void replay_release(struct replay *p);
void replay_add(struct replay *p, const struct transition *t);

/* n places of transitions, drawn evenly with replacement; the replay isn't empty. */
void replay_draw(const struct replay *p, struct rng *r, int *at, int n);

void replay_save(const struct replay *p, struct writer *w);
void replay_restore(struct replay *p, int n_budgets, struct reader *r);

#endif
