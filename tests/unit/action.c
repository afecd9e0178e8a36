#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "common/model/action.h"
#include "tests/unit/nets.h"

#define MOST 40

/* One tied and one free group of each size 1 ... MOST, without a graph: limits look at sizes and ties alone. */
static void groups_of_sizes(struct groups *gs, struct channel_group of[2 * MOST])
{
    for (int k = 0; k < 2 * MOST; k++)
        of[k] = (struct channel_group){.n = 1 + k / 2, .tied = k % 2};
    *gs = (struct groups){.n = 2 * MOST, .of = of};
}

static bool legal(const struct limits *l, int group, int k)
{
    return k >= l->least[group] && k <= l->most[group] && (k % l->step[group] == 0 || k == l->most[group]);
}

START_TEST(by_hand)
{
    static const struct {
        int most, round_to;
        double keep_min;
        int step, least;
    } rows[] = {
        {64, 8, 0.2, 8, 16},   {16, 8, 0.2, 8, 8},   {15, 8, 0.2, 4, 4},  {12, 8, 0.2, 4, 4},
        {4, 8, 0.2, 2, 2},     {3, 8, 0.2, 1, 1},    {2, 8, 0.2, 1, 1},   {1, 8, 0.2, 1, 1},
        {16, 1, 0.2, 1, 4},    {25, 1, 0.28, 1, 7},  {20, 1, 0.05, 1, 1}, {20, 1, 1e-12, 1, 1},
        {20, 8, 1, 8, 20},     {20, 8, 0.81, 8, 20}, {20, 8, 0.8, 8, 16}, {64, 48, 0.2, 32, 32},
        {96, 48, 0.2, 48, 48}, {100, 3, 0.5, 3, 51},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct channel_group of = {.n = rows[i].most};
        struct groups gs = {.n = 1, .of = &of};
        struct limits l;
        limits_new(&l, &gs, rows[i].keep_min, rows[i].round_to, true);
        ck_assert_msg(l.step[0] == rows[i].step && l.least[0] == rows[i].least && l.most[0] == rows[i].most,
                      "row %zu: step %d, least %d", i, l.step[0], l.least[0]);
        limits_release(&l);
    }
}
END_TEST

/* What the header says of every group, for many settings. */
START_TEST(bounds)
{
    struct channel_group of[2 * MOST];
    struct groups gs;
    groups_of_sizes(&gs, of);
    for (int round_to = 1; round_to <= 32; round_to++)
        for (double keep_min = 0.05; keep_min <= 1; keep_min += 0.05) {
            struct limits l;
            limits_new(&l, &gs, keep_min, round_to, _i);
            for (int k = 0; k < gs.n; k++) {
                int most = of[k].n;
                ck_assert_int_eq(l.most[k], most);
                ck_assert(l.least[k] >= keep_min * most - 1e-6 && l.least[k] >= 1 && legal(&l, k, l.least[k]));
                ck_assert(most < 2 || 2 * l.step[k] <= most);
                ck_assert(l.step[k] == (most >= 2 * round_to ? round_to : l.step[k] & -l.step[k]));
                ck_assert(!(_i && of[k].tied) || l.least[k] == most);
                ck_assert((_i && of[k].tied) || l.least[k] == most || l.least[k] - l.step[k] < keep_min * most ||
                          l.least[k] == l.step[k]);
            }
            limits_release(&l);
        }
}
END_TEST

/* round, down and up against a search through all legal numbers. */
START_TEST(moves)
{
    struct channel_group of[2 * MOST];
    struct groups gs;
    struct limits l;
    groups_of_sizes(&gs, of);
    limits_new(&l, &gs, 0.2, _i, true);
    for (int g = 0; g < gs.n; g++) {
        for (int k = l.least[g]; k <= l.most[g]; k++) {
            int down = k, up = k;
            for (int j = l.most[g]; j > k; j--)
                up = legal(&l, g, j) ? j : up;
            for (int j = 1; j < k; j++)
                down = legal(&l, g, j) ? j : down;
            ck_assert_int_eq(limits_down(&l, g, k), down);
            ck_assert_int_eq(limits_up(&l, g, k), up);
        }
        for (int i = 0; i <= 32 * of[g].n; i++) { /* sixteenths of a channel, so that ties are exact */
            double frac = i / (16.0 * of[g].n), best = INFINITY;
            int want = 0;
            for (int j = 1; j <= l.most[g]; j++)
                if (legal(&l, g, j) && fabs(j - i / 16.0) <= best) {
                    best = fabs(j - i / 16.0);
                    want = j;
                }
            ck_assert_int_eq(limits_round(&l, g, frac), want);
        }
        ck_assert_int_eq(limits_round(&l, g, -1), l.least[g]);
        ck_assert_int_eq(limits_round(&l, g, NAN), l.least[g]);
        ck_assert_int_eq(limits_round(&l, g, INFINITY), l.most[g]);
    }
    limits_release(&l);
}
END_TEST

START_TEST(legality)
{
    struct channel_group of[] = {{.n = 16}, {.n = 20, .tied = true}};
    struct groups gs = {.n = 2, .of = of};
    struct limits l;
    limits_new(&l, &gs, 0.5, 8, false);
    for (int a = 0; a <= 17; a++)
        for (int b = 0; b <= 21; b++) {
            int keep[] = {a, b};
            ck_assert(limits_legal(&l, keep) == ((a == 8 || a == 16) && (b == 16 || b == 20)));
        }
    limits_release(&l);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("action");
    TCase *t = tcase_create("action");
    tcase_set_timeout(t, 30);
    tcase_add_test(t, by_hand);
    tcase_add_loop_test(t, bounds, 0, 2);
    tcase_add_loop_test(t, moves, 1, 20);
    tcase_add_test(t, legality);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r) > 0 || srunner_ntests_run(r) == 0;
    srunner_free(r);
    return failed;
}
