/*
 * evaluate_ops - candidates of nets with gates, shuffles, curves, grouped convs and pixel-major columns. Every second channel
 * is made a copy of another one: the profile must find that out through whatever lies between, and a candidate that keeps
 * half of all channels must compute what the dense network does.
 */
#include "tests/unit/compress_net.h"
#include "worker/compress/evaluate.h"

static int unit(struct net *n, int x, int K, int R, int groups, bool with_bn)
{
    int c = conv_win(n, x, K, window(R, 1, R / 2), groups, !with_bn);
    return with_bn ? bn(n, c) : c;
}

/* ---- nets ---- */

static void squeeze(struct net *n, bool with_bn)
{
    int x = unary(n, OP_HARDSWISH, unit(n, input(n, 3, 8, 8), 12, 3, 1, with_bn));
    x = unary(n, OP_HARDSWISH, unit(n, x, 12, 3, 12, with_bn));
    int s = relu(n, conv_win(n, unary(n, OP_GLOBALPOOL, x), 8, window(1, 1, 0), 1, true));
    s = act(n, OP_HARDSIGMOID, conv_win(n, s, 12, window(1, 1, 0), 1, true), 0.2F, 0.5F);
    x = unit(n, mul(n, x, s), 16, 3, 1, with_bn);
    x = mul(n, x, unary(n, OP_SIGMOID, x));
    tail(n, x, 5);
}

/* The gate from Gemms, read by PRelu and Elu; a sum of both. */
static void squeeze_flat(struct net *n, bool with_bn)
{
    int x = unary(n, OP_PRELU, unit(n, input(n, 3, 8, 8), 12, 3, 1, with_bn));
    int s = unary(n, OP_FLATTEN, unary(n, OP_GLOBALPOOL, x));
    s = unary(n, OP_UNFLATTEN, unary(n, OP_SIGMOID, gemm(n, relu(n, gemm(n, s, 8, true)), 12, true)));
    x = act(n, OP_ELU, sum(n, unit(n, mul(n, x, s), 12, 3, 1, with_bn), x), 1, 0);
    tail(n, act(n, OP_LEAKYRELU, unit(n, x, 10, 1, 1, with_bn), 0.1F, 0), 5);
}

static void shuffled(struct net *n, bool with_bn)
{
    int x = relu(n, unit(n, input(n, 3, 8, 8), 12, 3, 1, with_bn));
    x = relu(n, unit(n, x, 36, 1, 3, with_bn));
    x = unit(n, shuffle(n, x, 3), 36, 3, 36, with_bn);
    x = relu(n, unit(n, x, 24, 1, 3, with_bn));
    tail(n, relu(n, unit(n, shuffle(n, x, 3), 8, 1, 1, with_bn)), 5);
}

static void pixel_major(struct net *n, bool with_bn)
{
    int x = relu(n, unit(n, input(n, 3, 8, 8), 8, 3, 1, with_bn));
    x = unary(n, OP_TANH, unit(n, pool(n, OP_AVGPOOL, x, window(4, 4, 0), false), 12, 1, 1, with_bn));
    gemm(n, act(n, OP_ELU, gemm(n, flatten_last(n, x), 14, true), 1, 0), 5, true);
}

static void (*const nets[])(struct net *n, bool with_bn) = {squeeze, squeeze_flat, shuffled, pixel_major};

/* ---- copies ---- */

/* What channel c is to its class in its part of node i's grouped conv, another channel there is to `class`. */
static int twin_of(const struct net *n, const struct groups *gs, int i, int c, int class)
{
    const struct node *d = &n->m.graph.nodes[i];
    bool whole = d->op != OP_CONV || d->u.conv.groups == n->m.graph.nodes[d->in[0]].C;
    int rows = whole ? d->C : d->C / d->u.conv.groups, first = c / rows * rows, before = 0;
    const int *of = gs->classes[i];
    for (int k = first; k < c; k++)
        before += of[k] == of[c];
    for (int k = first; k < first + rows; k++)
        if (of[k] == class && before-- == 0)
            return k;
    ck_abort_msg("no channel of class %d in node %d", class, i);
}

static void copy_channel(struct params *p, int from, int to)
{
    float *of[] = {p->b, p->mean, p->var};
    size_t row = p->n_w / p->n_b;
    memcpy(p->w + (size_t)to * row, p->w + (size_t)from * row, row * sizeof *p->w);
    for (int k = 0; k < 3; k++)
        if (of[k])
            of[k][to] = of[k][from];
}

/* The second half of each group's classes becomes as the first. */
static void make_copies(struct net *n)
{
    struct groups gs;
    find_groups(n, &gs);
    for (int i = 0; i < n->m.graph.n; i++) {
        const struct node *d = &n->m.graph.nodes[i];
        for (int c = 0; op_has_params(d->op) && c < d->C; c++) {
            int class = gs.classes[i][c], g = gs.group[class], half = g < 0 ? 0 : gs.of[g].n / 2;
            if (g >= 0 && gs.rank[class] >= half)
                copy_channel(&n->m.weights.of[i], twin_of(n, &gs, i, c, gs.of[g].classes[gs.rank[class] - half]), c);
        }
    }
    groups_release(&gs);
}

/* ---- candidates ---- */

static double distance_at(const struct compress_work *cw, const struct dense *d, const struct profile *p, int parts,
                          const float *x)
{
    struct model small;
    struct err e;
    int *keep = xcalloc((size_t)d->groups.n, sizeof *keep);
    for (int g = 0; g < d->groups.n; g++)
        keep[g] = d->groups.of[g].n / parts;
    must(evaluate_make(cw, d, p, keep, &small, &e), &e);
    double off = model_distance(&small, cw->model, x, 20);
    model_release(&small);
    free(keep);
    return off;
}

START_TEST(halves)
{
    struct recipe recipe = {.seed = 1, .reconstruct = true, .recalibrate = true};
    struct net n;
    struct album album;
    struct profile p;
    struct dense d;
    struct err e;
    struct pool *threads = new_pool(2);
    net_init(&n, (uint64_t)_i, "halves");
    nets[_i / 2](&n, _i % 2 == 0);
    draw_weights(&n);
    make_copies(&n);
    album_init(&album, &n.m.graph.nodes[0], 100, 5, 1); /* one batch: its statistics are the dense ones */
    struct compress_work cw = {
        .pool = threads, .model = &n.m, .recipe = &recipe, .reward = &album.set, .calibrate = &album.set};
    must(profile_make(&cw, &p, &e), &e);
    must(dense_new(&d, &n.m, &p, CUT_CHANNELS, &e), &e);
    ck_assert_int_ge(d.groups.n, 3);
    float *x = album_floats(&album, 0, 20);
    double all = distance_at(&cw, &d, &p, 1, x), half = distance_at(&cw, &d, &p, 2, x);
    recipe.reconstruct = recipe.recalibrate = false;
    double bare = distance_at(&cw, &d, &p, 2, x);
    ck_assert_msg(all < 1e-3, "all channels: off by %g", all);
    ck_assert_msg(half < 0.03, "half of the channels: off by %g", half);
    ck_assert_msg(bare > 5 * half && bare > 0.1, "without reconstruction, too: off by %g, %g with it", bare, half);
    free(x);
    dense_release(&d);
    profile_release(&p);
    album_release(&album);
    model_release(&n.m);
    pool_free(threads);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("evaluate_ops");
    TCase *t = tcase_create("evaluate_ops");
    tcase_set_timeout(t, 100);
    tcase_add_loop_test(t, halves, 0, 2 * (int)(sizeof nets / sizeof *nets));
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
