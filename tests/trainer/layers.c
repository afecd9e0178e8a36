#include "tests/trainer/tape.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

/* What a layer that works number by number or channel by channel needs to know. */
struct ends {
    const float *x, *y, *dy;
    float *dx;
    int C, M;
    size_t n; /* C * M */
};

/* Of the value (not the input) of node i, C and M. */
static struct ends ends_of(const struct tape *t, int i)
{
    const struct node *d = &t->g->nodes[i];
    int x = d->in[0], M = t->N * d->H * d->W;
    return (struct ends){t->value[x], t->value[i], t->grad[i], t->grad[x], d->C, M, (size_t)d->C * (size_t)M};
}

static void add_into(float *restrict to, const float *restrict from, size_t n)
{
#pragma omp simd
    for (size_t k = 0; k < n; k++)
        to[k] += from[k];
}

/*
 * One convolution as matrix products, y (K, n*P*Q) = w (K, C*R*S) * matrix (C*R*S, n*P*Q), a few images n at a
 * time, so that the matrix stays in the core's own cache.
 */
struct conv {
    struct window win;
    int N, C, H, W, K, P, Q;
    int rows;   /* C*R*S */
    int ld_y;   /* N*P*Q */
    int images; /* of one product */
};

#define MATRIX_FLOATS 65536

static struct conv conv_of(const struct graph *g, int i, int N)
{
    const struct node *d = &g->nodes[i], *x = &g->nodes[d->in[0]];
    const struct window *v = &d->u.conv.win;
    struct conv c = {*v, N, x->C, x->H, x->W, d->C, d->H, d->W, x->C * v->R * v->S, N * d->H * d->W, 1};
    int most = MATRIX_FLOATS / (c.rows * c.P * c.Q);
    c.images = most < 1 ? 1 : most < N ? most : N;
    return c;
}

size_t conv_scratch(const struct graph *g, int i, int N)
{
    struct conv c = conv_of(g, i, N);
    return (size_t)c.rows * (size_t)c.images * (size_t)c.P * (size_t)c.Q;
}

static bool conv_trainable(const struct graph *g, const struct node *d)
{
    (void)g;
    const struct window *v = &d->u.conv.win;
    return d->u.conv.groups == 1 && !d->u.conv.bias && v->dil_h == 1 && v->dil_w == 1;
}

/* The output places [*from, *to) of n whose kernel place k, `pad` before the first, falls inside `size` pixels. */
static void inside(int k, int pad, int stride, int size, int n, int *from, int *to)
{
    int first = pad - k, last = size - 1 + first;
    *from = first > 0 ? (first + stride - 1) / stride : 0;
    *to = last < 0 ? 0 : last / stride + 1;
    *to = *to < n ? *to : n;
    *from = *from < *to ? *from : *to;
}

/* A kernel place over a few images of one channel: where in the output it is on the picture, and which pixel that
 * is. */
struct place {
    int top, bottom, left, right;
    int offset; /* pixel = p * stride_h * W + q * stride_w + offset */
    int images;
};

static void zero_columns(float *line, int rows, int Q, int from, int to)
{
    for (int q = from; q < to; q++)
        for (int p = 0; p < rows; p++)
            line[p * Q + q] = 0;
}

/* Output and input are of one size: all rows of all images are one run, but for the places beside the picture. */
static void move_run(const struct conv *c, const struct place *at, bool gather, float *x, float *line)
{
    int area = c->P * c->Q, n = at->images * area, before = at->offset < 0 ? -at->offset : 0;
    int after = at->offset > 0 ? at->offset : 0;
    size_t run = n > before + after ? (size_t)(n - before - after) : 0;
    if (gather)
        memcpy(line + before, x + before + at->offset, run * sizeof(float));
    zero_columns(line, at->images * c->P, c->Q, 0, at->left);
    zero_columns(line, at->images * c->P, c->Q, at->right, c->Q);
    for (int i = 0; i < at->images; i++) {
        memset(line + i * area, 0, (size_t)(at->top * c->Q) * sizeof(float));
        memset(line + i * area + at->bottom * c->Q, 0, (size_t)((c->P - at->bottom) * c->Q) * sizeof(float));
    }
    if (!gather)
        add_into(x + before + at->offset, line + before, run);
}

static void move_strided(const struct conv *c, const struct place *at, bool gather, float *x, float *line)
{
    if (gather)
        memset(line, 0, (size_t)(at->images * c->P * c->Q) * sizeof(float));
    for (int i = 0; i < at->images; i++, x += c->H * c->W, line += c->P * c->Q)
        for (int p = at->top; p < at->bottom; p++) {
            float *pixel = x + p * c->win.stride_h * c->W + at->offset, *to = line + p * c->Q;
            for (int q = at->left; gather && q < at->right; q++)
                to[q] = pixel[q * c->win.stride_w];
            for (int q = at->left; !gather && q < at->right; q++)
                pixel[q * c->win.stride_w] += to[q];
        }
}

