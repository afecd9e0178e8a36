/* What a vector costs, and what keeps it under its budget. */
#include "tests/unit/toy.h"

#include "coordinator/policy/frame.h"
#include "coordinator/policy/noise.h"
#include "coordinator/policy/price.h"
#include "coordinator/policy/sensitivity.h"
#include "coordinator/policy/uniform.h"
#include "coordinator/policy/wall.h"

static void any_vector(const struct limits *l, struct rng *r, int *keep)
{
    for (int g = 0; g < l->n; g++)
        keep[g] = limits_round(l, g, rng_uniform(r));
}

static int64_t cost_of_kind(const struct toy *t, const int *keep, enum cost_kind kind)
{
    struct cost c;
    latency_cost(&t->table, &t->graph, &t->groups, keep, &c);
    return c.of[kind];
}

START_TEST(bill_is_the_cost)
{
    for (int i = 0; i < 40; i++) {
        struct rng r;
        struct toy t;
        struct err e;
        rng_init(&r, 1, "bill", (uint64_t)i);
        toy_init(&t, &r, 2 + i % 8, 0.1, i % 2 ? 1 : 4, 0.5);
        int *keep = xcalloc((size_t)t.groups.n, sizeof *keep);
        for (int kind = 0; kind < COST_KINDS; kind++) {
            struct price p;
            struct bill b;
            ck_assert_int_eq(price_init(&p, &t.graph, &t.groups, &t.limits, (enum cost_kind)kind, &t.table, &e), 0);
            bill_init(&b, &p);
            ck_assert_int_eq(b.cost, cost_of_kind(&t, NULL, (enum cost_kind)kind));
            for (int n = 0; n < 30; n++) {
                any_vector(&t.limits, &r, keep);
                bill_set(&b, keep);
                ck_assert_int_eq(b.cost, cost_of_kind(&t, keep, (enum cost_kind)kind));
                int g = (int)rng_below(&r, (uint64_t)t.groups.n);
                keep[g] = limits_round(&t.limits, g, rng_uniform(&r));
                int64_t told = b.cost + bill_change(&b, g, keep[g]);
                bill_move(&b, g, keep[g]);
                ck_assert_int_eq(told, cost_of_kind(&t, keep, (enum cost_kind)kind));
                ck_assert_int_eq(b.cost, told);
            }
            bill_release(&b);
            price_release(&p);
        }
        free(keep);
        toy_release(&t);
    }
}
END_TEST

/* One world with one budget of half the MACs. */
struct world {
    struct toy toy;
    struct budget budget;
    struct setting setting;
    struct frame frame;
    struct bill bill;
    struct wall wall;
    struct rng rng;
};

static void world_init_by(struct world *w, int seed, double frac, enum cost_kind kind)
{
    struct err e;
    rng_init(&w->rng, (uint64_t)seed, "world", 0);
    toy_init(&w->toy, &w->rng, 6, 0.1, 2, 0.5);
    w->budget = toy_budget(&w->toy, kind, frac);
    w->setting = toy_setting(&w->toy, &w->budget, 1);
    w->setting.kind = POLICY_SENSITIVITY;
    ck_assert_int_eq(frame_init(&w->frame, &w->setting, &e), 0);
    bill_init(&w->bill, frame_price(&w->frame, 0));
    w->wall = (struct wall){.limits = &w->toy.limits, .most = w->budget.most};
}

static void world_init(struct world *w, int seed, double frac)
{
    world_init_by(w, seed, frac, COST_FLOPS);
}

static void world_release(struct world *w)
{
    bill_release(&w->bill);
    frame_release(&w->frame);
    toy_release(&w->toy);
}

START_TEST(wall_leaves_room_for_the_rest)
{
    for (int seed = 1; seed <= 20; seed++) {
        struct world w;
        world_init_by(&w, seed, _i == COST_LATENCY ? 0.7 : 0.4, (enum cost_kind)_i);
        wall_begin(&w.wall, &w.bill);
        for (int g = 0; g < w.toy.groups.n; g++) { /* everyone asks for everything */
            int k = wall_act(&w.wall, &w.bill, g, 1.0);
            ck_assert_int_le(w.bill.cost, w.budget.most);
            int up = limits_up(&w.toy.limits, g, k);
            ck_assert(up == k || w.bill.cost + bill_change(&w.bill, g, up) > w.budget.most);
        }
        ck_assert(limits_legal(&w.toy.limits, w.bill.keep) && frame_fits(&w.frame, 0, w.bill.keep));
        world_release(&w);
    }
}
END_TEST

START_TEST(repair_and_fill_meet_the_budget)
{
    for (int seed = 1; seed <= 20; seed++) {
        struct world w;
        world_init(&w, seed, 0.4);
        bill_set(&w.bill, w.toy.limits.most);
        ck_assert(wall_repair(&w.wall, &w.bill, w.frame.cut, w.frame.n_cut));
        ck_assert(frame_fits(&w.frame, 0, w.bill.keep));
        while (wall_fill(&w.wall, &w.bill, w.frame.cut, w.frame.n_cut))
            ;
        ck_assert(limits_legal(&w.toy.limits, w.bill.keep) && frame_fits(&w.frame, 0, w.bill.keep));
        for (int g = 0; g < w.toy.groups.n; g++) {
            int up = limits_up(&w.toy.limits, g, w.bill.keep[g]);
            ck_assert(up == w.bill.keep[g] || w.bill.cost + bill_change(&w.bill, g, up) > w.budget.most);
        }
        w.wall.most = 0;
        ck_assert(!wall_repair(&w.wall, &w.bill, w.frame.cut, w.frame.n_cut));
        ck_assert(memcmp(w.bill.keep, w.toy.limits.least, (size_t)w.toy.groups.n * sizeof(int)) == 0);
        world_release(&w);
    }
}
END_TEST

