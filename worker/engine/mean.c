#include "worker/engine/mean.h"

#include "common/base/wide.h"
#include "worker/engine/bf16.h"

#define VEC  16 /* channels at a time, at least */
#define MOST 64 /* and at most: as many sums as stay in registers, each an addition behind the others */

/* Sums in rows of floats first, then in double: long images lose nothing. */
#define ROWS 256

/* Of `lanes` channels, from element `at` on. */
ALWAYS_INLINE void lanes_of(float *y, const void *x, size_t at, size_t n, int lanes, size_t stride, enum dtype type)
{
    double total[MOST] = {0};
    for (size_t row = 0; row < n; row += ROWS) {
        size_t rows = n - row < ROWS ? n - row : ROWS;
        float s[MOST] = {0};
        for (size_t i = row; i < row + rows; i++)
#pragma omp simd
            for (int k = 0; k < lanes; k++)
                s[k] += element_load(x, at + i * stride + (size_t)k, type);
        for (int k = 0; k < lanes; k++)
            total[k] += (double)s[k];
    }
    for (int k = 0; k < lanes; k++)
        y[k] = (float)(total[k] / (double)n);
}

ALWAYS_INLINE float plane_of(const void *x, size_t at, size_t n, enum dtype type)
{
    double total = 0;
    for (size_t row = 0; row < n; row += ROWS) {
        size_t rows = n - row < ROWS ? n - row : ROWS;
        float s = 0;
#pragma omp simd reduction(+ : s)
        for (size_t i = at + row; i < at + row + rows; i++)
            s += element_load(x, i, type);
        total += (double)s;
    }
    return (float)(total / (double)n);
}

/* Numbers of channels that are known beforehand. */
ALWAYS_INLINE void some_lanes(float *y, const void *x, size_t at, size_t n, int lanes, size_t stride, enum dtype type)
{
    switch (lanes) {
    case 64:
        lanes_of(y, x, at, n, 64, stride, type);
        break;
    case 48:
        lanes_of(y, x, at, n, 48, stride, type);
        break;
    case 32:
        lanes_of(y, x, at, n, 32, stride, type);
        break;
    case 16:
        lanes_of(y, x, at, n, 16, stride, type);
        break;
    default:
        lanes_of(y, x, at, n, lanes, stride, type);
    }
}

WIDE static void mean_lanes(float *y, const void *x, size_t at, size_t n, int lanes, size_t stride, enum dtype type)
{
    if (type == DTYPE_BF16)
        some_lanes(y, x, at, n, lanes, stride, DTYPE_BF16);
    else
        some_lanes(y, x, at, n, lanes, stride, DTYPE_F32);
}

WIDE static float mean_plane(const void *x, size_t at, size_t n, enum dtype type)
{
    return type == DTYPE_BF16 ? plane_of(x, at, n, DTYPE_BF16) : plane_of(x, at, n, DTYPE_F32);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

void mean_run(const struct layout *l, float *y, const void *x)
{
    size_t n = (size_t)l->H * (size_t)l->W;
    for (int image = 0; image < l->N; image++) {
        float *y_n = y + (size_t)image * (size_t)l->C;
        for (int c = 0, width; c < l->C; c += width) {
            int lane = c % l->lanes;
            size_t at = layout_panel(l, image, c / l->lanes) + (size_t)lane;
            width = least(least(l->lanes - lane, l->C - c), MOST);
            width = width > VEC ? width / VEC * VEC : width;
            if (l->lanes == 1)
                y_n[c] = mean_plane(x, at, n, l->type);
            else
                mean_lanes(y_n + c, x, at, n, width, (size_t)l->lanes, l->type);
        }
    }
}
