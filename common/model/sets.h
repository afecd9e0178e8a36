/*
 * sets - disjoint sets of the numbers 0 ... n-1 (union by size, path halving: Tarjan and van Leeuwen, 1984).
 */
#ifndef COMMON_MODEL_SETS_H
#define COMMON_MODEL_SETS_H

#include "common/base/err.h"

struct sets {
    int *up;   /* parent; a root is its own */
    int *size; /* of the set, at its root */
    int n;
};

/* n sets of one number each. */
MUST_CHECK int sets_init(struct sets *s, int n, struct err *e);
void sets_release(struct sets *s);

/* The number that stands for x's set. */
int sets_find(struct sets *s, int x);
void sets_join(struct sets *s, int x, int y);

#endif
