/*
 * The engine against its naive twin: a table of small nets, one for each thing that may go wrong.
 */
#include "tests/unit/engine_net.h"

/* ---- the table ---- */

static void net_conv3(struct net *n)
{
    conv(n, input(n, 3, 9, 9), 16, 3, 1);
}
static void net_winograd(struct net *n)
{
    conv(n, relu(n, bn(n, conv(n, relu(n, conv(n, input(n, 3, 12, 8), 40, 3, 1)), 64, 3, 1))), 33, 3, 1);
}
static void net_conv_odd(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 11, 3, 1)));
    x = relu(n, bn(n, conv(n, x, 21, 3, 2)));
    tail(n, relu(n, bn(n, conv(n, x, 37, 1, 1))), 10);
}
static void net_conv_plain_bias(struct net *n)
{
    conv_win(n, relu(n, conv_win(n, input(n, 5, 7, 6), 24, window(1, 1, 0), 1, true)), 19, window(1, 2, 0), 1,
             true);
}
static void net_conv_groups(struct net *n)
{
    int x = conv_win(n, input(n, 12, 8, 8), 24, window(3, 1, 1), 4, true);
    conv_win(n, relu(n, bn(n, x)), 32, window(3, 2, 1), 2, false);
}
static void net_conv_groups_wide(struct net *n)
{
    conv_win(n, conv(n, input(n, 3, 8, 8), 64, 3, 1), 32, window(3, 1, 1), 2, true);
}
static void net_depthwise(struct net *n)
{
    int x = clip(n, bn(n, conv(n, input(n, 3, 12, 12), 21, 3, 2)), 0, 6);
    x = clip(n, bn(n, conv_win(n, x, 21, window(3, 1, 1), 21, false)), 0, 6);
    x = clip(n, bn(n, conv(n, x, 32, 1, 1)), 0, 6);
    x = conv_win(n, x, 32, window(3, 2, 1), 32, true);
    tail(n, conv(n, relu(n, x), 48, 1, 1), 7);
}
static void net_depth_multiplier(struct net *n)
{
    conv_win(n, conv(n, input(n, 3, 6, 6), 8, 3, 1), 16, window(3, 1, 1), 8, true);
}
static void net_dilated(struct net *n)
{
    struct window w = window(3, 1, 2);
    w.dil_h = w.dil_w = 2;
    conv_win(n, relu(n, conv_win(n, input(n, 4, 11, 11), 18, w, 1, true)), 16, w, 2, true);
}
static void net_asymmetric(struct net *n)
{
    struct window w = {.R = 3,
                       .S = 5,
                       .stride_h = 2,
                       .stride_w = 1,
                       .dil_h = 1,
                       .dil_w = 2,
                       .pad_t = 0,
                       .pad_l = 3,
                       .pad_b = 2,
                       .pad_r = 1};
    conv_win(n, relu(n, conv_win(n, input(n, 3, 9, 13), 16, w, 1, true)), 32, w, 1, true);
}
static void net_kernel_large(struct net *n)
{
    int x = relu(n, bn(n, conv_win(n, input(n, 3, 20, 20), 64, window(7, 2, 3), 1, false)));
    pool(n, OP_MAXPOOL, x, window(3, 2, 1), false);
}
static void net_basic_block(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 16, 3, 1)));
    int y = bn(n, conv(n, relu(n, bn(n, conv(n, x, 16, 3, 1))), 16, 3, 1));
    tail(n, relu(n, sum(n, y, x)), 10);
}
static void net_basic_block_other_order(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 32, 3, 1)));
    int y = bn(n, conv(n, relu(n, bn(n, conv(n, x, 37, 3, 1))), 32, 3, 1));
    relu(n, sum(n, x, y));
}
static void net_projection(struct net *n)
{
    int x = relu(n, conv(n, input(n, 3, 8, 8), 16, 3, 1));
    int a = bn(n, conv(n, relu(n, bn(n, conv(n, x, 21, 3, 2))), 21, 3, 1)), b = bn(n, conv(n, x, 21, 1, 2));
    tail(n, relu(n, sum(n, a, b)), 5);
}
static void net_option_a(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 16, 3, 1)));
    for (int C = 32; C <= 64; C *= 2) {
        int y = bn(n, conv(n, relu(n, bn(n, conv(n, x, C, 3, 2))), C, 3, 1));
        int s = slice(n, x, (struct span){0, C / 2, 1}, 2);
        x = relu(n, sum(n, y, pad(n, s, C / 4, C / 4, 0)));
    }
    tail(n, x, 10);
}
static void net_option_a_odd(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 8, 8), 11, 3, 1)));
    int s = pad(n, slice(n, x, (struct span){0, 11, 1}, 2), 3, 7, 0);
    int y = bn(n, conv(n, relu(n, bn(n, conv(n, x, 37, 3, 2))), 21, 3, 1));
    x = relu(n, sum(n, s, y));
    tail(n, x, 10);
}
static void net_relu_before_add(struct net *n)
{
    int x = relu(n, conv(n, input(n, 3, 6, 6), 24, 3, 1));
    int y = relu(n, bn(n, conv(n, x, 24, 3, 1)));
    sum(n, y, x);
}
static void net_read_twice(struct net *n)
{
    int x = conv(n, input(n, 3, 6, 6), 20, 3, 1);
    int y = sum(n, conv(n, x, 20, 3, 1), x);
    sum(n, relu(n, sum(n, y, x)), sum(n, y, y));
}
static void net_add_chain(struct net *n)
{
    int x = input(n, 16, 6, 6), a = conv(n, x, 32, 3, 1), b = conv(n, x, 32, 1, 1), c = conv(n, x, 32, 3, 1);
    int s = sum(n, a, b);
    relu(n, sum(n, sum(n, c, s), a));
}
static void net_add_input(struct net *n)
{
    int x = input(n, 3, 6, 6);
    sum(n, x, conv(n, relu(n, x), 3, 3, 1));
}
static void net_preactivation(struct net *n)
{
    int x = conv(n, input(n, 3, 8, 8), 21, 3, 1);
    int y = conv(n, relu(n, bn(n, x)), 24, 3, 1);
    y = conv(n, relu(n, bn(n, y)), 21, 3, 1);
    tail(n, relu(n, bn(n, sum(n, x, y))), 10);
}
static void net_bn_first(struct net *n)
{
    relu(n, bn(n, bn(n, input(n, 5, 7, 7))));
}
static void net_bn_twice(struct net *n)
{
    clip(n, bn(n, bn(n, conv(n, input(n, 3, 7, 7), 17, 3, 1))), -0.5F, 0.75F);
}
static void net_bn_add_bn(struct net *n)
{
    int x = input(n, 16, 5, 5);
    relu(n, sum(n, bn(n, relu(n, x)), bn(n, pool(n, OP_AVGPOOL, x, window(3, 1, 1), false))));
}
static void net_clip_not_zero(struct net *n) /* padding lanes must stay zero all the same */
{
    int x = clip(n, conv(n, input(n, 3, 6, 6), 21, 3, 1), 0.25F, 2);
    x = clip(n, sum(n, conv(n, x, 40, 3, 1), conv(n, x, 40, 1, 1)), 0.5F, 1.5F);
    x = clip(n, pool(n, OP_MAXPOOL, x, window(2, 2, 0), false), -3, -0.5F);
    conv(n, conv(n, x, 33, 3, 1), 9, 3, 1);
}
static void net_pools(struct net *n)
{
    int x = conv(n, input(n, 3, 13, 13), 21, 3, 1);
    struct window lopsided = {.R = 3,
                              .S = 2,
                              .stride_h = 2,
                              .stride_w = 1,
                              .dil_h = 1,
                              .dil_w = 1,
                              .pad_t = 1,
                              .pad_b = 0,
                              .pad_l = 0,
                              .pad_r = 1};
    x = pool(n, OP_MAXPOOL, x, window(3, 2, 1), false);
    x = pool(n, OP_AVGPOOL, x, lopsided, true);
    pool(n, OP_AVGPOOL, conv(n, x, 40, 3, 1), lopsided, false);
}
static void net_pools_plain(struct net *n)
{
    int x = input(n, 3, 9, 9);
    struct window w = window(2, 1, 0);
    w.dil_h = w.dil_w = 3;
    pool(n, OP_AVGPOOL, pool(n, OP_MAXPOOL, x, w, false), window(2, 2, 1), true);
}
static void net_globalpool(struct net *n)
{
    int x = unary(n, OP_GLOBALPOOL, relu(n, conv(n, input(n, 3, 17, 19), 37, 3, 1)));
    conv(n, relu(n, conv(n, x, 40, 1, 1)), 10, 1, 1);
}
static void net_concat_odd(struct net *n)
{
    int x = input(n, 3, 8, 8), a = conv(n, x, 11, 3, 1), b = relu(n, conv(n, x, 21, 1, 1)),
        c = conv(n, x, 37, 3, 1);
    conv(n, bn(n, concat(n, a, b, c)), 40, 3, 1);
}
static void net_concat_wide(struct net *n)
{
    int x = relu(n, conv(n, input(n, 3, 8, 8), 32, 3, 1)), y = relu(n, conv(n, x, 16, 3, 1));
    x = concat(n, x, y, -1);
    y = conv(n, relu(n, bn(n, x)), 16, 3, 1);
    tail(n, concat(n, y, x, x), 10);
}
static void net_concat_flat(struct net *n)
{
    int x = input(n, 3, 4, 4), a = unary(n, OP_FLATTEN, x), b = unary(n, OP_FLATTEN, conv(n, x, 5, 3, 1));
    gemm(n, concat(n, a, b, -1), 6, false);
}
static void net_pad_slice(struct net *n)
{
    int x = pad(n, conv(n, input(n, 3, 6, 6), 21, 3, 1), 5, 0, 2);
    x = slice(n, x, (struct span){2, 25, 3}, 1);
    conv(n, pad(n, x, 0, 0, 1), 33, 3, 1);
}
static void net_slice_channels(struct net *n)
{
    int x = conv(n, input(n, 3, 6, 6), 48, 3, 1);
    int a = slice(n, x, (struct span){0, 24, 1}, 1), b = slice(n, x, (struct span){24, 48, 1}, 1);
    concat(n, conv(n, a, 24, 3, 1), b, -1);
}
static void net_flat_tail(struct net *n) /* channel-major, from channels last */
{
    int x = relu(n, conv(n, input(n, 3, 6, 6), 21, 3, 1));
    x = relu(n, bn(n, gemm(n, unary(n, OP_FLATTEN, x), 37, true)));
    unary(n, OP_SOFTMAX, gemm(n, x, 10, false));
}
static void net_flat_blocked(struct net *n)
{
    int x = unary(n, OP_FLATTEN, conv(n, conv(n, input(n, 3, 8, 8), 64, 3, 1), 40, 3, 1));
    int a = relu(n, gemm(n, x, 24, true));
    clip(n, sum(n, gemm(n, a, 24, true), a), 0, 1);
}
static void net_mlp(struct net *n)
{
    gemm(n, relu(n, gemm(n, unary(n, OP_FLATTEN, input(n, 1, 7, 7)), 31, true)), 10, true);
}
static void net_flatten_relu(struct net *n) /* the flat value lies over the other one, which is read again */
{
    int x = conv(n, input(n, 1, 4, 4), 1, 3, 1), f = unary(n, OP_FLATTEN, x), r = relu(n, f);
    sum(n, r, unary(n, OP_FLATTEN, relu(n, x)));
}
static void net_output_is_input(struct net *n)
{
    relu(n, input(n, 2, 3, 3));
    n->m.graph.output = 0;
}
static void net_dead_end(struct net *n)
{
    int x = relu(n, bn(n, conv(n, input(n, 3, 6, 6), 16, 3, 1)));
    sum(n, x, x);
    n->m.graph.output = x;
}
static void net_relu_relu(struct net *n)
{
    int x = relu(n, clip(n, relu(n, conv(n, input(n, 3, 6, 6), 16, 3, 1)), -1, 6));
    unary(n, OP_SOFTMAX, unary(n, OP_FLATTEN, x));
}

