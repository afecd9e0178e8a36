#include <check.h>
#include <stdlib.h>
#include <time.h>

#include "common/model/groups.h"
#include "tests/unit/nets.h"

static void find(const struct graph *g, struct groups *gs)
{
    struct err e;
    if (groups_find(g, gs, &e) < 0)
        ck_abort_msg("%s", e.text);
}

/* Checks the sizes of the groups, in order, and that only those with a minus are tied. */
static void expect(const struct groups *gs, int n, const int *sizes)
{
    ck_assert_int_eq(gs->n, n);
    for (int k = 0; k < n; k++) {
        ck_assert_int_eq(gs->of[k].n, abs(sizes[k]));
        ck_assert_int_eq(gs->of[k].tied, sizes[k] < 0);
    }
}
#define EXPECT(gs, ...) expect(gs, (int)(sizeof(int[]){__VA_ARGS__} / sizeof(int)), (int[]){__VA_ARGS__})

/* ResNet-56 with option-A shortcuts: a stage's stream starts with the channels of the stage before and adds as many
 * of its own. */
START_TEST(resnet56)
{
    struct graph g;
    struct groups gs;
    graph_init(&g);
    net_resnet(&g, 9);
    find(&g, &gs);
    int want[30], n = 0;
    for (int stage = 0; stage < 3; stage++)
        for (int b = 0; b < 9; b++) {
            if (stage == 0 && b == 0)
                want[n++] = -16; /* the first conv */
            want[n++] = 16 << stage;
            if (stage > 0 && b == 0)
                want[n++] = stage == 1 ? -16 : -32; /* the second conv of the stage's first block adds them */
        }
    expect(&gs, n, want);
    ck_assert_int_eq(gs.n_classes, 3 + 10 + 16 + 27 / 3 * (16 + 32 + 64) + 16 + 32);
    int last = g.nodes[g.output].in[0]; /* all three streams end here */
    int keep[30];
    for (int k = 0; k < n; k++)
        keep[k] = want[k] == -32 ? 8 : want[k] < 0 ? 4 : 1;
    ck_assert_int_eq(groups_width(&gs, &g, last, keep), 4 + 4 + 8);
    groups_release(&gs);
    graph_release(&g);
}
END_TEST

START_TEST(concat_and_slice)
{
    struct graph g;
    struct groups gs;
    graph_init(&g);
    int x = net_input(&g, 3, 4, 4), a = net_conv(&g, x, 6, 1, 1, 1), b = net_conv(&g, x, 4, 1, 1, 1);
    int ab = net_join(&g, OP_CONCAT, a, b);
    struct span all = {0, 4, 1};
    int mid = net_slice(&g, ab, (struct span){4, 8, 1}, all, all); /* 2 of a, 2 of b */
    int c = net_conv(&g, mid, 5, 1, 1, 1);
    g.output = net_gemm(&g, net_op(&g, OP_FLATTEN, net_join(&g, OP_CONCAT, c, ab)), 2);
    find(&g, &gs);
    EXPECT(&gs, 4, 2, 2, 2, 5);
    ck_assert_int_eq(gs.of[1].first, a);
    ck_assert_int_eq(gs.of[2].first, b);
    ck_assert_int_eq(gs.classes[mid][3], gs.classes[b][1]);
    int keep[] = {3, 1, 2, 1, 4};
    ck_assert_int_eq(groups_width(&gs, &g, ab, keep), 7);
    ck_assert_int_eq(groups_width(&gs, &g, mid, keep), 3);
    ck_assert_int_eq(groups_width(&gs, &g, g.nodes[g.output].in[0], keep), 16 * (7 + 4));
    groups_release(&gs);
    graph_release(&g);
}
END_TEST

START_TEST(grouped)
{
    struct graph g;
    struct groups gs;
    graph_init(&g);
    int x = net_input(&g, 3, 4, 4), a = net_conv_bn(&g, x, 8, 3, 1, 1);
    int dw = net_conv_bn(&g, a, 16, 3, 1, 8),
        b = net_conv(&g, dw, 6, 1, 1, 1); /* depthwise alone ties nothing new */
    int c = net_conv(&g, b, 12, 3, 1, 3);
    g.output = net_gemm(&g, net_op(&g, OP_FLATTEN, c), 2);
    find(&g, &gs);
    EXPECT(&gs, 8, 2, 4);
    ck_assert_int_eq(gs.classes[dw][9], gs.classes[a][4]);
    ck_assert_int_eq(gs.classes[b][5], gs.classes[b][1]);
    ck_assert_int_eq(gs.classes[c][11], gs.classes[c][3]);
    int keep[] = {5, 1, 3};
    ck_assert_int_eq(groups_width(&gs, &g, dw, keep), 10);
    ck_assert_int_eq(groups_width(&gs, &g, b, keep), 3);
    ck_assert_int_eq(groups_width(&gs, &g, c, keep), 9);
    groups_release(&gs);
    graph_release(&g);
}
END_TEST

