/*
 * recalibrate - the statistics it leaves behind are those that the network itself shows.
 */
#include "worker/compress/recalibrate.h"

#include "tests/unit/compress_net.h"

struct trial {
    struct net n;
    struct album album;
    struct pool *threads;
};

static void trial_init(struct trial *t, uint64_t seed, int images, int threads)
{
    *t = (struct trial){.threads = new_pool(threads)};
    net_init(&t->n, seed, "recalibrate");
    int a = relu(&t->n, bn(&t->n, conv(&t->n, input(&t->n, 3, 8, 8), 8, 3, 1)));
    int b = bn(&t->n, conv(&t->n, relu(&t->n, bn(&t->n, conv(&t->n, a, 6, 3, 1))), 8, 3, 1));
    int c = bn(&t->n, relu(&t->n, sum(&t->n, a, b))); /* a BN behind no conv */
    tail(&t->n, relu(&t->n, bn(&t->n, conv(&t->n, c, 12, 3, 2))), 5);
    draw_weights(&t->n);
    album_init(&t->album, &t->n.m.graph.nodes[0], images, 5, seed);
}

static void trial_release(struct trial *t)
{
    pool_free(t->threads);
    album_release(&t->album);
    model_release(&t->n.m);
}

static void run(struct trial *t, enum dtype type)
{
    struct err e;
    must(recalibrate(&t->n.m, type, t->threads, &t->album.set, NULL, NULL, &e), &e);
}

/* mean and var (nodes)(C) of every BN's input over images first ... first + n-1, added to what is there. */
static void add_moments(struct trial *t, enum engine_mode mode, int first, int n, double **mean, double **var)
{
    struct naive v;
    const struct graph *g = &t->n.m.graph;
    float *x = album_floats(&t->album, first, n);
    naive_run(&v, g, &t->n.m.weights, n, mode, x);
    for (int i = 0; i < g->n; i++) {
        if (g->nodes[i].op != OP_BN)
            continue;
        naive_statistics(&v, i);
        for (int c = 0; c < g->nodes[i].C; c++) {
            mean[i][c] += v.mean[i][c];
            var[i][c] += v.var[i][c];
        }
    }
    naive_release(&v);
    free(x);
}

static double **table(const struct graph *g)
{
    double **of = xcalloc((size_t)g->n, sizeof *of);
    for (int i = 0; i < g->n; i++)
        of[i] = xcalloc((size_t)g->nodes[i].C, sizeof **of);
    return of;
}

static void free_table(const struct graph *g, double **of)
{
    for (int i = 0; i < g->n; i++)
        free(of[i]);
    free(of);
}

/* The stated statistics are mean / batches and var / batches. */
static void check(const struct trial *t, double **mean, double **var, int batches)
{
    const struct graph *g = &t->n.m.graph;
    for (int i = 0; i < g->n; i++)
        for (int c = 0; g->nodes[i].op == OP_BN && c < g->nodes[i].C; c++) {
            const struct params *p = &t->n.m.weights.of[i];
            double m = mean[i][c] / batches, v = var[i][c] / batches;
            ck_assert_double_eq_tol((double)p->mean[c], m, 2e-4 * (sqrt(v) + fabs(m)));
            ck_assert_double_eq_tol((double)p->var[c], v, 1e-3 * v + 1e-6);
        }
}

/* One batch: with the new statistics, inference shows exactly these at every BN. */
START_TEST(one_batch)
{
    static const int sizes[] = {1, 2, 60, 100};
    struct trial t;
    trial_init(&t, (uint64_t)_i, sizes[_i], 1);
    const struct graph *g = &t.n.m.graph;
    double **mean = table(g), **var = table(g);
    run(&t, DTYPE_F32);
    add_moments(&t, ENGINE_INFER, 0, sizes[_i], mean, var);
    check(&t, mean, var, 1);
    free_table(g, mean);
    free_table(g, var);
    trial_release(&t);
}
END_TEST

