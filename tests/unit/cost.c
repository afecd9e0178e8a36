#include <check.h>
#include <stdlib.h>

#include "common/model/cost.h"
#include "tests/unit/nets.h"

static void find(const struct graph *g, struct groups *gs)
{
    struct err e;
    if (groups_find(g, gs, &e) < 0)
        ck_abort_msg("%s", e.text);
}

static struct cost cost(const struct graph *g, const struct groups *gs, const int *keep)
{
    struct cost c;
    cost_of(g, gs, keep, &c);
    return c;
}

/* Figures that PyTorch gives for these networks (MACs to four digits, parameters exactly). */
START_TEST(resnets)
{
    static const struct {
        int blocks;
        int64_t macs_10k, params;
    } want[] = {{3, 4055, 269722}, {9, 12549, 853018}};
    struct graph g;
    struct groups gs;
    graph_init(&g);
    net_resnet(&g, want[_i].blocks);
    find(&g, &gs);
    struct cost c = cost(&g, &gs, NULL);
    ck_assert_int_eq((c.of[COST_FLOPS] + 5000) / 10000, want[_i].macs_10k);
    ck_assert_int_eq(c.of[COST_PARAMS], want[_i].params);
    int channels = 0; /* those with running statistics */
    for (int i = 0; i < g.n; i++)
        channels += g.nodes[i].op == OP_BN ? g.nodes[i].C : 0;
    ck_assert_int_eq(c.of[COST_BYTES], 4 * (want[_i].params + 2 * channels));
    groups_release(&gs);
    graph_release(&g);
}
END_TEST

/* Keeps `keep` classes in each of the two groups of a small net and counts by hand. */
START_TEST(by_hand)
{
    struct graph g;
    struct groups gs;
    graph_init(&g);
    int x = net_input(&g, 3, 8, 8);
    int a = net_op(&g, OP_RELU, net_conv_bn(&g, x, 6, 3, 1, 1)); /* group 0: 6 */
    int dw = net_conv(&g, a, 12, 3, 2, 6);                       /* two outputs a channel */
    int b = net_conv(&g, dw, 8, 1, 1, 2);                        /* group 1: 4 positions in 2 groups */
    g.output = net_gemm(&g, net_op(&g, OP_FLATTEN, b), 5);
    find(&g, &gs);
    ck_assert_int_eq(gs.n, 2);
    ck_assert_int_eq(gs.of[0].n, 3); /* the grouped conv ties outputs 0-5 of dw to 6-11: channels 0-2 of a to 3-5 */
    ck_assert_int_eq(gs.of[1].n, 4);
    int keep[] = {2, 3};
    struct cost c = cost(&g, &gs, keep);
    int64_t conv = 4 * 3 * 9, deep = 8 * 9, pair = 6 * 4, fc = 5 * (6 * 16);
    ck_assert_int_eq(c.of[COST_FLOPS], conv * 64 + deep * 16 + pair * 16 + fc);
    ck_assert_int_eq(c.of[COST_PARAMS], conv + 2 * 4 + deep + pair + fc + 5);
    ck_assert_int_eq(c.of[COST_BYTES], 4 * (conv + 4 * 4 + deep + pair + fc + 5));
    int64_t sum[COST_KINDS] = {0};
    for (int i = 0; i < g.n; i++) {
        struct cost one;
        cost_node(&g, &gs, i, keep, &one);
        for (int k = 0; k < COST_KINDS; k++)
            sum[k] += one.of[k];
    }
    ck_assert_mem_eq(sum, c.of, sizeof sum);
    groups_release(&gs);
    graph_release(&g);
}
END_TEST

/* All classes kept is the dense network, and each class less costs less. */
START_TEST(monotone)
{
    struct graph g;
    struct groups gs;
    graph_init(&g);
    net_resnet(&g, 3);
    find(&g, &gs);
    int *keep = calloc((size_t)gs.n, sizeof *keep);
    for (int k = 0; k < gs.n; k++)
        keep[k] = gs.of[k].n;
    struct cost last = cost(&g, &gs, keep), dense = cost(&g, &gs, NULL);
    ck_assert_mem_eq(&last, &dense, sizeof last);
    for (int k = 0; k < gs.n; k++)
        while (keep[k] > 1) {
            keep[k]--;
            struct cost c = cost(&g, &gs, keep);
            ck_assert_int_eq(c.of[COST_LATENCY], 0); /* the graph doesn't know it */
            for (int j = 0; j < COST_LATENCY; j++)
                ck_assert_int_lt(c.of[j], last.of[j]);
            last = c;
        }
    free(keep);
    groups_release(&gs);
    graph_release(&g);
}
END_TEST

START_TEST(names)
{
    ck_assert_str_eq(cost_name(COST_FLOPS), "flops");
    ck_assert_str_eq(cost_name(COST_PARAMS), "params");
    ck_assert_str_eq(cost_name(COST_BYTES), "bytes");
    ck_assert_str_eq(cost_name(COST_LATENCY), "latency");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cost");
    TCase *t = tcase_create("cost");
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, resnets, 0, 2);
    tcase_add_test(t, by_hand);
    tcase_add_test(t, monotone);
    tcase_add_test(t, names);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int bad = srunner_ntests_failed(r) > 0 || srunner_ntests_run(r) == 0;
    srunner_free(r);
    return bad;
}
