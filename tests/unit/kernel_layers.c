/*
 * The kernels beside convolution: pools, Gemm and reorders against naive loops; and one kernel in several threads.
 */
#include <pthread.h>
#include <stdio.h>

#include "tests/unit/kernel_case.h"

static struct backend *be;
static int threads;

static void open_backend(void)
{
    struct err e;
    threads = dnnl_one_thread();
    must(backend_new(&be, &e), &e);
}

static void close_backend(void)
{
    backend_free(be);
    dnnl_threads_restore(threads);
}

/* ---- pools ---- */

struct pool_shape {
    int N, C, H, W;
    struct window win;
};

static const struct pool_shape pools[] = {
    {2, 16, 8, 8, {2, 2, 2, 2, 1, 1, 0, 0, 0, 0}},  {2, 21, 9, 9, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1}},
    {3, 37, 7, 11, {3, 2, 2, 1, 1, 1, 1, 0, 0, 1}}, {2, 3, 9, 9, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}},
    {2, 11, 9, 9, {2, 2, 1, 1, 3, 3, 0, 0, 0, 0}},
};

struct pool_trial {
    const struct pool_shape *s;
    enum pooling kind;
    struct array x, y, dx, dy;
    double *want_y, *want_dx;
};

static int out_size(int in, int kernel, int stride, int dil, int pad)
{
    return (in + pad - (kernel - 1) * dil - 1) / stride + 1;
}

/* One output: which input it is of (max), or the share of each. */
static void pool_at(struct pool_trial *t, int plane, int p, int q)
{
    const struct window *w = &t->s->win;
    const struct layout *x = &t->x.l, *y = &t->y.l;
    size_t in = (size_t)plane * (size_t)(x->H * x->W);
    size_t out = (size_t)plane * (size_t)(y->H * y->W) + (size_t)(p * y->W + q), most = 0;
    size_t seen[64];
    int n = 0;
    for (int r = 0; r < w->R; r++)
        for (int s = 0; s < w->S; s++) {
            int h = p * w->stride_h + r * w->dil_h - w->pad_t, i = q * w->stride_w + s * w->dil_w - w->pad_l;
            if (h < 0 || h >= x->H || i < 0 || i >= x->W)
                continue;
            seen[n] = in + (size_t)(h * x->W + i);
            if (n == 0 || t->x.plain[seen[n]] > t->x.plain[most])
                most = seen[n];
            n++;
        }
    double dy = (double)t->dy.plain[out], by = t->kind == POOL_MEAN_PADDED ? w->R * w->S : n;
    if (t->kind == POOL_MAX) {
        t->want_y[out] = (double)t->x.plain[most];
        t->want_dx[most] += dy;
        return;
    }
    for (int k = 0; k < n; k++) {
        t->want_y[out] += (double)t->x.plain[seen[k]] / by;
        t->want_dx[seen[k]] += dy / by;
    }
}

static void pool_run_both(struct pool_trial *t, const char *what)
{
    struct err e;
    struct kernel *fwd, *bwd;
    const struct window *w = &t->s->win;
    double near = t->x.l.type == DTYPE_BF16 ? 0.008 : 1e-5;
    must(kernel_pool(&fwd, be, PASS_FORWARD, t->kind, w, &t->x.l, &t->y.l, &e), &e);
    must(kernel_pool(&bwd, be, PASS_DATA, t->kind, w, &t->x.l, &t->y.l, &e), &e);
    ck_assert_uint_eq(kernel_bytes(fwd, TENSOR_WORK), kernel_bytes(bwd, TENSOR_WORK));
    ck_assert_uint_eq(kernel_bytes(fwd, TENSOR_W) + kernel_bytes(bwd, TENSOR_B), 0);
    void *work = room(fwd, TENSOR_WORK), *sf = room(fwd, TENSOR_SCRATCH), *sb = room(bwd, TENSOR_SCRATCH);
    run_twice(fwd, (void *[TENSORS]){t->x.data, t->y.data, NULL, NULL, work, sf});
    run_twice(bwd, (void *[TENSORS]){t->dx.data, t->dy.data, NULL, NULL, work, sb});
    array_read(&t->y);
    array_read(&t->dx);
    double y = distance(t->y.plain, t->want_y, array_count(&t->y.l));
    double dx = distance(t->dx.plain, t->want_dx, array_count(&t->x.l));
    ck_assert_msg(y <= near, "%s: y of %s is off by %g", what, kernel_name(fwd), y);
    ck_assert_msg(dx <= near, "%s: dx of %s is off by %g", what, kernel_name(bwd), dx);
    mem_free(work);
    mem_free(sf);
    mem_free(sb);
    kernel_free(fwd);
    kernel_free(bwd);
}