/* Images n ... n+images-1 of x (C,N,H,W) into the matrix, or (its transpose) the matrix, which is lost, added to x.
 */
static void move_all(const struct conv *c, int n, int images, bool gather, float *x, float *matrix)
{
    const struct window *v = &c->win;
    bool same = v->stride_h == 1 && v->stride_w == 1 && c->P == c->H && c->Q == c->W;
    for (int r = 0; r < v->R; r++)
        for (int s = 0; s < v->S; s++) {
            struct place at = {.offset = (r - v->pad_t) * c->W + s - v->pad_l, .images = images};
            inside(r, v->pad_t, v->stride_h, c->H, c->P, &at.top, &at.bottom);
            inside(s, v->pad_l, v->stride_w, c->W, c->Q, &at.left, &at.right);
            for (int k = 0; k < c->C; k++) {
                float *x_k = x + (size_t)(k * c->N + n) * (size_t)(c->H * c->W);
                float *line = matrix + (size_t)((k * v->R + r) * v->S + s) * (size_t)(images * c->P * c->Q);
                (same ? move_run : move_strided)(c, &at, gather, x_k, line);
            }
        }
}

static void conv_forward(struct tape *t, int i, const struct params *w)
{
    struct conv c = conv_of(t->g, i, t->N);
    float *x = t->value[t->g->nodes[i].in[0]];
    for (int n = 0; n < c.N; n += c.images) {
        int images = c.N - n < c.images ? c.N - n : c.images, cols = images * c.P * c.Q;
        move_all(&c, n, images, true, x, t->scratch);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, c.K, cols, c.rows, 1, w->w, c.rows, t->scratch, cols,
                    0, t->value[i] + n * c.P * c.Q, c.ld_y);
    }
}

static void conv_backward(struct tape *t, int i, const struct params *w, struct params *dw)
{
    struct conv c = conv_of(t->g, i, t->N);
    float *x = t->value[t->g->nodes[i].in[0]], *dx = t->grad[t->g->nodes[i].in[0]];
    for (int n = 0; n < c.N; n += c.images) {
        int images = c.N - n < c.images ? c.N - n : c.images, cols = images * c.P * c.Q;
        const float *dy = t->grad[i] + n * c.P * c.Q;
        move_all(&c, n, images, true, x, t->scratch);
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, c.K, c.rows, cols, 1, dy, c.ld_y, t->scratch, cols, 1,
                    dw->w, c.rows);
        if (!dx)
            continue;
        cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, c.rows, cols, c.K, 1, w->w, c.rows, dy, c.ld_y, 0,
                    t->scratch, cols);
        move_all(&c, n, images, false, dx, t->scratch);
    }
}

static void measure(int M, const float *x, float *mean, float *var)
{
    float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int i = 0; i < M; i++)
        sum += x[i];
    float m = sum / (float)M;
#pragma omp simd reduction(+ : squares)
    for (int i = 0; i < M; i++)
        squares += (x[i] - m) * (x[i] - m);
    *mean = m;
    *var = squares / (float)M;
}

static void bn_forward(struct tape *t, int i, const struct params *w)
{
    struct ends n = ends_of(t, i);
    float *y = t->value[i], eps = t->g->nodes[i].u.bn.eps;
    for (int c = 0; c < n.C; c++, n.x += n.M, y += n.M) {
        measure(n.M, n.x, &t->mean[i][c], &t->var[i][c]);
        float m = t->mean[i][c], gain = w->w[c] / sqrtf(t->var[i][c] + eps), shift = w->b[c];
#pragma omp simd
        for (int k = 0; k < n.M; k++)
            y[k] = (n.x[k] - m) * gain + shift;
    }
}

/* Ioffe and Szegedy 2015, section 3, with the sums put together. */
static void bn_backward(struct tape *t, int i, const struct params *w, struct params *dw)
{
    struct ends n = ends_of(t, i);
    float eps = t->g->nodes[i].u.bn.eps;
    for (int c = 0; c < n.C; c++, n.x += n.M, n.dy += n.M, n.dx += n.M) {
        float m = t->mean[i][c], inv = 1 / sqrtf(t->var[i][c] + eps), sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
        for (int k = 0; k < n.M; k++) {
            sum += n.dy[k];
            dot += n.dy[k] * (n.x[k] - m);
        }
        dw->w[c] += dot * inv;
        dw->b[c] += sum;
        float gain = w->w[c] * inv, mean_dy = sum / (float)n.M, slope = dot * inv * inv / (float)n.M;
#pragma omp simd
        for (int k = 0; k < n.M; k++)
            n.dx[k] += gain * (n.dy[k] - mean_dy - (n.x[k] - m) * slope);
    }
}

