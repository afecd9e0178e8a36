#include "worker/engine/mean.h"

#include "common/base/wide.h"

#define VEC 16 /* channels at a time */

/* Sums in rows of floats first, then in double: long images lose nothing. */
#define ROWS 256

WIDE
static void mean_lanes(float *y, const float *x, size_t n, int lanes, size_t stride)
{
    double total[VEC] = {0};
    for (size_t at = 0; at < n; at += ROWS) {
        size_t rows = n - at < ROWS ? n - at : ROWS;
        float s[VEC] = {0};
        for (size_t i = at; i < at + rows; i++)
#pragma omp simd
            for (int k = 0; k < lanes; k++)
                s[k] += x[i * stride + (size_t)k];
        for (int k = 0; k < lanes; k++)
            total[k] += (double)s[k];
    }
    for (int k = 0; k < lanes; k++)
        y[k] = (float)(total[k] / (double)n);
}

WIDE
static float mean_plane(const float *x, size_t n)
{
    double total = 0;
    for (size_t at = 0; at < n; at += ROWS) {
        size_t rows = n - at < ROWS ? n - at : ROWS;
        float s = 0;
#pragma omp simd reduction(+ : s)
        for (size_t i = at; i < at + rows; i++)
            s += x[i];
        total += (double)s;
    }
    return (float)(total / (double)n);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

void mean_run(const struct layout *l, float *y, const float *x)
{
    size_t n = (size_t)l->H * (size_t)l->W;
    for (int image = 0; image < l->N; image++) {
        float *y_n = y + (size_t)image * (size_t)l->C;
        for (int c = 0, width; c < l->C; c += width) {
            int lane = c % l->lanes;
            const float *x_c = x + layout_panel(l, image, c / l->lanes) + lane;
            width = least(least(l->lanes - lane, l->C - c), VEC);
            if (l->lanes == 1)
                y_n[c] = mean_plane(x_c, n);
            else
                mean_lanes(y_n + c, x_c, n, width, (size_t)l->lanes);
        }
    }
}
