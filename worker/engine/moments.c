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
#include "worker/engine/bf16.h"

#define CHUNK 64 /* pixels */
#define VEC   16 /* channels at a time */

/* Of a chunk's channels: about the mean, the sum of distances from it, the sum of their squares. */
struct chunk {
    float mean[VEC], off[VEC], square[VEC];
};

/* `rows` (<= CHUNK) rows of `lanes` (<= VEC) elements, `stride` apart, from element `at` on. */
ALWAYS_INLINE void rows_of(struct chunk *c, const void *x, size_t at, int rows, int lanes, size_t stride,
                           enum dtype type)
{
    float s[VEC] = {0}, d[VEC] = {0}, q[VEC] = {0};
    for (int i = 0; i < rows; i++)
#pragma omp simd
        for (int k = 0; k < lanes; k++)
            s[k] += element_load(x, at + (size_t)i * stride + (size_t)k, type);
    for (int k = 0; k < lanes; k++)
        s[k] /= (float)rows;
    for (int i = 0; i < rows; i++) {
#pragma omp simd
        for (int k = 0; k < lanes; k++) {
            float v = element_load(x, at + (size_t)i * stride + (size_t)k, type) - s[k];
            d[k] += v;
            q[k] += v * v;
        }
    }
    memcpy(c->mean, s, sizeof s);
    memcpy(c->off, d, sizeof d);
    memcpy(c->square, q, sizeof q);
}

/* One channel of a plain value: pixels side by side. */
ALWAYS_INLINE void plane_of(struct chunk *c, const void *x, size_t at, int rows, enum dtype type)
{
    float s = 0, d = 0, q = 0;
#pragma omp simd reduction(+ : s)
    for (int i = 0; i < rows; i++)
        s += element_load(x, at + (size_t)i, type);
    s /= (float)rows;
#pragma omp simd reduction(+ : d, q)
    for (int i = 0; i < rows; i++) {
        float v = element_load(x, at + (size_t)i, type) - s;
        d += v;
        q += v * v;
    }
    c->mean[0] = s;
    c->off[0] = d;
    c->square[0] = q;
}

WIDE static void chunk_lanes(struct chunk *c, const void *x, size_t at, int rows, int lanes, size_t stride,
                             enum dtype type)
{
    if (type == DTYPE_BF16)
        rows_of(c, x, at, rows, lanes, stride, DTYPE_BF16);
    else
        rows_of(c, x, at, rows, lanes, stride, DTYPE_F32);
}

/* The same for whole vectors, with the sums in registers. */
WIDE static void chunk_vec(struct chunk *c, const void *x, size_t at, int rows, size_t stride, enum dtype type)
{
    if (type == DTYPE_BF16)
        rows_of(c, x, at, rows, VEC, stride, DTYPE_BF16);
    else
        rows_of(c, x, at, rows, VEC, stride, DTYPE_F32);
}

WIDE static void chunk_plane(struct chunk *c, const void *x, size_t at, int rows, enum dtype type)
{
    if (type == DTYPE_BF16)
        plane_of(c, x, at, rows, DTYPE_BF16);
    else
        plane_of(c, x, at, rows, DTYPE_F32);
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

/* n pixels of one panel of the value, from element `from` on; `seen` before them. */
static void add_panel(const struct layout *l, const void *x, size_t from, size_t n, double seen, double *means,
                      double *m2s)
{
    struct chunk c;
    int lanes = l->lanes;
    for (size_t row = 0; row < n; row += CHUNK) {
        int rows = n - row < CHUNK ? (int)(n - row) : CHUNK;
        size_t at = from + row * (size_t)lanes;
        for (int k = 0; k < lanes; k += VEC) {
            int width = lanes - k < VEC ? lanes - k : VEC;
            if (lanes == 1)
                chunk_plane(&c, x, at, rows, l->type);
            else if (width == VEC)
                chunk_vec(&c, x, at + (size_t)k, rows, (size_t)lanes, l->type);
            else
                chunk_lanes(&c, x, at + (size_t)k, rows, width, (size_t)lanes, l->type);
            join(&c, width, seen + (double)row, rows, means + k, m2s + k);
        }
    }
}

void moments_of(const struct layout *l, const void *x, float *mean, float *var, double *sums)
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
            add_panel(l, x, layout_panel(l, i, p), n, (double)n * i, means + p * l->lanes, m2s + p * l->lanes);
    for (int c = 0; c < padded; c++) {
        mean[c] = (float)means[c];
        var[c] = (float)(m2s[c] / count);
    }
}
