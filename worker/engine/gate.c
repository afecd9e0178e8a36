#include "worker/engine/gate.h"

#include "common/base/wide.h"
#include "worker/engine/bf16.h"

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
