/*
 * pool - N compute threads that share out numbered pieces of work. Pieces are independent and write to places of
 * their own, so results don't depend on how many threads there are (design.md 6.1). The caller is one of the
 * threads.
 */
#ifndef WORKER_ENGINE_POOL_H
#define WORKER_ENGINE_POOL_H

#include "common/base/err.h"

struct pool;

/* Every thread, the caller's too, is told to use one OpenMP and one BLAS thread. */
MUST_CHECK int pool_new(struct pool **p, int threads, struct err *e);
void pool_free(struct pool *p); /* NULL is fine */
int pool_threads(const struct pool *p);

/* Calls fn(arg, piece, thread) for piece 0 ... pieces-1, thread in 0 ... threads-1; returns when all are done, with
 * the error of the lowest piece that failed (pieces after a failure may not have run). */
MUST_CHECK int pool_run(struct pool *p, int pieces, int (*fn)(void *arg, int piece, int thread, struct err *e),
                        void *arg, struct err *e);

#endif
