/*
 * action - what may be decided for each group, and what a decision becomes: the fraction of channels kept, bounded and rounded
 * to a whole number of them.
 */
#ifndef COMMON_MODEL_ACTION_H
#define COMMON_MODEL_ACTION_H

#include "common/model/groups.h"

struct limits {
    int n;      /* groups */
    int *most;  /* (n) all classes of the group */
    int *least; /* (n) the fewest that may be kept; equal to most: the group isn't cut */
    int *step;  /* (n) kept numbers are multiples of it, or `most` itself */
};

/*
 * keep_min: fraction of a group that always stays (0..1]; round_to: multiple (>= 1), reduced for a group smaller than 2 * round_to to
 * the largest power of two under it that leaves at least two choices; inner_only: groups tied by a residual add are kept whole.
 */
void limits_new(struct limits *l, const struct groups *gs, double keep_min, int round_to, bool inner_only);
/* Another multiple for one group; one that isn't cut stays so. */
void limits_round_to(struct limits *l, int group, double keep_min, int round_to);
/* n decisions alike: any multiple of step from keep_min of `most` on, or `most`. */
void limits_even(struct limits *l, int n, int most, int step, double keep_min);
void limits_release(struct limits *l);

/* The legal number nearest to frac * most (ties to the larger), within [least, most]. */
int limits_round(const struct limits *l, int group, double frac);
/* The next legal number under / over k, or k itself at the end. */
int limits_down(const struct limits *l, int group, int k);
int limits_up(const struct limits *l, int group, int k);
bool limits_legal(const struct limits *l, const int *keep);

#endif
