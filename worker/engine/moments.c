/*
 * Pixels are taken in chunks that stay in the first cache: the chunk's own mean first, then the squares around it, so that nothing
 * cancels; chunks are joined in double (Chan, Golub and LeVeque, 1979). The order is fixed by the shape alone.
 */
#include "worker/engine/moments.h"

#include <string.h>

#include "worker/engine/simd.h"

#define CHUNK 64 /* pixels */
#define VEC   16 /* channels at a time */

/* Mean and sum of squared distances of `rows` (<= CHUNK) rows of `lanes` (<= VEC) floats, `stride` apart. */
SIMD_CLONES
static void chunk_lanes(const float *x, int rows, int lanes, size_t stride, float *mean, float *m2)
{
    float s[VEC] = {0}, q[VEC] = {0};
    for (int i = 0; i < rows; i++)
#pragma omp simd
        for (int k = 0; k < lanes; k++)
            s[k] += x[(size_t)i * stride + (size_t)k];
    for (int k = 0; k < lanes; k++)
        s[k] /= (float)rows;
    for (int i = 0; i < rows; i++)
#pragma omp simd
        for (int k = 0; k < lanes; k++)
            q[k] += (x[(size_t)i * stride + (size_t)k] - s[k]) * (x[(size_t)i * stride + (size_t)k] - s[k]);
    memcpy(mean, s, (size_t)lanes * sizeof *s);
    memcpy(m2, q, (size_t)lanes * sizeof *q);
}

/* The same for whole vectors, with the sums in registers. */
SIMD_CLONES
static void chunk_vec(const float *x, int rows, size_t stride, float *mean, float *m2)
{
    float s[VEC] = {0}, q[VEC] = {0};
    for (int i = 0; i < rows; i++)
#pragma omp simd
        for (int k = 0; k < VEC; k++)
            s[k] += x[(size_t)i * stride + (size_t)k];
    for (int k = 0; k < VEC; k++)
        s[k] /= (float)rows;
    for (int i = 0; i < rows; i++)
#pragma omp simd
        for (int k = 0; k < VEC; k++)
            q[k] += (x[(size_t)i * stride + (size_t)k] - s[k]) * (x[(size_t)i * stride + (size_t)k] - s[k]);
    memcpy(mean, s, sizeof s);
    memcpy(m2, q, sizeof q);
}

/* One channel of a plain value: pixels side by side. */
SIMD_CLONES
static void chunk_plane(const float *x, int rows, float *mean, float *m2)
{
    float s = 0, q = 0;
#pragma omp simd reduction(+ : s)
    for (int i = 0; i < rows; i++)
        s += x[i];
    s /= (float)rows;
#pragma omp simd reduction(+ : q)
    for (int i = 0; i < rows; i++)
        q += (x[i] - s) * (x[i] - s);
    *mean = s;
    *m2 = q;
}

static void join(int lanes, double seen, int rows, const float *mean, const float *m2, double *means, double *m2s)
{
    double share = rows / (seen + rows);
    for (int k = 0; k < lanes; k++) {
        double d = mean[k] - means[k];
        means[k] += d * share;
        m2s[k] += m2[k] + d * d * seen * share;
    }
}

/* The n pixels of a panel, `seen` before it. */
static void add_panel(const float *x, size_t n, int lanes, double seen, double *means, double *m2s)
{
    float mean[VEC], m2[VEC];
    for (size_t at = 0; at < n; at += CHUNK) {
        int rows = n - at < CHUNK ? (int)(n - at) : CHUNK;
        const float *x_at = x + at * (size_t)lanes;
        for (int c = 0; c < lanes; c += VEC) {
            int width = lanes - c < VEC ? lanes - c : VEC;
            if (lanes == 1)
                chunk_plane(x_at, rows, mean, m2);
            else if (width == VEC)
                chunk_vec(x_at + c, rows, (size_t)lanes, mean, m2);
            else
                chunk_lanes(x_at + c, rows, width, (size_t)lanes, mean, m2);
            join(width, seen + (double)at, rows, mean, m2, means + c, m2s + c);
        }
    }
}

void moments_of(const struct layout *l, const float *x, float *mean, float *var, double *sums)
{
    int panels = layout_panels(l), padded = panels * l->lanes, images = l->N;
    size_t n = (size_t)l->H * (size_t)l->W;
    double count = (double)n * images, *means = sums, *m2s = sums + padded;
    memset(sums, 0, 2 * (size_t)padded * sizeof *sums);
    if (panels == 1) {
        n *= (size_t)images;
        images = 1;
    }
    for (int i = 0; i < images; i++)
        for (int p = 0; p < panels; p++)
            add_panel(x + layout_panel(l, i, p), n, l->lanes, (double)n * i, means + p * l->lanes, m2s + p * l->lanes);
    for (int c = 0; c < padded; c++) {
        mean[c] = (float)means[c];
        var[c] = (float)(m2s[c] / count);
    }
}
