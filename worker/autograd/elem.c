/*
 * One driver walks over a value in tiles of some rows of FLAT_BLOCK numbers; kernels do a tile. Rows are a period
 * apart. A kernel is one inline function with everything that varies as a constant argument.
 *
 * Kernels take 16 columns of each quarter of a row at once. In bf16 a quarter is every second number of 32: of a
 * word of two numbers one is a shift away from fp32 and the other a mask, and nothing crosses lanes (flat_place).
 */
#include "worker/autograd/elem.h"

#include <math.h>

#include "common/base/wide.h"
#include "worker/engine/bf16.h"

#define TILE  8192 /* numbers in a group of rows, which stay in the first cache while its columns are done */
#define FLUSH 512  /* rows summed in fp32 before they go to the double sums */
#define VEC   16

#define ALWAYS static inline __attribute__((always_inline))

/* A tile: the pointers are at its first column. */
struct tile {
    struct elem at;
    size_t rows, stride;
    float *sums[2]; /* fp32, of FLAT_BLOCK columns */
};

enum mask { MASK_NONE, MASK_X, MASK_Y };

/* What a kernel is made of. */
struct form {
    bool two;       /* g + h */
    enum mask mask; /* of g */
    bool sums, out;
};

struct two {
    float even, odd;
};

/* Numbers of two neighbouring quarters (0 and 1, or 2 and 3 where half is 1) from a row that begins at i. */
ALWAYS struct two get(const void *p, size_t i, size_t half, size_t k, enum dtype type)
{
    struct two v;
    if (type == DTYPE_F32) {
        const float *row = (const float *)p + i + half * 2 * VEC;
        v.even = row[k];
        v.odd = row[VEC + k];
        return v;
    }
    uint32_t word, even, odd;
    memcpy(&word, (const char *)p + (i + half * 2 * VEC) * sizeof(uint16_t) + k * sizeof word, sizeof word);
    even = word << 16;
    odd = word & 0xffff0000;
    memcpy(&v.even, &even, sizeof even);
    memcpy(&v.odd, &odd, sizeof odd);
    return v;
}

/* To nearest even. NaNs come from bf16 or from arithmetic, or flat_expand made them such: none turns into a number.
 */
ALWAYS uint32_t rounded(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits + 0x7fff + (bits >> 16 & 1);
}

ALWAYS void put(void *p, size_t i, size_t half, size_t k, struct two v, enum dtype type)
{
    if (type == DTYPE_F32) {
        float *row = (float *)p + i + half * 2 * VEC;
        row[k] = v.even;
        row[VEC + k] = v.odd;
        return;
    }
    uint32_t word = rounded(v.even) >> 16 | (rounded(v.odd) & 0xffff0000);
    memcpy((char *)p + (i + half * 2 * VEC) * sizeof(uint16_t) + k * sizeof word, &word, sizeof word);
}

ALWAYS bool inside(float v, float lo, float hi)
{
    return (v > lo) & (v < hi);
}

ALWAYS float clamp(float v, float lo, float hi)
{
    v = v < lo ? lo : v;
    return v > hi ? hi : v;
}

/* ---- statistics ---- */

ALWAYS void stats_half(const struct elem *e, size_t i, size_t half, size_t k, float *s, float *q, enum dtype type)
{
    size_t c = half * 2 * VEC + k;
    struct two v = get(e->in[0], i, half, k, type);
    v.even -= e->m[c];
    v.odd -= e->m[c + VEC];
    s[c] += v.even;
    s[c + VEC] += v.odd;
    q[c] = fmaf(v.even, v.even, q[c]);
    q[c + VEC] = fmaf(v.odd, v.odd, q[c + VEC]);
}

ALWAYS void stats(const struct tile *t, enum dtype type)
{
    const struct elem e = t->at;
    const size_t rows = t->rows, stride = t->stride;
    float s[FLAT_BLOCK], q[FLAT_BLOCK];
    memcpy(s, t->sums[0], sizeof s);
    memcpy(q, t->sums[1], sizeof q);
    for (size_t r = 0; r < rows; r++) {
#pragma omp simd
        for (size_t k = 0; k < VEC; k++) {
            stats_half(&e, r * stride, 0, k, s, q, type);
            stats_half(&e, r * stride, 1, k, s, q, type);
        }
    }
    memcpy(t->sums[0], s, sizeof s);
    memcpy(t->sums[1], q, sizeof q);
}

