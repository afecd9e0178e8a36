#include "worker/engine/map.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/wide.h"
#include "worker/engine/bf16.h"
#include "worker/engine/curve.h"

int map_new(struct map *map, const struct layout *l, struct act act, struct err *e)
{
    map->padded = layout_panels(l) * l->lanes;
    float *p = mem_zalloc((size_t)map->padded, MAP_ARRAYS * sizeof *p);
    if (!p)
        return err_set(e, ERR_NOMEM, "no memory for %d channels", map->padded);
    map->m = p;
    map->a = p + map->padded;
    map->b = p + 2 * map->padded;
    map->lo = p + 3 * map->padded;
    map->hi = p + 4 * map->padded;
    map->slope = p + 5 * map->padded;
    map->act = act;
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

/* A panel of single channels: n pixels share their numbers. Here and below: from element `at` on. */
ALWAYS_INLINE void plane(void *y, const void *x, const void *r, size_t at, size_t n, float m, float a, float b,
                         float lo, float hi, enum dtype type)
{
    if (r) {
#pragma omp simd
        for (size_t i = at; i < at + n; i++) {
            float v = (element_load(x, i, type) - m) * a + b + element_load(r, i, type);
            element_store(y, i, clamp(v, lo, hi), type);
        }
    } else {
#pragma omp simd
        for (size_t i = at; i < at + n; i++)
            element_store(y, i, clamp((element_load(x, i, type) - m) * a + b, lo, hi), type);
    }
}

/* One pixel of k channels. */
ALWAYS_INLINE void pixel(void *y, const void *x, const void *r, size_t at, int k, const float *m, const float *a,
                         const float *b, const float *lo, const float *hi, enum dtype type)
{
    if (r) {
#pragma omp simd
        for (int c = 0; c < k; c++) {
            float v = (element_load(x, at + (size_t)c, type) - m[c]) * a[c] + b[c] +
                      element_load(r, at + (size_t)c, type);
            element_store(y, at + (size_t)c, clamp(v, lo[c], hi[c]), type);
        }
    } else {
#pragma omp simd
        for (int c = 0; c < k; c++) {
            float v = (element_load(x, at + (size_t)c, type) - m[c]) * a[c] + b[c];
            element_store(y, at + (size_t)c, clamp(v, lo[c], hi[c]), type);
        }
    }
}

WIDE static void run_plane(void *y, const void *x, const void *r, size_t at, size_t n, float m, float a, float b,
                           float lo, float hi, enum dtype type)
{
    if (type == DTYPE_BF16)
        plane(y, x, r, at, n, m, a, b, lo, hi, DTYPE_BF16);
    else
        plane(y, x, r, at, n, m, a, b, lo, hi, DTYPE_F32);
}

/* n pixels of 16 channels in fp32: the channels' numbers stay in registers. */
WIDE static void run_16(void *y, const void *x, const void *r, size_t at, size_t n, const float *m, const float *a,
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
    for (size_t i = 0; i < n; i++)
        pixel(y, x, r, at + i * 16, 16, M, A, B, L, H, DTYPE_F32);
}

/* Panels of any width. */
WIDE static void run_lanes(void *y, const void *x, const void *r, size_t at, size_t n, int lanes, const float *m,
                           const float *a, const float *b, const float *lo, const float *hi, enum dtype type)
{
    for (size_t i = 0; i < n; i++, at += (size_t)lanes)
        if (type == DTYPE_BF16)
            pixel(y, x, r, at, lanes, m, a, b, lo, hi, DTYPE_BF16);
        else
            pixel(y, x, r, at, lanes, m, a, b, lo, hi, DTYPE_F32);
}

#define ROW 256

/* A channel's numbers for each of several pixels, so that a loop of few channels becomes a long one. */
struct row {
    float m[ROW], a[ROW], b[ROW], lo[ROW], hi[ROW];
};

/* One panel of few channels: n pixels, as many at a time as a row holds. */
static void run_rows(const struct map *map, const float *m, const float *a, const struct layout *l, size_t n,
                     void *y, const void *x, const void *r)
{
    struct row w;
    size_t lanes = (size_t)l->lanes, pixels = ROW / lanes, rows = n / pixels;
    size_t bytes = lanes * sizeof(float);
    for (size_t at = 0; at < pixels * lanes; at += lanes) {
        memcpy(w.m + at, m, bytes);
        memcpy(w.a + at, a, bytes);
        memcpy(w.b + at, map->b, bytes);
        memcpy(w.lo + at, map->lo, bytes);
        memcpy(w.hi + at, map->hi, bytes);
    }
    run_lanes(y, x, r, 0, rows, (int)(pixels * lanes), w.m, w.a, w.b, w.lo, w.hi, l->type);
    run_lanes(y, x, r, rows * pixels * lanes, 1, (int)(n % pixels * lanes), w.m, w.a, w.b, w.lo, w.hi, l->type);
}

/* ---- with a curve ---- */

/* Some elements that follow each other, with their channels' numbers. */
struct line {
    const float *m, *a, *b, *lo, *hi, *slope;
    size_t n;
};

ALWAYS_INLINE void line_in(const struct line *w, float *v, const void *x, const void *r, size_t at, enum dtype type)
{
    const float *m = w->m, *a = w->a, *b = w->b;
    if (r) {
#pragma omp simd
        for (size_t i = 0; i < w->n; i++)
            v[i] = (element_load(x, at + i, type) - m[i]) * a[i] + b[i] + element_load(r, at + i, type);
    } else {
#pragma omp simd
        for (size_t i = 0; i < w->n; i++)
            v[i] = (element_load(x, at + i, type) - m[i]) * a[i] + b[i];
    }
}

ALWAYS_INLINE void line_out(const struct line *w, void *y, const float *v, size_t at, enum dtype type)
{
    const float *lo = w->lo, *hi = w->hi;
#pragma omp simd
    for (size_t i = 0; i < w->n; i++)
        element_store(y, at + i, clamp(v[i], lo[i], hi[i]), type);
}

WIDE static void take_line(const struct line *w, float *v, const void *x, const void *r, size_t at, enum dtype type)
{
    if (type == DTYPE_BF16)
        line_in(w, v, x, r, at, DTYPE_BF16);
    else
        line_in(w, v, x, r, at, DTYPE_F32);
}

WIDE static void give_line(const struct line *w, void *y, const float *v, size_t at, enum dtype type)
{
    if (type == DTYPE_BF16)
        line_out(w, y, v, at, DTYPE_BF16);
    else
        line_out(w, y, v, at, DTYPE_F32);
}

static void run_line(struct act act, const struct line *w, void *y, const void *x, const void *r, size_t at,
                     enum dtype type)
{
    float v[ROW];
    take_line(w, v, x, r, at, type);
    curve_run(act, w->slope, v, w->n);
    give_line(w, y, v, at, type);
}

/* n pixels of a panel of few channels, from channel c on: their numbers are repeated for as many pixels as a line has. */
static void curve_narrow(const struct map *map, const float *m, const float *a, const struct layout *l, int c, size_t at,
                         size_t n, void *y, const void *x, const void *r)
{
    float of[MAP_ARRAYS][ROW];
    const float *from[MAP_ARRAYS] = {m + c, a + c, map->b + c, map->lo + c, map->hi + c, map->slope + c};
    size_t lanes = (size_t)l->lanes, most = ROW / lanes, filled = most < n ? most : n;
    for (int k = 0; k < MAP_ARRAYS; k++)
        for (size_t i = 0; i < filled * lanes; i++)
            of[k][i] = i < lanes ? from[k][i] : of[k][i - lanes];
    for (size_t i = 0; i < n; i += most) {
        size_t pixels = n - i < most ? n - i : most;
        struct line w = {of[0], of[1], of[2], of[3], of[4], of[5], pixels * lanes};
        run_line(map->act, &w, y, x, r, at + i * lanes, l->type);
    }
}

/* n pixels of more channels than a line has. */
static void curve_broad(const struct map *map, const float *m, const float *a, const struct layout *l, int c, size_t at,
                        size_t n, void *y, const void *x, const void *r)
{
    for (size_t i = 0; i < n; i++, at += (size_t)l->lanes)
        for (int k = 0; k < l->lanes; k += ROW) {
            size_t k_c = (size_t)(c + k), width = (size_t)(l->lanes - k < ROW ? l->lanes - k : ROW);
            struct line w = {m + k_c,       a + k_c,          map->b + k_c, map->lo + k_c,
                             map->hi + k_c, map->slope + k_c, width};
            run_line(map->act, &w, y, x, r, at + (size_t)k, l->type);
        }
}

static void run_curve(const struct map *map, const float *m, const float *a, const struct layout *l, void *y,
                      const void *x, const void *r)
{
    size_t n = (size_t)l->H * (size_t)l->W;
    int panels = layout_panels(l), images = l->N;
    if (panels == 1) {
        n *= (size_t)images;
        images = 1;
    }
    for (int i = 0; i < images; i++)
        for (int p = 0; p < panels; p++)
            if (l->lanes <= ROW / 2)
                curve_narrow(map, m, a, l, p * l->lanes, layout_panel(l, i, p), n, y, x, r);
            else
                curve_broad(map, m, a, l, p * l->lanes, layout_panel(l, i, p), n, y, x, r);
}

void map_run(const struct map *map, const float *m, const float *a, const struct layout *l, void *y, const void *x,
             const void *r)
{
    size_t n = (size_t)l->H * (size_t)l->W;
    int panels = layout_panels(l), images = l->N;
    if (map->act.curve != CURVE_NONE) {
        run_curve(map, m, a, l, y, x, r);
        return;
    }
    if (panels == 1) { /* images follow each other without a seam */
        n *= (size_t)images;
        images = 1;
    }
    bool vectors = l->lanes == 16 && l->type == DTYPE_F32;
    if (panels == 1 && l->lanes > 1 && l->lanes <= ROW / 2 && !vectors) {
        run_rows(map, m, a, l, n, y, x, r);
        return;
    }
    for (int i = 0; i < images; i++) {
        for (int p = 0; p < panels; p++) {
            size_t at = layout_panel(l, i, p);
            int c = p * l->lanes;
            const float *b = map->b + c, *lo = map->lo + c, *hi = map->hi + c;
            if (l->lanes == 1)
                run_plane(y, x, r, at, n, m[c], a[c], *b, *lo, *hi, l->type);
            else if (vectors)
                run_16(y, x, r, at, n, m + c, a + c, b, lo, hi);
            else
                run_lanes(y, x, r, at, n, l->lanes, m + c, a + c, b, lo, hi, l->type);
        }
    }
}
