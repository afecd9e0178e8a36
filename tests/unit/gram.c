/*
 * gram, reconstruct - second moments against explicit patches in double, and the weights that follow from them
 * against a least-squares solution of its own.
 */
#include "worker/compress/gram.h"

#include "tests/unit/compress_net.h"
#include "worker/compress/cut.h"
#include "worker/compress/reconstruct.h"

struct trial {
    struct net n;
    struct groups gs;
    struct album album;
    struct gram_list grams;
    struct naive v; /* of all pictures */
};

static void measure(struct trial *t, int threads, uint64_t seed)
{
    struct err e;
    struct pool *p = new_pool(threads);
    must(gram_list_new(&t->grams, &t->n.m.graph, &t->gs, &e), &e);
    must(gram_measure(&t->grams, p, &t->n.m, &t->album.set, seed, NULL, NULL, &e), &e);
    pool_free(p);
}

/* Takes what is in t->n. */
static void trial_init(struct trial *t, int images, bool naive)
{
    draw_weights(&t->n);
    find_groups(&t->n, &t->gs);
    album_init(&t->album, &t->n.m.graph.nodes[0], images, 5, 1);
    float *x = album_floats(&t->album, 0, images);
    if (naive)
        naive_run(&t->v, &t->n.m.graph, &t->n.m.weights, images, ENGINE_INFER, x);
    free(x);
    measure(t, 1, 1);
}

static void trial_release(struct trial *t)
{
    if (t->v.value)
        naive_release(&t->v);
    gram_list_release(&t->grams);
    album_release(&t->album);
    groups_release(&t->gs);
    model_release(&t->n.m);
}

/* ---- explicit patches ---- */

struct patches {
    int rows, n;
    double *x;    /* (rows, n), centred */
    double *mean; /* (n) */
};

