#include "tests/trainer/layers.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

static int rows_of(const struct conv *c)
{
    return c->C * c->win.R * c->win.S;
}

static int cols_of(const struct conv *c)
{
    return c->N * c->P * c->Q;
}

size_t conv_scratch(const struct conv *c)
{
    return (size_t)rows_of(c) * (size_t)cols_of(c);
}

/* 1x1 over every pixel: x is the matrix already. */
static bool is_pointwise(const struct conv *c)
{
    const struct window *v = &c->win;
    return v->R == 1 && v->S == 1 && v->stride_h == 1 && v->stride_w == 1 && c->P == c->H && c->Q == c->W;
}

/* The output columns [*from, *to) whose kernel column s falls inside the picture. */
static void inside(const struct conv *c, int s, int *from, int *to)
{
    int stride = c->win.stride_w, first = c->win.pad_l - s, last = c->W - 1 + c->win.pad_l - s;
    *from = first > 0 ? (first + stride - 1) / stride : 0;
    *to = last < 0 ? 0 : last / stride + 1;
    if (*to > c->Q)
        *to = c->Q;
    if (*from > *to)
        *from = *to;
}

/* One line of the matrix: kernel place (r,s) over one picture plane (H,W) into line (P,Q). */
static void gather_plane(const struct conv *c, int r, int s, const float *plane, float *line)
{
    int from, to, stride = c->win.stride_w;
    inside(c, s, &from, &to);
    for (int p = 0; p < c->P; p++, line += c->Q) {
        int h = p * c->win.stride_h - c->win.pad_t + r;
        if (h < 0 || h >= c->H) {
            memset(line, 0, (size_t)c->Q * sizeof(float));
            continue;
        }
        const float *row = plane + h * c->W - c->win.pad_l + s;
        for (int q = 0; q < from; q++)
            line[q] = 0;
        if (stride == 1)
            memcpy(line + from, row + from, (size_t)(to - from) * sizeof(float));
        else
            for (int q = from; q < to; q++)
                line[q] = row[q * stride];
        for (int q = to; q < c->Q; q++)
            line[q] = 0;
    }
}

/* gather_plane's transpose: plane += line. */
static void scatter_plane(const struct conv *c, int r, int s, const float *line, float *plane)
{
    int from, to, stride = c->win.stride_w;
    inside(c, s, &from, &to);
    for (int p = 0; p < c->P; p++, line += c->Q) {
        int h = p * c->win.stride_h - c->win.pad_t + r;
        if (h < 0 || h >= c->H)
            continue;
        float *row = plane + h * c->W - c->win.pad_l + s;
        if (stride == 1) {
#pragma omp simd
            for (int q = from; q < to; q++)
                row[q] += line[q];
        } else {
            for (int q = from; q < to; q++)
                row[q * stride] += line[q];
        }
    }
}

/* Exactly one of the two directions: x -> matrix when `dx` is NULL, else matrix -> dx. matrix (C*R*S, N*P*Q). */
static void unfold(const struct conv *c, const float *x, float *dx, float *matrix)
{
    size_t plane = (size_t)c->H * (size_t)c->W, line = (size_t)c->P * (size_t)c->Q;
    for (int k = 0; k < c->C; k++)
        for (int r = 0; r < c->win.R; r++)
            for (int s = 0; s < c->win.S; s++)
                for (int n = 0; n < c->N; n++, matrix += line) {
                    size_t at = ((size_t)k * (size_t)c->N + (size_t)n) * plane;
                    if (dx)
                        scatter_plane(c, r, s, matrix, dx + at);
                    else
                        gather_plane(c, r, s, x + at, matrix);
                }
}

static const float *matrix_of(const struct conv *c, const float *x, float *scratch)
{
    if (is_pointwise(c))
        return x;
    unfold(c, x, NULL, scratch);
    return scratch;
}

void conv_forward(const struct conv *c, const float *w, const float *x, float *y, float *scratch)
{
    int rows = rows_of(c), cols = cols_of(c);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, c->K, cols, rows, 1, w, rows, matrix_of(c, x, scratch), cols,
                0, y, cols);
}

