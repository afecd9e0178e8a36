/* sparsify - what stays against a sort, curves against outputs that are computed one by one. */
#include "worker/compress/sparsify.h"

#include "tests/unit/compress_net.h"

/* ---- the largest ---- */

struct entry {
    float w;
    size_t at;
};

static int by_magnitude(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (fabsf(x->w) != fabsf(y->w))
        return fabsf(x->w) > fabsf(y->w) ? -1 : 1;
    return x->at < y->at ? -1 : 1;
}

START_TEST(the_largest_stay)
{
    struct rng r;
    rng_init(&r, 1, "largest", 0);
    for (int round = 0; round < 300; round++) {
        size_t n = 1 + rng_below(&r, 400), count = rng_below(&r, n + 1);
        struct entry *sorted = xcalloc(n, sizeof *sorted);
        float *w = xcalloc(n, sizeof *w), *want = xcalloc(n, sizeof *want);
        for (size_t i = 0; i < n; i++) {
            int kind = round % 3; /* all different, few different ones, of all sizes and with zeros */
            w[i] = kind == 0   ? (float)rng_normal(&r)
                   : kind == 1 ? (float)((int)rng_below(&r, 7) - 3)
                               : (float)(rng_normal(&r) * pow(10, (double)rng_below(&r, 80) - 42));
            sorted[i] = (struct entry){w[i], i};
        }
        qsort(sorted, n, sizeof *sorted, by_magnitude);
        for (size_t i = 0; i < count; i++)
            want[sorted[i].at] = sorted[i].w;
        sparsify_largest(w, n, (int64_t)count);
        for (size_t i = 0; i < n; i++)
            ck_assert(w[i] == want[i]);
        free(sorted);
        free(w);
        free(want);
    }
}
END_TEST

/* ---- curves ---- */

/* conv, or a grouped one, with a BN behind it, or a gemm; of 60 inputs drawn for each of its groups. */
struct layer {
    struct net n;
    int node;
    struct gram gr;
    double *x; /* (groups, ROWS, n) */
};
enum { ROWS = 60 };

static void layer_init(struct layer *l, int kind)
{
    net_init(&l->n, (uint64_t)(10 + kind), "layer");
    if (kind == 2) {
        l->node = gemm(&l->n, unary(&l->n, OP_FLATTEN, input(&l->n, 3, 2, 2)), 7, true);
    } else {
        l->node = conv_win(&l->n, input(&l->n, 4, 6, 6), 8, window(3, 1, 1), kind == 1 ? 4 : 1, false);
        bn(&l->n, l->node);
    }
    draw_weights(&l->n);
    const struct params *p = &l->n.m.weights.of[l->node];
    int C = l->n.m.graph.nodes[l->node].C;
    l->gr = (struct gram){.node = l->node, .n = (int)(p->n_w / (size_t)C), .groups = kind == 1 ? 4 : 1};
    size_t n = (size_t)l->gr.n, groups = (size_t)l->gr.groups;
    l->x = xcalloc(groups * ROWS * n, sizeof(double));
    l->gr.cov = xcalloc(groups * n * n, sizeof(float));
    l->gr.mean = xcalloc(groups * n, sizeof(float));
    for (size_t cg = 0; cg < groups; cg++) {
        double *x = l->x + cg * ROWS * n;
        for (size_t i = 0; i < ROWS * n; i++)
            x[i] = rng_normal(&l->n.rng) + (i % n ? 0.3 * x[i - 1] : 1);
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t i = 0; i < ROWS; i++)
                sum += x[i * n + j] / ROWS;
            l->gr.mean[cg * n + j] = (float)sum;
        }
        for (size_t j = 0; j < n; j++)
            for (size_t k = 0; k < n; k++) {
                double sum = 0;
                for (size_t i = 0; i < ROWS; i++)
                    sum += (x[i * n + j] - l->gr.mean[cg * n + j]) * (x[i * n + k] - l->gr.mean[cg * n + k]) / ROWS;
                l->gr.cov[(cg * n + j) * n + k] = (float)sum;
            }
    }
}

static void layer_release(struct layer *l)
{
    free(l->x);
    free(l->gr.cov);
    free(l->gr.mean);
    model_release(&l->n.m);
}

/* Mean square, over inputs and channels, of what the weights w put out, behind the BN, less its mean where one is. */
static double power_of(const struct layer *l, const float *w)
{
    const struct graph *g = &l->n.m.graph;
    const struct node *d = &g->nodes[l->node];
    bool has_bn = d->op == OP_CONV;
    const struct params *b = has_bn ? &l->n.m.weights.of[l->node + 1] : NULL;
    double sum = 0;
    size_t n = (size_t)l->gr.n;
    for (int k = 0; k < d->C; k++) {
        int cg = k / (d->C / l->gr.groups);
        double scale = b ? b->w[k] / sqrt((double)b->var[k] + (double)g->nodes[l->node + 1].u.bn.eps) : 1;
        double y[ROWS], mean = 0;
        for (int i = 0; i < ROWS; i++) {
            y[i] = 0;
            for (size_t j = 0; j < n; j++)
                y[i] += l->x[((size_t)cg * ROWS + (size_t)i) * n + j] * w[(size_t)k * n + j];
            mean += y[i] / ROWS;
        }
        for (int i = 0; i < ROWS; i++)
            sum += pow(scale * (y[i] - (has_bn ? mean : 0)), 2) / ROWS;
    }
    return sum;
}