/* Input, output, zero channels that meet no weight, and all between the ends of a strided channel slice stay. */
START_TEST(fixed)
{
    struct graph g;
    struct groups gs;
    graph_init(&g);
    int x = net_input(&g, 4, 4, 4), dw = net_conv(&g, x, 4, 3, 1, 4), a = net_conv(&g, dw, 9, 1, 1, 1);
    int pad = net_pad_channels(&g, a, 1, 2);
    struct span all = {0, 4, 1};
    int odd = net_slice(&g, pad, (struct span){2, 7, 2}, all, all); /* a's channels 1, 3, 5 */
    int b = net_join(&g, OP_ADD, net_conv(&g, x, 4, 1, 1, 1), dw), f = net_op(&g, OP_FLATTEN, b);
    int y = net_gemm(&g, net_op(&g, OP_FLATTEN, odd), 3);
    g.output = net_op(&g, OP_SOFTMAX, net_join(&g, OP_CONCAT, y, f));
    find(&g, &gs);
    EXPECT(&gs, 4); /* a's 0, 6, 7, 8 */
    ck_assert_int_eq(gs.of[0].first, a);
    ck_assert_int_eq(gs.of[0].classes[1], gs.classes[a][6]);
    ck_assert_int_eq(gs.group[gs.classes[a][2]], -1);
    ck_assert_int_eq(gs.rank[gs.classes[a][8]], 3);
    ck_assert_str_eq(fixed_why_text(gs.fixed[gs.classes[x][0]]), "input");
    ck_assert_str_eq(fixed_why_text(gs.fixed[gs.classes[b][0]]), "input"); /* and output: the first reason */
    ck_assert_str_eq(fixed_why_text(gs.fixed[gs.classes[y][0]]), "output");
    ck_assert_str_eq(fixed_why_text(gs.fixed[gs.classes[a][2]]), "strided slice");
    ck_assert_str_eq(fixed_why_text(gs.fixed[gs.classes[pad][0]]), "no weights");
    ck_assert_str_eq(fixed_why_text(gs.fixed[gs.classes[a][6]]), "can be cut");
    int keep[] = {1};
    ck_assert_int_eq(groups_width(&gs, &g, pad, keep), 5 + 3 + 1);
    groups_release(&gs);
    graph_release(&g);
}
END_TEST

START_TEST(nothing_to_cut)
{
    struct graph g;
    struct groups gs;
    struct err e;
    graph_init(&g);
    int x = net_input(&g, 4, 4, 4);
    ck_assert_int_lt(groups_find(&g, &gs, &e), 0);
    ck_assert_str_eq(e.text, "the graph's output is node -1 of 1");
    g.output = net_conv(&g, x, 4, 1, 1, 1);
    find(&g, &gs);
    ck_assert_int_eq(gs.n, 0);
    ck_assert_int_eq(groups_width(&gs, &g, g.output, (int[]){0}), 4);
    groups_release(&gs);
    groups_release(&gs);
    graph_release(&g);
}
END_TEST

/* A million channels after a Flatten: near-linear, well under a second. */
START_TEST(large)
{
    struct graph g;
    struct groups gs;
    struct err e;
    graph_init(&g);
    int x = net_input(&g, 3, 32, 32), a = net_conv(&g, x, 1024, 3, 1, 1);
    int f = net_op(&g, OP_FLATTEN, a), sum = net_join(&g, OP_ADD, f, f);
    g.output = net_gemm(&g, sum, 10);
    clock_t t = clock();
    find(&g, &gs);
    ck_assert_double_lt((double)(clock() - t) / CLOCKS_PER_SEC, 1);
    EXPECT(&gs, -1024);
    groups_release(&gs);
    for (int i = 0; i < 14; i++)
        sum = net_op(&g, OP_RELU, sum);
    ck_assert_int_eq(groups_find(&g, &gs, &e), ERR_LIMIT);
    ck_assert_str_eq(e.text, "the values up to \"n18\" have more than 16777216 channels together");
    graph_release(&g);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("groups");
    TCase *t = tcase_create("groups");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, resnet56);
    tcase_add_test(t, concat_and_slice);
    tcase_add_test(t, grouped);
    tcase_add_test(t, fixed);
    tcase_add_test(t, nothing_to_cut);
    tcase_add_test(t, large);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r) > 0 || srunner_ntests_run(r) == 0;
    srunner_free(r);
    return failed;
}