/* ---- forward ---- */

ALWAYS float blended(const struct elem *e, size_t c, float x, float h, bool second, bool affine2)
{
    float v = fmaf(x, e->a[c], e->b[c]);
    if (second)
        v = affine2 ? fmaf(h, e->a2[c], v + e->b2[c]) : v + h;
    return clamp(v, e->lo, e->hi);
}

ALWAYS void blend_half(const struct elem *e, size_t i, size_t half, size_t k, bool second, bool affine2,
                       enum dtype type)
{
    size_t c = half * 2 * VEC + k;
    struct two x = get(e->in[0], i, half, k, type), h = {0, 0}, y;
    if (second)
        h = get(e->in[1], i, half, k, type);
    y.even = blended(e, c, x.even, h.even, second, affine2);
    y.odd = blended(e, c + VEC, x.odd, h.odd, second, affine2);
    put(e->out, i, half, k, y, type);
}

ALWAYS void blend(const struct tile *t, bool second, bool affine2, enum dtype type)
{
    const struct elem e = t->at;
    const size_t rows = t->rows, stride = t->stride;
    for (size_t r = 0; r < rows; r++) {
#pragma omp simd
        for (size_t k = 0; k < VEC; k++) {
            blend_half(&e, r * stride, 0, k, second, affine2, type);
            blend_half(&e, r * stride, 1, k, second, affine2, type);
        }
    }
}

/* ---- backward ---- */

/* The gradient that arrives at a clamp's inner side. */
ALWAYS float masked(const struct elem *e, size_t c, struct form f, float g, float x, float y)
{
    if (f.mask == MASK_X)
        y = fmaf(x, e->a[c], e->b[c]);
    if (f.mask == MASK_NONE)
        return g;
    return inside(y, e->lo, e->hi) ? g : 0;
}

ALWAYS struct two arriving(const struct elem *e, size_t i, size_t half, size_t k, struct form f, struct two x,
                           enum dtype type)
{
    size_t c = half * 2 * VEC + k;
    struct two g = get(e->in[0], i, half, k, type), y = {0, 0};
    if (f.two) {
        struct two h = get(e->in[1], i, half, k, type);
        g.even += h.even;
        g.odd += h.odd;
    }
    if (f.mask == MASK_Y)
        y = get(e->in[3], i, half, k, type);
    g.even = masked(e, c, f, g.even, x.even, y.even);
    g.odd = masked(e, c + VEC, f, g.odd, x.odd, y.odd);
    return g;
}

ALWAYS void gather_half(const struct elem *e, size_t i, size_t half, size_t k, struct form f, float *s, float *q,
                        enum dtype type)
{
    size_t c = half * 2 * VEC + k;
    struct two x = {0, 0}, g;
    if (f.sums)
        x = get(e->in[2], i, half, k, type);
    g = arriving(e, i, half, k, f, x, type);
    if (f.out)
        put(e->out, i, half, k, g, type);
    if (f.sums) {
        s[c] += g.even;
        s[c + VEC] += g.odd;
        q[c] = fmaf(g.even, x.even - e->m[c], q[c]);
        q[c + VEC] = fmaf(g.odd, x.odd - e->m[c + VEC], q[c + VEC]);
    }
}

ALWAYS void gather(const struct tile *t, struct form f, enum dtype type)
{
    const struct elem e = t->at;
    const size_t rows = t->rows, stride = t->stride;
    float s[FLAT_BLOCK], q[FLAT_BLOCK];
    if (f.sums) {
        memcpy(s, t->sums[0], sizeof s);
        memcpy(q, t->sums[1], sizeof q);
    }
    for (size_t r = 0; r < rows; r++) {
#pragma omp simd
        for (size_t k = 0; k < VEC; k++) {
            gather_half(&e, r * stride, 0, k, f, s, q, type);
            gather_half(&e, r * stride, 1, k, f, s, q, type);
        }
    }
    if (f.sums) {
        memcpy(t->sums[0], s, sizeof s);
        memcpy(t->sums[1], q, sizeof q);
    }
}

