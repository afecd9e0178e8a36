/*
 * The engine against its naive twin: activations behind everything, gates, LRN, shuffles, channels-last edges.
 */
#include "tests/unit/engine_net.h"
#include "worker/engine/curve.h"

/* ---- nets ---- */

/* The activation that a row of the table is about. */
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
    case 8:
        return mul(n, act(n, OP_HARDSIGMOID, x, 1.0F / 6, 0.5F), x);
    case 9:
        return mul(n, x, act(n, OP_HARDSIGMOID, x, 0.3F, 0.4F));
    default:
        return act(n, OP_LEAKYRELU, x, -0.2F, 0);
    }
}
#define ACTS 11

/* Behind convs of odd and whole widths, a BN, a sum, a depthwise conv, a Gemm; alone on images, sums, pools, flat values. */
static void acts(struct net *n, int kind)
{
    int x = act_of(n, kind, input(n, 3, 9, 7));
    x = act_of(n, kind, bn(n, conv(n, x, 21, 3, 1)));
    int y = act_of(n, kind, sum(n, conv(n, x, 21, 3, 1), x));
    y = act_of(n, kind, conv_win(n, y, 21, window(3, 1, 1), 21, true));
    y = act_of(n, kind, bn(n, pool(n, OP_AVGPOOL, y, window(2, 2, 0), false)));
    y = act_of(n, kind, conv(n, y, 40, 1, 1));
    y = relu(n, act_of(n, kind, relu(n, conv(n, y, 37, 3, 1))));
    y = act_of(n, kind, act_of(n, kind, concat(n, y, y, -1)));
    y = act_of(n, kind, unary(n, OP_FLATTEN, y));
    y = act_of(n, kind, gemm(n, y, 19, true));
    gemm(n, sum(n, y, act_of(n, kind, y)), 6, false);
}

/* Blocked values: the lanes of padding stay zero. */
static void acts_blocked(struct net *n, int kind)
{
    int x = act_of(n, kind, conv(n, input(n, 3, 12, 12), 64, 3, 1));
    x = act_of(n, kind, conv(n, x, 52, 3, 1));
    int y = act_of(n, kind, conv(n, x, 52, 3, 1));
    y = act_of(n, kind, bn(n, sum(n, x, y)));
    y = act_of(n, kind, pool(n, OP_MAXPOOL, y, window(2, 2, 0), false));
    tail(n, conv(n, conv(n, y, 64, 3, 1), 37, 3, 1), 5);
}

START_TEST(activations)
{
    struct net n;
    char what[48];
    int kind = _i / 2;
    snprintf(what, sizeof what, "activation %d%s", kind, _i % 2 ? ", blocked" : "");
    net_init(&n, (uint64_t)_i, what);
    if (_i % 2)
        acts_blocked(&n, kind);
    else
        acts(&n, kind);
    draw_weights(&n);
    compare_modes(&n, 1 + _i % 3, what);
    model_release(&n.m);
}
END_TEST

static int gate(struct net *n, int x, int squeezed, bool hard)
{
    int C = n->m.graph.nodes[x].C, s = unary(n, OP_GLOBALPOOL, x);
    s = relu(n, conv_win(n, s, squeezed, window(1, 1, 0), 1, true));
    s = conv_win(n, s, C, window(1, 1, 0), 1, true);
    return mul(n, x, hard ? act(n, OP_HARDSIGMOID, s, 1.0F / 6, 0.5F) : unary(n, OP_SIGMOID, s));
}

static void net_squeeze(struct net *n)
{
    int x = unary(n, OP_HARDSWISH, bn(n, conv(n, input(n, 3, 8, 8), 21, 3, 2)));
    x = gate(n, unary(n, OP_HARDSWISH, bn(n, conv_win(n, x, 21, window(5, 1, 2), 21, false))), 6, true);
    x = bn(n, conv(n, x, 24, 1, 1));
    int y = bn(n, conv(n, x, 56, 1, 1));
    y = bn(n, conv_win(n, mul(n, y, unary(n, OP_SIGMOID, y)), 56, window(3, 1, 1), 56, false));
    y = gate(n, mul(n, unary(n, OP_SIGMOID, y), y), 8, false);
    tail(n, sum(n, bn(n, conv(n, y, 24, 1, 1)), x), 7);
}

/* A gate from Gemms, blocked values, read twice, by its own input, of one channel. */
static void net_gates(struct net *n)
{
    int x = relu(n, conv(n, conv(n, input(n, 3, 12, 12), 64, 3, 1), 52, 3, 1));
    int s = unary(n, OP_FLATTEN, unary(n, OP_GLOBALPOOL, x));
    s = unary(n, OP_UNFLATTEN, unary(n, OP_SIGMOID, gemm(n, relu(n, gemm(n, s, 5, true)), 52, true)));
    x = conv(n, sum(n, mul(n, x, s), x), 52, 3, 1);
    int g = unary(n, OP_GLOBALPOOL, relu(n, slice(n, x, (struct span){3, 4, 1}, 1)));
    x = mul(n, relu(n, conv(n, mul(n, x, s), 1, 1, 1)), g);
    s = unary(n, OP_SIGMOID, unary(n, OP_GLOBALPOOL, x));
    mul(n, x, mul(n, s, s));
}

