/*
 * Convolution kernels for training against naive loops, in every pass, layout and type.
 */
#include <stdio.h>

#include "tests/unit/kernel_case.h"

struct shape {
    int N, C, H, W, K, groups;
    struct window win;
    bool winograd;
};

#define SQUARE(R_, stride, pad)                                                                                    \
    {                                                                                                              \
        .R = R_, .S = R_, .stride_h = stride, .stride_w = stride, .dil_h = 1, .dil_w = 1, .pad_t = pad,            \
        .pad_l = pad, .pad_b = pad, .pad_r = pad                                                                   \
    }

static const struct shape shapes[] = {
    {2, 16, 8, 8, 16, 1, SQUARE(3, 1, 1), false},
    {2, 8, 6, 6, 16, 1, SQUARE(3, 1, 1), false},
    {2, 16, 6, 6, 8, 1, SQUARE(3, 1, 1), false},
    {2, 32, 6, 9, 16, 1, SQUARE(3, 1, 1), false},
    {2, 16, 7, 7, 32, 1, SQUARE(3, 2, 1), false},
    {3, 3, 9, 9, 16, 1, SQUARE(3, 1, 1), false},
    {2, 11, 8, 8, 21, 1, SQUARE(3, 1, 1), false},
    {2, 21, 8, 8, 37, 1, SQUARE(3, 2, 1), false},
    {3, 37, 5, 5, 11, 1, SQUARE(1, 1, 0), false},
    {2, 32, 8, 8, 16, 1, SQUARE(1, 2, 0), false},
    {1, 48, 1, 1, 10, 1, SQUARE(1, 1, 0), false},
    {2, 16, 8, 8, 32, 4, SQUARE(3, 1, 1), false},
    {2, 12, 8, 8, 24, 4, SQUARE(3, 2, 1), false},
    {2, 32, 8, 8, 32, 32, SQUARE(3, 1, 1), false},
    {2, 21, 9, 9, 21, 21, SQUARE(3, 2, 1), false},
    {2, 8, 6, 6, 16, 8, SQUARE(3, 1, 1), false},
    {2, 4, 11, 11, 18, 1, {3, 3, 1, 1, 2, 2, 2, 2, 2, 2}, false},
    {2, 16, 9, 13, 32, 1, {3, 5, 2, 1, 1, 2, 0, 3, 2, 1}, false},
    {2, 3, 20, 20, 16, 1, SQUARE(7, 2, 3), false},
    {2, 64, 8, 8, 64, 1, SQUARE(3, 1, 1), true},
    {2, 40, 9, 11, 24, 1, SQUARE(3, 1, 1), true},
    {3, 20, 6, 6, 37, 1, SQUARE(3, 1, 1), true},
};

static int out_size(int in, int kernel, int stride, int dil, int before, int after)
{
    return (in + before + after - (kernel - 1) * dil - 1) / stride + 1;
}

static int P(const struct shape *s)
{
    return out_size(s->H, s->win.R, s->win.stride_h, s->win.dil_h, s->win.pad_t, s->win.pad_b);
}

static int Q(const struct shape *s)
{
    return out_size(s->W, s->win.S, s->win.stride_w, s->win.dil_w, s->win.pad_l, s->win.pad_r);
}

/* ---- the naive twin: fn for every product of the convolution, with the places of its x, w and y ---- */

struct twin {
    const float *x, *w, *dy;
    double *y, *dx, *dw;
};

static void products_at(const struct shape *s, const struct twin *t, int n, int k, int p, int q)
{
    const struct window *w = &s->win;
    int c_g = s->C / s->groups, k_g = s->K / s->groups;
    size_t y = (((size_t)n * (size_t)s->K + (size_t)k) * (size_t)P(s) + (size_t)p) * (size_t)Q(s) + (size_t)q;
    for (int c = 0; c < c_g; c++)
        for (int r = 0; r < w->R; r++)
            for (int v = 0; v < w->S; v++) {
                int h = p * w->stride_h + r * w->dil_h - w->pad_t, i = q * w->stride_w + v * w->dil_w - w->pad_l;
                if (h < 0 || h >= s->H || i < 0 || i >= s->W)
                    continue;
                int channel = k / k_g * c_g + c;
                size_t x =
                    (((size_t)n * (size_t)s->C + (size_t)channel) * (size_t)s->H + (size_t)h) * (size_t)s->W +
                    (size_t)i;
                size_t at =
                    (((size_t)k * (size_t)c_g + (size_t)c) * (size_t)w->R + (size_t)r) * (size_t)w->S + (size_t)v;
                t->y[y] += (double)t->x[x] * (double)t->w[at];
                t->dx[x] += (double)t->dy[y] * (double)t->w[at];
                t->dw[at] += (double)t->dy[y] * (double)t->x[x];
            }
}