ALWAYS void slope_half(const struct elem *e, size_t i, size_t half, size_t k, struct form f, enum dtype type)
{
    size_t c = half * 2 * VEC + k;
    struct two x = get(e->in[2], i, half, k, type), g = arriving(e, i, half, k, f, x, type), d;
    d.even = fmaf(e->A[c], g.even, fmaf(e->B[c], x.even, e->D[c]));
    d.odd = fmaf(e->A[c + VEC], g.odd, fmaf(e->B[c + VEC], x.odd, e->D[c + VEC]));
    put(e->out, i, half, k, d, type);
}

ALWAYS void slope(const struct tile *t, struct form f, enum dtype type)
{
    const struct elem e = t->at;
    const size_t rows = t->rows, stride = t->stride;
    for (size_t r = 0; r < rows; r++) {
#pragma omp simd
        for (size_t k = 0; k < VEC; k++) {
            slope_half(&e, r * stride, 0, k, f, type);
            slope_half(&e, r * stride, 1, k, f, type);
        }
    }
}

/* ---- the kernels ---- */

#define KERNEL(name, call, ...)                                                                                    \
    WIDE static void name##_f32(const struct tile *t)                                                              \
    {                                                                                                              \
        call(t, __VA_ARGS__ DTYPE_F32);                                                                            \
    }                                                                                                              \
    WIDE static void name##_bf16(const struct tile *t)                                                             \
    {                                                                                                              \
        call(t, __VA_ARGS__ DTYPE_BF16);                                                                           \
    }

#define FORM(two, mask, sums, out) ((struct form){two, mask, sums, out}),

KERNEL(stats, stats, )
KERNEL(blend, blend, false, false, )
KERNEL(blend_r, blend, true, false, )
KERNEL(blend_2, blend, true, true, )
KERNEL(sums, gather, FORM(false, MASK_NONE, true, false))
KERNEL(sums_x, gather, FORM(false, MASK_X, true, false))
KERNEL(sums_2, gather, FORM(true, MASK_NONE, true, true))
KERNEL(sums_2x, gather, FORM(true, MASK_X, true, true))
KERNEL(sums_y, gather, FORM(false, MASK_Y, true, true))
KERNEL(sums_2y, gather, FORM(true, MASK_Y, true, true))
KERNEL(mask_y, gather, FORM(false, MASK_Y, false, true))
KERNEL(add, gather, FORM(true, MASK_NONE, false, true))
KERNEL(add_y, gather, FORM(true, MASK_Y, false, true))
KERNEL(slope, slope, FORM(false, MASK_NONE, false, true))
KERNEL(slope_x, slope, FORM(false, MASK_X, false, true))

struct entry {
    void (*run[2])(const struct tile *t); /* by dtype */
    bool sums;
};

