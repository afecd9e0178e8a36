/*
 * cut - a sliced network against the dense one in which every weight that reads a dropped channel is zero, on drawn
 * graphs and drawn sets of live classes.
 */
#include "worker/compress/cut.h"

#include "common/model/cost.h"
#include "tests/unit/compress_net.h"
#include "tests/unit/nets.h"

/* Zeroes what reads a dropped channel: then nothing of it flows on, whatever its BN makes of it. */
static void mask(struct model *m, const struct groups *gs, const bool *live)
{
    for (int i = 0; i < m->graph.n; i++) {
        const struct node *n = &m->graph.nodes[i];
        if (n->op != OP_CONV && n->op != OP_GEMM)
            continue;
        int C = m->graph.nodes[n->in[0]].C, groups = n->op == OP_CONV ? n->u.conv.groups : 1;
        size_t area = n->op == OP_CONV ? (size_t)(n->u.conv.win.R * n->u.conv.win.S) : 1;
        float *w = m->weights.of[i].w;
        for (int k = 0; k < n->C; k++)
            for (int c = 0; c < C / groups; c++, w += area)
                if (!live[gs->classes[n->in[0]][k / (n->C / groups) * (C / groups) + c]])
                    memset(w, 0, area * sizeof *w);
    }
}

static void check_same(struct net *n, const struct groups *gs, const bool *live, const struct model *small,
                       const char *what)
{
    enum { N = 2 };
    struct model masked = {.graph = n->m.graph};
    struct naive t;
    struct err e;
    const struct node *out = &n->m.graph.nodes[n->m.graph.output];
    float *x = draw_images(&n->rng, &n->m.graph, N);
    must(weights_copy(&n->m.weights, &masked.weights, &e), &e);
    mask(&masked, gs, live);
    naive_run(&t, &masked.graph, &masked.weights, N, ENGINE_INFER, x);
    float *y = run_model(small, x, N);
    double d = naive_distance(y, t.value[n->m.graph.output], N * naive_image(out));
    ck_assert_msg(d < NEAR, "%s: sliced is not masked, off by %g", what, d);
    naive_release(&t);
    weights_release(&masked.weights);
    free(x);
    free(y);
}

/* The cut network costs what groups and keep say it will: budgets rest on it. */
static void check_cost(const struct graph *g, const struct groups *gs, const int *keep, const struct model *small)
{
    struct cost want, got;
    struct groups again;
    struct err e;
    must(groups_find(&small->graph, &again, &e), &e);
    cost_of(g, gs, keep, &want);
    cost_of(&small->graph, &again, NULL, &got);
    for (int k = 0; k < COST_KINDS; k++)
        ck_assert_int_eq(got.of[k], want.of[k]);
    groups_release(&again);
}

static void init(struct net *n, struct groups *gs)
{
    draw_weights(n);
    find_groups(n, gs);
}

/* A candidate's keep and orders. */
static int try_candidate(struct net *n, const struct groups *gs, const char *what)
{
    struct model small;
    struct err e;
    int *keep, **order, dropped = 0;
    bool *live = xcalloc((size_t)gs->n_classes, sizeof *live);
    draw_keep(n, gs, &keep, &order);
    cut_live(gs, keep, order, live);
    for (int g = 0; g < gs->n; g++) {
        int count = 0;
        for (int k = 0; k < gs->of[g].n; k++) {
            count += live[gs->of[g].classes[k]];
            ck_assert(live[gs->of[g].classes[order[g][k]]] == (k < keep[g]));
        }
        ck_assert_int_eq(count, keep[g]);
        dropped += gs->of[g].n - count;
    }
    must(cut(&n->m, gs, live, &small, &e), &e);
    check_same(n, gs, live, &small, what);
    check_cost(&n->m.graph, gs, keep, &small);
    model_release(&small);
    free_keep(gs, keep, order);
    free(live);
    return dropped;
}