static void pool_try(const struct pool_shape *s, enum pooling kind, int lanes, enum dtype type)
{
    const struct window *w = &s->win;
    int P = out_size(s->H, w->R, w->stride_h, w->dil_h, w->pad_t + w->pad_b);
    int Q = out_size(s->W, w->S, w->stride_w, w->dil_w, w->pad_l + w->pad_r);
    struct layout x = {s->N, s->C, s->H, s->W, lanes ? lanes : s->C, type}, y = x;
    struct rng r;
    char what[96];
    snprintf(what, sizeof what, "pool %d of %d channels, lanes %d, %s", (int)kind, s->C, lanes, type_name(type));
    rng_init(&r, 3, what, 0);
    y.H = P;
    y.W = Q;
    struct pool_trial t = {.s = s,
                           .kind = kind,
                           .x = array_draw(x, &r),
                           .y = array_new(y),
                           .dx = array_new(x),
                           .dy = array_draw(y, &r),
                           .want_y = xcalloc(array_count(&y), sizeof(double)),
                           .want_dx = xcalloc(array_count(&x), sizeof(double))};
    for (int plane = 0; plane < s->N * s->C; plane++)
        for (int p = 0; p < P; p++)
            for (int q = 0; q < Q; q++)
                pool_at(&t, plane, p, q);
    pool_run_both(&t, what);
    array_free(&t.x);
    array_free(&t.y);
    array_free(&t.dx);
    array_free(&t.dy);
    free(t.want_y);
    free(t.want_dx);
}

START_TEST(pool_passes)
{
    const int lanes[] = {0, 1, 8, 16};
    for (enum pooling kind = POOL_MAX; kind <= POOL_MEAN_PADDED; kind++)
        for (int i = 0; i < 4; i++)
            for (enum dtype type = DTYPE_F32; type <= DTYPE_BF16; type++)
                if (has_type(type))
                    pool_try(&pools[_i], kind, lanes[i], type);
}
END_TEST

/* ---- Gemm ---- */

struct gemm_trial {
    int N, C, K;
    enum dtype type;
    struct array x, y; /* y holds dy */
    float *w, *b;
    double *want[3]; /* y, dx, dw by pass */
    double *want_db;
};

static void gemm_naive(struct gemm_trial *t)
{
    for (int n = 0; n < t->N; n++)
        for (int k = 0; k < t->K; k++) {
            size_t y = (size_t)(n * t->K + k);
            t->want[PASS_FORWARD][y] = (double)t->b[k];
            t->want_db[k] += (double)t->y.plain[y];
            for (int c = 0; c < t->C; c++) {
                size_t x = (size_t)(n * t->C + c), w = (size_t)(k * t->C + c);
                t->want[PASS_FORWARD][y] += (double)t->x.plain[x] * (double)t->w[w];
                t->want[PASS_DATA][x] += (double)t->y.plain[y] * (double)t->w[w];
                t->want[PASS_WEIGHTS][w] += (double)t->y.plain[y] * (double)t->x.plain[x];
            }
        }
}

