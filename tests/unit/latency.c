/* Latency tables: what they predict, how they are kept, what they say of rounding. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/toy.h"

/* 8 to 32 channels in, 16 and 32 out; odd ones cost twice. */
static struct latency_shape grid(float *ns)
{
    static const float times[8] = {10, 20, 20, 60, 30, 40, 40, 90};
    struct latency_shape s = {.in = {.n = 4, .at = {8, 16, 24, 32}, .pitch = 8},
                              .out = {.n = 2, .at = {16, 32}, .pitch = 16}};
    for (int a = 0; a < LATENCY_ALIGNS; a++) {
        s.in.factor[a] = a < 3 ? 2 : 1;
        s.out.factor[a] = a < 4 ? 3 : 1;
    }
    memcpy(ns, times, sizeof times);
    s.ns = ns;
    return s;
}

START_TEST(between_the_points)
{
    static const struct {
        int in, out;
        double ns;
    } rows[] = {
        {8, 16, 10},
        {16, 16, 20},
        {32, 16, 60},
        {32, 32, 90}, /* measured */
        {4, 16, 20},  /* left of all: as the first, of bad alignment */
        {28, 16, 80},
        {25, 16, 50},                   /* on a line, times 2 */
        {24, 24, 90},                   /* the other way, times 3 */
        {16, 8, 60},                    /* left of all */
        {17, 17, 6 * (20 + 20 / 16.0)}, /* both */
        {40, 40, 270},                  /* more than dense doesn't occur */
    };
    float ns[8];
    struct latency_shape s = grid(ns);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(fabs(latency_at(&s, rows[i].in, rows[i].out) - rows[i].ns) < 1e-4, "%d to %d: %g, not %g",
                      rows[i].in, rows[i].out, latency_at(&s, rows[i].in, rows[i].out), rows[i].ns);
}
END_TEST

/* The whole is its nodes and what belongs to none; dense, that is the sum of the bases. */
START_TEST(network_is_its_nodes)
{
    for (int i = 0; i < 30; i++) {
        struct rng r;
        struct toy t;
        rng_init(&r, 3, "latency", (uint64_t)i);
        toy_init(&t, &r, 1 + i % 6, 0.1, 1, 0.5);
        int *keep = xcalloc((size_t)t.groups.n, sizeof *keep);
        double bases = 0;
        for (int n = 0; n < t.graph.n; n++)
            bases += (double)t.table.base[n];
        ck_assert(fabs((double)latency_total(&t.table, &t.graph, &t.groups, NULL) - bases) <= t.graph.n);
        for (int g = 0; g < t.groups.n; g++)
            keep[g] = limits_round(&t.limits, g, rng_uniform(&r));
        int64_t sum = latency_fixed(&t.table);
        for (int n = 0; n < t.graph.n; n++)
            sum += latency_node(&t.table, &t.graph, &t.groups, n, keep);
        ck_assert_int_eq(sum, latency_total(&t.table, &t.graph, &t.groups, keep));
        struct cost with, without;
        latency_cost(&t.table, &t.graph, &t.groups, keep, &with);
        latency_cost(NULL, &t.graph, &t.groups, keep, &without);
        ck_assert(with.of[COST_LATENCY] == sum && without.of[COST_LATENCY] == 0);
        ck_assert(with.of[COST_FLOPS] == without.of[COST_FLOPS] && with.of[COST_BYTES] == without.of[COST_BYTES]);
        free(keep);
        toy_release(&t);
    }
}
END_TEST

/* in -> conv of 64 -> conv of 10; one group, whose second conv's time is told by width. */
static void chain(struct graph *g, struct groups *gs)
{
    struct err e;
    graph_init(g);
    int x = toy_node(g, (struct node){.op = OP_INPUT, .C = 3, .H = 8, .W = 8}, -1, -1);
    x = toy_conv(g, x, 64, 3, 1, 1);
    x = toy_conv(g, x, 10, 1, 1, 1);
    g->output = x;
    if (groups_find(g, gs, &e) < 0)
        ck_abort_msg("%s", e.text);
    ck_assert_int_eq(gs->n, 1);
}

/* What the conv of 64 takes at widths of 8, 16 ... 64, and what odd widths take over that. */
static int rounding(const float of[8], float odd)
{
    struct graph g;
    struct groups gs;
    struct latency t;
    struct err e;
    chain(&g, &gs);
    ck_assert_int_eq(latency_new(&t, g.n, 1, &e), 0);
    struct latency_shape *s = &t.shapes[0];
    s->in = (struct latency_axis){.n = 1, .at = {3}, .pitch = 1};
    s->out = (struct latency_axis){.n = 8, .pitch = 8};
    s->ns = mem_zalloc(8, sizeof *s->ns);
    for (int k = 0; k < 8; k++) {
        s->out.at[k] = 8 * (k + 1);
        s->ns[k] = of[k];
    }
    for (int a = 0; a < LATENCY_ALIGNS; a++)
        s->out.factor[a] = a < 2 ? odd : 1;
    t.base[1] = 1000; /* the first conv */
    t.shape[1] = 0;
    int multiple = latency_round(&t, &g, &gs, 0);
    latency_release(&t);
    groups_release(&gs);
    graph_release(&g);
    return multiple;
}

