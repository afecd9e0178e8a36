#include "coordinator/policy/network.h"

#include <cblas.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/wide.h"

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

void trace_init(struct trace *t, int N, int D, int H)
{
    size_t n = (size_t)N * (size_t)H;
    *t = (struct trace){.N = N, .D = D, .H = H, .xt = floats((size_t)N * (size_t)D)};
    t->h1 = floats(2 * n);
    t->h2 = floats(2 * n);
    t->d1 = floats(n);
    t->d2 = floats(n);
    t->d2t = floats(n);
}

void trace_release(struct trace *t)
{
    mem_free(t->xt);
    mem_free(t->h1);
    mem_free(t->h2);
    mem_free(t->d1);
    mem_free(t->d2);
    mem_free(t->d2t);
    *t = (struct trace){0};
}

/* Whether OpenBLAS's kernels for this CPU have a way that packs neither factor: 0.3.21's for AVX-512 do. */
static bool packs_not(void)
{
    const char *core = openblas_get_corename();
    return strcmp(core, "SkylakeX") == 0 || strcmp(core, "Cooperlake") == 0 || strcmp(core, "SapphireRapids") == 0;
}

/*
 * C (M,N), rows ldc apart, = A X: A (M,K), or (K,M) to be transposed; X (K,N), rows ldx apart.
 *
 * OpenBLAS takes the way without packing where X isn't transposed and a product has at most 100^3 multiplications,
 * so it's given so many rows of C at a time: 62 us instead of 82 for (300,300) (300,64).
 */
static void product(float *c, int ldc, CBLAS_TRANSPOSE how, const float *a, const float *x, int ldx, int M, int N,
                    int K)
{
    const double rows = packs_not() ? 1e6 / ((double)N * K) : M;
    const int step = rows < 16 || rows >= M ? M : (int)rows / 16 * 16;
    const int lda = how == CblasTrans ? M : K;
    const size_t next = how == CblasTrans ? 1 : (size_t)K;
    for (int m = 0; m < M; m += step)
        cblas_sgemm(CblasRowMajor, how, CblasNoTrans, M - m < step ? M - m : step, N, K, 1, a + (size_t)m * next,
                    lda, x, ldx, 0, c + (size_t)m * (size_t)ldc, ldc);
}

/* at (C,R) = a (R,C) transposed */
static void transpose(float *at, const float *a, int R, int C)
{
    cblas_somatcopy(CblasRowMajor, CblasTrans, R, C, 1, a, C, at, R);
}

/* h1 (H,N), rows ld apart, = w1 x', yet without b1 */
static void first_product(const struct network *w, const float *x, int N, struct trace *t, int ld)
{
    if (N > t->N || w->D != t->D || w->H != t->H)
        BUG("%d rows, %d inputs, %d units in a trace of %d, %d, %d", N, w->D, w->H, t->N, t->D, t->H);
    transpose(t->xt, x, N, w->D);
    product(t->h1, ld, CblasNoTrans, layers_of(w, w->p).w1, t->xt, N, w->H, N, w->D);
}

/* h (H,N) = relu(h + b), b one a unit */
WIDE static void bias_relu(float *h, const float *b, int H, int N)
{
    for (int k = 0; k < H; k++) {
        float *h_k = h + (size_t)k * (size_t)N;
        const float b_k = b[k];
#pragma omp simd
        for (int n = 0; n < N; n++) {
            float v = h_k[n] + b_k;
            h_k[n] = v > 0 ? v : 0;
        }
    }
}

void network_forward(const struct network *w, float *y, const float *x, int N, struct trace *t)
{
    const int H = w->H;
    struct layers l = layers_of(w, w->p);
    first_product(w, x, N, t, N);
    bias_relu(t->h1, l.b1, H, N);
    product(t->h2, N, CblasTrans, l.w2, t->h1, N, H, N, H);
    bias_relu(t->h2, l.b2, H, N);
    for (int n = 0; n < N; n++)
        y[n] = *l.b3;
    cblas_sgemv(CblasRowMajor, CblasTrans, H, N, 1, t->h2, N, l.w3, 1, 1, y, 1);
}