static void gemm_pass(struct gemm_trial *t, enum pass pass)
{
    struct err e;
    struct kernel *k;
    struct array out = array_new(pass == PASS_FORWARD ? t->y.l : t->x.l);
    must(kernel_gemm(&k, be, pass, t->N, t->C, t->K, true, t->type, &e), &e);
    void *w = room(k, TENSOR_W), *scratch = room(k, TENSOR_SCRATCH);
    size_t n = pass == PASS_WEIGHTS ? (size_t)(t->C * t->K) : array_count(&out.l);
    float *dw = xcalloc(n, sizeof *dw), *db = mem_zalloc((size_t)t->K, sizeof *db);
    if (pass != PASS_WEIGHTS)
        pack(be, k, false, t->w, w);
    run_twice(k, (void *[TENSORS]){pass == PASS_DATA ? out.data : t->x.data,
                                   pass == PASS_FORWARD ? out.data : t->y.data, w, pass == PASS_WEIGHTS ? db : t->b,
                                   NULL, scratch});
    if (pass == PASS_WEIGHTS)
        pack(be, k, true, w, dw);
    else
        array_read(&out);
    double near = t->type == DTYPE_BF16 && pass != PASS_WEIGHTS ? 0.006 : 2e-5;
    double off = distance(pass == PASS_WEIGHTS ? dw : out.plain, t->want[pass], n);
    ck_assert_msg(off <= near, "%dx%d to %d, %s, pass %d of %s is off by %g", t->N, t->C, t->K, type_name(t->type),
                  (int)pass, kernel_name(k), off);
    if (pass == PASS_WEIGHTS)
        ck_assert_msg(distance(db, t->want_db, (size_t)t->K) <= near, "db of %s", kernel_name(k));
    free(dw);
    mem_free(db);
    mem_free(w);
    mem_free(scratch);
    array_free(&out);
    kernel_free(k);
}

START_TEST(gemm_passes)
{
    const int shapes[][3] = {{8, 64, 10}, {3, 37, 21}, {1, 11, 3}, {32, 512, 100}, {5, 16, 1}};
    int N = shapes[_i][0], C = shapes[_i][1], K = shapes[_i][2];
    struct rng r;
    rng_init(&r, 5, "gemm", (uint64_t)_i);
    for (enum dtype type = DTYPE_F32; type <= DTYPE_BF16; type++) {
        struct gemm_trial t = {.N = N, .C = C, .K = K, .type = type};
        if (!has_type(type))
            continue;
        t.x = array_draw((struct layout){N, C, 1, 1, 1, type}, &r);
        t.y = array_draw((struct layout){N, K, 1, 1, 1, type}, &r);
        t.w = mem_zalloc((size_t)(C * K), sizeof *t.w);
        t.b = mem_zalloc((size_t)K, sizeof *t.b);
        draw(t.w, (size_t)(C * K), &r, type);
        draw(t.b, (size_t)K, &r, DTYPE_F32);
        for (int i = 0; i < 3; i++)
            t.want[i] = xcalloc((size_t)(N * C + N * K + C * K), sizeof(double));
        t.want_db = xcalloc((size_t)K, sizeof(double));
        gemm_naive(&t);
        for (enum pass pass = PASS_FORWARD; pass <= PASS_WEIGHTS; pass++)
            gemm_pass(&t, pass);
        for (int i = 0; i < 3; i++)
            free(t.want[i]);
        free(t.want_db);
        mem_free(t.w);
        mem_free(t.b);
        array_free(&t.x);
        array_free(&t.y);
    }
}
END_TEST

/* ---- reorders ---- */

START_TEST(reorders)
{
    const int lanes[] = {1, 21, 8, 16};
    struct err e;
    struct rng r;
    rng_init(&r, 9, "reorder", 0);
    for (int k = 0; k < 64; k++) {
        enum dtype from_type = (enum dtype)(k >> 4 & 1), to_type = (enum dtype)(k >> 5);
        struct layout from = {3, 21, 5, 7, lanes[k & 3], from_type}, to = {3, 21, 5, 7, lanes[k >> 2 & 3], to_type};
        if (!has_type(from_type) || !has_type(to_type))
            continue;
        struct array x = array_draw(from, &r), y = array_new(to);
        struct kernel *kernel;
        must(kernel_reorder(&kernel, be, &from, &to, &e), &e);
        void *scratch = room(kernel, TENSOR_SCRATCH);
        run_twice(kernel, (void *[TENSORS]){x.data, y.data, NULL, NULL, NULL, scratch});
        array_read(&y);
        for (size_t i = 0; i < array_count(&from); i++)
            ck_assert_msg(y.plain[i] == rounded(x.plain[i], to_type), "lanes %d %s to %d %s: %g, not %g",
                          from.lanes, type_name(from_type), to.lanes, type_name(to_type), (double)y.plain[i],
                          (double)x.plain[i]);
        mem_free(scratch);
        kernel_free(kernel);
        array_free(&x);
        array_free(&y);
    }
}
END_TEST

