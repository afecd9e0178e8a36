/*
 * Gradients over a table of small nets, one for each thing that a layer kind can be asked.
 */
#include "tests/unit/autograd_net.h"

/* ---- nets ---- */

static void odd_widths(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 7), 11, 3, 1)));
    x = relu(n, bn(n, conv(n, x, 21, 3, 1)));
    tail(n, relu(n, bn(n, conv(n, x, 37, 3, 1))), 5);
}

/* The 1x1 convolution's input has a gradient from the sum before its own is there. */
static void residual_1x1(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 16, 3, 1)));
    int y = relu(n, bn(n, conv(n, x, 16, 1, 1)));
    y = bn(n, conv(n, y, 16, 1, 1));
    tail(n, relu(n, sum(n, y, x)), 5);
}

static void strides(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 9, 8), 16, 3, 2)));
    x = relu(n, conv_win(n, x, 32, window(3, 2, 1), 1, true));
    struct window w = window(2, 1, 0);
    w.pad_b = 1;
    w.pad_l = 1;
    tail(n, relu(n, bn(n, conv_win(n, x, 16, w, 1, false))), 5);
}

static void dilated(struct net *n)
{
    struct window w = window(3, 1, 2);
    w.dil_h = w.dil_w = 2;
    tail(n, relu(n, bn(n, conv_win(n, conv(n, input(n, 3, 8, 8), 16, 3, 1), 16, w, 1, false))), 5);
}

static void grouped(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 12, 3, 1)));
    x = relu(n, bn(n, conv_win(n, x, 18, window(3, 1, 1), 3, true)));
    tail(n, x, 5);
}

static void depthwise(struct net *n)
{
    int x = clip(n, bn(n, conv(n, input(n, 3, 8, 8), 24, 1, 1)), 0, 6);
    x = clip(n, bn(n, conv_win(n, x, 24, window(3, 2, 1), 24, false)), 0, 6);
    x = bn(n, conv(n, x, 16, 1, 1));
    int y = clip(n, bn(n, conv(n, x, 32, 1, 1)), 0, 6);
    y = clip(n, bn(n, conv_win(n, y, 32, window(3, 1, 1), 32, false)), 0, 6);
    tail(n, sum(n, x, bn(n, conv(n, y, 16, 1, 1))), 5);
}

static void concats(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 16, 3, 1)));
    int y = conv(n, x, 8, 3, 1), z = relu(n, conv_win(n, x, 5, window(1, 1, 0), 1, true));
    int c = concat(n, x, y, z);
    c = concat(n, c, conv(n, relu(n, bn(n, c)), 7, 3, 1), -1);
    tail(n, relu(n, bn(n, c)), 5);
}

/* The shortcut of a CIFAR ResNet: every second pixel, zero channels. */
static void option_a(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 16, 3, 1)));
    int y = relu(n, bn(n, conv(n, x, 32, 3, 2)));
    y = bn(n, conv(n, y, 32, 3, 1));
    int s = slice(n, x, (struct span){0, 16, 1}, 1);
    n->m.graph.nodes[s].u.slice.h.step = n->m.graph.nodes[s].u.slice.w.step = 2;
    struct err e;
    ck_assert_int_eq(graph_infer(&n->m.graph, s, &e), 0);
    tail(n, relu(n, sum(n, y, pad(n, s, 8, 8, 0))), 5);
}

static void slices(struct net *n)
{
    int x = relu(n, bn(n, conv(n, pad(n, input(n, 3, 8, 8), 1, 0, 1), 20, 3, 1)));
    int s = slice(n, x, (struct span){1, 20, 3}, 2);
    x = conv(n, pad(n, s, 2, 3, 1), 16, 3, 1);
    tail(n, relu(n, x), 5);
}

static void max_pools(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 9, 9), 16, 3, 1)));
    x = pool(n, OP_MAXPOOL, x, window(3, 2, 1), false);
    x = pool(n, OP_MAXPOOL, relu(n, bn(n, conv(n, x, 10, 3, 1))), window(2, 2, 0), false);
    tail(n, x, 5);
}