static void products(const struct shape *s, const struct twin *t)
{
    for (int n = 0; n < s->N; n++)
        for (int k = 0; k < s->K; k++)
            for (int p = 0; p < P(s); p++)
                for (int q = 0; q < Q(s); q++)
                    products_at(s, t, n, k, p, q);
}

/* ---- one shape in one layout and type ---- */

struct trial {
    const struct shape *s;
    struct backend *be;
    struct kernel_conv conv;
    bool reference_ok;
    struct array x, y; /* y holds dy */
    size_t n_x, n_y, n_w;
    float *w, *b; /* plain */
    double *want_y, *want_dx, *want_dw, *want_db;
    char what[160];
};

/* Results in bf16 are rounded once; fp32 ones, weight gradients of bf16 too, only by the order of sums. */
static double near(const struct trial *t, bool fp32)
{
    return t->conv.winograd ? 2e-4 : !fp32 && t->x.l.type == DTYPE_BF16 ? 0.006 : 2e-5;
}

static void check_close(const struct trial *t, const char *name, const struct kernel *k, const float *got,
                        const double *want, size_t n, bool fp32)
{
    double d = distance(got, want, n);
    ck_assert_msg(d <= near(t, fp32), "%s: %s of %s is off by %g", t->what, name, kernel_name(k), d);
}

/* The kernel, or NULL where oneDNN has plain loops alone. */
static struct kernel *make(const struct trial *t, enum pass pass)
{
    struct err e;
    struct kernel *k = NULL;
    int rc = kernel_conv(&k, t->be, pass, &t->conv, t->reference_ok, &e);
    ck_assert_msg(rc == 0 || rc == ERR_UNSUPPORTED, "%s: %s", t->what, rc < 0 ? e.text : "");
    return k;
}

static void forward(struct trial *t)
{
    struct kernel *k = make(t, PASS_FORWARD);
    if (!k)
        return;
    struct array y = array_new(t->y.l);
    void *w = room(k, TENSOR_W), *scratch = room(k, TENSOR_SCRATCH);
    float *back = xcalloc(t->n_w, sizeof *back);
    ck_assert_uint_eq(kernel_bytes(k, TENSOR_X), layout_bytes(&t->x.l));
    ck_assert_uint_eq(kernel_bytes(k, TENSOR_Y), layout_bytes(&t->y.l));
    ck_assert_uint_eq(kernel_bytes(k, TENSOR_WORK), 0);
    pack(t->be, k, false, t->w, w);
    pack(t->be, k, true, w, back);
    ck_assert_msg(memcmp(t->w, back, t->n_w * sizeof *back) == 0, "%s: weights change on the way", t->what);
    run_twice(k, (void *[TENSORS]){t->x.data, y.data, w, t->b, NULL, scratch});
    array_read(&y);
    check_close(t, "y", k, y.plain, t->want_y, t->n_y, false);
    array_free(&y);
    free(back);
    mem_free(w);
    mem_free(scratch);
    kernel_free(k);
}

static void backward_data(struct trial *t)
{
    struct kernel *k = make(t, PASS_DATA);
    if (!k)
        return;
    struct array dx = array_new(t->x.l);
    void *w = room(k, TENSOR_W), *scratch = room(k, TENSOR_SCRATCH);
    ck_assert_uint_eq(kernel_bytes(k, TENSOR_B), 0);
    pack(t->be, k, false, t->w, w);
    run_twice(k, (void *[TENSORS]){dx.data, t->y.data, w, NULL, NULL, scratch});
    array_read(&dx);
    check_close(t, "dx", k, dx.plain, t->want_dx, t->n_x, false);
    array_free(&dx);
    mem_free(w);
    mem_free(scratch);
    kernel_free(k);
}

static void backward_weights(struct trial *t)
{
    struct kernel *k = make(t, PASS_WEIGHTS);
    if (!k)
        return;
    void *w = room(k, TENSOR_W), *scratch = room(k, TENSOR_SCRATCH);
    float *dw = xcalloc(t->n_w, sizeof *dw), *db = mem_zalloc((size_t)t->s->K, sizeof *db);
    ck_assert_uint_eq(kernel_bytes(k, TENSOR_B), t->conv.bias ? (size_t)t->s->K * sizeof *db : 0);
    run_twice(k, (void *[TENSORS]){t->x.data, t->y.data, w, db, NULL, scratch});
    pack(t->be, k, true, w, dw);
    check_close(t, "dw", k, dw, t->want_dw, t->n_w, true);
    if (t->conv.bias)
        check_close(t, "db", k, db, t->want_db, (size_t)t->s->K, true);
    free(dw);
    mem_free(db);
    mem_free(w);
    mem_free(scratch);
    kernel_free(k);
}

