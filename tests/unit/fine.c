/* What single weights cost, and the policies that decide on densities. */
#include "common/model/fine.h"

#include "coordinator/policy/frame.h"
#include "coordinator/policy/wall.h"
#include "tests/unit/nets.h"
#include "tests/unit/toy.h"

/* A net of which everything is counted by hand. */
START_TEST(by_hand)
{
    struct graph g;
    struct fine f;
    struct cost c;
    graph_init(&g);
    int x = net_conv_bn(&g, net_input(&g, 3, 8, 8), 6, 3, 1, 1); /* 162 weights at 64 positions */
    x = net_conv(&g, x, 12, 3, 2, 6);                             /* 108 at 16 */
    g.output = net_gemm(&g, net_op(&g, OP_FLATTEN, x), 5);        /* 960, once */
    fine_find(&f, &g);
    ck_assert_int_eq(f.n, 3);
    ck_assert(f.of[0].weights == 162 && f.of[1].weights == 108 && f.of[2].weights == 960);
    fine_cost(&f, (int[]){500, 5, 100}, &c); /* 81; 0.54, so 1; 96 */
    ck_assert_int_eq(c.of[COST_FLOPS], 81 * 64 + 16 + 96);
    ck_assert_int_eq(c.of[COST_PARAMS], 81 + 1 + 96 + 12 + 5);
    /* a bitmap: 4 * 81 + 21; a number and its place: 5; and again, with 3 zeros in between: 5 * 99 against 4 * 96 + 120 */
    ck_assert_int_eq(c.of[COST_BYTES], 345 + 5 + 5 * (96 + 864 / 256) + 4 * (4 * 6 + 5));
    fine_release(&f);
    graph_release(&g);
}
END_TEST

/* Never more than the numbers as they are, never less than the non-zero ones, and enough for any pattern of zeros. */
START_TEST(bytes)
{
    struct rng r;
    ck_assert_int_eq(fine_bytes(1000, 1000), 4000);
    ck_assert_int_eq(fine_bytes(1000, 0), 15);
    ck_assert_int_eq(fine_bytes(1000, 500), 2125);
    ck_assert_int_eq(fine_bytes(1000, 50), 5 * 53);
    rng_init(&r, 1, "bytes", 0);
    for (int round = 0; round < 200; round++) {
        int n = 1 + (int)rng_below(&r, 5000), m = 0, stored = 0, behind = 0;
        double density = pow(rng_uniform(&r), 3);
        for (int i = 0; i < n; i++) { /* Deep Compression's coder, with 8 bits for 1 ... 256 */
            bool zero = rng_uniform(&r) >= density;
            m += !zero;
            behind++;
            if (!zero || behind == 256) {
                stored++;
                behind = 0;
            }
        }
        int64_t b = fine_bytes(n, m), bitmap = 4 * (int64_t)m + (n + 7) / 8;
        ck_assert_int_le(b, 4 * (int64_t)n);
        ck_assert_int_ge(b, 4 * (int64_t)m);
        ck_assert(b == 4 * (int64_t)n || b == bitmap || b >= 5 * (int64_t)stored);
        ck_assert(m == n || fine_bytes(n, m + 1) >= b);
    }
}
END_TEST

/* All kept is the dense network, and nothing rises when a layer keeps less. */
START_TEST(dense_is_dense)
{
    for (int seed = 1; seed <= 20; seed++) {
        struct rng r;
        struct graph g;
        struct groups gs;
        struct fine f;
        struct err e;
        struct cost want, got;
        rng_init(&r, (uint64_t)seed, "dense", 0);
        toy_graph(&g, &r, 6);
        ck_assert_int_eq(groups_find(&g, &gs, &e), 0);
        fine_find(&f, &g);
        cost_of(&g, &gs, NULL, &want);
        fine_cost(&f, NULL, &got);
        ck_assert_mem_eq(&want, &got, sizeof got);
        for (int i = 0; i < f.n; i++) {
            ck_assert_int_eq(fine_count(&f, i, FINE_MOST), f.of[i].weights);
            for (int k = 1; k <= FINE_MOST; k++) {
                int64_t m = fine_count(&f, i, k);
                ck_assert(m >= 1 && m >= fine_count(&f, i, k - 1));
                ck_assert(m * FINE_MOST >= k * f.of[i].weights && (m - 1) * FINE_MOST < k * f.of[i].weights);
            }
        }
        fine_release(&f);
        groups_release(&gs);
        graph_release(&g);
    }
}
END_TEST

START_TEST(limits)
{
    struct graph g;
    struct fine f;
    struct limits l;
    graph_init(&g);
    g.output = net_conv(&g, net_input(&g, 3, 8, 8), 2, 1, 1, 1);
    fine_find(&f, &g);
    fine_limits(&f, 0.033, &l);
    ck_assert(l.n == 1 && l.most[0] == 1000 && l.least[0] == 35);
    ck_assert_int_eq(limits_round(&l, 0, 0.5017), 500);
    ck_assert_int_eq(limits_round(&l, 0, 0.001), 35);
    ck_assert_int_eq(limits_down(&l, 0, 1000), 995);
    limits_release(&l);
    fine_release(&f);
    graph_release(&g);
}
END_TEST

