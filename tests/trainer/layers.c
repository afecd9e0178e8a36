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

/* One convolution as a matrix product: y (K, N*P*Q) = w (K, C*R*S) * matrix (C*R*S, N*P*Q). */
struct conv {
    struct window win;
    int C, H, W, K, P, Q;
    int rows, cols;
    bool pointwise; /* 1x1 over every pixel: x is the matrix already */
};

static struct conv conv_of(const struct tape *t, int i)
{
    const struct node *d = &t->g->nodes[i], *x = &t->g->nodes[d->in[0]];
    const struct window *v = &d->u.conv.win;
    return (struct conv){
        .win = *v,
        .C = x->C,
        .H = x->H,
        .W = x->W,
        .K = d->C,
        .P = d->H,
        .Q = d->W,
        .rows = x->C * v->R * v->S,
        .cols = t->N * d->H * d->W,
        .pointwise = v->R == 1 && v->S == 1 && v->stride_h == 1 && v->stride_w == 1 && d->H == x->H && d->W == x->W,
    };
}

static bool conv_trainable(const struct graph *g, const struct node *d)
{
    (void)g;
    const struct window *v = &d->u.conv.win;
    return d->u.conv.groups == 1 && !d->u.conv.bias && v->dil_h == 1 && v->dil_w == 1;
}

/*
 * Kernel place (r,s) over one picture plane (H,W) and its line (P,Q) of the matrix: gathers plane into line, or
 * adds line to plane where the kernel was on the picture (its transpose).
 */
static void move_plane(const struct conv *c, int r, int s, bool gather, float *plane, float *line)
{
    int step = c->win.stride_w, first = c->win.pad_l - s, last = c->W - 1 - first;
    int from = first > 0 ? (first + step - 1) / step : 0, to = last < 0 ? 0 : last / step + 1;
    to = to < c->Q ? to : c->Q;
    from = from < to ? from : to;
    if (gather)
        memset(line, 0, (size_t)c->P * (size_t)c->Q * sizeof(float));
    for (int p = 0; p < c->P; p++, line += c->Q) {
        int h = p * c->win.stride_h - c->win.pad_t + r;
        if (h < 0 || h >= c->H)
            continue;
        float *row = plane + h * c->W - first;
        if (gather && step == 1)
            memcpy(line + from, row + from, (size_t)(to - from) * sizeof(float));
        else if (gather)
            for (int q = from; q < to; q++)
                line[q] = row[q * step];
        else
            for (int q = from; q < to; q++)
                row[q * step] += line[q];
    }
}

static void move_all(const struct conv *c, int N, bool gather, float *x, float *matrix)
{
    for (int k = 0; k < c->C; k++)
        for (int r = 0; r < c->win.R; r++)
            for (int s = 0; s < c->win.S; s++)
                for (int n = 0; n < N; n++, matrix += c->P * c->Q)
                    move_plane(c, r, s, gather, x + (size_t)(k * N + n) * (size_t)(c->H * c->W), matrix);
}

static const float *matrix_of(const struct tape *t, const struct conv *c, float *x)
{
    if (c->pointwise)
        return x;
    move_all(c, t->N, true, x, t->scratch);
    return t->scratch;
}

static void conv_forward(struct tape *t, int i, const struct params *w)
{
    struct conv c = conv_of(t, i);
    const float *matrix = matrix_of(t, &c, t->value[t->g->nodes[i].in[0]]);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, c.K, c.cols, c.rows, 1, w->w, c.rows, matrix, c.cols, 0,
                t->value[i], c.cols);
}

static void conv_backward(struct tape *t, int i, const struct params *w, struct params *dw)
{
    struct conv c = conv_of(t, i);
    int x = t->g->nodes[i].in[0];
    const float *matrix = matrix_of(t, &c, t->value[x]);
    float *dy = t->grad[i], *dx = t->grad[x];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, c.K, c.rows, c.cols, 1, dy, c.cols, matrix, c.cols, 1,
                dw->w, c.rows);
    if (!dx)
        return;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, c.rows, c.cols, c.K, 1, w->w, c.rows, dy, c.cols,
                c.pointwise ? 1 : 0, c.pointwise ? dx : t->scratch, c.cols);
    if (!c.pointwise)
        move_all(&c, t->N, false, dx, t->scratch);
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
        n.dx[k] += n.y[k] > 0 ? n.dy[k] : 0;
}

static void add_into(float *restrict to, const float *restrict from, size_t n)
{
#pragma omp simd
    for (size_t k = 0; k < n; k++)
        to[k] += from[k];
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

const struct layer layers[OP_COUNT] = {
    [OP_CONV] = {conv_trainable, conv_forward, conv_backward},
    [OP_BN] = {NULL, bn_forward, bn_backward},
    [OP_RELU] = {NULL, relu_forward, relu_backward},
    [OP_ADD] = {NULL, add_forward, add_backward},
    [OP_GLOBALPOOL] = {NULL, mean_forward, mean_backward},
    [OP_FLATTEN] = {flatten_trainable, mean_forward, mean_backward},
    [OP_GEMM] = {gemm_trainable, gemm_forward, gemm_backward},
};