static void mean_pools(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 9, 9), 16, 3, 1)));
    x = pool(n, OP_AVGPOOL, x, window(3, 2, 1), true);
    x = pool(n, OP_AVGPOOL, conv(n, x, 10, 3, 1), window(3, 1, 1), false);
    gemm(n, unary(n, OP_FLATTEN, x), 5, true);
}

static void clips(struct net *n)
{
    int x = clip(n, conv_win(n, input(n, 3, 8, 8), 16, window(3, 1, 1), 1, true), -0.5F, 1);
    x = clip(n, bn(n, conv(n, x, 9, 3, 1)), 0.25F, 2);
    tail(n, relu(n, clip(n, conv(n, x, 16, 3, 1), -1, 1)), 5);
}

/* x + x, a value with many readers, a sum of sums. */
static void readers(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 16, 3, 1)));
    int y = sum(n, x, x), z = sum(n, conv(n, x, 16, 1, 1), conv(n, y, 16, 3, 1));
    z = sum(n, relu(n, sum(n, z, x)), sum(n, bn(n, x), y));
    tail(n, sum(n, z, x), 5);
}

/* Two BNs into one sum, one of them over what the other's branch reads too. */
static void projection(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 16, 3, 1)));
    int y = relu(n, bn(n, conv(n, x, 24, 3, 2)));
    y = bn(n, conv(n, y, 24, 3, 1));
    tail(n, relu(n, sum(n, y, bn(n, conv(n, x, 24, 1, 2)))), 5);
}

/* BN of the images, of a sum, of a pooled value, of a flat one, twice in a row. */
static void norms(struct net *n)
{
    int x = conv(n, bn(n, input(n, 3, 8, 8)), 16, 3, 1);
    x = bn(n, bn(n, sum(n, x, relu(n, x))));
    x = bn(n, pool(n, OP_AVGPOOL, x, window(2, 2, 0), false));
    x = unary(n, OP_FLATTEN, unary(n, OP_GLOBALPOOL, x));
    gemm(n, relu(n, bn(n, gemm(n, x, 13, true))), 5, false);
}

static void hidden_layers(struct net *n)
{
    int x = unary(n, OP_FLATTEN, input(n, 3, 5, 4));
    x = relu(n, gemm(n, x, 33, true));
    unary(n, OP_SOFTMAX, gemm(n, relu(n, gemm(n, x, 17, false)), 5, true));
}

/* Wide enough for the Winograd kernels. */
static void wide(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 32, 3, 1)));
    x = relu(n, bn(n, conv(n, x, 32, 3, 1)));
    tail(n, relu(n, bn(n, conv(n, x, 48, 3, 1))), 5);
}

static void no_norms(struct net *n)
{
    int x = relu(n, conv_win(n, input(n, 3, 8, 8), 16, window(3, 1, 1), 1, true));
    x = relu(n, conv_win(n, x, 32, window(3, 1, 1), 1, true));
    x = pool(n, OP_MAXPOOL, x, window(2, 2, 0), false);
    gemm(n, relu(n, gemm(n, unary(n, OP_FLATTEN, x), 20, true)), 5, true);
}

/* Nodes that the output doesn't depend on. */
static void dead_ends(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 16, 3, 1)));
    int out = tail(n, x, 5);
    bn(n, conv(n, x, 8, 3, 1));
    n->m.graph.output = out;
}

static const struct row {
    const char *what;
    void (*build)(struct net *n);
    int N;
} table[] = {
    {"odd widths", odd_widths, 4},
    {"residual 1x1", residual_1x1, 4},
    {"strides", strides, 4},
    {"dilated", dilated, 4},
    {"grouped", grouped, 4},
    {"depthwise", depthwise, 4},
    {"concats", concats, 4},
    {"option A", option_a, 4},
    {"slices", slices, 4},
    {"max pools", max_pools, 4},
    {"mean pools", mean_pools, 4},
    {"clips", clips, 4},
    {"readers", readers, 4},
    {"projection", projection, 4},
    {"norms", norms, 6},
    {"hidden layers", hidden_layers, 7},
    {"wide", wide, 6},
    {"no norms", no_norms, 5},
    {"one image", odd_widths, 1},
    {"dead ends", dead_ends, 4},
};