static void trial_init(struct trial *t, struct backend *be, const struct shape *s, int lanes, enum dtype type,
                       bool bias, bool reference_ok)
{
    struct rng r;
    struct layout x = {s->N, s->C, s->H, s->W, lanes ? lanes : s->C, type};
    struct layout y = {s->N, s->K, P(s), Q(s), lanes ? lanes : s->K, type};
    rng_init(&r, 11, "kernel", (uint64_t)s->K);
    *t = (struct trial){.s = s, .be = be, .reference_ok = reference_ok};
    t->conv = (struct kernel_conv){x, y, s->groups, s->win, bias, s->winograd && type == DTYPE_F32};
    snprintf(t->what, sizeof t->what, "%dx%dx%dx%d to %d, %d groups, %dx%d, lanes %d, %s", s->N, s->C, s->H, s->W,
             s->K, s->groups, s->win.R, s->win.S, lanes, type_name(type));
    t->x = array_draw(x, &r);
    t->y = array_draw(y, &r);
    t->n_x = array_count(&x);
    t->n_y = array_count(&y);
    t->n_w = (size_t)s->K * (size_t)(s->C / s->groups * s->win.R * s->win.S);
    t->w = mem_zalloc(t->n_w, sizeof *t->w);
    t->b = mem_zalloc((size_t)s->K, sizeof *t->b);
    draw(t->w, t->n_w, &r, type);
    if (bias)
        draw(t->b, (size_t)s->K, &r, DTYPE_F32);
    t->want_y = xcalloc(t->n_y, sizeof(double));
    t->want_dx = xcalloc(t->n_x, sizeof(double));
    t->want_dw = xcalloc(t->n_w, sizeof(double));
    t->want_db = xcalloc((size_t)s->K, sizeof(double));
    products(s, &(struct twin){t->x.plain, t->w, t->y.plain, t->want_y, t->want_dx, t->want_dw});
    for (size_t i = 0, plane = (size_t)(P(s) * Q(s)); i < t->n_y; i++) {
        t->want_db[i / plane % (size_t)s->K] += (double)t->y.plain[i];
        t->want_y[i] += (double)t->b[i / plane % (size_t)s->K];
    }
}

static void trial_release(struct trial *t)
{
    array_free(&t->x);
    array_free(&t->y);
    mem_free(t->w);
    mem_free(t->b);
    free(t->want_y);
    free(t->want_dx);
    free(t->want_dw);
    free(t->want_db);
}

START_TEST(conv_passes)
{
    const struct shape *s = &shapes[_i];
    const int lanes[] = {0 /* channels last */, 1, 8, 16};
    struct err e;
    struct backend *be;
    int threads = dnnl_one_thread();
    must(backend_new(&be, &e), &e);
    for (int i = 0; i < 4; i++)
        for (int type = DTYPE_F32; type <= DTYPE_BF16; type++) {
            struct trial t;
            if (!has_type((enum dtype)type))
                continue;
            trial_init(&t, be, s, lanes[i], (enum dtype)type, i % 2 == 0, i < 2);
            forward(&t);
            backward_data(&t);
            backward_weights(&t);
            trial_release(&t);
        }
    backend_free(be);
    dnnl_threads_restore(threads);
}
END_TEST

/* What a training of CIFAR nets needs is there, and isn't plain loops. */
START_TEST(fast_ones)
{
    struct err e;
    struct backend *be;
    must(backend_new(&be, &e), &e);
    for (int type = DTYPE_F32; backend_wide(be) && type <= DTYPE_BF16; type++) {
        if (!has_type((enum dtype)type))
            continue;
        for (enum pass pass = PASS_FORWARD; pass <= PASS_WEIGHTS; pass++) {
            struct kernel *k;
            struct kernel_conv c = {.x = {32, 16, 32, 32, 16, (enum dtype)type},
                                    .y = {32, 16, 32, 32, 16, (enum dtype)type},
                                    .groups = 1,
                                    .win = SQUARE(3, 1, 1)};
            must(kernel_conv(&k, be, pass, &c, false, &e), &e);
            ck_assert_msg(!strstr(kernel_name(k), "ref"), "%s", kernel_name(k));
            kernel_free(k);
            c.x.lanes = 8; /* not what y has */
            c.x.C = c.y.C = 12;
            ck_assert_int_eq(kernel_conv(&k, be, pass, &c, false, &e), ERR_UNSUPPORTED);
        }
    }
    kernel_free(NULL);
    kernel_call_free(NULL);
    backend_free(be);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kernel");
    TCase *t = tcase_create("kernel");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, conv_passes, 0, (int)(sizeof shapes / sizeof *shapes));
    tcase_add_test(t, fast_ones);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
