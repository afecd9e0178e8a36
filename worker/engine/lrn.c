/*
 * Channels of a pixel are done in blocks with what their neighbours hold on both sides. A sum over windows is as many shifted
 * additions as a window has channels.
 *
 *   dx_c = dy_c s_c^-beta - 2 beta alpha / size * x_c * sum of dy_d x_d s_d^(-beta - 1)
 *                                                       over the channels d whose windows reach c
 */
#include "worker/engine/lrn.h"

#include <math.h>
#include <string.h>

#include "common/base/wide.h"
#include "worker/engine/bf16.h"

#define BLOCK 256 /* channels at a time */

struct pixel {
    const struct lrn *k;
    const void *x, *dy;
    size_t at; /* its first channel */
    int C;
    enum dtype type;
};

/* v[i] = element of channel first + i, 0 outside. */
static void take(const struct pixel *p, const void *x, int first, int n, float *v)
{
    int begin = first < 0 ? -first : 0, end = p->C - first < n ? p->C - first : n;
    memset(v, 0, (size_t)n * sizeof *v);
    for (int i = begin; i < end; i++)
        v[i] = element_load(x, p->at + (size_t)(first + i), p->type);
}

WIDE static void square(float *v, int n)
{
#pragma omp simd
    for (int i = 0; i < n; i++)
        v[i] *= v[i];
}

/* sum[i] += v[i] + ... + v[i + size - 1] */
WIDE static void add_windows(float *sum, const float *v, int n, int size)
{
    for (int k = 0; k < size; k++)
#pragma omp simd
        for (int i = 0; i < n; i++)
            sum[i] += v[i + k];
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* s of channels first ... first + n - 1 (n <= 2 * BLOCK); outside, too, where it means nothing. */
static void sums(const struct pixel *p, int first, int n, float *s)
{
    int size = p->k->size, begin = first - (size - 1) / 2;
    float share = p->k->alpha / (float)size, v[3 * BLOCK];
    memset(s, 0, (size_t)n * sizeof *s);
    for (int k = 0, some; k < size; k += some) {
        some = least(BLOCK, size - k);
        if (begin + k >= p->C || begin + k + n + some - 1 <= 0)
            continue;
        take(p, p->x, begin + k, n + some - 1, v);
        square(v, n + some - 1);
        add_windows(s, v, n, some);
    }
    for (int i = 0; i < n; i++)
        s[i] = p->k->bias + share * s[i];
}

/* to[i] = s[i]^-beta */
WIDE static void powers(float beta, const float *s, int n, float *to)
{
    if (beta != 0.75F) {
        for (int i = 0; i < n; i++)
            to[i] = powf(s[i], -beta);
        return;
    }
#pragma omp simd
    for (int i = 0; i < n; i++)
        to[i] = 1 / (sqrtf(s[i]) * sqrtf(sqrtf(s[i])));
}

static void forward(const struct pixel *p, void *y)
{
    for (int c = 0; c < p->C; c += BLOCK) {
        int n = least(BLOCK, p->C - c);
        float s[BLOCK], f[BLOCK];
        sums(p, c, n, s);
        powers(p->k->beta, s, n, f);
        for (int i = 0; i < n; i++) {
            size_t at = p->at + (size_t)(c + i);
            element_store(y, at, element_load(p->x, at, p->type) * f[i], p->type);
        }
    }
}

/* t[i] = dy x s^(-beta - 1) of channel first + i, n <= 2 * BLOCK. */
static void terms(const struct pixel *p, int first, int n, float *t)
{
    float s[2 * BLOCK], f[2 * BLOCK], x[2 * BLOCK];
    sums(p, first, n, s);
    powers(p->k->beta, s, n, f);
    take(p, p->x, first, n, x);
    take(p, p->dy, first, n, t);
    for (int i = 0; i < n; i++)
        t[i] *= x[i] * f[i] / s[i];
}

/* sum[i] = the terms whose windows reach channel first + i. */
static void reach(const struct pixel *p, int first, int n, float *sum)
{
    int size = p->k->size, begin = first - size / 2;
    float t[2 * BLOCK];
    memset(sum, 0, (size_t)n * sizeof *sum);
    for (int k = 0, some; k < size; k += some) {
        some = least(BLOCK, size - k);
        if (begin + k >= p->C || begin + k + n + some - 1 <= 0)
            continue;
        terms(p, begin + k, n + some - 1, t);
        add_windows(sum, t, n, some);
    }
}

static void backward(const struct pixel *p, void *dx)
{
    const struct lrn *k = p->k;
    float factor = 2 * k->beta * k->alpha / (float)k->size;
    for (int c = 0; c < p->C; c += BLOCK) {
        int n = least(BLOCK, p->C - c);
        float s[BLOCK], f[BLOCK], sum[BLOCK];
        sums(p, c, n, s);
        powers(k->beta, s, n, f);
        reach(p, c, n, sum);
        for (int i = 0; i < n; i++) {
            size_t at = p->at + (size_t)(c + i);
            float x = element_load(p->x, at, p->type), dy = element_load(p->dy, at, p->type);
            element_store(dx, at, dy * f[i] - factor * x * sum[i], p->type);
        }
    }
}

static struct pixel pixel_of(const struct lrn *k, const struct layout *l, const void *x, const void *dy)
{
    return (struct pixel){.k = k, .x = x, .dy = dy, .C = l->C, .type = l->type};
}

void lrn_run(const struct lrn *k, const struct layout *l, void *y, const void *x)
{
    struct pixel p = pixel_of(k, l, x, NULL);
    for (size_t n = layout_floats(l); p.at < n; p.at += (size_t)l->C)
        forward(&p, y);
}

void lrn_back(const struct lrn *k, const struct layout *l, void *dx, const void *dy, const void *x)
{
    struct pixel p = pixel_of(k, l, x, dy);
    for (size_t n = layout_floats(l); p.at < n; p.at += (size_t)l->C)
        backward(&p, dx);
}