START_TEST(rounding)
{
    const float in[] = {1, 1.00390625F, 1.01171875F, -1.0039064F, 3.4e38F, INFINITY, 1e-40F, 0};
    const float out[] = {1, 1, 1.015625F, -1.0078125F, INFINITY, INFINITY, 9.18354962e-41F, 0};
    for (size_t i = 0; i < sizeof in / sizeof *in; i++)
        ck_assert_msg(rounded(in[i], DTYPE_BF16) == out[i], "%.9g becomes %.9g, not %.9g", (double)in[i],
                      (double)rounded(in[i], DTYPE_BF16), (double)out[i]);
    uint32_t all = 0x7fffffff, low = 0x7f800001;
    float nan;
    memcpy(&nan, &all, sizeof nan);
    ck_assert(isnan(rounded(nan, DTYPE_BF16)) && isnan(rounded(NAN, DTYPE_BF16)));
    memcpy(&nan, &low, sizeof nan);
    ck_assert(isnan(rounded(nan, DTYPE_BF16)));
}
END_TEST

/* ---- side by side ---- */

struct worker {
    const struct kernel *k;
    void *at[TENSORS];
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct err e;
    struct kernel_call *c;
    int was = dnnl_one_thread();
    must(kernel_call_new(&c, w->k, w->at, &e), &e);
    for (int i = 0; i < 50; i++)
        must(kernel_call_run(c, &e), &e);
    kernel_call_free(c);
    dnnl_threads_restore(was);
    return NULL;
}

START_TEST(side_by_side)
{
    struct layout l = {4, 32, 8, 8, 32, DTYPE_F32};
    struct kernel_conv conv = {.x = l, .y = l, .groups = 1, .win = {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}};
    struct err e;
    struct rng r;
    struct kernel *k;
    struct worker w[4];
    struct array y[4];
    pthread_t thread[4];
    rng_init(&r, 4, "threads", 0);
    must(kernel_conv(&k, be, PASS_FORWARD, &conv, true, &e), &e);
    struct array x = array_draw(l, &r);
    float *weights = room(k, TENSOR_W);
    draw(weights, kernel_bytes(k, TENSOR_W) / sizeof(float), &r, DTYPE_F32);
    for (int i = 0; i < 4; i++) {
        y[i] = array_new(l);
        w[i] = (struct worker){k, {x.data, y[i].data, weights, NULL, NULL, room(k, TENSOR_SCRATCH)}};
        ck_assert_int_eq(pthread_create(&thread[i], NULL, work, &w[i]), 0);
    }
    for (int i = 0; i < 4; i++)
        pthread_join(thread[i], NULL);
    for (int i = 0; i < 4; i++) {
        ck_assert_mem_eq(y[i].data, y[0].data, layout_bytes(&l));
        mem_free(w[i].at[TENSOR_SCRATCH]);
    }
    for (int i = 0; i < 4; i++)
        array_free(&y[i]);
    array_free(&x);
    mem_free(weights);
    kernel_free(k);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("kernel_layers");
    TCase *t = tcase_create("kernel_layers");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, open_backend, close_backend);
    tcase_add_loop_test(t, pool_passes, 0, (int)(sizeof pools / sizeof *pools));
    tcase_add_loop_test(t, gemm_passes, 0, 5);
    tcase_add_test(t, reorders);
    tcase_add_test(t, rounding);
    tcase_add_test(t, side_by_side);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