#define ENTRY(name, with_sums)                                                                                     \
    {                                                                                                              \
        {name##_f32, name##_bf16}, with_sums                                                                       \
    }

static const struct entry entries[ELEM_KINDS] = {
    [ELEM_STATS] = ENTRY(stats, true),      [ELEM_BLEND] = ENTRY(blend, false),
    [ELEM_BLEND_R] = ENTRY(blend_r, false), [ELEM_BLEND_2] = ENTRY(blend_2, false),
    [ELEM_SUMS] = ENTRY(sums, true),        [ELEM_SUMS_X] = ENTRY(sums_x, true),
    [ELEM_SUMS_2] = ENTRY(sums_2, true),    [ELEM_SUMS_2X] = ENTRY(sums_2x, true),
    [ELEM_SUMS_Y] = ENTRY(sums_y, true),    [ELEM_SUMS_2Y] = ENTRY(sums_2y, true),
    [ELEM_MASK_Y] = ENTRY(mask_y, false),   [ELEM_ADD] = ENTRY(add, false),
    [ELEM_ADD_Y] = ENTRY(add_y, false),     [ELEM_SLOPE] = ENTRY(slope, false),
    [ELEM_SLOPE_X] = ENTRY(slope_x, false),
};

/* ---- the driver ---- */

static const float *ahead(const float *p, size_t by)
{
    return p ? p + by : NULL;
}

/* The pass at number `at` of the value, and at number `coef` of the expanded arrays. */
static struct elem moved(const struct elem *e, size_t at, size_t coef, enum dtype type)
{
    struct elem to = *e;
    size_t bytes = at * dtype_bytes(type);
    for (int k = 0; k < ELEM_INPUTS; k++)
        to.in[k] = e->in[k] ? (const char *)e->in[k] + bytes : NULL;
    to.out = e->out ? (char *)e->out + bytes : NULL;
    to.m = ahead(e->m, coef);
    to.a = ahead(e->a, coef);
    to.b = ahead(e->b, coef);
    to.a2 = ahead(e->a2, coef);
    to.b2 = ahead(e->b2, coef);
    to.A = ahead(e->A, coef);
    to.B = ahead(e->B, coef);
    to.D = ahead(e->D, coef);
    return to;
}

WIDE static void flush(float *from, double *to, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        to[i] += (double)from[i];
    memset(from, 0, n * sizeof *from);
}

/* Fewer than FLAT_BLOCK numbers: by way of a whole block, of which the rest is thrown away. */
static void run_rest(const struct entry *k, struct tile *t, size_t n, enum dtype type)
{
    float in[ELEM_INPUTS][FLAT_BLOCK] = {{0}}, out[FLAT_BLOCK], sums[2][FLAT_BLOCK] = {{0}}, *to[2];
    struct elem e = t->at;
    for (int i = 0; i < ELEM_INPUTS; i++) {
        if (!e.in[i])
            continue;
        memcpy(in[i], e.in[i], n * dtype_bytes(type));
        t->at.in[i] = in[i];
    }
    for (int i = 0; i < 2; i++) {
        to[i] = t->sums[i];
        t->sums[i] = sums[i];
    }
    t->at.out = out;
    t->rows = 1;
    k->run[type](t);
    if (e.out)
        memcpy(e.out, out, n * dtype_bytes(type));
    for (size_t i = 0; k->sums && i < n; i++) {
        size_t c = flat_place(i, type);
        to[0][c] += sums[0][c];
        to[1][c] += sums[1][c];
    }
}

/* `rows` whole rows, or less than one (rows = 0, `columns` numbers), from number `at` on. */
static void run_rows(const struct entry *k, const struct flat *f, const struct elem *e, size_t at, size_t coef,
                     size_t rows, size_t columns)
{
    struct tile t = {.stride = f->period};
    for (size_t c = 0; c < columns; c += FLAT_BLOCK) {
        t.at = moved(e, at + c, coef + c, f->type);
        t.rows = rows ? rows : 1;
        if (k->sums) {
            t.sums[0] = e->lent + coef + c;
            t.sums[1] = e->lent + flat_width(f) + coef + c;
        }
        if (columns - c < FLAT_BLOCK)
            run_rest(k, &t, columns - c, f->type);
        else
            k->run[f->type](&t);
    }
}

static void flush_panel(const struct flat *f, const struct elem *e, size_t coef)
{
    flush(e->lent + coef, e->sums[0] + coef, f->period);
    flush(e->lent + flat_width(f) + coef, e->sums[1] + coef, f->period);
}

static void run_run(const struct entry *k, const struct flat *f, const struct elem *e, size_t begin, size_t coef)
{
    size_t rows = f->length / f->period, group = TILE / f->period, since = 0;
    group = f->period == FLAT_BLOCK ? FLUSH : group < 4 ? 4 : group;
    for (size_t r = 0, n; r < rows; r += n) {
        n = rows - r < group ? rows - r : group;
        run_rows(k, f, e, begin + r * f->period, coef, n, f->period);
        since += n;
        if (k->sums && since >= FLUSH) {
            flush_panel(f, e, coef);
            since = 0;
        }
    }
    if (f->length % f->period)
        run_rows(k, f, e, begin + rows * f->period, coef, 0, f->length % f->period);
    if (k->sums)
        flush_panel(f, e, coef);
}

void elem_run(enum elem_kind kind, const struct flat *f, const struct elem *e)
{
    const struct entry *k = &entries[kind];
    if (k->sums)
        memset(e->lent, 0, 2 * flat_width(f) * sizeof *e->lent);
    for (size_t r = 0; r < f->runs; r++)
        run_run(k, f, e, r * f->length, r % (size_t)f->panels * f->period);
}
