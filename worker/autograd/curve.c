#include "worker/autograd/curve.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/wide.h"
#include "worker/engine/bf16.h"
#include "worker/engine/curve.h"

#define ROW 256 /* numbers at a time */
#define VEC 16  /* channels at a time */

/* ---- slopes ---- */

int slopes_new(struct slopes **out, int node, const struct layout *l, int parts, struct err *e)
{
    struct slopes *s = xcalloc(1, sizeof *s);
    *s = (struct slopes){.node = node, .C = l->C, .padded = layout_panels(l) * l->lanes, .parts = parts};
    s->slope = mem_zalloc((size_t)s->padded, sizeof *s->slope);
    s->sums = mem_zalloc((size_t)s->padded, (size_t)parts * sizeof *s->sums);
    s->grad = mem_zalloc((size_t)s->C, sizeof *s->grad);
    if (!s->slope || !s->sums || !s->grad) {
        slopes_free(s);
        return err_set(e, ERR_NOMEM, "no memory for %d slopes", l->C);
    }
    *out = s;
    return 0;
}

void slopes_free(struct slopes *s)
{
    if (!s)
        return;
    mem_free(s->slope);
    mem_free(s->sums);
    mem_free(s->grad);
    free(s);
}

void slopes_join(struct slopes *s)
{
    for (int c = 0; c < s->C; c++) {
        double sum = 0;
        for (int p = 0; p < s->parts; p++)
            sum += s->sums[(size_t)p * (size_t)s->padded + (size_t)c];
        s->grad[c] = (float)sum;
    }
}

/* ---- which nodes are curves ---- */

/* Whether `gate` is a Sigmoid or HardSigmoid of x that the Mul alone reads. */
static bool gates(const struct graph *g, const int *reads, int gate, int x)
{
    const struct node *n = &g->nodes[gate];
    return (n->op == OP_SIGMOID || n->op == OP_HARDSIGMOID) && n->in[0] == x && reads[gate] == 1;
}

static bool swish_at(const struct graph *g, const int *reads, const struct node *mul, struct act *a, int *x)
{
    int k = gates(g, reads, mul->in[1], mul->in[0]) ? 1 : 0, gate = mul->in[k];
    *x = mul->in[1 - k];
    if (!gates(g, reads, gate, *x))
        return false;
    a->curve = g->nodes[gate].op == OP_SIGMOID ? CURVE_SWISH : CURVE_HARDSWISH;
    a->alpha = g->nodes[gate].u.act.alpha;
    a->beta = g->nodes[gate].u.act.beta;
    return true;
}

bool curve_at(const struct graph *g, const int *reads, int tail, struct act *a, int *x)
{
    static const enum curve of[OP_COUNT] = {
        [OP_SIGMOID] = CURVE_SIGMOID,     [OP_TANH] = CURVE_TANH,       [OP_HARDSIGMOID] = CURVE_HARDSIGMOID,
        [OP_HARDSWISH] = CURVE_HARDSWISH, [OP_LEAKYRELU] = CURVE_SLOPE, [OP_ELU] = CURVE_ELU,
        [OP_PRELU] = CURVE_SLOPES};
    const struct node *n = &g->nodes[tail];
    *a = ACT_NONE;
    if (n->op == OP_MUL)
        return swish_at(g, reads, n, a, x);
    if (of[n->op] == CURVE_NONE)
        return false;
    a->curve = of[n->op];
    a->alpha = n->op == OP_HARDSWISH ? 1.0F / 6 : n->u.act.alpha;
    a->beta = n->op == OP_HARDSWISH ? 0.5F : n->u.act.beta;
    *x = n->in[0];
    return true;
}

void curve_inner(const struct graph *g, const int *reads, const bool *live, bool *inner)
{
    for (int i = 0; i < g->n; i++) {
        struct act a;
        int x;
        if (live[i] && g->nodes[i].op == OP_MUL && curve_at(g, reads, i, &a, &x))
            inner[g->nodes[i].in[0] == x ? g->nodes[i].in[1] : g->nodes[i].in[0]] = true;
    }
}

/* ---- passes ---- */

ALWAYS_INLINE void load(float *v, const void *p, size_t at, size_t n, enum dtype type)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        v[i] = element_load(p, at + i, type);
}

ALWAYS_INLINE void multiply(void *to, const void *by, const float *v, size_t at, size_t n, enum dtype type)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        element_store(to, at + i, element_load(by, at + i, type) * v[i], type);
}

WIDE static void load_row(float *v, const void *p, size_t at, size_t n, enum dtype type)
{
    if (type == DTYPE_BF16)
        load(v, p, at, n, DTYPE_BF16);
    else
        load(v, p, at, n, DTYPE_F32);
}

WIDE static void multiply_row(void *to, const void *by, const float *v, size_t at, size_t n, enum dtype type)
{
    if (type == DTYPE_BF16)
        multiply(to, by, v, at, n, DTYPE_BF16);
    else
        multiply(to, by, v, at, n, DTYPE_F32);
}

/* n pixels, `lanes` apart, of `run` channels from element `at` on. */
ALWAYS_INLINE void slope_pixels(void *dx, const void *dy, const void *x, size_t at, size_t n, size_t lanes, int run,
                                const float *slope, double *sums, enum dtype type)
{
    for (size_t row = 0; row < n; row += ROW) {
        float s[VEC] = {0};
        for (size_t i = row; i < n && i < row + ROW; i++) {
#pragma omp simd
            for (int k = 0; k < run; k++) {
                size_t e = at + i * lanes + (size_t)k;
                float v = element_load(x, e, type), d = element_load(dy, e, type);
                s[k] += v < 0 ? d * v : 0;
                element_store(dx, e, v > 0 ? d : d * slope[k], type);
            }
        }
        for (int k = 0; k < run; k++)
            sums[k] += (double)s[k];
    }
}

WIDE static void slope_panel(void *dx, const void *dy, const void *x, size_t at, size_t n, size_t lanes, int run,
                             const float *slope, double *sums, enum dtype type)
{
    if (type == DTYPE_BF16)
        slope_pixels(dx, dy, x, at, n, lanes, run, slope, sums, DTYPE_BF16);
    else
        slope_pixels(dx, dy, x, at, n, lanes, run, slope, sums, DTYPE_F32);
}

static void slopes_back(struct slopes *s, int part, const struct layout *l, void *dx, const void *dy, const void *x)
{
    double *sums = s->sums + (size_t)part * (size_t)s->padded;
    size_t n = (size_t)l->H * (size_t)l->W;
    memset(sums, 0, (size_t)s->padded * sizeof *sums);
    for (int image = 0; image < l->N; image++)
        for (int c = 0, run; c < s->padded; c += run) {
            int lane = c % l->lanes;
            run = l->lanes - lane < VEC ? l->lanes - lane : VEC;
            slope_panel(dx, dy, x, layout_panel(l, image, c / l->lanes) + (size_t)lane, n, (size_t)l->lanes, run,
                        s->slope + c, sums + c, l->type);
        }
}

void curve_back(struct act act, struct slopes *s, int part, const struct layout *l, void *dx, const void *dy,
                const void *x)
{
    if (act.curve == CURVE_SLOPES) {
        slopes_back(s, part, l, dx, dy, x);
        return;
    }
    size_t all = layout_floats(l);
    for (size_t at = 0; at < all; at += ROW) {
        size_t n = all - at < ROW ? all - at : ROW;
        float v[ROW], d[ROW];
        load_row(v, x, at, n, l->type);
        curve_slope(act, NULL, v, d, n);
        multiply_row(dx, dy, d, at, n, l->type);
    }
}