static void net_pad_conv(
    struct net *n) /* the first Pad becomes padding, the others are too wide, read twice, of channels */
{
    int x = relu(n, conv_win(n, pad(n, input(n, 3, 8, 8), 0, 0, 1), 21, window(3, 2, 0), 1, true));
    x = conv_win(n, pad(n, x, 0, 0, 2), 24, window(3, 1, 1), 1, true);
    int p = pad(n, x, 0, 0, 1);
    x = concat(n, conv_win(n, p, 8, window(3, 1, 0), 1, true), conv_win(n, p, 8, window(3, 1, 0), 1, true), -1);
    conv_win(n, pad(n, x, 2, 3, 0), 7, window(3, 1, 1), 7, true);
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
    ROW(conv3),
    ROW(winograd),
    ROW(conv_odd),
    ROW(conv_plain_bias),
    ROW(conv_groups),
    ROW(conv_groups_wide),
    ROW(depthwise),
    ROW(depth_multiplier),
    ROW(dilated),
    ROW(asymmetric),
    ROW(kernel_large),
    ROW(basic_block),
    ROW(basic_block_other_order),
    ROW(projection),
    ROW(option_a),
    ROW(option_a_odd),
    ROW(relu_before_add),
    ROW(read_twice),
    ROW(add_chain),
    ROW(add_input),
    ROW(preactivation),
    ROW(bn_first),
    ROW(bn_twice),
    ROW(bn_add_bn),
    ROW(clip_not_zero),
    ROW(pools),
    ROW(pools_plain),
    ROW(globalpool),
    ROW(concat_odd),
    ROW(concat_wide),
    ROW(concat_flat),
    ROW(pad_slice),
    ROW(slice_channels),
    ROW(flat_tail),
    ROW(flat_blocked),
    ROW(mlp),
    ROW(flatten_relu),
    ROW(output_is_input),
    ROW(dead_end),
    ROW(relu_relu),
    ROW(pad_conv),
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

/* ---- what it says about itself ---- */

START_TEST(timed_steps)
{
    struct net n;
    struct engine *eng;
    struct engine_run *run;
    struct err e;
    net_init(&n, 5, "timed");
    net_option_a(&n);
    draw_weights(&n);
    must(engine_new(&eng, &n.m.graph, &n.m.weights, 4, ENGINE_INFER, DTYPE_F32, NULL, 0, &e), &e);
    must(engine_run_new(&run, eng, &e), &e);
    int steps = engine_steps(eng), convs = 0;
    int64_t *ns = xcalloc((size_t)steps, sizeof *ns);
    float *x = draw_images(&n.rng, &n.m.graph, 4), y[40], timed[40];
    must(engine_forward(run, x, y, &e), &e);
    must(engine_forward_timed(run, x, timed, ns, &e), &e);
    ck_assert_mem_eq(y, timed, sizeof y);
    for (int i = 0; i < steps; i++) {
        ck_assert_int_gt(ns[i], 0);
        ck_assert_ptr_nonnull(engine_step(eng, i).node);
        convs += engine_step(eng, i).conv;
    }
    ck_assert_int_eq(convs, 5);
    ck_assert_int_le(steps, 5 + 2 + 1 + 1 + 1 + 3); /* convs, shortcuts, mean, gemm, result; some reorders */
    ck_assert_int_eq(engine_batch(eng), 4);
    ck_assert_uint_gt(engine_bytes(eng), 4 * 70000);
    ck_assert_uint_gt(engine_run_bytes(eng), sizeof(float) * 4 * 64 * 32);
    ck_assert(strstr(engine_describe(), "oneDNN"));
    int best = engine_best_batch(&n.m.graph);
    ck_assert(best >= 1 && best <= 64);
    free(ns);
    free(x);
    engine_run_free(run);
    engine_free(eng);
    model_release(&n.m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("engine");
    TCase *t = tcase_create("engine");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, twin, 0, (int)(sizeof rows / sizeof *rows));
    tcase_add_test(t, timed_steps);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