static void net_products(struct net *n)
{
    int x = conv(n, input(n, 3, 9, 9), 21, 3, 1), y = relu(n, conv(n, x, 21, 3, 1));
    x = mul(n, x, y);
    x = conv(n, mul(n, x, x), 64, 3, 1);
    y = mul(n, conv(n, x, 64, 3, 1), relu(n, x));
    x = unary(n, OP_FLATTEN, unary(n, OP_GLOBALPOOL, conv(n, y, 13, 3, 1)));
    mul(n, gemm(n, x, 13, true), x);
}

static void net_lrn(struct net *n)
{
    int x = relu(n, conv(n, input(n, 3, 9, 9), 21, 3, 1));
    x = pool(n, OP_MAXPOOL, lrn(n, x, 5, 0.5F, 0.75F, 1), window(3, 2, 1), false);
    x = lrn(n, conv(n, x, 64, 3, 1), 4, 1, 0.5F, 2);
    x = lrn(n, conv(n, conv(n, x, 64, 3, 1), 64, 3, 1), 1, 1, 1, 1);
    x = lrn(n, unary(n, OP_GLOBALPOOL, x), 150, 2, 0.75F, 1);
    conv(n, x, 5, 1, 1);
}

/* More channels than a block of the loops, a window wider than all of them; images, too. */
static void net_lrn_wide(struct net *n)
{
    int x = lrn(n, conv(n, lrn(n, input(n, 3, 3, 2), 2, 1, 0.75F, 1), 300, 1, 1), 5, 3, 0.75F, 1);
    conv(n, lrn(n, conv(n, x, 530, 1, 1), 1100, 9, 0.6F, 1.5F), 7, 1, 1);
}

static void net_shuffles(struct net *n)
{
    int x = shuffle(n, relu(n, bn(n, conv(n, input(n, 3, 8, 8), 24, 3, 1))), 2);
    x = relu(n, bn(n, conv_win(n, x, 30, window(1, 1, 0), 3, false)));
    x = bn(n, conv_win(n, shuffle(n, x, 3), 30, window(3, 1, 1), 30, false));
    x = conv(n, shuffle(n, conv(n, conv(n, x, 64, 3, 1), 64, 3, 1), 4), 52, 3, 1);
    x = shuffle(n, shuffle(n, conv(n, x, 52, 3, 1), 13), 1);
    tail(n, shuffle(n, unary(n, OP_GLOBALPOOL, x), 4), 5);
}

/* A unit of ShuffleNetV2 after its split. */
static void net_split(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 46, 3, 1)));
    int a = slice(n, x, (struct span){0, 23, 1}, 1), b = slice(n, x, (struct span){23, 46, 1}, 1);
    b = relu(n, bn(n, conv(n, b, 23, 1, 1)));
    b = bn(n, conv_win(n, b, 23, window(3, 1, 1), 23, false));
    b = relu(n, bn(n, conv(n, b, 23, 1, 1)));
    x = shuffle(n, concat(n, a, b, -1), 2);
    tail(n, relu(n, conv(n, x, 24, 1, 1)), 5);
}

/* Grouped convs as they occur: few channels a group, whole vectors, odd ones, strides. */
static void net_groups(struct net *n)
{
    int x = relu(n, conv(n, input(n, 3, 8, 8), 24, 3, 1));
    x = relu(n, conv_win(n, x, 112, window(1, 1, 0), 4, true));
    x = relu(n, conv_win(n, shuffle(n, x, 4), 112, window(3, 2, 1), 112, true));
    x = relu(n, conv_win(n, x, 136, window(1, 1, 0), 4, true));
    x = relu(n, conv_win(n, x, 128, window(3, 1, 1), 8, true));
    x = relu(n, conv_win(n, x, 160, window(3, 1, 1), 32, true));
    x = unary(n, OP_HARDSWISH, conv_win(n, x, 96, window(1, 1, 0), 2, true));
    conv_win(n, x, 6, window(3, 2, 1), 3, true);
}

static void net_edges(struct net *n)
{
    int x = flatten_last(n, relu(n, conv(n, input(n, 3, 4, 5), 21, 3, 1)));
    x = unary(n, OP_UNFLATTEN, relu(n, gemm(n, x, 33, true)));
    x = conv(n, bn(n, x), 16, 1, 1);
    x = gemm(n, flatten_last(n, x), 9, true);
    conv(n, unary(n, OP_UNFLATTEN, unary(n, OP_SOFTMAX, x)), 4, 1, 1);
}

static void net_edges_blocked(struct net *n)
{
    int x = conv(n, conv(n, input(n, 3, 8, 8), 64, 3, 1), 52, 3, 1);
    gemm(n, concat(n, flatten_last(n, x), unary(n, OP_FLATTEN, x), -1), 4, true);
}

