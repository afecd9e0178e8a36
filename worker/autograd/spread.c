#include "worker/autograd/spread.h"

#include "common/base/wide.h"
#include "worker/engine/bf16.h"

#define VEC 16 /* channels at a time */

static size_t pixel(const struct layout *l, int image, int c)
{
    return layout_panel(l, image, c / l->lanes) + (size_t)(c % l->lanes);
}

/* Channels from c on that lie side by side in both layouts, VEC at most. */
static int run_of(const struct layout *a, const struct layout *b, int c)
{
    int n = a->C - c, la = a->lanes - c % a->lanes, lb = b->lanes - c % b->lanes;
    n = n < la ? n : la;
    n = n < lb ? n : lb;
    return n < VEC ? n : VEC;
}

WIDE static void add_pixels(const char *x, enum dtype type, size_t n, size_t lanes, int run, float *s)
{
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < run; k++)
            s[k] += element_load(x, i * lanes + (size_t)k, type);
}

WIDE static void set_pixels(char *x, enum dtype type, size_t n, size_t lanes, int run, const float *v)
{
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < run; k++)
            element_store(x, i * lanes + (size_t)k, v[k], type);
}

void spread_mean(const struct layout *lx, const void *x, const struct layout *ly, void *y)
{
    size_t row = (size_t)lx->W, lanes = (size_t)lx->lanes;
    if (ly->C % ly->lanes)
        memset(y, 0, layout_floats(ly) * dtype_bytes(ly->type));
    for (int image = 0; image < lx->N; image++) {
        for (int c = 0, run; c < lx->C; c += run) {
            run = run_of(lx, ly, c);
            const char *from = (const char *)x + pixel(lx, image, c) * dtype_bytes(lx->type);
            double total[VEC] = {0};
            for (int h = 0; h < lx->H; h++) {
                float s[VEC] = {0};
                add_pixels(from + (size_t)h * row * lanes * dtype_bytes(lx->type), lx->type, row, lanes, run, s);
                for (int k = 0; k < run; k++)
                    total[k] += (double)s[k];
            }
            for (int k = 0; k < run; k++)
                element_store(y, pixel(ly, image, c) + (size_t)k, (float)(total[k] / ((double)lx->H * lx->W)),
                              ly->type);
        }
    }
}

void spread_back(const struct layout *lx, void *dx, const struct layout *ly, const void *dy)
{
    float share = (float)(1 / ((double)lx->H * lx->W));
    if (lx->C % lx->lanes)
        memset(dx, 0, layout_floats(lx) * dtype_bytes(lx->type));
    for (int image = 0; image < lx->N; image++) {
        for (int c = 0, run; c < lx->C; c += run) {
            float v[VEC];
            run = run_of(lx, ly, c);
            for (int k = 0; k < run; k++)
                v[k] = element_load(dy, pixel(ly, image, c) + (size_t)k, ly->type) * share;
            set_pixels((char *)dx + pixel(lx, image, c) * dtype_bytes(lx->type), lx->type,
                       (size_t)lx->H * (size_t)lx->W, (size_t)lx->lanes, run, v);
        }
    }
}
