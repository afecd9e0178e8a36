/*
 * eliminate - its costs against the increase of the ridged quadratic error, worked out from scratch for every set
 * of channels that is left.
 */
#include "worker/compress/eliminate.h"

#include "tests/unit/compress_net.h"

/* A network whose group 0 is read by several layers, with drawn covariances. */
struct trial {
    struct net n;
    struct groups gs;
    struct gram_list grams;
};

/* A A' / n of numbers that go together. */
static void draw_cov(struct rng *r, float *cov, int n)
{
    int rows = 2 * n + 3;
    double *x = xcalloc((size_t)rows * (size_t)n, sizeof *x);
    for (int i = 0; i < rows; i++) {
        double common = rng_normal(r);
        for (int c = 0; c < n; c++)
            x[i * n + c] = (0.5 + 0.1 * c) * (common + rng_normal(r));
    }
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++) {
            double s = 0;
            for (int i = 0; i < rows; i++)
                s += x[i * n + a] * x[i * n + b] / rows;
            cov[a * n + b] = (float)s;
        }
    free(x);
}

/* Takes what is in t->n. */
static void trial_init(struct trial *t)
{
    struct err e;
    draw_weights(&t->n);
    find_groups(&t->n, &t->gs);
    must(gram_list_new(&t->grams, &t->n.m.graph, &t->gs, &e), &e);
    for (int i = 0; i < t->grams.n; i++)
        for (int cg = 0; cg < t->grams.of[i].groups; cg++) {
            size_t n = (size_t)t->grams.of[i].n;
            draw_cov(&t->n.rng, t->grams.of[i].cov + (size_t)cg * n * n, (int)n);
        }
}

static void trial_release(struct trial *t)
{
    gram_list_release(&t->grams);
    groups_release(&t->gs);
    model_release(&t->n.m);
}

/* A 3x3 conv with a BN, a 1x1 conv without, a grouped one and, flattened, a gemm read the six channels of group 0.
 */
static void several(struct trial *t, uint64_t seed)
{
    *t = (struct trial){0};
    net_init(&t->n, seed, "eliminate");
    int a = relu(&t->n, conv(&t->n, input(&t->n, 3, 4, 4), 6, 3, 1));
    int b = conv(&t->n, a, 5, 3, 2);
    int c = conv_win(&t->n, pool(&t->n, OP_AVGPOOL, a, window(2, 2, 0), false), 4, window(1, 1, 0), 1, true);
    int d = unary(&t->n, OP_FLATTEN, concat(&t->n, bn(&t->n, b), c, -1));
    int f = unary(&t->n, OP_FLATTEN, pool(&t->n, OP_AVGPOOL, a, window(2, 2, 0), false));
    gemm(&t->n, concat(&t->n, d, f, -1), 5, true);
    trial_init(t);
}

/* ---- from scratch ---- */

/* Least of tr((W-V)'(G + lambda)(W-V)) over V that vanishes on the `gone` columns: W_D' (M_DD - M_DS M_SS^-1 M_SD)
 * W_D. w (K,n), in units of the output's scale. */
static double error_without(const float *cov, int n, const double *w, int K, const bool *gone)
{
    double trace = 0, error = 0;
    int *D = xcalloc((size_t)n, sizeof *D), *S = xcalloc((size_t)n, sizeof *S), d = 0, s = 0;
    for (int i = 0; i < n; i++) {
        trace += (double)cov[i * n + i];
        if (gone[i])
            D[d++] = i;
        else
            S[s++] = i;
    }
    double ridge = GRAM_RIDGE * trace / n + 1e-12;
#define M(i, j) ((double)cov[(i)*n + (j)] + ((i) == (j) ? ridge : 0))
    double *a = xcalloc((size_t)(s * s), sizeof *a), *b = xcalloc((size_t)(s * d), sizeof *b);
    for (int i = 0; i < s; i++) {
        for (int j = 0; j < s; j++)
            a[i * s + j] = M(S[i], S[j]);
        for (int j = 0; j < d; j++)
            b[i * d + j] = M(S[i], D[j]);
    }
    plain_solve(a, s, b, d);
    for (int i = 0; i < d; i++)
        for (int j = 0; j < d; j++) {
            double q = M(D[i], D[j]);
            for (int x = 0; x < s; x++)
                q -= M(D[i], S[x]) * b[x * d + j];
            for (int k = 0; k < K; k++)
                error += w[k * n + D[i]] * q * w[k * n + D[j]];
        }
#undef M
    free(D);
    free(S);
    free(a);
    free(b);
    return error;
}

