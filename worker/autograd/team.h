/*
 * team - threads that go through a program side by side and meet at its barriers. The last one to arrive does what
 * is to be done once, before anybody goes on. A member's failure ends it for all.
 */
#ifndef WORKER_AUTOGRAD_TEAM_H
#define WORKER_AUTOGRAD_TEAM_H

#include "worker/engine/pool.h"

struct team;

/* The pool is borrowed; of its threads no more than `most` are used. */
MUST_CHECK int team_new(struct team **t, struct pool *pool, int most, struct err *e);
void team_free(struct team *t); /* NULL is fine */
int team_size(const struct team *t);

/* Calls fn for each rank 0 ... size-1, all at the same time; returns the first error that occurred. */
MUST_CHECK int team_run(struct team *t, int (*fn)(void *arg, int rank, struct err *e), void *arg, struct err *e);

/* From within fn: waits for the others; `once` runs on one thread in between. ERR_CANCELLED after somebody failed.
 */
MUST_CHECK int team_meet(struct team *t, void (*once)(void *arg), void *arg, struct err *e);

#endif
