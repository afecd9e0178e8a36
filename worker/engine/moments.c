/*
 * Pixels are taken in chunks that stay in the first cache: a first mean of the chunk, then the distances from it
 * and their squares, which correct the mean, so that nothing cancels even where a channel hardly varies (the
 * corrected two-pass algorithm; Chan, Golub and LeVeque, 1983). Chunks are joined in double. The order is fixed by
 * the shape alone.
 */
#include "worker/engine/moments.h"

#include <math.h>
#include <string.h>

#include "common/base/wide.h"

#define CHUNK 64 /* pixels */
#define VEC   16 /* channels at a time */

/* Of a chunk's channels: about the mean, the sum of distances from it, the sum of their squares. */
struct chunk {
    float mean[VEC], off[VEC], square[VEC];
};

/* `rows` (<= CHUNK) rows of `lanes` (<= VEC) floats, `stride` apart. */
WIDE
static void chunk_lanes(struct chunk *c, const float *x, int rows, int lanes, size_t stride)
{
    float s[VEC] = {0}, d[VEC] = {0}, q[VEC] = {0};
    for (int i = 0; i < rows; i++)
#pragma omp simd
        for (int k = 0; k < lanes; k++)
            s[k] += x[(size_t)i * stride + (size_t)k];
    for (int k = 0; k < lanes; k++)
        s[k] /= (float)rows;
    for (int i = 0; i < rows; i++) {
#pragma omp simd
        for (int k = 0; k < lanes; k++) {
            float v = x[(size_t)i * stride + (size_t)k] - s[k];
            d[k] += v;
            q[k] += v * v;
        }
    }
    memcpy(c->mean, s, sizeof s);
    memcpy(c->off, d, sizeof d);
    memcpy(c->square, q, sizeof q);
}

/* The same for whole vectors, with the sums in registers. */
WIDE
static void chunk_vec(struct chunk *c, const float *x, int rows, size_t stride)
{
    float s[VEC] = {0}, d[VEC] = {0}, q[VEC] = {0};
    for (int i = 0; i < rows; i++)
#pragma omp simd
        for (int k = 0; k < VEC; k++)
            s[k] += x[(size_t)i * stride + (size_t)k];
    for (int k = 0; k < VEC; k++)
        s[k] /= (float)rows;
    for (int i = 0; i < rows; i++) {
#pragma omp simd
        for (int k = 0; k < VEC; k++) {
            float v = x[(size_t)i * stride + (size_t)k] - s[k];
            d[k] += v;
            q[k] += v * v;
        }
    }
    memcpy(c->mean, s, sizeof s);
    memcpy(c->off, d, sizeof d);
    memcpy(c->square, q, sizeof q);
}

/* One channel of a plain value: pixels side by side. */
WIDE
static void chunk_plane(struct chunk *c, const float *x, int rows)
{
    float s = 0, d = 0, q = 0;
#pragma omp simd reduction(+ : s)
    for (int i = 0; i < rows; i++)
        s += x[i];
    s /= (float)rows;
#pragma omp simd reduction(+ : d, q)
    for (int i = 0; i < rows; i++) {
        d += x[i] - s;
        q += (x[i] - s) * (x[i] - s);
    }
    c->mean[0] = s;
    c->off[0] = d;
    c->square[0] = q;
}

/* Adds a chunk of `rows` pixels to the `seen` ones. */
static void join(const struct chunk *c, int lanes, double seen, int rows, double *means, double *m2s)
{
    double share = rows / (seen + rows);
    for (int k = 0; k < lanes; k++) {
        double off = (double)c->off[k] / rows, d = (double)c->mean[k] + off - means[k];
        means[k] += d * share;
        m2s[k] += fmax((double)c->square[k] - off * off * rows, 0) + d * d * seen * share;
    }
}

/* The n pixels of a panel, `seen` before it. */
static void add_panel(const float *x, size_t n, int lanes, double seen, double *means, double *m2s)
{
    struct chunk c;
    for (size_t at = 0; at < n; at += CHUNK) {
        int rows = n - at < CHUNK ? (int)(n - at) : CHUNK;
        const float *x_at = x + at * (size_t)lanes;
        for (int k = 0; k < lanes; k += VEC) {
            int width = lanes - k < VEC ? lanes - k : VEC;
            if (lanes == 1)
                chunk_plane(&c, x_at, rows);
            else if (width == VEC)
                chunk_vec(&c, x_at + k, rows, (size_t)lanes);
            else
                chunk_lanes(&c, x_at + k, rows, width, (size_t)lanes);
            join(&c, width, seen + (double)at, rows, means + k, m2s + k);
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
            add_panel(x + layout_panel(l, i, p), n, l->lanes, (double)n * i, means + p * l->lanes,
                      m2s + p * l->lanes);
    for (int c = 0; c < padded; c++) {
        mean[c] = (float)means[c];
        var[c] = (float)(m2s[c] / count);
    }
}