/* d2 (H,N) = w3' dy where the unit was on */
WIDE static void output_grad(float *d2, const float *w3, const float *dy, const float *h2, int H, int N)
{
    for (int k = 0; k < H; k++) {
        float *d_k = d2 + (size_t)k * (size_t)N;
        const float *h_k = h2 + (size_t)k * (size_t)N, w_k = w3[k];
#pragma omp simd
        for (int n = 0; n < N; n++)
            d_k[n] = h_k[n] > 0 ? w_k * dy[n] : 0;
    }
}

/* Nothing flows back through a unit that was off. */
WIDE static void mask(float *d, const float *h, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        d[i] = h[i] > 0 ? d[i] : 0;
}

static void bias_grad(float *db, const float *d, int H, int N)
{
    for (int k = 0; k < H; k++) {
        const float *d_k = d + (size_t)k * (size_t)N;
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int n = 0; n < N; n++)
            sum += d_k[n];
        db[k] = sum;
    }
}

void network_backward(const struct network *w, float *dp, const float *dy, const float *x, int N, struct trace *t)
{
    const int H = w->H, D = w->D;
    struct layers l = layers_of(w, w->p), g = layers_of(w, dp);
    output_grad(t->d2, l.w3, dy, t->h2, H, N);
    product(t->d1, N, CblasNoTrans, l.w2, t->d2, N, H, N, H);
    mask(t->d1, t->h1, (size_t)H * (size_t)N);
    product(g.w1, D, CblasNoTrans, t->d1, x, D, H, D, N);
    bias_grad(g.b1, t->d1, H, N);
    transpose(t->d2t, t->d2, H, N);
    product(g.w2, H, CblasNoTrans, t->h1, t->d2t, H, H, H, N);
    bias_grad(g.b2, t->d2, H, N);
    cblas_sgemv(CblasRowMajor, CblasNoTrans, H, N, 1, t->h2, N, dy, 1, 0, g.w3, 1);
    bias_grad(g.b3, dy, 1, N);
}

/* h (H,2N): the left half becomes relu(left + b); the right half, the slope there, passes where that unit is on. */
WIDE static void bias_relu_slope(float *h, const float *b, int H, int N)
{
    for (int k = 0; k < H; k++) {
        float *h_k = h + (size_t)k * 2 * (size_t)N, *s_k = h_k + N;
        const float b_k = b[k];
#pragma omp simd
        for (int n = 0; n < N; n++) {
            float v = h_k[n] + b_k;
            h_k[n] = v > 0 ? v : 0;
            s_k[n] = v > 0 ? s_k[n] : 0;
        }
    }
}

void network_slope(const struct network *w, float *slope, const float *x, int N, struct trace *t)
{
    const int H = w->H, D = w->D, N2 = 2 * N;
    struct layers l = layers_of(w, w->p);
    first_product(w, x, N, t, N2);
    for (int k = 0; k < H; k++) {
        float *s_k = t->h1 + (size_t)k * (size_t)N2 + N;
        const float w_k = l.w1[(size_t)k * (size_t)D + (size_t)(D - 1)];
#pragma omp simd
        for (int n = 0; n < N; n++)
            s_k[n] = w_k;
    }
    bias_relu_slope(t->h1, l.b1, H, N);
    product(t->h2, N2, CblasTrans, l.w2, t->h1, N2, H, N, H);
    product(t->h2 + N, N2, CblasTrans, l.w2, t->h1 + N, N2, H, N, H);
    bias_relu_slope(t->h2, l.b2, H, N);
    cblas_sgemv(CblasRowMajor, CblasTrans, H, N, 1, t->h2 + N, N2, l.w3, 1, 0, slope, 1);
}