/* What looks like a swish and isn't: read by others, tapped by the output, another's gate. */
static void net_no_swish(struct net *n)
{
    int x = conv(n, input(n, 3, 6, 6), 16, 3, 1), s = unary(n, OP_SIGMOID, x);
    int y = conv(n, sum(n, mul(n, x, s), s), 16, 3, 1);
    s = unary(n, OP_SIGMOID, y);
    y = conv(n, sum(n, mul(n, y, s), y), 16, 3, 1);
    s = act(n, OP_HARDSIGMOID, y, 0.2F, 0.5F);
    x = mul(n, x, s);
    s = unary(n, OP_SIGMOID, x);
    mul(n, x, s);
    n->m.graph.output = s;
}

struct row {
    const char *what;
    void (*build)(struct net *n);
};

#define ROW(name)                                                                                                  \
    {                                                                                                              \
#name, net_##name                                                                                          \
    }
static const struct row rows[] = {
    ROW(squeeze), ROW(gates),  ROW(products), ROW(lrn),           ROW(lrn_wide), ROW(shuffles),
    ROW(split),   ROW(groups), ROW(edges),    ROW(edges_blocked), ROW(no_swish),
};

START_TEST(twin)
{
    const struct row *r = &rows[_i];
    const int batches[] = {1, 3, 8};
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        struct net n;
        net_init(&n, 7 + b, r->what);
        r->build(&n);
        draw_weights(&n);
        compare_modes(&n, batches[b], r->what);
        model_release(&n.m);
    }
}
END_TEST

/* ---- what is fused ---- */

static int steps_of(struct net *n, enum op op, bool swish)
{
    struct engine *eng;
    struct err e;
    net_init(n, 1, "fused");
    int x = bn(n, conv(n, input(n, 3, 8, 8), 32, 3, 1));
    x = swish ? mul(n, x, unary(n, op, x)) : act(n, op, x, 0.1F, 0.5F);
    conv(n, x, 32, 1, 1);
    draw_weights(n);
    must(engine_new(&eng, &n->m.graph, &n->m.weights, 2, ENGINE_INFER, DTYPE_F32, NULL, 0, &e), &e);
    int steps = engine_steps(eng);
    engine_free(eng);
    model_release(&n->m);
    return steps;
}

START_TEST(fused)
{
    static const enum op ops[] = {OP_SIGMOID, OP_TANH, OP_HARDSIGMOID, OP_HARDSWISH, OP_LEAKYRELU, OP_ELU};
    struct net n;
    int plain = steps_of(&n, OP_RELU, false);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
        ck_assert_msg(steps_of(&n, ops[i], false) == plain, "%s isn't fused", op_name(ops[i]));
    ck_assert_int_eq(steps_of(&n, OP_SIGMOID, true), plain);
    ck_assert_int_eq(steps_of(&n, OP_PRELU, false), plain + 1);
}
END_TEST

/* ---- curves ---- */

START_TEST(exponentials)
{
    for (float v = -87; v < 88; v += 0.0137F) {
        float e = v;
        curve_exp(&e, 1);
        ck_assert_msg(fabs((double)e / exp((double)v) - 1) < 2.5e-7, "exp(%g) = %g, not %g", (double)v, (double)e,
                      exp((double)v));
    }
    float ends[] = {-1000, 1000, -INFINITY, INFINITY, NAN};
    curve_exp(ends, 5);
    ck_assert(ends[0] < 2e-38F && ends[2] < 2e-38F && ends[1] > 1e38F && ends[3] > 1e38F && isnan(ends[4]));
}
END_TEST

START_TEST(slopes)
{
    enum curve c = (enum curve)(_i + 1);
    struct act a = {.curve = c, .alpha = 0.3F, .beta = 0.4F};
    for (float v = -9.03F; v < 9; v += 0.0611F) {
        float up = v + 1e-2F, down = v - 1e-2F, d, slope = 0.3F;
        double width = (double)up - (double)down;
        curve_run(a, &slope, &up, 1);
        curve_run(a, &slope, &down, 1);
        curve_slope(a, &slope, &v, &d, 1);
        bool kink = fabsf(v) < 0.02F || fabsf(v + 4.0F / 3) < 0.02F || fabsf(v - 2) < 0.02F;
        ck_assert_msg(kink || fabs(((double)up - (double)down) / width - (double)d) < 2e-4, "curve %d at %g: %g, not %g",
                      (int)c, (double)v, (double)d, ((double)up - (double)down) / width);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("engine_ops");
    TCase *t = tcase_create("engine_ops");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, activations, 0, 2 * ACTS);
    tcase_add_loop_test(t, twin, 0, (int)(sizeof rows / sizeof *rows));
    tcase_add_test(t, fused);
    tcase_add_test(t, exponentials);
    tcase_add_loop_test(t, slopes, 0, CURVES - 1);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