/* ---- policies ---- */

struct world {
    struct graph graph;
    struct fine fine;
    struct limits limits;
    float *points;
    const float **curve;
    struct budget budgets[3];
    struct setting setting;
};

static void world_init(struct world *w, struct rng *r)
{
    toy_graph(&w->graph, r, 4);
    fine_find(&w->fine, &w->graph);
    fine_limits(&w->fine, 0.05, &w->limits);
    size_t n = (size_t)w->fine.n;
    w->points = xcalloc(n * (FINE_MOST + 1), sizeof *w->points);
    w->curve = xcalloc(n, sizeof *w->curve);
    for (size_t i = 0; i < n; i++) {
        double weight = exp(rng_normal(r));
        w->curve[i] = w->points + i * (FINE_MOST + 1);
        for (int k = 0; k <= FINE_MOST; k++)
            w->points[i * (FINE_MOST + 1) + (size_t)k] = (float)(weight * pow(1 - k / 1000.0, 3));
    }
    struct cost dense;
    fine_cost(&w->fine, NULL, &dense);
    for (int k = 0; k < 3; k++) {
        double frac = 0.15 + 0.5 * rng_uniform(r);
        w->budgets[k] =
            (struct budget){(enum cost_kind)k, frac, (int64_t)floor(frac * (double)dense.of[k])};
    }
    w->setting = (struct setting){.graph = &w->graph,
                                  .fine = &w->fine,
                                  .limits = &w->limits,
                                  .curve = w->curve,
                                  .budgets = w->budgets,
                                  .n_budgets = 3,
                                  .seed = 1,
                                  .episodes = 30,
                                  .warmup = 9,
                                  .lookahead = 4};
}

static void world_release(struct world *w)
{
    free(w->points);
    free(w->curve);
    limits_release(&w->limits);
    fine_release(&w->fine);
    graph_release(&w->graph);
}

/* A bill's cost is the network's, whatever it went through. */
START_TEST(bill_is_the_cost)
{
    struct rng r;
    rng_init(&r, 3, "bill", 0);
    for (int i = 0; i < 10; i++) {
        struct world w;
        struct frame f;
        struct err e;
        world_init(&w, &r);
        ck_assert_int_eq(frame_init(&f, &w.setting, &e), 0);
        for (int b = 0; b < 3; b++) {
            struct bill bill;
            struct cost c;
            bill_init(&bill, frame_price(&f, b));
            for (int step = 0; step < 50; step++) {
                int g = (int)rng_below(&r, (uint64_t)w.fine.n), k = 1 + (int)rng_below(&r, FINE_MOST);
                int64_t change = bill_change(&bill, g, k), before = bill.cost;
                bill_move(&bill, g, k);
                ck_assert_int_eq(bill.cost, before + change);
                fine_cost(&w.fine, bill.keep, &c);
                ck_assert_int_eq(bill.cost, c.of[w.budgets[b].kind]);
            }
            bill_release(&bill);
        }
        frame_release(&f);
        world_release(&w);
    }
}
END_TEST

/* Every kind of policy, under budgets of all kinds: legal numbers within the budget, which is all but spent. */
START_TEST(no_proposal_above_its_budget)
{
    struct rng r;
    rng_init(&r, 4, "budget", (uint64_t)_i);
    for (int round = 0; round < 3; round++) {
        struct world w;
        struct policy *p;
        struct err e;
        world_init(&w, &r);
        w.setting.kind = (enum policy_kind)_i;
        int *keep = xcalloc((size_t)w.setting.episodes * (size_t)w.fine.n, sizeof *keep), observed = 0;
        if (policy_new(&p, &w.setting, &e) < 0)
            ck_abort_msg("%s", e.text);
        for (int ep = 0; ep < w.setting.episodes; ep++) {
            const struct budget *b = &w.budgets[ep % 3];
            int *k = keep + ep * w.fine.n;
            struct cost c;
            for (; observed <= ep - w.setting.lookahead; observed++) {
                struct outcome o = {.top1 = rng_uniform(&r)};
                policy_observe(p, observed, keep + observed * w.fine.n, &o);
            }
            policy_propose(p, ep, k);
            fine_cost(&w.fine, k, &c);
            ck_assert(limits_legal(&w.limits, k));
            ck_assert_int_le(c.of[b->kind], b->most);
            ck_assert_double_gt((double)c.of[b->kind], 0.9 * (double)b->most);
        }
        policy_free(p);
        free(keep);
        world_release(&w);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fine");
    TCase *t = tcase_create("fine");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, by_hand);
    tcase_add_test(t, bytes);
    tcase_add_test(t, dense_is_dense);
    tcase_add_test(t, limits);
    tcase_add_test(t, bill_is_the_cost);
    tcase_add_loop_test(t, no_proposal_above_its_budget, 0, POLICY_KINDS);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int bad = srunner_ntests_failed(r) > 0 || srunner_ntests_run(r) == 0;
    srunner_free(r);
    return bad;
}
