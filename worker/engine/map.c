#include "worker/engine/map.h"

#include "common/base/mem.h"
#include "common/base/wide.h"

int map_new(struct map *map, const struct layout *l, struct act act, struct err *e)
{
    map->padded = layout_panels(l) * l->lanes;
    float *p = mem_zalloc((size_t)map->padded, 5 * sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for %d channels", map->padded);
    map->m = p;
    map->a = p + map->padded;
    map->b = p + 2 * map->padded;
    map->lo = p + 3 * map->padded;
    map->hi = p + 4 * map->padded;
    for (int c = 0; c < l->C; c++) {
        map->a[c] = 1;
        map->lo[c] = act.lo;
        map->hi[c] = act.hi;
    }
    return 0;
}

void map_release(struct map *map)
{
    mem_free(map->m);
    *map = (struct map){0};
}

static inline float clamp(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

/* A panel of single channels: n pixels share their numbers. */
WIDE
static void run_plane(float *y, const float *x, const float *r, size_t n, float m, float a, float b, float lo,
                      float hi)
{
    if (r) {
#pragma omp simd
        for (size_t i = 0; i < n; i++)
            y[i] = clamp((x[i] - m) * a + b + r[i], lo, hi);
    } else {
#pragma omp simd
        for (size_t i = 0; i < n; i++)
            y[i] = clamp((x[i] - m) * a + b, lo, hi);
    }
}

/* Panels of 16 channels, whose numbers stay in registers. */
WIDE
static void run_16(float *y, const float *x, const float *r, size_t n, const float *m, const float *a,
                   const float *b, const float *lo, const float *hi)
{
    float M[16], A[16], B[16], L[16], H[16];
    for (int k = 0; k < 16; k++) {
        M[k] = m[k];
        A[k] = a[k];
        B[k] = b[k];
        L[k] = lo[k];
        H[k] = hi[k];
    }
    for (size_t i = 0; i < n * 16; i += 16) {
        if (r) {
#pragma omp simd
            for (int k = 0; k < 16; k++)
                y[i + (size_t)k] = clamp((x[i + (size_t)k] - M[k]) * A[k] + B[k] + r[i + (size_t)k], L[k], H[k]);
        } else {
#pragma omp simd
            for (int k = 0; k < 16; k++)
                y[i + (size_t)k] = clamp((x[i + (size_t)k] - M[k]) * A[k] + B[k], L[k], H[k]);
        }
    }
}

/* Panels of any width. */
WIDE
static void run_lanes(float *y, const float *x, const float *r, size_t n, int lanes, const float *m, const float *a,
                      const float *b, const float *lo, const float *hi)
{
    for (size_t i = 0; i < n; i++) {
        float *y_i = y + i * (size_t)lanes;
        const float *x_i = x + i * (size_t)lanes;
        if (r) {
            const float *r_i = r + i * (size_t)lanes;
#pragma omp simd
            for (int k = 0; k < lanes; k++)
                y_i[k] = clamp((x_i[k] - m[k]) * a[k] + b[k] + r_i[k], lo[k], hi[k]);
        } else {
#pragma omp simd
            for (int k = 0; k < lanes; k++)
                y_i[k] = clamp((x_i[k] - m[k]) * a[k] + b[k], lo[k], hi[k]);
        }
    }
}

void map_run(const struct map *map, const float *m, const float *a, const struct layout *l, float *y,
             const float *x, const float *r)
{
    size_t n = (size_t)l->H * (size_t)l->W;
    int panels = layout_panels(l), images = l->N;
    if (panels == 1) { /* images follow each other without a seam */
        n *= (size_t)images;
        images = 1;
    }
    for (int i = 0; i < images; i++) {
        for (int p = 0; p < panels; p++) {
            size_t at = layout_panel(l, i, p);
            int c = p * l->lanes;
            const float *r_p = r ? r + at : NULL, *b = map->b + c, *lo = map->lo + c, *hi = map->hi + c;
            if (l->lanes == 1)
                run_plane(y + at, x + at, r_p, n, m[c], a[c], *b, *lo, *hi);
            else if (l->lanes == 16)
                run_16(y + at, x + at, r_p, n, m + c, a + c, b, lo, hi);
            else
                run_lanes(y + at, x + at, r_p, n, l->lanes, m + c, a + c, b, lo, hi);
        }
    }
}
