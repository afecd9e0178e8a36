#include "coordinator/policy/network.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#include "common/base/mem.h"

/* Where each layer's parameters lie in the block. */
struct layers {
    float *w1, *b1, *w2, *b2, *w3, *b3;
};

static struct layers layers_of(const struct network *w, float *p)
{
    size_t D = (size_t)w->D, H = (size_t)w->H;
    struct layers l = {.w1 = p};
    l.b1 = l.w1 + H * D;
    l.w2 = l.b1 + H;
    l.b2 = l.w2 + H * H;
    l.w3 = l.b2 + H;
    l.b3 = l.w3 + H;
    return l;
}

static float *floats(size_t n)
{
    float *p = mem_zalloc(n, sizeof *p);
    if (!p)
        BUG("no memory for a policy's network of %zu floats", n);
    return p;
}

void network_init(struct network *w, int D, int H)
{
    size_t d = (size_t)D, h = (size_t)H;
    *w = (struct network){.D = D, .H = H, .n = h * d + h + h * h + h + h + 1};
    w->p = floats(w->n);
}

void network_release(struct network *w)
{
    mem_free(w->p);
    *w = (struct network){0};
}

static void draw(struct rng *r, float *p, size_t n, double within)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (float)(within * (2 * rng_uniform(r) - 1));
}

void network_draw(struct network *w, struct rng *r)
{
    struct layers l = layers_of(w, w->p);
    size_t D = (size_t)w->D, H = (size_t)w->H;
    draw(r, l.w1, H * D + H, 1 / sqrt(w->D)); /* with its b1 */
    draw(r, l.w2, H * H + H, 1 / sqrt(w->H));
    draw(r, l.w3, H + 1, 0.003);
}

void trace_init(struct trace *t, int N, int H)
{
    size_t n = (size_t)N * (size_t)H;
    *t = (struct trace){.N = N, .H = H, .h1 = floats(n), .h2 = floats(n), .d1 = floats(n), .d2 = floats(n)};
}

void trace_release(struct trace *t)
{
    mem_free(t->h1);
    mem_free(t->h2);
    mem_free(t->d1);
    mem_free(t->d2);
    *t = (struct trace){0};
}

/* y (N,K) = relu(x (N,C) w' + b), w (K,C) */
static void dense_relu(float *y, const float *x, const float *w, const float *b, int N, int K, int C)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, N, K, C, 1, x, C, w, C, 0, y, K);
    for (int n = 0; n < N; n++) {
        float *y_n = y + (size_t)n * (size_t)K;
#pragma omp simd
        for (int k = 0; k < K; k++) {
            float v = y_n[k] + b[k];
            y_n[k] = v > 0 ? v : 0;
        }
    }
}

void network_forward(const struct network *w, float *y, const float *x, int N, struct trace *t)
{
    struct layers l = layers_of(w, w->p);
    if (N > t->N || w->H != t->H)
        BUG("%d rows of %d in a trace of %d rows of %d", N, w->H, t->N, t->H);
    dense_relu(t->h1, x, l.w1, l.b1, N, w->H, w->D);
    dense_relu(t->h2, t->h1, l.w2, l.b2, N, w->H, w->H);
    for (int n = 0; n < N; n++)
        y[n] = *l.b3;
    cblas_sgemv(CblasRowMajor, CblasNoTrans, N, w->H, 1, t->h2, w->H, l.w3, 1, 1, y, 1);
}

/* d (N,H): nothing flows back through a unit that was off. */
static void mask(float *d, const float *h, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        d[i] = h[i] > 0 ? d[i] : 0;
}

/* db (K) = sum over rows of d (N,K);  dw (K,C) = d' x (N,C) */
static void dense_grad(float *dw, float *db, const float *d, const float *x, int N, int K, int C)
{
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, K, C, N, 1, d, K, x, C, 0, dw, C);
    memset(db, 0, (size_t)K * sizeof *db);
    for (int n = 0; n < N; n++) {
        const float *d_n = d + (size_t)n * (size_t)K;
#pragma omp simd
        for (int k = 0; k < K; k++)
            db[k] += d_n[k];
    }
}

void network_backward(const struct network *w, float *dp, float *dx, const float *dy, const float *x, int N,
                      struct trace *t)
{
    struct layers l = layers_of(w, w->p), g = {0};
    size_t NH = (size_t)N * (size_t)w->H;
    for (int n = 0; n < N; n++) { /* d2 = dy (N,1) w3 (1,H) */
        float *d_n = t->d2 + (size_t)n * (size_t)w->H;
#pragma omp simd
        for (int h = 0; h < w->H; h++)
            d_n[h] = dy[n] * l.w3[h];
    }
    mask(t->d2, t->h2, NH);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, w->H, w->H, 1, t->d2, w->H, l.w2, w->H, 0, t->d1, w->H);
    mask(t->d1, t->h1, NH);
    if (dx)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, N, w->D, w->H, 1, t->d1, w->H, l.w1, w->D, 0, dx, w->D);
    if (!dp)
        return;
    g = layers_of(w, dp);
    dense_grad(g.w1, g.b1, t->d1, x, N, w->H, w->D);
    dense_grad(g.w2, g.b2, t->d2, t->h1, N, w->H, w->H);
    cblas_sgemv(CblasRowMajor, CblasTrans, N, w->H, 1, t->h2, w->H, dy, 1, 0, g.w3, 1);
    *g.b3 = 0;
    for (int n = 0; n < N; n++)
        *g.b3 += dy[n];
}