START_TEST(uniform_is_the_largest_fraction)
{
    for (int seed = 1; seed <= 10; seed++) {
        struct world w;
        world_init(&w, seed, 0.5);
        int n = w.toy.groups.n, *keep = xcalloc((size_t)n, sizeof *keep), *test = xcalloc((size_t)n, sizeof *test);
        uniform_allocate(&w.frame, 0, keep);
        ck_assert(frame_fits(&w.frame, 0, keep));
        double frac = 0; /* the largest on a fine grid whose rounded vector fits */
        for (double x = 0; x <= 1; x += 1.0 / 1024) {
            for (int g = 0; g < n; g++)
                test[g] = limits_round(&w.toy.limits, g, x);
            if (frame_fits(&w.frame, 0, test))
                frac = x;
        }
        for (int g = 0; g < n; g++) {
            int k = limits_round(&w.toy.limits, g, frac);
            ck_assert(keep[g] >= k && keep[g] <= limits_up(&w.toy.limits, g, limits_up(&w.toy.limits, g, k)));
        }
        free(keep);
        free(test);
        world_release(&w);
    }
}
END_TEST

/* The allocation once more, by its definition and with cost_of alone. */
static void sensitivity_naive(const struct world *w, int *keep)
{
    const struct limits *l = &w->toy.limits;
    memcpy(keep, l->most, (size_t)l->n * sizeof *keep);
    for (;;) {
        int64_t cost = cost_of_kind(&w->toy, keep, COST_FLOPS);
        int best = -1;
        double best_ratio = INFINITY;
        for (int g = 0; g < l->n && cost > w->budget.most; g++) {
            int k = keep[g], down = limits_down(l, g, k);
            if (down == k)
                continue;
            keep[g] = down;
            double saved = (double)(cost - cost_of_kind(&w->toy, keep, COST_FLOPS));
            keep[g] = k;
            double ratio = ((double)w->toy.curve[g][down] - (double)w->toy.curve[g][k]) / saved;
            if (ratio < best_ratio) {
                best = g;
                best_ratio = ratio;
            }
        }
        if (best < 0)
            return;
        keep[best] = limits_down(l, best, keep[best]);
    }
}

START_TEST(sensitivity_drops_the_least_error_per_cost)
{
    for (int seed = 1; seed <= 10; seed++) {
        struct world w;
        world_init(&w, seed, 0.5);
        int n = w.toy.groups.n, *keep = xcalloc((size_t)n, sizeof *keep);
        sensitivity_shrink(&w.frame, &w.bill, w.budget.most, NULL);
        sensitivity_naive(&w, keep);
        ck_assert(memcmp(keep, w.bill.keep, (size_t)n * sizeof *keep) == 0);
        sensitivity_allocate(&w.frame, 0, keep);
        ck_assert(frame_fits(&w.frame, 0, keep));
        for (int g = 0; g < n; g++)
            ck_assert_int_ge(keep[g], w.bill.keep[g]);
        free(keep);
        world_release(&w);
    }
}
END_TEST

START_TEST(noise_stays_inside_and_is_normal_there)
{
    struct rng r;
    rng_init(&r, 9, "noise", 0);
    const double sigmas[] = {0.01, 0.2, 0.5, 5};
    for (int i = 0; i < 4; i++) {
        double sum = 0, sum2 = 0, want = 0, mass = 0;
        for (int n = 0; n < 20000; n++) {
            double x = noise_truncated(&r, 0.7, sigmas[i], 0, 1);
            ck_assert(x >= 0 && x <= 1);
            sum += x;
            sum2 += x * x;
        }
        for (double x = 0.0005; x < 1; x += 0.001) { /* mean of the density by quadrature */
            double p = exp(-0.5 * pow((x - 0.7) / sigmas[i], 2));
            want += p * x;
            mass += p;
        }
        double mean = sum / 20000, sd = sqrt(sum2 / 20000 - mean * mean);
        ck_assert_double_eq_tol(mean, want / mass, 4 * sd / sqrt(20000));
    }
    ck_assert_double_eq(noise_truncated(&r, 3, 0, 0, 1), 1);
    ck_assert_double_eq(noise_truncated(&r, -1, 0.1, 0.5, 0.5), 0.5);
    ck_assert_double_eq_tol(noise_decayed(0.5, 0.95, 2), 0.45125, 1e-12);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("wall");
    TCase *t = tcase_create("wall");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, bill_is_the_cost);
    tcase_add_loop_test(t, wall_leaves_room_for_the_rest, 0, COST_KINDS);
    tcase_add_test(t, repair_and_fill_meet_the_budget);
    tcase_add_test(t, uniform_is_the_largest_fraction);
    tcase_add_test(t, sensitivity_drops_the_least_error_per_cost);
    tcase_add_test(t, noise_stays_inside_and_is_normal_there);
    suite_add_tcase(s, t);
    SRunner *run = srunner_create(s);
    srunner_run_all(run, CK_NORMAL);
    int bad = srunner_ntests_failed(run) > 0 || srunner_ntests_run(run) == 0;
    srunner_free(run);
    return bad;
}
