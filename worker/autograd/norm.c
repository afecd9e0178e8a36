#include "worker/autograd/norm.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/engine/bf16.h"

#define EXPANDED 6 /* arrays of `width` floats */
#define CHANNELS 6 /* arrays of C floats, and one more a part */

int norm_new(struct norm **out, int node, double eps, const struct layout *l, int parts, struct err *e)
{
    struct norm *n = xcalloc(1, sizeof *n);
    *n = (struct norm){.node = node, .eps = eps, .parts = parts, .flat = flat_of(l)};
    n->part_count = (double)l->N * l->H * l->W;
    n->count = n->part_count * parts;
    size_t width = flat_width(&n->flat), C = (size_t)l->C;
    float *f = n->floats = mem_zalloc(EXPANDED * width + (CHANNELS + (size_t)parts) * C, sizeof(float));
    double *d = n->doubles = mem_zalloc((size_t)parts + 1, 2 * C * sizeof(double));
    if (!f || !d) {
        norm_free(n);
        return err_set(e, ERR_NOMEM, "no memory for the sums of %d channels", l->C);
    }
    float **expanded[EXPANDED] = {&n->m, &n->a, &n->b, &n->A, &n->B, &n->D};
    for (int i = 0; i < EXPANDED; i++, f += width)
        *expanded[i] = f;
    float **channel[] = {&n->scale, &n->shift, &n->d_scale, &n->d_shift, &n->batch_mean, &n->batch_var};
    for (size_t i = 0; i < sizeof channel / sizeof *channel; i++, f += C)
        *channel[i] = f;
    n->pivots = f;
    n->mean = d;
    n->istd = d + C;
    n->sums = d + 2 * C;
    *out = n;
    return 0;
}

void norm_free(struct norm *n)
{
    if (!n)
        return;
    mem_free(n->floats);
    mem_free(n->doubles);
    free(n);
}

size_t norm_bytes(const struct norm *n)
{
    size_t C = (size_t)n->flat.C;
    return (EXPANDED * flat_width(&n->flat) + (CHANNELS + (size_t)n->parts) * C) * sizeof(float) +
           ((size_t)n->parts + 1) * 2 * C * sizeof(double);
}

/* Runs the pass and folds its sums into two numbers a channel. */
static void sums_of(struct norm *n, enum elem_kind kind, struct elem *e, const struct norm_lent *lent,
                    double *first, double *second)
{
    size_t width = flat_width(&n->flat);
    e->lent = lent->floats;
    e->sums[0] = lent->doubles;
    e->sums[1] = lent->doubles + width;
    memset(lent->doubles, 0, 2 * width * sizeof(double));
    elem_run(kind, &n->flat, e);
    flat_fold(&n->flat, e->sums[0], first);
    flat_fold(&n->flat, e->sums[1], second);
}

/*
 * Sums of distances from the part's first pixel, so that little cancels where a channel hardly varies; the part's
 * mean and sum of squared distances from it are kept.
 */
void norm_stats(struct norm *n, int part, const void *x, const struct norm_lent *lent)
{
    size_t C = (size_t)n->flat.C, width = flat_width(&n->flat);
    float *pivot = lent->floats + 2 * width, *first = n->pivots + (size_t)part * C;
    double *mean = n->sums + (size_t)part * 2 * C, *m2 = mean + C;
    for (int c = 0; c < n->flat.C; c++) {
        size_t at = (size_t)(c / n->flat.lanes) * n->flat.length + (size_t)(c % n->flat.lanes);
        first[c] = element_load(x, at, n->flat.type);
        mean[c] = (double)first[c];
    }
    flat_expand(&n->flat, first, pivot);
    struct elem e = {.in = {x}, .m = pivot};
    double *s = lent->doubles + 2 * width, *q = s + C;
    sums_of(n, ELEM_STATS, &e, lent, s, q);
    for (size_t c = 0; c < C; c++) {
        double off = s[c] / n->part_count;
        mean[c] += off;
        m2[c] = fmax(q[c] - off * s[c], 0);
    }
}

/* Parts of equal size are joined one after the other (Chan, Golub and LeVeque 1983). */
static void join_channel(struct norm *n, size_t c, double *mean, double *m2)
{
    size_t C = (size_t)n->flat.C;
    *mean = n->sums[c];
    *m2 = n->sums[C + c];
    for (int p = 1; p < n->parts; p++) {
        const double *of_part = n->sums + (size_t)p * 2 * C;
        double d = of_part[c] - *mean;
        *mean += d / (p + 1);
        *m2 += of_part[C + c] + d * d * n->part_count * p / (p + 1);
    }
}

void norm_join_stats(struct norm *n)
{
    size_t C = (size_t)n->flat.C;
    float *a = n->d_scale, *b = n->d_shift; /* not needed before the backward pass */
    for (size_t c = 0; c < C; c++) {
        double mean, m2;
        join_channel(n, c, &mean, &m2);
        n->batch_mean[c] = (float)mean;
        n->batch_var[c] = (float)(m2 / fmax(n->count - 1, 1));
        n->mean[c] = (double)n->batch_mean[c]; /* as the passes see it */
        n->istd[c] = 1 / sqrt(m2 / n->count + n->eps);
        a[c] = (float)((double)n->scale[c] * n->istd[c]);
        b[c] = (float)((double)n->shift[c] - n->mean[c] * (double)a[c]);
    }
    flat_expand(&n->flat, n->batch_mean, n->m);
    flat_expand(&n->flat, a, n->a);
    flat_expand(&n->flat, b, n->b);
}

void norm_sums(struct norm *n, int part, enum elem_kind kind, struct elem *e, const struct norm_lent *lent)
{
    double *to = n->sums + (size_t)part * 2 * (size_t)n->flat.C;
    e->m = n->m;
    e->a = n->a;
    e->b = n->b;
    sums_of(n, kind, e, lent, to, to + n->flat.C);
}

void norm_join_sums(struct norm *n)
{
    size_t C = (size_t)n->flat.C;
    float *A = n->pivots; /* lent */
    for (size_t c = 0; c < C; c++) {
        double g = 0, gx = 0;
        for (int p = 0; p < n->parts; p++) {
            g += n->sums[(size_t)p * 2 * C + c];
            gx += n->sums[(size_t)p * 2 * C + C + c] * n->istd[c];
        }
        n->d_shift[c] = (float)g;
        n->d_scale[c] = (float)gx;
        double a = (double)n->scale[c] * n->istd[c], b = -a * n->istd[c] * gx / n->count;
        n->sums[c] = b;
        n->sums[C + c] = -a * g / n->count - b * n->mean[c];
        A[c] = (float)a;
    }
    flat_expand(&n->flat, A, n->A);
    for (size_t c = 0; c < C; c++)
        A[c] = (float)n->sums[c];
    flat_expand(&n->flat, A, n->B);
    for (size_t c = 0; c < C; c++)
        A[c] = (float)n->sums[C + c];
    flat_expand(&n->flat, A, n->D);
}
