#include "worker/engine/gate.h"

#include "common/base/wide.h"
#include "worker/engine/bf16.h"

#define VEC  16  /* channels at a time */
#define ROWS 256 /* pixels summed in fp32 */

/* n pixels of `lanes` channels, of which the first `run` are real; the others are zero and stay so. */
ALWAYS_INLINE void scale(void *y, const void *x, size_t at, size_t n, int lanes, int run, const float *gate,
                         enum dtype type)
{
    if (lanes == 1) {
        const float g = gate[0];
#pragma omp simd
        for (size_t i = at; i < at + n; i++)
            element_store(y, i, element_load(x, i, type) * g, type);
        return;
    }
    for (size_t i = 0; i < n; i++, at += (size_t)lanes) {
#pragma omp simd
        for (int k = 0; k < run; k++)
            element_store(y, at + (size_t)k, element_load(x, at + (size_t)k, type) * gate[k], type);
        for (int k = run; k < lanes; k++)
            element_store(y, at + (size_t)k, 0, type);
    }
}

WIDE static void scale_panel(void *y, const void *x, size_t at, size_t n, int lanes, int run, const float *gate,
                             enum dtype type)
{
    if (type == DTYPE_BF16)
        scale(y, x, at, n, lanes, run, gate, DTYPE_BF16);
    else
        scale(y, x, at, n, lanes, run, gate, DTYPE_F32);
}

void gate_run(const struct layout *l, void *y, const void *x, const float *gate)
{
    int panels = layout_panels(l);
    for (int i = 0; i < l->N; i++)
        for (int p = 0; p < panels; p++) {
            int c = p * l->lanes, run = l->C - c < l->lanes ? l->C - c : l->lanes;
            scale_panel(y, x, layout_panel(l, i, p), (size_t)l->H * (size_t)l->W, l->lanes, run,
                        gate + (size_t)i * (size_t)l->C + (size_t)c, l->type);
        }
}

/* Sums of n pixels, `lanes` apart, of `run` channels; in rows of floats first, then in double. */
ALWAYS_INLINE void sum_pixels(float *d, const void *x, const void *r, size_t at, size_t n, size_t lanes, int run,
                              enum dtype type)
{
    double total[VEC] = {0};
    for (size_t row = 0; row < n; row += ROWS) {
        float s[VEC] = {0};
        for (size_t i = row; i < n && i < row + ROWS; i++)
#pragma omp simd
            for (int k = 0; k < run; k++) {
                size_t e = at + i * lanes + (size_t)k;
                s[k] += element_load(x, e, type) * element_load(r, e, type);
            }
        for (int k = 0; k < run; k++)
            total[k] += (double)s[k];
    }
    for (int k = 0; k < run; k++)
        d[k] = (float)total[k];
}

WIDE static void sum_panel(float *d, const void *x, const void *r, size_t at, size_t n, size_t lanes, int run,
                           enum dtype type)
{
    if (type == DTYPE_BF16)
        sum_pixels(d, x, r, at, n, lanes, run, DTYPE_BF16);
    else
        sum_pixels(d, x, r, at, n, lanes, run, DTYPE_F32);
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

void gate_sums(const struct layout *l, float *d, const void *x, const void *r)
{
    size_t n = (size_t)l->H * (size_t)l->W;
    for (int image = 0; image < l->N; image++, d += l->C)
        for (int c = 0, run; c < l->C; c += run) {
            int lane = c % l->lanes;
            run = least(least(l->lanes - lane, l->C - c), VEC);
            sum_panel(d + c, x, r, layout_panel(l, image, c / l->lanes) + (size_t)lane, n, (size_t)l->lanes, run,
                      l->type);
        }
}

WIDE void gate_multiply(const struct layout *l, void *y, const void *x, const void *r)
{
    size_t n = layout_floats(l);
    if (l->type == DTYPE_BF16) {
#pragma omp simd
        for (size_t i = 0; i < n; i++)
            element_store(y, i, element_load(x, i, DTYPE_BF16) * element_load(r, i, DTYPE_BF16), DTYPE_BF16);
    } else {
#pragma omp simd
        for (size_t i = 0; i < n; i++)
            element_store(y, i, element_load(x, i, DTYPE_F32) * element_load(r, i, DTYPE_F32), DTYPE_F32);
    }
}
