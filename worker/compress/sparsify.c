#include "worker/compress/sparsify.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/compress/scale.h"

/* Magnitudes order as the bits of their floats do. */
static uint32_t magnitude(float x)
{
    uint32_t u;
    memcpy(&u, &x, sizeof u);
    return u & UINT32_C(0x7fffffff);
}

/*
 * The `count`-th largest magnitude, and how many of those equal to it are among the first `count`: by its upper half
 * first, then by its lower one among those that share the upper.
 */
static uint32_t threshold(const float *w, size_t n, int64_t count, int64_t *equal)
{
    enum { HALF = 1 << 16 };
    int64_t *seen = xcalloc(HALF, sizeof(*seen));
    uint32_t high = 0x7fff, low = 0xffff;
    for (size_t i = 0; i < n; i++)
        seen[magnitude(w[i]) >> 16]++;
    for (; count > seen[high]; high--)
        count -= seen[high];
    memset(seen, 0, HALF * sizeof(*seen));
    for (size_t i = 0; i < n; i++)
        if (magnitude(w[i]) >> 16 == high)
            seen[magnitude(w[i]) & 0xffff]++;
    for (; count > seen[low]; low--)
        count -= seen[low];
    free(seen);
    *equal = count;
    return high << 16 | low;
}

void sparsify_largest(float *w, size_t n, int64_t count)
{
    int64_t equal;
    if (count >= (int64_t)n)
        return;
    if (count <= 0) {
        memset(w, 0, n * sizeof(*w));
        return;
    }
    uint32_t least = threshold(w, n, count, &equal);
    for (size_t i = 0; i < n; i++) {
        uint32_t u = magnitude(w[i]);
        if (u < least || (u == least && equal-- <= 0))
            w[i] = 0;
    }
}

void sparsify(struct model *m, const struct fine *layers, const int *keep)
{
    for (int i = 0; i < layers->n; i++) {
        struct params *p = &m->weights.of[layers->of[i].node];
        sparsify_largest(p->w, p->n_w, fine_count(layers, i, keep[i]));
    }
}

/* A layer whose curve is wanted: groups of K rows, each with its own covariance of n columns. */
struct curve_work {
    const float *w; /* (groups,K,n) */
    const struct gram *gr;
    bool moment; /* the mean counts */
    int groups, K, n;
    double *scale;   /* (groups * K) */
    float *gone, *G; /* (groups,K,n) what is gone, scaled; (K,n) its product with G */
};

/* tr(D G D') of what stands in `gone`. */
static double output_error(const struct curve_work *c)
{
    double sum = 0;
    size_t rows = (size_t)c->K, n = (size_t)c->n;
    for (int cg = 0; cg < c->groups; cg++) {
        const float *d = c->gone + (size_t)cg * rows * n;
        const float *of = d;
        if (c->gr) {
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, c->K, c->n, c->n, 1, d, c->n,
                        c->gr->cov + (size_t)cg * n * n, c->n, 0, c->G, c->n);
            of = c->G;
        }
        for (size_t k = 0; k < rows; k++) {
            sum += cblas_dsdot(c->n, d + k * n, 1, of + k * n, 1);
            if (c->gr && c->moment) {
                double mean = cblas_dsdot(c->n, d + k * n, 1, c->gr->mean + (size_t)cg * n, 1);
                sum += mean * mean;
            }
        }
    }
    return sum;
}

static double error_at(const struct curve_work *c, const struct fine *layer, int k)
{
    size_t all = (size_t)c->groups * (size_t)c->K * (size_t)c->n;
    memcpy(c->gone, c->w, all * sizeof(float));
    sparsify_largest(c->gone, all, fine_count(layer, 0, k));
    for (size_t i = 0; i < all; i++)
        c->gone[i] = (float)((double)(c->w[i] - c->gone[i]) * c->scale[i / (size_t)c->n]);
    return output_error(c);
}

/* False when the output's variance is no number. */
static bool fill_curve(const struct curve_work *c, const struct fine *layer, float *curve)
{
    static const int grid[] = {0,   25,  50,  75,  100, 150, 200, 250, 300, 350, 400, 450,
                               500, 550, 600, 650, 700, 750, 800, 850, 900, 950, FINE_MOST};
    double all = error_at(c, layer, 0), last = 1;
    if (!isfinite(all))
        return false;
    curve[0] = all > 0 ? 1 : 0;
    for (size_t i = 1; i < sizeof grid / sizeof *grid; i++) {
        int from = grid[i - 1], to = grid[i];
        double at = to == FINE_MOST || !(all > 0) ? 0 : error_at(c, layer, to) / all;
        at = fmin(at, last);
        for (int k = from + 1; k < to; k++)
            curve[k] = all > 0 ? (float)(last + (at - last) * (k - from) / (to - from)) : 0;
        curve[to] = (float)at; /* to the bit: nothing is lost where all is kept */
        last = at;
    }
    return true;
}

int sparsify_curve(const struct model *m, int node, const struct gram *gr, float *curve, struct err *e)
{
    const struct node *d = &m->graph.nodes[node];
    const struct params *p = &m->weights.of[node];
    struct fine_layer one = {.node = node, .weights = (int64_t)p->n_w, .positions = 1};
    const struct fine layer = {.n = 1, .of = &one};
    struct curve_work c = {
        .w = p->w, .gr = gr, .moment = d->op == OP_GEMM, .groups = d->op == OP_CONV ? d->u.conv.groups : 1};
    c.K = d->C / c.groups;
    c.n = (int)(p->n_w / (size_t)d->C);
    c.scale = xcalloc((size_t)d->C, sizeof(*c.scale));
    c.gone = mem_alloc(p->n_w, sizeof(*c.gone));
    c.G = mem_alloc((size_t)c.K, (size_t)c.n * sizeof(*c.G));
    int rc = 0;
    if (c.gone && c.G) {
        output_scale(m, node, c.scale);
        if (!fill_curve(&c, &layer, curve))
            rc = err_set(e, ERR_INVALID, "the variance of \"%s\" is not a number", d->name);
    } else {
        rc = err_set(e, ERR_NOMEM, "no memory for the sensitivity of \"%s\"", d->name);
    }
    free(c.scale);
    mem_free(c.gone);
    mem_free(c.G);
    return rc;
}
