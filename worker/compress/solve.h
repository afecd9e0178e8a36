/*
 * solve - symmetric positive definite systems in double precision, on LAPACK; matrices are row-major and symmetric,
 * so order doesn't matter to them.
 */
#ifndef WORKER_COMPRESS_SOLVE_H
#define WORKER_COMPRESS_SOLVE_H

#include "common/base/err.h"

/* b (n,k) row-major := a^-1 b; a (n,n) is destroyed. ERR_INVALID when a isn't positive definite. */
MUST_CHECK int solve_spd(double *a, int n, double *b, int k, struct err *e);

/* a (n,n) := a^-1, both triangles. */
MUST_CHECK int solve_invert(double *a, int n, struct err *e);

#endif