START_TEST(gradients)
{
    const struct row *row = &table[_i];
    struct net n;
    net_init(&n, (uint64_t)_i, "autograd");
    row->build(&n);
    draw_weights(&n);
    compare_gradients(&n, row->N, 1, row->what);
    model_release(&n.m);
}
END_TEST

/* ---- the rest of the contract ---- */

static void refused(struct net *n, int batch, enum err_code code, const char *text)
{
    struct autograd *ag;
    struct pool *pool;
    struct err e;
    must(pool_new(&pool, 1, &e), &e);
    ck_assert_int_eq(autograd_new(&ag, &n->m.graph, batch, DTYPE_F32, pool, &e), code);
    ck_assert_msg(strstr(e.text, text) != NULL, "\"%s\" doesn't say \"%s\"", e.text, text);
    pool_free(pool);
    model_release(&n->m);
}

START_TEST(refusals)
{
    struct net n;
    net_init(&n, 1, "inner softmax");
    gemm(&n, unary(&n, OP_SOFTMAX, gemm(&n, unary(&n, OP_FLATTEN, input(&n, 3, 4, 4)), 6, true)), 5, true);
    refused(&n, 4, ERR_UNSUPPORTED, "Softmax n3");
    net_init(&n, 1, "pixels");
    conv(&n, input(&n, 3, 4, 4), 5, 3, 1);
    refused(&n, 4, ERR_UNSUPPORTED, "5x4x4");
    net_init(&n, 1, "no images");
    tail(&n, conv(&n, input(&n, 3, 4, 4), 5, 3, 1), 5);
    refused(&n, 0, ERR_INVALID, "0 images");
}
END_TEST

START_TEST(order_of_calls)
{
    struct net n;
    struct trial t;
    struct autograd *ag;
    struct pool *pool;
    struct err e;
    int64_t total, conv;
    net_init(&n, 1, "order");
    wide(&n);
    draw_weights(&n);
    trial_new(&t, &n, 4, DTYPE_F32, 1);
    must(pool_new(&pool, 2, &e), &e);
    must(autograd_new(&ag, &n.m.graph, 4, DTYPE_F32, pool, &e), &e);
    must(autograd_load(ag, &n.m.weights, &e), &e);
    ck_assert_int_eq(autograd_backward(ag, t.dlogits, &t.grad, &e), ERR_STATE);
    autograd_timing(ag, true, &total, &conv);
    must(autograd_forward(ag, t.x, t.logits, &e), &e);
    must(autograd_backward(ag, t.dlogits, &t.grad, &e), &e);
    ck_assert_int_eq(autograd_backward(ag, t.dlogits, &t.grad, &e), ERR_STATE);
    autograd_timing(ag, false, &total, &conv);
    ck_assert_int_gt(conv, 0);
    ck_assert_int_gt(total, conv);
    must(autograd_forward(ag, t.x, t.logits, &e), &e);
    autograd_timing(ag, false, &total, &conv);
    ck_assert_int_eq(conv, 0);
    autograd_free(ag);
    pool_free(pool);
    trial_release(&t);
    model_release(&n.m);
}
END_TEST

/* A NaN anywhere must come out: divergence is seen by the loss. */
START_TEST(nans_survive)
{
    struct net n;
    struct trial t;
    net_init(&n, 1, "nan");
    depthwise(&n);
    draw_weights(&n);
    trial_new(&t, &n, 4, _i ? DTYPE_BF16 : DTYPE_F32, 1);
    memset(&n.m.weights.of[2].w[1], 0xff, sizeof(float)); /* a BN's scale, as an odd NaN */
    trial_run(&t, &n);
    for (size_t i = 0; i < t.n_logits; i++)
        ck_assert(isnan(t.logits[i]));
    trial_release(&t);
    model_release(&n.m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("autograd");
    TCase *t = tcase_create("autograd");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, gradients, 0, (int)(sizeof table / sizeof *table));
    tcase_add_test(t, refusals);
    tcase_add_test(t, order_of_calls);
    tcase_add_loop_test(t, nans_survive, 0, 2);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
