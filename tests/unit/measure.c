/* Measuring: a network beside itself and beside a smaller one, layers alone, a whole table. Ratios with room for a
 * busy machine, never times. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/zoo/zoo.h"
#include "worker/engine/pool.h"
#include "worker/measure/probe.h"
#include "worker/measure/table.h"

static struct model net;
static struct groups gs;
static struct pool *one;

static void must(int rc, const struct err *e)
{
    ck_assert_msg(rc == 0, "%s", e->text);
}

static void setup(void)
{
    struct err e;
    must(pool_new(&one, 1, &e), &e);
    must(zoo_build("resnet-20", 3, 32, 32, 10, 1, &net, &e), &e);
    must(groups_find(&net.graph, &gs, &e), &e);
}

static void teardown(void)
{
    groups_release(&gs);
    model_release(&net);
    pool_free(one);
}

/* Groups of `from` channels and more keep a half, the others all. */
static void halve(int from, struct model *out)
{
    struct err e;
    int *keep = xcalloc((size_t)gs.n, sizeof *keep);
    for (int k = 0; k < gs.n; k++)
        keep[k] = gs.of[k].n >= from ? gs.of[k].n / 2 : gs.of[k].n;
    must(table_candidate(&net, &gs, keep, out, &e), &e);
    free(keep);
}

static struct measured beside(const struct model *m, int batch)
{
    struct measuring how = {.batch = batch, .pairs = 31, .most_ns = 2 * NS_PER_S};
    struct measured got;
    struct err e;
    must(measure_latency(&net, m, &how, &got, &e), &e);
    ck_assert(got.pairs >= MEASURING_LEAST && got.pairs <= 31);
    ck_assert(got.ms > 0 && got.dense_ms > 0 && got.spread >= 0);
    return got;
}

START_TEST(a_network_beside_itself)
{
    struct measured got = beside(&net, _i ? 8 : 1);
    ck_assert_msg(got.ratio > 0.75 && got.ratio < 1.35, "%g", got.ratio);
}
END_TEST

START_TEST(half_of_the_channels)
{
    struct model small;
    halve(16, &small);
    struct measured got = beside(&small, 1);
    model_release(&small);
    ck_assert_msg(got.ratio < 0.85, "%g", got.ratio);
}
END_TEST

/* A layer alone: of 64 channels, with half of them read or made. */
START_TEST(a_layer_alone)
{
    struct probe p = {.act = true, .C = 64, .K = 64, .H = 16, .W = 16, .groups = 1};
    p.win = (struct window){.R = 3,
                            .S = 3,
                            .stride_h = 1,
                            .stride_w = 1,
                            .dil_h = 1,
                            .dil_w = 1,
                            .pad_t = 1,
                            .pad_l = 1,
                            .pad_b = 1,
                            .pad_r = 1};
    double whole, less_in, less_out;
    struct err e;
    must(probe_time(&p, 64, 64, 1, DTYPE_F32, &whole, &e), &e);
    must(probe_time(&p, 32, 64, 1, DTYPE_F32, &less_in, &e), &e);
    must(probe_time(&p, 64, 32, 1, DTYPE_F32, &less_out, &e), &e);
    ck_assert_msg(whole > 0 && less_in > 0 && less_in < 0.9 * whole && less_out < 0.9 * whole, "%g: %g %g", whole,
                  less_in, less_out);
    struct probe q = p;
    ck_assert(probe_same(&p, &q));
    q.win.stride_h = 2;
    ck_assert(!probe_same(&p, &q));
}
END_TEST

static int cancelled(void *arg, const char *stage, uint64_t done, uint64_t total, struct err *e)
{
    int *left = arg;
    (void)stage;
    ck_assert(done <= total);
    return --*left > 0 ? 0 : err_set(e, ERR_CANCELLED, "enough");
}

START_TEST(ends_when_told)
{
    static const int calls[] = {1, 30, 300};
    int left = calls[_i];
    struct measuring how = {.batch = 1, .pairs = 7, .most_ns = 1, .progress = cancelled, .arg = &left};
    struct latency t;
    struct err e;
    ck_assert_int_eq(table_measure(&net, &gs, &how, &t, &e), ERR_CANCELLED);
    ck_assert_int_eq(left, 0);
}
END_TEST

START_TEST(a_table_predicts)
{
    struct measuring how = {.batch = 1, .pairs = 15, .most_ns = NS_PER_S / 4};
    struct latency t, again;
    struct model small;
    struct buf bytes = {0};
    struct err e;
    must(table_measure(&net, &gs, &how, &t, &e), &e);
    ck_assert_int_eq(latency_check(&t, &net.graph, &e), 0);
    ck_assert(t.batch == 1 && t.threads == 1 && t.checked > 0 && t.fitted > 0 && t.dense_ns > 0 && t.seconds > 0);
    ck_assert(t.error_median <= t.error_worst);
    ck_assert_msg(t.error_median < 0.3, "%g", t.error_median);
    int convs = 0;
    for (int i = 0; i < net.graph.n; i++)
        convs += net.graph.nodes[i].op == OP_CONV && t.shape[i] >= 0 && t.base[i] > 0;
    ck_assert_int_eq(convs, 19);
    ck_assert_int_lt(t.n_shapes, 12); /* layers of equal shape are measured once */
    halve(16, &small);
    struct measured got = beside(&small, 1);
    model_release(&small);
    int *keep = xcalloc((size_t)gs.n, sizeof *keep);
    for (int k = 0; k < gs.n; k++)
        keep[k] = gs.of[k].n / 2;
    double predicted =
        (double)latency_total(&t, &net.graph, &gs, keep) / (double)latency_total(&t, &net.graph, &gs, NULL);
    ck_assert_msg(fabs(predicted / got.ratio - 1) < 0.4, "predicted %g, measured %g", predicted, got.ratio);
    latency_encode(&t, &bytes);
    must(latency_decode(bytes.p, bytes.n, &again, &e), &e);
    ck_assert_int_eq(latency_total(&again, &net.graph, &gs, keep), latency_total(&t, &net.graph, &gs, keep));
    free(keep);
    buf_release(&bytes);
    latency_release(&again);
    latency_release(&t);
}
END_TEST

START_TEST(quantiles)
{
    double x[] = {4, 1, 3, 2}, y[] = {7};
    ck_assert(measure_quantile(x, 4, 0.5) == 2.5 && measure_quantile(x, 4, 0) == 1 &&
              measure_quantile(x, 4, 1) == 4);
    ck_assert(measure_quantile(y, 1, 0.25) == 7);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("measure");
    TCase *c = tcase_create("measure");
    tcase_set_timeout(c, 120);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, quantiles);
    tcase_add_loop_test(c, a_network_beside_itself, 0, 2);
    tcase_add_test(c, half_of_the_channels);
    tcase_add_test(c, a_layer_alone);
    tcase_add_loop_test(c, ends_when_told, 0, 3);
    tcase_add_test(c, a_table_predicts);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