static double scale_of(const struct model *m, int node, int k)
{
    for (int i = node + 1; i < m->graph.n; i++)
        if (m->graph.nodes[i].op == OP_BN && m->graph.nodes[i].in[0] == node) {
            const struct params *p = &m->weights.of[i];
            return (double)p->w[k] / sqrt((double)p->var[k] + (double)m->graph.nodes[i].u.bn.eps);
        }
    return 1;
}

/* Error of all layers that read the group when the classes in `gone` are left out. */
static double total_error(const struct trial *t, int group, const bool *gone)
{
    double all = 0;
    for (int l = 0; l < t->grams.n; l++) {
        const struct gram *gr = &t->grams.of[l];
        const struct node *y = &t->n.m.graph.nodes[gr->node], *in = &t->n.m.graph.nodes[y->in[0]];
        int n = gr->n, K = y->C / gr->groups, C = in->C / gr->groups, area = n / C;
        for (int cg = 0; cg < gr->groups; cg++) {
            bool *cols = xcalloc((size_t)n, sizeof *cols), any = false;
            double *w = xcalloc((size_t)(K * n), sizeof *w), base = 0;
            const float *cov = gr->cov + (size_t)cg * (size_t)n * (size_t)n;
            for (int c = 0; c < n; c++) {
                int class = t->gs.classes[y->in[0]][cg * C + c / area];
                cols[c] = t->gs.group[class] == group && gone[t->gs.rank[class]];
                any = any || t->gs.group[class] == group;
            }
            for (int k = 0; k < K; k++)
                for (int c = 0; c < n; c++)
                    w[k * n + c] = scale_of(&t->n.m, gr->node, cg * K + k) *
                                   (double)t->n.m.weights.of[gr->node].w[(cg * K + k) * n + c];
            for (int k = 0; k < K; k++)
                for (int i = 0; i < n; i++)
                    for (int j = 0; j < n; j++)
                        base += w[k * n + i] * (double)cov[i * n + j] * w[k * n + j];
            if (any)
                all += error_without(cov, n, w, K, cols) / sqrt(base);
            free(cols);
            free(w);
        }
    }
    return all;
}

/* Each step of the order costs what the error rises by; in a greedy order nothing left would have cost less. */
static void check_steps(const struct trial *t, int group, const int *order, const float *curve, bool greedy)
{
    int size = t->gs.of[group].n;
    bool *gone = xcalloc((size_t)size, sizeof *gone);
    ck_assert(curve[size] == 0);
    double before = 0, all = (double)curve[0];
    for (int left = size; left > 0; left--) {
        int k = order[left - 1];
        ck_assert(k >= 0 && k < size && !gone[k]);
        gone[k] = true;
        double now = total_error(t, group, gone);
        ck_assert_double_eq_tol((double)curve[left - 1], now, 1e-5 * all);
        ck_assert(curve[left - 1] >= curve[left]);
        for (int other = 0; greedy && other < size; other++)
            if (!gone[other]) {
                gone[k] = false;
                gone[other] = true;
                ck_assert_double_ge(total_error(t, group, gone) - before, now - before - 1e-6 * all);
                gone[other] = false;
                gone[k] = true;
            }
        before = now;
    }
    free(gone);
}

static void run(const struct trial *t, int group, enum select_kind select, int *order, float *curve)
{
    struct err e;
    must(eliminate(&t->n.m, &t->gs, group, &t->grams, select, order, curve, &e), &e);
}

START_TEST(brute_force)
{
    struct trial t;
    int order[8];
    float curve[9];
    several(&t, (uint64_t)_i);
    ck_assert_int_eq(t.gs.of[0].n, 6);
    ck_assert_int_eq(t.grams.n, 3);
    for (int g = 0; g < t.gs.n; g++) {
        run(&t, g, SELECT_GRAM, order, curve);
        check_steps(&t, g, order, curve, true);
    }
    trial_release(&t);
}
END_TEST