static void relu_forward(struct tape *t, int i, const struct params *w)
{
    (void)w;
    struct ends n = ends_of(t, i);
    float *y = t->value[i];
#pragma omp simd
    for (size_t k = 0; k < n.n; k++)
        y[k] = n.x[k] > 0 ? n.x[k] : 0;
}

static void relu_backward(struct tape *t, int i, const struct params *w, struct params *dw)
{
    (void)w;
    (void)dw;
    struct ends n = ends_of(t, i);
#pragma omp simd
    for (size_t k = 0; k < n.n; k++)
        n.dx[k] += (float)(n.y[k] > 0) * n.dy[k];
}

static void add_forward(struct tape *t, int i, const struct params *w)
{
    (void)w;
    struct ends n = ends_of(t, i);
    memcpy(t->value[i], n.x, n.n * sizeof(float));
    for (int j = 1; j < t->g->nodes[i].n_in; j++)
        add_into(t->value[i], t->value[t->g->nodes[i].in[j]], n.n);
}

static void add_backward(struct tape *t, int i, const struct params *w, struct params *dw)
{
    (void)w;
    (void)dw;
    struct ends n = ends_of(t, i);
    for (int j = 0; j < t->g->nodes[i].n_in; j++)
        add_into(t->grad[t->g->nodes[i].in[j]], n.dy, n.n);
}

/* Of one pixel: larger pictures would have to change places, because values are channel-major. */
static bool flatten_trainable(const struct graph *g, const struct node *d)
{
    return g->nodes[d->in[0]].H == 1 && g->nodes[d->in[0]].W == 1;
}

/* Also flatten, which is the mean over one pixel. */
static void mean_forward(struct tape *t, int i, const struct params *w)
{
    (void)w;
    struct ends n = ends_of(t, i);
    const struct node *from = &t->g->nodes[t->g->nodes[i].in[0]];
    int area = from->H * from->W;
    for (size_t k = 0; k < n.n; k++, n.x += area) {
        float sum = 0;
        for (int j = 0; j < area; j++)
            sum += n.x[j];
        t->value[i][k] = sum / (float)area;
    }
}

static void mean_backward(struct tape *t, int i, const struct params *w, struct params *dw)
{
    (void)w;
    (void)dw;
    struct ends n = ends_of(t, i);
    const struct node *from = &t->g->nodes[t->g->nodes[i].in[0]];
    int area = from->H * from->W;
    for (size_t k = 0; k < n.n; k++, n.dx += area)
        for (int j = 0; j < area; j++)
            n.dx[j] += n.dy[k] / (float)area;
}

static bool gemm_trainable(const struct graph *g, const struct node *d)
{
    (void)g;
    return d->u.gemm.bias;
}

static void gemm_forward(struct tape *t, int i, const struct params *w)
{
    struct ends n = ends_of(t, i);
    int K = n.C, N = n.M, C = t->g->nodes[t->g->nodes[i].in[0]].C;
    for (size_t k = 0; k < n.n; k++)
        t->value[i][k] = w->b[k / (size_t)N];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, K, N, C, 1, w->w, C, n.x, N, 1, t->value[i], N);
}

static void gemm_backward(struct tape *t, int i, const struct params *w, struct params *dw)
{
    struct ends n = ends_of(t, i);
    int K = n.C, N = n.M, C = t->g->nodes[t->g->nodes[i].in[0]].C;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, K, C, N, 1, n.dy, N, n.x, N, 1, dw->w, C);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, C, N, K, 1, w->w, C, n.dy, N, 1, n.dx, N);
    for (size_t k = 0; k < n.n; k++)
        dw->b[k / (size_t)N] += n.dy[k];
}

const struct layer tape_layers[OP_COUNT] = {
    [OP_CONV] = {conv_trainable, conv_forward, conv_backward},
    [OP_BN] = {NULL, bn_forward, bn_backward},
    [OP_RELU] = {NULL, relu_forward, relu_backward},
    [OP_ADD] = {NULL, add_forward, add_backward},
    [OP_GLOBALPOOL] = {NULL, mean_forward, mean_backward},
    [OP_FLATTEN] = {flatten_trainable, mean_forward, mean_backward},
    [OP_GEMM] = {gemm_trainable, gemm_forward, gemm_backward},
};