/* Any classes at all: fine as long as no value loses all its channels. */
static bool try_any(struct net *n, const struct groups *gs, const char *what)
{
    struct model small;
    struct err e;
    bool *live = xcalloc((size_t)gs->n_classes, sizeof *live), empty = false;
    int *kept = xcalloc(1 << 16, sizeof *kept);
    for (int c = 0; c < gs->n_classes; c++)
        live[c] = gs->group[c] < 0 || one_of(n, 4) > 0;
    for (int i = 0; i < n->m.graph.n; i++)
        empty = empty || groups_kept(gs, &n->m.graph, i, live, kept) == 0;
    int rc = cut(&n->m, gs, live, &small, &e);
    ck_assert_int_eq(rc, empty ? ERR_INVALID : 0);
    if (rc == 0) {
        check_same(n, gs, live, &small, what);
        model_release(&small);
    }
    free(kept);
    free(live);
    return empty;
}

START_TEST(drawn)
{
    int dropped = 0, empty = 0, done = 0;
    for (int i = 0; i < 30; i++) {
        char what[40];
        struct net n;
        struct groups gs;
        snprintf(what, sizeof what, "drawn %d, %d", _i, i);
        net_init(&n, (uint64_t)(100 * _i + i), "cut");
        draw_net(&n);
        init(&n, &gs);
        dropped += try_candidate(&n, &gs, what);
        empty += try_any(&n, &gs, what);
        done++;
        groups_release(&gs);
        model_release(&n.m);
    }
    ck_assert_int_gt(dropped, 20);
    ck_assert_int_lt(empty, done);
}
END_TEST

/* All that lies between begin and end of a strided slice stays, but what lies before may go. */
START_TEST(strided_slice)
{
    struct net n;
    struct groups gs;
    net_init(&n, 1, "strided");
    int x = conv(&n, conv(&n, input(&n, 3, 6, 6), 8, 3, 1), 12, 1, 1);
    int s = slice(&n, x, (struct span){5, 11, 2}, 1);
    tail(&n, concat(&n, s, conv(&n, x, 4, 3, 1), -1), 5);
    init(&n, &gs);
    for (int i = 0; i < 10; i++)
        ck_assert_int_ge(try_candidate(&n, &gs, "strided"), 0);
    groups_release(&gs);
    model_release(&n.m);
}
END_TEST

START_TEST(option_a)
{
    struct net n = {0};
    struct groups gs;
    rng_init(&n.rng, 5, "option a", 0);
    graph_init(&n.m.graph);
    net_resnet(&n.m.graph, 1);
    init(&n, &gs);
    ck_assert_int_gt(try_candidate(&n, &gs, "option A"), 10);
    ck_assert_int_gt(try_candidate(&n, &gs, "option A"), 10);
    groups_release(&gs);
    model_release(&n.m);
}
END_TEST

START_TEST(all_and_none)
{
    struct net n;
    struct groups gs;
    struct model small;
    struct err e;
    net_init(&n, 1, "none");
    tail(&n, relu(&n, conv(&n, input(&n, 3, 6, 6), 8, 3, 1)), 5);
    init(&n, &gs);
    bool *live = xcalloc((size_t)gs.n_classes, sizeof *live);
    memset(live, true, (size_t)gs.n_classes);
    must(cut(&n.m, &gs, live, &small, &e), &e);
    for (int i = 0; i < n.m.graph.n; i++) {
        const struct params *a = &n.m.weights.of[i], *b = &small.weights.of[i];
        ck_assert_uint_eq(a->n_w, b->n_w);
        ck_assert(a->n_w == 0 || memcmp(a->w, b->w, a->n_w * sizeof(float)) == 0);
    }
    model_release(&small);
    for (int c = 0; c < gs.n_classes; c++)
        live[c] = gs.group[c] < 0;
    ck_assert_int_eq(cut(&n.m, &gs, live, &small, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "no channel of \"n1\" would be left");
    free(live);
    groups_release(&gs);
    model_release(&n.m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cut");
    TCase *t = tcase_create("cut");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, drawn, 0, 8);
    tcase_add_test(t, strided_slice);
    tcase_add_test(t, option_a);
    tcase_add_test(t, all_and_none);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