START_TEST(grouped)
{
    struct trial t = {0};
    int order[8];
    float curve[9];
    net_init(&t.n, (uint64_t)_i, "grouped");
    int a = relu(&t.n, conv(&t.n, input(&t.n, 3, 4, 4), 8, 3, 1)); /* four classes of two channels */
    int b = conv_win(&t.n, a, 6, window(3, 1, 1), 2, false);
    tail(&t.n, bn(&t.n, b), 5);
    trial_init(&t);
    ck_assert_int_eq(t.gs.of[0].n, 4);
    run(&t, 0, SELECT_GRAM, order, curve);
    check_steps(&t, 0, order, curve, true);
    trial_release(&t);
}
END_TEST

/* The L1 norm decides, the errors are the same sums. */
START_TEST(by_norm)
{
    struct trial t;
    int order[8], classes = 6;
    float curve[9];
    double norm[8] = {0};
    several(&t, (uint64_t)_i);
    const struct params *p = &t.n.m.weights.of[t.gs.of[0].first];
    for (int k = 0; k < classes; k++)
        for (int i = 0; i < 27; i++)
            norm[t.gs.rank[t.gs.classes[t.gs.of[0].first][k]]] += fabs((double)p->w[k * 27 + i]);
    run(&t, 0, SELECT_L1, order, curve);
    for (int k = 1; k < classes; k++)
        ck_assert_double_ge(norm[order[k - 1]], norm[order[k]]);
    check_steps(&t, 0, order, curve, false);
    trial_release(&t);
}
END_TEST

/* A group that nothing reads but itself, and one whose layer sees nothing, still get an order. */
START_TEST(nothing_to_go_by)
{
    struct trial t = {0};
    int order[8];
    float curve[9];
    net_init(&t.n, 1, "nothing");
    int a = relu(&t.n, conv(&t.n, input(&t.n, 3, 4, 4), 6, 3, 1));
    tail(&t.n, a, 5);
    trial_init(&t);
    t.grams.n = 0; /* as of a layer with too many columns */
    run(&t, 0, SELECT_GRAM, order, curve);
    for (int k = 0; k < 6; k++)
        ck_assert(curve[k] > curve[k + 1]);
    t.grams.n = 1;
    memset(t.grams.of[0].cov, 0, 36 * sizeof(float));
    run(&t, 0, SELECT_GRAM, order, curve);
    int seen = 0;
    for (int k = 0; k < 6; k++) {
        ck_assert(isfinite(curve[k]));
        seen |= 1 << order[k];
    }
    ck_assert_int_eq(seen, 63);
    trial_release(&t);
}
END_TEST

/* A channel that is another one's double goes first, and for next to nothing. */
START_TEST(redundant)
{
    struct trial t;
    int order[8];
    float curve[9];
    several(&t, 9);
    for (int l = 0; l < t.grams.n; l++) {
        struct gram *gr = &t.grams.of[l];
        int n = gr->n, at = l == 2 ? 5 * 4 + 4 * 4 : 0,
            area = l == 0   ? 9
                   : l == 1 ? 1
                            : 4; /* channel 4 becomes 1 */
        for (int a = 0; a < area; a++) {
            int to = at + 4 * area + a, from = at + area + a;
            for (int j = 0; j < n; j++)
                gr->cov[to * n + j] = gr->cov[from * n + j];
            for (int j = 0; j < n; j++)
                gr->cov[j * n + to] = gr->cov[j * n + from];
        }
    }
    run(&t, 0, SELECT_GRAM, order, curve);
    ck_assert(order[5] == 4 || order[5] == 1);
    ck_assert_double_lt((double)curve[5], 0.01 * (double)curve[4]);
    trial_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("eliminate");
    TCase *t = tcase_create("eliminate");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, brute_force, 0, 6);
    tcase_add_loop_test(t, grouped, 0, 4);
    tcase_add_loop_test(t, by_norm, 0, 4);
    tcase_add_test(t, nothing_to_go_by);
    tcase_add_test(t, redundant);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