START_TEST(rounding_that_pays)
{
    static const float even[8] = {1, 2, 3, 4, 5, 6, 7, 8}, stairs[8] = {2, 2, 4, 4, 6, 6, 8, 8},
                       zigzag[8] = {3, 2, 5, 4, 7, 6, 9, 8}, fours[8] = {4, 4, 5, 4, 7, 9, 9, 8};
    ck_assert_int_eq(rounding(even, 1), 1);
    ck_assert_int_eq(rounding(even, 2),
                     4); /* 1 and 2 channels more than a multiple of 4 cost more than all of it */
    ck_assert_int_eq(rounding(stairs, 1), 1);
    ck_assert_int_eq(rounding(zigzag, 1), 16);
    ck_assert_int_eq(rounding(fours, 1), 32);
}
END_TEST

static void encoded(struct toy *t, struct buf *b)
{
    struct rng r;
    rng_init(&r, 5, "latency", 0);
    toy_init(t, &r, 4, 0.1, 1, 0.5);
    snprintf(t->table.cpu, sizeof t->table.cpu, "some CPU");
    snprintf(t->table.kernels, sizeof t->table.kernels, "some kernels");
    snprintf(t->table.precision, sizeof t->table.precision, "bf16");
    t->table.fitted = 8;
    t->table.checked = 9;
    t->table.error_median = 0.05;
    t->table.error_worst = 0.125;
    t->table.dense_ns = 12345;
    t->table.seconds = 1.5;
    latency_encode(&t->table, b);
}

START_TEST(there_and_back)
{
    struct toy t;
    struct latency is;
    struct buf b = {0}, again = {0};
    struct err e;
    encoded(&t, &b);
    ck_assert_msg(latency_decode(b.p, b.n, &is, &e) == 0, "%s", e.text);
    ck_assert_int_eq(latency_check(&is, &t.graph, &e), 0);
    latency_encode(&is, &again);
    ck_assert_uint_eq(again.n, b.n);
    ck_assert_mem_eq(again.p, b.p, b.n);
    ck_assert_str_eq(is.cpu, "some CPU");
    ck_assert_str_eq(is.precision, "bf16");
    ck_assert(is.fitted == 8 && is.checked == 9 && is.error_median == 0.05 && is.error_worst == 0.125);
    ck_assert(is.dense_ns == 12345 && is.seconds == 1.5 && is.lost == t.table.lost);
    ck_assert_int_eq(latency_total(&is, &t.graph, &t.groups, t.limits.least),
                     latency_total(&t.table, &t.graph, &t.groups, t.limits.least));
    latency_release(&is);
    buf_release(&b);
    buf_release(&again);
    toy_release(&t);
}
END_TEST

/* Every cut is refused, and every byte that is changed is refused or makes another table that is as sound. */
START_TEST(broken_ones)
{
    struct toy t;
    struct latency is;
    struct buf b = {0};
    struct err e;
    encoded(&t, &b);
    for (size_t n = 0; n < b.n; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        memcpy(exact, b.p, n);
        ck_assert_int_eq(latency_decode(exact, n, &is, &e), ERR_INVALID);
        ck_assert_ptr_null(is.base);
        free(exact);
    }
    for (size_t i = 0; i < b.n; i++) {
        b.p[i] ^= 0xff;
        if (latency_decode(b.p, b.n, &is, &e) == 0) {
            if (latency_check(&is, &t.graph, &e) == 0)
                ck_assert(latency_total(&is, &t.graph, &t.groups, t.limits.least) >= INT64_MIN / 2);
            latency_release(&is);
        }
        b.p[i] ^= 0xff;
    }
    uint8_t *big = calloc(LATENCY_MAX_BYTES + 1, 1);
    ck_assert_int_eq(latency_decode(big, LATENCY_MAX_BYTES + 1, &is, &e), ERR_LIMIT);
    free(big);
    buf_release(&b);
    toy_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("latency");
    TCase *c = tcase_create("table");
    tcase_set_timeout(c, 60);
    tcase_add_test(c, between_the_points);
    tcase_add_test(c, network_is_its_nodes);
    tcase_add_test(c, rounding_that_pays);
    tcase_add_test(c, there_and_back);
    tcase_add_test(c, broken_ones);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
