/*
 * Gradients through activations with a curve, gates, products, LRN, shuffles, channels-last edges, over a table of small
 * nets; and bf16 beside fp32 on a net of them.
 */
#include "tests/unit/autograd_net.h"

/* ---- nets ---- */

static int act_of(struct net *n, int kind, int x)
{
    switch (kind) {
    case 0:
        return unary(n, OP_SIGMOID, x);
    case 1:
        return unary(n, OP_TANH, x);
    case 2:
        return act(n, OP_HARDSIGMOID, x, 0.2F, 0.5F);
    case 3:
        return unary(n, OP_HARDSWISH, x);
    case 4:
        return act(n, OP_LEAKYRELU, x, 0.1F, 0);
    case 5:
        return act(n, OP_ELU, x, 1.3F, 0);
    case 6:
        return unary(n, OP_PRELU, x);
    case 7:
        return mul(n, x, unary(n, OP_SIGMOID, x));
    default:
        return mul(n, act(n, OP_HARDSIGMOID, x, 0.3F, 0.4F), x);
    }
}
#define ACTS 9

/* Behind a BN, a sum, a depthwise conv, a pool, a Gemm; of what is read twice; of odd widths, or in whole panels. */
static void acts(struct net *n, int kind, int width)
{
    int x = act_of(n, kind, bn(n, conv(n, input(n, 3, 8, 7), width, 3, 1)));
    int y = act_of(n, kind, sum(n, bn(n, conv_win(n, x, width, window(3, 1, 1), width, false)), x));
    y = act_of(n, kind, pool(n, OP_AVGPOOL, act_of(n, kind, y), window(2, 2, 0), false));
    y = unary(n, OP_FLATTEN, unary(n, OP_GLOBALPOOL, sum(n, y, act_of(n, kind, y))));
    gemm(n, act_of(n, kind, gemm(n, y, 13, true)), 5, false);
}

START_TEST(activations)
{
    struct net n;
    char what[48];
    int kind = _i / 2, width = _i % 2 ? 32 : 11;
    snprintf(what, sizeof what, "activation %d, %d channels", kind, width);
    net_init(&n, (uint64_t)_i, what);
    acts(&n, kind, width);
    draw_weights(&n);
    compare_gradients(&n, 4, 1 + _i % 2, what);
    model_release(&n.m);
}
END_TEST

static int gate(struct net *n, int x, int squeezed, bool hard)
{
    int C = n->m.graph.nodes[x].C, s = unary(n, OP_GLOBALPOOL, x);
    s = relu(n, conv_win(n, s, squeezed, window(1, 1, 0), 1, true));
    s = conv_win(n, s, C, window(1, 1, 0), 1, true);
    return mul(n, x, hard ? act(n, OP_HARDSIGMOID, s, 0.2F, 0.5F) : unary(n, OP_SIGMOID, s));
}

static void squeeze(struct net *n)
{
    int x = unary(n, OP_HARDSWISH, bn(n, conv(n, input(n, 3, 8, 8), 21, 3, 2)));
    int y = gate(n, unary(n, OP_HARDSWISH, bn(n, conv_win(n, x, 21, window(5, 1, 2), 21, false))), 6, true);
    x = sum(n, bn(n, conv(n, y, 21, 1, 1)), x);
    y = gate(n, conv(n, x, 24, 1, 1), 8, false);
    tail(n, bn(n, conv(n, y, 16, 1, 1)), 5);
}

static void squeeze_panels(struct net *n)
{
    int x = unary(n, OP_HARDSWISH, bn(n, conv(n, input(n, 3, 8, 8), 32, 3, 1)));
    x = gate(n, x, 16, true);
    tail(n, bn(n, conv(n, x, 16, 1, 1)), 5);
}

/* From Gemms; read twice; times itself; by a gate that others read. */
static void gates(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 6, 6), 13, 3, 1)));
    int s = unary(n, OP_FLATTEN, unary(n, OP_GLOBALPOOL, x));
    s = unary(n, OP_UNFLATTEN, unary(n, OP_SIGMOID, gemm(n, relu(n, gemm(n, s, 5, true)), 13, true)));
    x = sum(n, mul(n, conv(n, mul(n, x, s), 13, 3, 1), s), x);
    s = unary(n, OP_GLOBALPOOL, x);
    tail(n, sum(n, mul(n, x, mul(n, s, s)), x), 5);
}

static void products(struct net *n)
{
    int x = bn(n, conv(n, input(n, 3, 6, 6), 16, 3, 1)), y = relu(n, bn(n, conv(n, x, 16, 3, 1)));
    x = mul(n, x, y);
    x = mul(n, bn(n, conv(n, mul(n, x, x), 9, 3, 1)), slice(n, x, (struct span){2, 11, 1}, 1));
    x = unary(n, OP_FLATTEN, unary(n, OP_GLOBALPOOL, x));
    gemm(n, mul(n, gemm(n, x, 9, true), x), 5, true);
}

/* The images as an operand. */
static void products_of_images(struct net *n)
{
    int i = input(n, 3, 6, 6), x = mul(n, conv(n, i, 3, 3, 1), i);
    tail(n, mul(n, i, unary(n, OP_SIGMOID, conv(n, unary(n, OP_GLOBALPOOL, x), 3, 1, 1))), 5);
}

static void lrns(struct net *n)
{
    int x = lrn(n, relu(n, bn(n, conv(n, input(n, 3, 7, 6), 21, 3, 1))), 5, 0.8F, 0.75F, 1);
    x = lrn(n, pool(n, OP_MAXPOOL, conv(n, x, 16, 3, 1), window(3, 2, 1), false), 4, 1, 0.5F, 2);
    tail(n, lrn(n, conv(n, x, 7, 1, 1), 30, 1, 1, 1), 5);
}