static void patches_of(const struct trial *t, const struct gram *gr, int cg, struct patches *p)
{
    const struct node *y = &t->n.m.graph.nodes[gr->node], *in = &t->n.m.graph.nodes[y->in[0]];
    static const struct window point = {1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
    const struct window *w = y->op == OP_CONV ? &y->u.conv.win : &point;
    *p = (struct patches){t->v.N * y->H * y->W, gr->n, NULL, xcalloc((size_t)gr->n, sizeof(double))};
    double *at = p->x = xcalloc((size_t)p->rows * (size_t)gr->n, sizeof(double));
    for (int i = 0; i < t->v.N; i++)
        for (int q = 0; q < y->H * y->W; q++)
            for (int c = 0; c < in->C / gr->groups; c++)
                for (int r = 0; r < w->R; r++)
                    for (int s = 0; s < w->S; s++)
                        *at++ = naive_pixel(t->v.value[y->in[0]], in, i, cg * (in->C / gr->groups) + c,
                                            q / y->W * w->stride_h - w->pad_t + r * w->dil_h,
                                            q % y->W * w->stride_w - w->pad_l + s * w->dil_w);
    for (int c = 0; c < p->n; c++) {
        for (int r = 0; r < p->rows; r++)
            p->mean[c] += p->x[r * p->n + c] / p->rows;
        for (int r = 0; r < p->rows; r++)
            p->x[r * p->n + c] -= p->mean[c];
    }
}

static void patches_release(struct patches *p)
{
    free(p->x);
    free(p->mean);
}

/* cov (n,n) = x' x / rows; returns its mean diagonal. */
static double covariance(const struct patches *p, double *cov)
{
    double trace = 0;
    for (int i = 0; i < p->n; i++)
        for (int j = 0; j <= i; j++) {
            double s = 0;
            for (int r = 0; r < p->rows; r++)
                s += p->x[r * p->n + i] * p->x[r * p->n + j];
            cov[i * p->n + j] = cov[j * p->n + i] = s / p->rows;
        }
    for (int i = 0; i < p->n; i++)
        trace += cov[i * p->n + i];
    return trace / p->n;
}

static void check_gram(const struct trial *t, const struct gram *gr, double near)
{
    for (int cg = 0; cg < gr->groups; cg++) {
        struct patches p;
        patches_of(t, gr, cg, &p);
        size_t n = (size_t)p.n;
        double *cov = xcalloc(n * n, sizeof *cov), size = covariance(&p, cov) + 1e-9;
        const float *got = gr->cov + (size_t)cg * n * n;
        for (size_t i = 0; i < n; i++) {
            double mean = (double)gr->mean[(size_t)cg * n + i];
            ck_assert_double_eq_tol(mean, p.mean[i], near * (sqrt(size) + fabs(p.mean[i])));
            for (size_t j = 0; j < n; j++) {
                ck_assert_double_eq_tol((double)got[i * n + j], cov[i * n + j], near * size);
                ck_assert(got[i * n + j] == got[j * n + i]);
            }
        }
        free(cov);
        patches_release(&p);
    }
}

START_TEST(drawn)
{
    int layers = 0;
    for (int i = 0; i < 6; i++) {
        struct trial t = {0};
        net_init(&t.n, (uint64_t)(10 * _i + i), "gram");
        draw_net(&t.n);
        trial_init(&t, 23 + i, true); /* not a number of whole batches */
        for (int k = 0; k < t.grams.n; k++)
            if (t.grams.of[k].n <= 110 && ++layers)
                check_gram(&t, &t.grams.of[k], 1e-4);
        trial_release(&t);
    }
    ck_assert_int_gt(layers, 6);
}
END_TEST

/* Which layers have a matrix: not the first, not depthwise ones, not those that read only what stays. */
START_TEST(which)
{
    struct trial t = {0};
    net_init(&t.n, 1, "which");
    int a = conv(&t.n, input(&t.n, 3, 6, 6), 8, 3, 1);
    int b = conv_win(&t.n, a, 8, window(3, 1, 1), 8, false);
    int c = conv_win(&t.n, b, 12, window(3, 2, 1), 2, false);
    int d = conv(&t.n, b, 12, 1, 2); /* reads the same value */
    int f = gemm(&t.n, unary(&t.n, OP_FLATTEN, sum(&t.n, c, d)), 5, true);
    trial_init(&t, 21, true);
    static const int cols[] = {36, 8, 108}, conv_groups[] = {2, 1, 1};
    const int nodes[] = {c, d, f};
    ck_assert_int_eq(t.grams.n, 3);
    for (int i = 0; i < 3; i++) {
        const struct gram *gr = &t.grams.of[i];
        ck_assert(gr->node == nodes[i] && gr->n == cols[i] && gr->groups == conv_groups[i]);
        ck_assert_ptr_eq(gram_find(&t.grams, nodes[i]), gr);
        check_gram(&t, gr, 1e-4);
    }
    ck_assert_ptr_null(gram_find(&t.grams, a));
    ck_assert(gram_list_fits(&t.grams, &t.n.m.graph, &t.gs));
    t.grams.of[1].n++;
    ck_assert(!gram_list_fits(&t.grams, &t.n.m.graph, &t.gs));
    t.grams.of[1].n--;
    t.grams.n--;
    ck_assert(!gram_list_fits(&t.grams, &t.n.m.graph, &t.gs));
    t.grams.n++;
    trial_release(&t);
}
END_TEST

/* Numbers far from zero that hardly vary: the mean must not drown the covariance. */
START_TEST(far_from_zero)
{
    struct trial t = {0};
    net_init(&t.n, 1, "far");
    int b = bn(&t.n, conv(&t.n, input(&t.n, 3, 6, 6), 8, 3, 1));
    tail(&t.n, conv_win(&t.n, b, 6, window(1, 1, 0), 1, false), 5);
    draw_weights(&t.n);
    for (int c = 0; c < 8; c++)
        t.n.m.weights.of[b].b[c] = (float)(1000 + 300 * c);
    find_groups(&t.n, &t.gs);
    album_init(&t.album, &t.n.m.graph.nodes[0], 50, 5, 1);
    float *x = album_floats(&t.album, 0, 50);
    naive_run(&t.v, &t.n.m.graph, &t.n.m.weights, 50, ENGINE_INFER, x);
    free(x);
    measure(&t, 1, 1);
    check_gram(&t, &t.grams.of[0], 2e-3);
    trial_release(&t);
}
END_TEST

static void check_bytes(const struct gram_list *a, const struct gram_list *b, bool same)
{
    for (int i = 0; i < a->n; i++) {
        size_t n = (size_t)a->of[i].n, groups = (size_t)a->of[i].groups;
        ck_assert((memcmp(a->of[i].cov, b->of[i].cov, n * n * groups * sizeof(float)) == 0) == same);
        ck_assert((memcmp(a->of[i].mean, b->of[i].mean, n * groups * sizeof(float)) == 0) == same);
    }
}

/* So much at once that one chunk doesn't hold it, and threads could have a say in what does. */
START_TEST(any_threads)
{
    struct trial t = {0};
    struct gram_list first;
    net_init(&t.n, 1, "threads");
    int x = input(&t.n, 3, 16, 16);
    for (int i = 0; i < 26; i++)
        x = relu(&t.n, conv(&t.n, x, 8, 5, 1));
    tail(&t.n, x, 5);
    trial_init(&t, 62, false);
    first = t.grams;
    for (int threads = 2; threads <= 3; threads++) {
        measure(&t, threads, 1);
        check_bytes(&first, &t.grams, true);
        gram_list_release(&t.grams);
    }
    t.grams = first;
    trial_release(&t);
}
END_TEST

/* More positions than are wanted: the sample depends on the seed, is near the truth, and on nothing else. */
START_TEST(sampled)
{
    struct trial t = {0};
    struct gram_list first;
    net_init(&t.n, 1, "sampled");
    int x = relu(&t.n, conv(&t.n, input(&t.n, 3, 12, 12), 4, 3, 1));
    tail(&t.n, relu(&t.n, conv(&t.n, x, 4, 3, 1)), 5);
    trial_init(&t, 800, true); /* 50 of 144 positions each */
    t.grams.n--;               /* the gemm has one position and isn't sampled */
    check_gram(&t, &t.grams.of[0], 0.1);
    first = t.grams;
    measure(&t, 2, 1);
    check_bytes(&first, &t.grams, true);
    gram_list_release(&t.grams);
    measure(&t, 1, 2);
    check_bytes(&first, &t.grams, false);
    gram_list_release(&t.grams);
    first.n++;
    t.grams = first;
    trial_release(&t);
}
END_TEST

/* ---- reconstruction ---- */

/*
 * Weights (K, S) of conv group cg for the kept columns: centred X against centred Y = X W, ridge as gram.h says,
 * and how the mean of the output shifts.
 */
static void least_squares(const struct trial *t, const struct gram *gr, int cg, const int *S, int n_S,
                          const float *w_dense, const int *rows, int K, double *w, double *shift)
{
    struct patches p;
    patches_of(t, gr, cg, &p);
    size_t n = (size_t)p.n, s = (size_t)n_S, k_all = (size_t)K;
    double *cov = xcalloc(n * n, sizeof *cov), *a = xcalloc(s * s, sizeof *a), *b = xcalloc(s * k_all, sizeof *b);
    double ridge = GRAM_RIDGE * covariance(&p, cov) + 1e-12, *y = xcalloc((size_t)p.rows * k_all, sizeof *y);
    for (int r = 0; r < p.rows; r++)
        for (int k = 0; k < K; k++)
            for (size_t c = 0; c < n; c++)
                y[r * K + k] += p.x[(size_t)r * n + c] * (double)w_dense[(size_t)rows[k] * n + c];
    for (size_t i = 0; i < s; i++) {
        for (size_t j = 0; j < s; j++)
            a[i * s + j] = cov[(size_t)S[i] * n + (size_t)S[j]] + (i == j ? ridge : 0);
        for (int r = 0; r < p.rows; r++)
            for (int k = 0; k < K; k++)
                b[i * k_all + (size_t)k] += p.x[(size_t)r * n + (size_t)S[i]] * y[r * K + k] / p.rows;
    }
    plain_solve(a, n_S, b, K);
    for (int k = 0; k < K; k++) {
        shift[k] = 0;
        for (size_t c = 0; c < n; c++)
            shift[k] += (double)w_dense[(size_t)rows[k] * n + c] * p.mean[c];
        for (size_t i = 0; i < s; i++) {
            w[(size_t)k * s + i] = b[i * k_all + (size_t)k];
            shift[k] -= w[(size_t)k * s + i] * p.mean[S[i]];
        }
    }
    free(cov);
    free(a);
    free(b);
    free(y);
    patches_release(&p);
}

static int bn_behind(const struct graph *g, int node)
{
    for (int i = node + 1; i < g->n; i++)
        if (g->nodes[i].op == OP_BN && g->nodes[i].in[0] == node)
            return i;
    return -1;
}

/* The shift is where it belongs: in the BN's mean, else in the bias. */
static void check_shift(const struct trial *t, const struct model *small, int node, int from, const int *rows,
                        int K, const double *shift)
{
    int b = bn_behind(&t->n.m.graph, node);
    const struct params *was = &t->n.m.weights.of[b < 0 ? node : b], *is = &small->weights.of[b < 0 ? node : b];
    double size = 1e-3;
    for (int k = 0; k < K; k++)
        size = fmax(size, fabs(shift[k]));
    for (int k = 0; k < K; k++) {
        double before = b >= 0 ? (double)was->mean[rows[k]] : was->b ? (double)was->b[rows[k]] : 0;
        double now = b >= 0 ? (double)is->mean[from + k] : (double)is->b[from + k];
        ck_assert_double_eq_tol(now - before, b >= 0 ? -shift[k] : shift[k], 2e-3 * size);
    }
}

static void check_layer(const struct trial *t, const struct gram *gr, const bool *live, const struct model *small)
{
    const struct graph *g = &t->n.m.graph;
    const struct node *y = &g->nodes[gr->node], *in = &g->nodes[y->in[0]];
    int C = in->C / gr->groups, K_all = y->C / gr->groups, area = gr->n / C, at = 0;
    const float *got = small->weights.of[gr->node].w;
    for (int cg = 0; cg < gr->groups; cg++) {
        int *S = xcalloc((size_t)gr->n, sizeof *S), *rows = xcalloc((size_t)K_all, sizeof *rows), n_S = 0, K = 0;
        for (int c = 0; c < gr->n; c++)
            if (live[t->gs.classes[y->in[0]][cg * C + c / area]])
                S[n_S++] = c;
        for (int k = 0; k < K_all; k++)
            if (live[t->gs.classes[gr->node][cg * K_all + k]])
                rows[K++] = k;
        double *w = xcalloc((size_t)(K * n_S), sizeof *w), *shift = xcalloc((size_t)K, sizeof *shift);
        if (n_S < gr->n) {
            const float *dense = t->n.m.weights.of[gr->node].w + (size_t)cg * (size_t)K_all * (size_t)gr->n;
            least_squares(t, gr, cg, S, n_S, dense, rows, K, w, shift);
            double d = naive_distance(got, w, (size_t)(K * n_S));
            ck_assert_msg(d < 2e-3, "node %d (%s, %d of %d columns, group %d): off by %g", gr->node, op_name(y->op),
                          n_S, gr->n, cg, d);
            for (int k = 0; k < K; k++)
                rows[k] += cg * K_all;
            check_shift(t, small, gr->node, at, rows, K, shift);
        }
        got += K * n_S;
        at += K;
        free(S);
        free(rows);
        free(w);
        free(shift);
    }
}

static void rebuild(struct trial *t, const bool *live, struct model *small)
{
    struct err e;
    struct pool *p = new_pool(2);
    must(cut(&t->n.m, &t->gs, live, small, &e), &e);
    must(reconstruct(small, &t->n.m, &t->gs, live, &t->grams, p, &e), &e);
    pool_free(p);
}

static bool *draw_live(struct net *n, const struct groups *gs)
{
    bool *live = xcalloc((size_t)gs->n_classes, sizeof *live);
    int *keep, **order;
    draw_keep(n, gs, &keep, &order);
    cut_live(gs, keep, order, live);
    free_keep(gs, keep, order);
    return live;
}

START_TEST(solved)
{
    struct trial t = {0};
    struct model small;
    net_init(&t.n, (uint64_t)_i, "solved");
    int a = relu(&t.n, bn(&t.n, conv(&t.n, input(&t.n, 3, 8, 8), 8, 3, 1)));
    int b = relu(&t.n, conv_win(&t.n, a, 8, window(3, 2, 1), 2, true)); /* grouped, by 2 */
    int c = relu(&t.n, bn(&t.n, conv(&t.n, b, 6, 1, 1)));
    int d = relu(&t.n, conv(&t.n, c, 6, 3, 1)); /* without bias, without BN */
    int f = conv(&t.n, a, 6, 5, 2);             /* another reader of a */
    int h = gemm(&t.n, unary(&t.n, OP_FLATTEN, sum(&t.n, d, f)), 7, false);
    int i = gemm(&t.n, bn(&t.n, h), 6, true);
    gemm(&t.n, relu(&t.n, i), 5, false);
    trial_init(&t, 150, true); /* more rows than the flattened layer has columns */
    for (int k = 0; k < 3; k++) {
        bool *live = draw_live(&t.n, &t.gs);
        rebuild(&t, live, &small);
        for (int l = 0; l < t.grams.n; l++)
            check_layer(&t, &t.grams.of[l], live, &small);
        model_release(&small);
        free(live);
    }
    trial_release(&t);
}
END_TEST

/* Layers that lost nothing keep their very weights. */
START_TEST(untouched)
{
    struct trial t = {0};
    struct model small;
    net_init(&t.n, 1, "untouched");
    int c = conv(&t.n, relu(&t.n, conv(&t.n, input(&t.n, 3, 6, 6), 8, 3, 1)), 6, 3, 1);
    tail(&t.n, relu(&t.n, c), 5);
    trial_init(&t, 30, false);
    bool *live = xcalloc((size_t)t.gs.n_classes, sizeof *live);
    memset(live, true, (size_t)t.gs.n_classes);
    rebuild(&t, live, &small);
    for (int i = 0; i < t.n.m.graph.n; i++) {
        const struct params *p = &t.n.m.weights.of[i], *q = &small.weights.of[i];
        ck_assert(p->n_w == 0 || memcmp(p->w, q->w, p->n_w * sizeof(float)) == 0);
        ck_assert((p->b == NULL) == (q->b == NULL));
    }
    model_release(&small);
    free(live);
    trial_release(&t);
}
END_TEST

/* Channels that are sums of kept ones and a constant cost nothing. */
START_TEST(recovered)
{
    struct trial t = {0};
    struct model small, bare;
    struct err e;
    net_init(&t.n, 1, "recovered");
    int b = bn(&t.n, conv(&t.n, input(&t.n, 3, 8, 8), 8, 3, 1));
    int c = relu(&t.n, conv_win(&t.n, b, 6, window(3, 1, 0), 1, true)); /* no padding: zeroes aren't such sums */
    tail(&t.n, c, 5);
    draw_weights(&t.n);
    float *w = t.n.m.weights.of[b - 1].w;
    for (int k = 4; k < 8; k++)
        for (int i = 0; i < 27; i++)
            w[k * 27 + i] = 0.5F * w[(k - 4) * 27 + i] - 0.7F * w[(k - 3) % 4 * 27 + i];
    find_groups(&t.n, &t.gs);
    album_init(&t.album, &t.n.m.graph.nodes[0], 60, 5, 1);
    measure(&t, 1, 1);
    bool *live = xcalloc((size_t)t.gs.n_classes, sizeof *live);
    for (int k = 0; k < t.gs.n_classes; k++)
        live[k] = t.gs.group[k] != 0 || t.gs.rank[k] < 4;
    rebuild(&t, live, &small);
    must(cut(&t.n.m, &t.gs, live, &bare, &e), &e);
    float *x = album_floats(&t.album, 0, 20);
    ck_assert_double_lt(model_distance(&small, &t.n.m, x, 20), 1e-2);
    ck_assert_double_gt(model_distance(&bare, &t.n.m, x, 20), 0.1);
    free(x);
    free(live);
    model_release(&small);
    model_release(&bare);
    trial_release(&t);
}
END_TEST

static int stop(void *arg, int done, int total)
{
    (void)done;
    (void)total;
    return --*(int *)arg;
}

START_TEST(refused)
{
    struct trial t = {0};
    struct err e;
    struct pool *p = new_pool(2);
    int left = 0;
    net_init(&t.n, 1, "refused");
    tail(&t.n, conv(&t.n, input(&t.n, 3, 6, 6), 8, 3, 1), 5);
    trial_init(&t, 30, false);
    ck_assert_int_eq(gram_measure(&t.grams, p, &t.n.m, &t.album.set, 1, stop, &left, &e), ERR_CANCELLED);
    t.album.set.n = 0;
    ck_assert_int_eq(gram_measure(&t.grams, p, &t.n.m, &t.album.set, 1, NULL, NULL, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "no images to measure Gram matrices with");
    pool_free(p);
    trial_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gram");
    TCase *t = tcase_create("gram");
    tcase_set_timeout(t, 100);
    tcase_add_loop_test(t, drawn, 0, 4);
    tcase_add_test(t, which);
    tcase_add_test(t, far_from_zero);
    tcase_add_test(t, any_threads);
    tcase_add_test(t, sampled);
    tcase_add_loop_test(t, solved, 0, 3);
    tcase_add_test(t, untouched);
    tcase_add_test(t, recovered);
    tcase_add_test(t, refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
