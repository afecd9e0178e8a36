/*
 * correlation - Pearson's of two series, and Spearman's, which is Pearson's of their ranks.
 */
#ifndef TESTS_BENCH_CORRELATION_H
#define TESTS_BENCH_CORRELATION_H

#include <math.h>
#include <stdlib.h>

#include "common/base/mem.h"

static inline double pearson(const double *x, const double *y, int n)
{
    double mx = 0, my = 0, xy = 0, xx = 0, yy = 0;
    for (int i = 0; i < n; i++) {
        mx += x[i] / n;
        my += y[i] / n;
    }
    for (int i = 0; i < n; i++) {
        xy += (x[i] - mx) * (y[i] - my);
        xx += (x[i] - mx) * (x[i] - mx);
        yy += (y[i] - my) * (y[i] - my);
    }
    return xy / sqrt(xx * yy);
}

/* Ties share the mean of their ranks. */
static inline void ranks(const double *x, int n, double *rank)
{
    for (int i = 0; i < n; i++) {
        rank[i] = 0.5;
        for (int j = 0; j < n; j++)
            rank[i] += x[j] < x[i] ? 1 : x[j] == x[i] ? 0.5 : 0;
    }
}

static inline double spearman(const double *x, const double *y, int n)
{
    double *r = xcalloc((size_t)n, 2 * sizeof(double));
    ranks(x, n, r);
    ranks(y, n, r + n);
    double rho = pearson(r, r + n, n);
    free(r);
    return rho;
}

#endif