void conv_backward(const struct conv *c, const float *w, const float *x, const float *dy, float *dw, float *dx,
                   float *scratch)
{
    int rows = rows_of(c), cols = cols_of(c);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, c->K, rows, cols, 1, dy, cols, matrix_of(c, x, scratch), cols,
                1, dw, rows);
    if (!dx)
        return;
    bool pointwise = is_pointwise(c);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, rows, cols, c->K, 1, w, rows, dy, cols, pointwise ? 1 : 0,
                pointwise ? dx : scratch, cols);
    if (!pointwise)
        unfold(c, NULL, dx, scratch);
}

void gemm_forward(int K, int C, int N, const float *w, const float *b, const float *x, float *y)
{
    for (int k = 0; k < K; k++)
        for (int n = 0; n < N; n++)
            y[k * N + n] = b[k];
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, K, N, C, 1, w, C, x, N, 1, y, N);
}

void gemm_backward(int K, int C, int N, const float *w, const float *x, const float *dy, float *dw, float *db, float *dx)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, K, C, N, 1, dy, N, x, N, 1, dw, C);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, C, N, K, 1, w, C, dy, N, 1, dx, N);
    for (int k = 0; k < K; k++)
        for (int n = 0; n < N; n++)
            db[k] += dy[k * N + n];
}

void bn_measure(int C, int M, const float *x, float *mean, float *var)
{
    for (int c = 0; c < C; c++, x += M) {
        float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
        for (int i = 0; i < M; i++)
            sum += x[i];
        float m = sum / (float)M;
#pragma omp simd reduction(+ : squares)
        for (int i = 0; i < M; i++)
            squares += (x[i] - m) * (x[i] - m);
        mean[c] = m;
        var[c] = squares / (float)M;
    }
}

void bn_forward(int C, int M, float eps, const float *mean, const float *var, const float *w, const float *b,
                const float *x, float *y)
{
    for (int c = 0; c < C; c++, x += M, y += M) {
        float m = mean[c], gain = w[c] / sqrtf(var[c] + eps), shift = b[c];
#pragma omp simd
        for (int i = 0; i < M; i++)
            y[i] = (x[i] - m) * gain + shift;
    }
}

void bn_backward(int C, int M, float eps, const float *mean, const float *var, const float *w, const float *x,
                 const float *dy, float *dw, float *db, float *dx)
{
    for (int c = 0; c < C; c++, x += M, dy += M, dx += M) {
        float m = mean[c], inv = 1 / sqrtf(var[c] + eps), sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
        for (int i = 0; i < M; i++) {
            sum += dy[i];
            dot += dy[i] * (x[i] - m);
        }
        dw[c] += dot * inv;
        db[c] += sum;
        float gain = w[c] * inv, mean_dy = sum / (float)M, slope = dot * inv * inv / (float)M;
#pragma omp simd
        for (int i = 0; i < M; i++)
            dx[i] += gain * (dy[i] - mean_dy - (x[i] - m) * slope);
    }
}

void relu_forward(size_t n, const float *x, float *y)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        y[i] = x[i] > 0 ? x[i] : 0;
}

void relu_backward(size_t n, const float *y, const float *dy, float *dx)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        dx[i] += y[i] > 0 ? dy[i] : 0;
}

void mean_forward(int rows, int cols, const float *x, float *y)
{
    for (int r = 0; r < rows; r++, x += cols) {
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int i = 0; i < cols; i++)
            sum += x[i];
        y[r] = sum / (float)cols;
    }
}

void mean_backward(int rows, int cols, const float *dy, float *dx)
{
    for (int r = 0; r < rows; r++, dx += cols)
        for (int i = 0; i < cols; i++)
            dx[i] += dy[r] / (float)cols;
}

double softmax_loss(int K, int N, const float *y, const int *label, float scale, float *dy, int *correct)
{
    double loss = 0;
    *correct = 0;
    for (int n = 0; n < N; n++) {
        int best = 0;
        double sum = 0;
        for (int k = 1; k < K; k++)
            if (y[k * N + n] > y[best * N + n])
                best = k;
        double top = y[best * N + n];
        for (int k = 0; k < K; k++)
            sum += exp(y[k * N + n] - top);
        loss += log(sum) + top - y[label[n] * N + n];
        *correct += best == label[n];
        for (int k = 0; dy && k < K; k++) {
            double p = exp(y[k * N + n] - top) / sum;
            dy[k * N + n] = scale * (float)(p - (k == label[n])) / (float)N;
        }
    }
    return loss / N;
}