/* Several: the average, batches as even as they come, the rest left out. */
START_TEST(several_batches)
{
    struct trial t;
    trial_init(&t, 7, 250, 2);
    const struct graph *g = &t.n.m.graph;
    double **mean = table(g), **var = table(g);
    int *index = xcalloc(250, sizeof *index);
    for (int i = 0; i < 250; i++)
        index[i] = 249 - i;
    t.album.set.index = index;
    for (int b = 0; b < 3; b++)
        add_moments(&t, ENGINE_BATCH, 83 * b, 83, mean, var);
    run(&t, DTYPE_F32);
    check(&t, mean, var, 3);
    free(index);
    free_table(g, mean);
    free_table(g, var);
    trial_release(&t);
}
END_TEST

START_TEST(any_threads)
{
    struct trial one, three;
    enum dtype type = _i ? DTYPE_BF16 : DTYPE_F32;
    if (!has_type(type))
        return;
    trial_init(&one, 5, 730, 1);
    trial_init(&three, 5, 730, 3);
    run(&one, type);
    run(&three, type);
    for (int i = 0; i < one.n.m.graph.n; i++) {
        const struct params *a = &one.n.m.weights.of[i], *b = &three.n.m.weights.of[i];
        if (one.n.m.graph.nodes[i].op != OP_BN)
            continue;
        ck_assert_mem_eq(a->mean, b->mean, a->n_b * sizeof(float));
        ck_assert_mem_eq(a->var, b->var, a->n_b * sizeof(float));
    }
    trial_release(&one);
    trial_release(&three);
}
END_TEST

/* Close to those of fp32, and not the same. */
START_TEST(in_bf16)
{
    struct trial exact, rough;
    int same = 0;
    if (!has_type(DTYPE_BF16))
        return;
    trial_init(&exact, 5, 200, 1);
    trial_init(&rough, 5, 200, 1);
    run(&exact, DTYPE_F32);
    run(&rough, DTYPE_BF16);
    for (int i = 0; i < exact.n.m.graph.n; i++) {
        const struct params *a = &exact.n.m.weights.of[i], *b = &rough.n.m.weights.of[i];
        for (size_t c = 0; a->var && c < a->n_b; c++) {
            ck_assert_double_eq_tol((double)a->mean[c], (double)b->mean[c], 0.02 * sqrt((double)a->var[c]));
            ck_assert_double_eq_tol((double)a->var[c], (double)b->var[c], 0.03 * (double)a->var[c]);
            same += a->var[c] == b->var[c];
        }
    }
    ck_assert_int_le(same, 3);
    trial_release(&exact);
    trial_release(&rough);
}
END_TEST

/* Stops after *arg calls. */
static int stop(void *arg, int done, int total)
{
    ck_assert_int_eq(total, 250);
    ck_assert_int_le(done, total);
    return (*(int *)arg)-- > 0 ? 0 : -1;
}

START_TEST(refused)
{
    struct trial t;
    struct err e;
    int left = 3;
    trial_init(&t, 7, 250, 1);
    must(recalibrate(&t.n.m, DTYPE_F32, t.threads, &t.album.set, stop, &left, &e), &e);
    ck_assert_int_eq(left, 0); /* a call a batch */
    left = 2;
    float before = t.n.m.weights.of[2].mean[0];
    ck_assert_int_eq(recalibrate(&t.n.m, DTYPE_F32, t.threads, &t.album.set, stop, &left, &e), ERR_CANCELLED);
    ck_assert(before == t.n.m.weights.of[2].mean[0]);
    t.album.set.n = 0;
    ck_assert_int_eq(recalibrate(&t.n.m, DTYPE_F32, t.threads, &t.album.set, NULL, NULL, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "no images to recalibrate with");
    trial_release(&t);
}
END_TEST

START_TEST(without_bn)
{
    struct net n;
    struct scored_set none = {0};
    struct pool *p = new_pool(1);
    struct err e;
    net_init(&n, 1, "without");
    tail(&n, conv(&n, input(&n, 3, 4, 4), 4, 3, 1), 5);
    draw_weights(&n);
    must(recalibrate(&n.m, DTYPE_F32, p, &none, NULL, NULL, &e), &e);
    pool_free(p);
    model_release(&n.m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("recalibrate");
    TCase *t = tcase_create("recalibrate");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, one_batch, 0, 4);
    tcase_add_test(t, several_batches);
    tcase_add_loop_test(t, any_threads, 0, 2);
    tcase_add_test(t, in_bf16);
    tcase_add_test(t, refused);
    tcase_add_test(t, without_bn);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