static void lrn_wide(struct net *n)
{
    int x = lrn(n, conv(n, input(n, 3, 2, 2), 300, 1, 1), 3, 2, 0.75F, 1);
    tail(n, lrn(n, conv(n, x, 520, 1, 1), 700, 9, 0.75F, 1), 5);
}

static void shuffles(struct net *n)
{
    int x = shuffle(n, relu(n, bn(n, conv(n, input(n, 3, 8, 8), 24, 3, 1))), 2);
    x = relu(n, bn(n, conv_win(n, x, 30, window(1, 1, 0), 3, false)));
    x = bn(n, conv_win(n, shuffle(n, x, 3), 30, window(3, 2, 1), 30, false));
    tail(n, relu(n, conv(n, shuffle(n, x, 5), 16, 1, 1)), 5);
}

static void shuffles_panels(struct net *n)
{
    int x = shuffle(n, relu(n, bn(n, conv(n, input(n, 3, 8, 8), 48, 3, 1))), 3);
    tail(n, shuffle(n, bn(n, conv(n, x, 32, 3, 1)), 4), 5);
}

static void split(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 6, 6), 22, 3, 1)));
    int a = slice(n, x, (struct span){0, 11, 1}, 1), b = slice(n, x, (struct span){11, 22, 1}, 1);
    b = relu(n, bn(n, conv(n, b, 11, 1, 1)));
    b = relu(n, bn(n, conv(n, bn(n, conv_win(n, b, 11, window(3, 1, 1), 11, false)), 11, 1, 1)));
    tail(n, conv(n, shuffle(n, concat(n, a, b, -1), 2), 12, 1, 1), 5);
}

static void edges(struct net *n)
{
    int x = flatten_last(n, relu(n, conv(n, input(n, 3, 4, 5), 11, 3, 1)));
    x = unary(n, OP_UNFLATTEN, relu(n, gemm(n, x, 33, true)));
    gemm(n, flatten_last(n, conv(n, bn(n, x), 16, 1, 1)), 5, true);
}

static void edges_panels(struct net *n)
{
    int x = conv(n, input(n, 3, 6, 6), 32, 3, 1), f = flatten_last(n, x);
    x = unary(n, OP_UNFLATTEN, gemm(n, concat(n, f, unary(n, OP_FLATTEN, x), -1), 32, true));
    tail(n, conv(n, x, 16, 1, 1), 5);
}

/* Sigmoids that belong to no swish: read by others, too. */
static void no_swish(struct net *n)
{
    int x = conv(n, input(n, 3, 6, 6), 16, 3, 1), s = unary(n, OP_SIGMOID, x);
    int y = conv(n, sum(n, mul(n, x, s), s), 16, 3, 1);
    s = unary(n, OP_SIGMOID, y);
    tail(n, sum(n, mul(n, s, y), y), 5);
}

static const struct row {
    const char *what;
    void (*build)(struct net *n);
} table[] = {
    {"squeeze", squeeze},
    {"squeeze, panels", squeeze_panels},
    {"gates", gates},
    {"products", products},
    {"products of images", products_of_images},
    {"LRN", lrns},
    {"LRN, wide", lrn_wide},
    {"shuffles", shuffles},
    {"shuffles, panels", shuffles_panels},
    {"split", split},
    {"edges", edges},
    {"edges, panels", edges_panels},
    {"no swish", no_swish},
};

START_TEST(gradients)
{
    const struct row *row = &table[_i];
    struct net n;
    net_init(&n, (uint64_t)_i, row->what);
    row->build(&n);
    draw_weights(&n);
    compare_gradients(&n, 4, 1 + _i % 2, row->what);
    model_release(&n.m);
}
END_TEST

/* ---- bf16 ---- */

static double dot(const float *a, const float *b, size_t n)
{
    double s = 0;
    for (size_t i = 0; i < n; i++)
        s += (double)a[i] * (double)b[i];
    return s;
}

/* Every array of gradients points where fp32's does. */
START_TEST(bf16_agrees)
{
    struct net n;
    struct trial fine, rough;
    if (!has_type(DTYPE_BF16))
        return;
    net_init(&n, 1, "bf16");
    if (_i < ACTS)
        acts(&n, _i, 16);
    else
        table[_i - ACTS].build(&n);
    draw_weights(&n);
    trial_new(&fine, &n, 8, DTYPE_F32, 1);
    trial_run(&fine, &n);
    rough = fine;
    rough.type = DTYPE_BF16;
    rough.logits = xcalloc(fine.n_logits, sizeof(float));
    struct err e;
    must(weights_new(&rough.grad, &n.m.graph, &e), &e);
    trial_run(&rough, &n);
    for (int i = 0; i < n.m.graph.n; i++) {
        const struct params *p = &fine.grad.of[i], *q = &rough.grad.of[i];
        if (!p->w)
            continue;
        double cosine = dot(p->w, q->w, p->n_w) / sqrt(dot(p->w, p->w, p->n_w) * dot(q->w, q->w, p->n_w) + 1e-30);
        ck_assert_msg(cosine > 0.97, "gradient of node %d (%s): cosine %g between fp32 and bf16", i,
                      op_name(n.m.graph.nodes[i].op), cosine);
    }
    free(rough.logits);
    weights_release(&rough.grad);
    trial_release(&fine);
    model_release(&n.m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("autograd_ops");
    TCase *t = tcase_create("autograd_ops");
    int rows = (int)(sizeof table / sizeof *table);
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, activations, 0, 2 * ACTS);
    tcase_add_loop_test(t, gradients, 0, rows);
    tcase_add_loop_test(t, bf16_agrees, 0, ACTS + rows);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