/* Whatever the weights, all of them is no error, to the bit; a layer that puts out nothing has none at all. */
START_TEST(ends_are_exact)
{
    float curve[FINE_MOST + 1];
    struct err e;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct net n;
        net_init(&n, seed, "ends");
        int node = conv_win(&n, input(&n, 3, 4, 4), 5, window(3, 1, 1), 1, false);
        draw_weights(&n);
        struct params *p = &n.m.weights.of[node];
        must(sparsify_curve(&n.m, node, NULL, curve, &e), &e);
        ck_assert(curve[0] == 1 && curve[FINE_MOST] == 0);
        for (int k = 0; k < FINE_MOST; k++)
            ck_assert(curve[k] >= curve[k + 1]);
        for (size_t i = 0; i < p->n_w; i++)
            p->w[i] = 0;
        must(sparsify_curve(&n.m, node, NULL, curve, &e), &e);
        for (int k = 0; k <= FINE_MOST; k++)
            ck_assert(curve[k] == 0);
        p->w[0] = 3e38f;
        p->w[1] = INFINITY;
        ck_assert_int_eq(sparsify_curve(&n.m, node, NULL, curve, &e), ERR_INVALID);
        ck_assert_ptr_nonnull(strstr(e.text, "is not a number"));
        model_release(&n.m);
    }
}
END_TEST

START_TEST(curve_is_the_outputs_error)
{
    static const int at[] = {25, 100, 250, 500, 700, 950};
    struct layer l;
    float curve[FINE_MOST + 1];
    struct err e;
    layer_init(&l, _i);
    const struct params *p = &l.n.m.weights.of[l.node];
    must(sparsify_curve(&l.n.m, l.node, &l.gr, curve, &e), &e);
    ck_assert(curve[0] == 1 && curve[FINE_MOST] == 0);
    float *gone = xcalloc(p->n_w, sizeof *gone);
    for (size_t i = 0; i < sizeof at / sizeof *at; i++) {
        int64_t count = ((int64_t)p->n_w * at[i] + 999) / 1000;
        memcpy(gone, p->w, p->n_w * sizeof *gone);
        sparsify_largest(gone, p->n_w, count);
        for (size_t k = 0; k < p->n_w; k++)
            gone[k] = p->w[k] - gone[k];
        ck_assert_double_eq_tol(curve[at[i]], power_of(&l, gone) / power_of(&l, p->w), 1e-4);
    }
    ck_assert_double_eq_tol(curve[525], (curve[500] + curve[550]) / 2, 1e-6);
    for (int k = 1; k <= FINE_MOST; k++)
        ck_assert(curve[k] <= curve[k - 1]);
    must(sparsify_curve(&l.n.m, l.node, NULL, curve, &e), &e); /* too wide for a matrix */
    ck_assert(curve[0] == 1 && curve[FINE_MOST] == 0 && curve[500] > 0 && curve[500] < 0.5f);
    free(gone);
    layer_release(&l);
}
END_TEST

/* Densities of a drawn network: counted, and nothing else has changed. */
START_TEST(only_weights_go)
{
    struct net n;
    struct model m = {0};
    struct fine f;
    struct err e;
    net_init(&n, 5, "sparse");
    int x = bn(&n, conv_win(&n, input(&n, 3, 8, 8), 12, window(3, 1, 1), 1, true));
    x = conv_win(&n, x, 12, window(3, 1, 1), 12, true);
    gemm(&n, unary(&n, OP_FLATTEN, x), 4, true);
    draw_weights(&n);
    must(graph_copy(&n.m.graph, &m.graph, &e), &e);
    must(weights_copy(&n.m.weights, &m.weights, &e), &e);
    fine_find(&f, &m.graph);
    sparsify(&m, &f, (int[]){300, 1000, 50});
    for (int i = 0, layer = 0; i < m.graph.n; i++) {
        const struct params *was = &n.m.weights.of[i], *is = &m.weights.of[i];
        bool cut = m.graph.nodes[i].op == OP_CONV || m.graph.nodes[i].op == OP_GEMM;
        int64_t count = 0;
        for (size_t k = 0; k < is->n_w; k++) {
            count += is->w[k] != 0;
            ck_assert(is->w[k] == was->w[k] || (cut && is->w[k] == 0));
        }
        if (cut)
            ck_assert_int_eq(count, fine_count(&f, layer, (int[]){300, 1000, 50}[layer]));
        layer += cut;
        for (size_t k = 0; is->b && k < is->n_b; k++)
            ck_assert(is->b[k] == was->b[k]);
    }
    fine_release(&f);
    model_release(&m);
    model_release(&n.m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sparsify");
    TCase *t = tcase_create("sparsify");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, the_largest_stay);
    tcase_add_loop_test(t, curve_is_the_outputs_error, 0, 3);
    tcase_add_test(t, ends_are_exact);
    tcase_add_test(t, only_weights_go);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int bad = srunner_ntests_failed(r) > 0 || srunner_ntests_run(r) == 0;
    srunner_free(r);
    return bad;
}
