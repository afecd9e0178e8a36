/*
 * unfold - a BN behind every conv that has none changes nothing, and folding takes it away again; with stats.h,
 * which says what those BNs start from.
 */
#include "worker/compress/unfold.h"

#include "tests/unit/compress_net.h"

/* A drawn network, pictures, and the statistics of its bare convs. */
struct trial {
    struct net n;
    struct album album;
    struct pool *threads;
    struct compress_work cw;
    struct stats_list stats;
    struct model wide; /* unfolded */
};

static void measure(struct trial *t)
{
    struct err e;
    int *values = xcalloc((size_t)t->n.m.graph.n, sizeof *values), n = unfold_values(&t->n.m.graph, values);
    t->threads = new_pool(2);
    t->cw = (struct compress_work){.pool = t->threads, .model = &t->n.m, .calibrate = &t->album.set};
    must(stats_measure(&t->cw, values, n, &t->stats, &e), &e);
    must(unfold(&t->n.m, &t->stats, &t->wide, &e), &e);
    free(values);
}

static void trial_init(struct trial *t, uint64_t seed, int images)
{
    *t = (struct trial){0};
    net_init(&t->n, seed, "unfold");
    draw_net(&t->n);
    draw_weights(&t->n);
    album_init(&t->album, &t->n.m.graph.nodes[0], images, 5, seed);
    measure(t);
}

static void trial_release(struct trial *t)
{
    model_release(&t->wide);
    model_release(&t->n.m);
    stats_list_release(&t->stats);
    album_release(&t->album);
    pool_free(t->threads);
}

/* Against the plain loops: what BNs read, every conv without a BN of its own, and no other. */
static void check_stats(const struct trial *t, int *bare)
{
    struct naive v;
    const struct graph *g = &t->n.m.graph;
    float *x = album_floats(&t->album, 0, t->album.set.n);
    int *readers = xcalloc((size_t)g->n, sizeof *readers), at = 0;
    naive_run(&v, g, &t->n.m.weights, t->album.set.n, ENGINE_INFER, x);
    graph_readers(g, readers);
    for (int i = 0; i < g->n; i++) {
        int bns = 0;
        for (int k = i + 1; k < g->n; k++)
            bns += g->nodes[k].op == OP_BN && g->nodes[k].in[0] == i;
        if (bns == 0 && g->nodes[i].op != OP_CONV)
            continue;
        *bare += g->nodes[i].op == OP_CONV && (bns == 0 || readers[i] > 1);
        ck_assert_int_lt(at, t->stats.n);
        const struct channel_stats *s = &t->stats.of[at++];
        ck_assert_int_eq(s->node, i);
        ck_assert_int_eq(s->C, g->nodes[i].C);
        size_t area = (size_t)g->nodes[i].H * (size_t)g->nodes[i].W;
        for (int c = 0; c < s->C; c++) {
            double sum = 0, square = 0, rows = (double)v.N * (double)area;
            for (int b = 0; b < v.N; b++)
                for (size_t p = 0; p < area; p++) {
                    double y = v.value[i][((size_t)b * (size_t)s->C + (size_t)c) * area + p];
                    sum += y;
                    square += y * y;
                }
            double mean = sum / rows, var = square / rows - mean * mean, size = square / rows + 1e-6; /* sums of larger numbers that cancel */
            ck_assert_double_eq_tol((double)s->mean[c], mean, 1e-4 * sqrt(size));
            ck_assert_double_eq_tol((double)s->var[c], var, 1e-4 * size);
        }
    }
    ck_assert_int_eq(at, t->stats.n);
    free(readers);
    free(x);
    naive_release(&v);
}

/* Node by node; convs may have got a bias. */
static void check_structure(const struct graph *a, const struct graph *b)
{
    ck_assert_int_eq(a->n, b->n);
    ck_assert_int_eq(a->output, b->output);
    for (int i = 0; i < a->n; i++) {
        const struct node *p = &a->nodes[i], *q = &b->nodes[i];
        ck_assert_int_eq(p->op, q->op);
        ck_assert_str_eq(p->name, q->name);
        ck_assert_str_eq(p->label, q->label);
        ck_assert(p->C == q->C && p->H == q->H && p->W == q->W && p->flat == q->flat && p->n_in == q->n_in);
        for (int k = 0; k < p->n_in; k++)
            ck_assert_int_eq(p->in[k], q->in[k]);
        if (p->op == OP_CONV)
            ck_assert(memcmp(&p->u.conv.win, &q->u.conv.win, sizeof p->u.conv.win) == 0 &&
                      p->u.conv.groups == q->u.conv.groups && (q->u.conv.bias || !p->u.conv.bias));
        else
            ck_assert(memcmp(&p->u, &q->u, sizeof p->u) == 0);
    }
}

static void scramble(struct rng *r, struct model *m)
{
    for (int i = 0; i < m->graph.n; i++)
        if (m->graph.nodes[i].op == OP_BN && strstr(m->graph.nodes[i].name, "/unfolded")) {
            struct params *p = &m->weights.of[i];
            for (size_t c = 0; c < p->n_b; c++) {
                p->mean[c] += (float)(0.3 * rng_normal(r));
                p->var[c] *= (float)(0.5 + rng_uniform(r));
            }
        }
}

START_TEST(drawn)
{
    int moved = 0;
    for (int i = 0; i < 8; i++) {
        struct trial t;
        struct model narrow;
        struct err e;
        trial_init(&t, (uint64_t)(10 * _i + i), 7 + i);
        float *x = album_floats(&t.album, 0, 4);
        int bare = 0, *none = xcalloc((size_t)t.wide.graph.n, sizeof *none);
        check_stats(&t, &bare);
        ck_assert_int_eq(t.wide.graph.n, t.n.m.graph.n + bare);
        ck_assert_int_eq(unfold_missing(&t.wide.graph, none), 0);
        free(none);
        ck_assert_double_lt(model_distance(&t.wide, &t.n.m, x, 4), NEAR);
        must(fold(&t.wide, &narrow, &e), &e);
        check_structure(&t.n.m.graph, &narrow.graph);
        ck_assert_double_lt(model_distance(&narrow, &t.n.m, x, 4), NEAR);
        model_release(&narrow);
        scramble(&t.n.rng, &t.wide);
        must(fold(&t.wide, &narrow, &e), &e);
        ck_assert_double_lt(model_distance(&narrow, &t.wide, x, 4), NEAR);
        moved += model_distance(&narrow, &t.n.m, x, 4) > 1e-3;
        model_release(&narrow);
        free(x);
        trial_release(&t);
    }
    ck_assert_int_gt(moved, 2); /* the others' bare convs don't reach the output */
}
END_TEST

/* A conv that several read, one that is the output's only maker, one whose BN it shares with nobody. */
START_TEST(which)
{
    struct trial t = {0};
    int bare[16];
    net_init(&t.n, 1, "which");
    int a = conv(&t.n, input(&t.n, 3, 6, 6), 4, 3, 1); /* read by a BN and an add */
    int b = bn(&t.n, a);
    int c = conv(&t.n, sum(&t.n, a, b), 4, 3, 1); /* read by its BN alone */
    int d = conv(&t.n, relu(&t.n, bn(&t.n, c)), 4, 1, 1);
    t.n.m.graph.output = unary(&t.n, OP_FLATTEN, d);
    ck_assert_int_eq(unfold_missing(&t.n.m.graph, bare), 2);
    ck_assert(bare[0] == a && bare[1] == d);
    t.n.m.graph.output = d;
    draw_weights(&t.n);
    album_init(&t.album, &t.n.m.graph.nodes[0], 9, 4, 1);
    measure(&t);
    ck_assert_str_eq(t.wide.graph.nodes[t.wide.graph.output].name, "n7/unfolded");
    float *x = album_floats(&t.album, 0, 4);
    ck_assert_double_lt(model_distance(&t.wide, &t.n.m, x, 4), NEAR);
    free(x);
    trial_release(&t);
}
END_TEST

/* Channels that never vary. */
START_TEST(dead_channels)
{
    struct trial t = {0};
    struct model narrow;
    struct err e;
    net_init(&t.n, 1, "dead");
    int c = conv_win(&t.n, input(&t.n, 3, 6, 6), 4, window(3, 1, 1), 1, true);
    tail(&t.n, relu(&t.n, c), 5);
    draw_weights(&t.n);
    memset(t.n.m.weights.of[c].w, 0, t.n.m.weights.of[c].n_w / 2 * sizeof(float));
    album_init(&t.album, &t.n.m.graph.nodes[0], 9, 4, 1);
    measure(&t);
    ck_assert_double_lt((double)t.stats.of[0].var[0], 1e-9);
    float *x = album_floats(&t.album, 0, 4);
    ck_assert_double_lt(model_distance(&t.wide, &t.n.m, x, 4), NEAR);
    must(fold(&t.wide, &narrow, &e), &e);
    ck_assert_double_lt(model_distance(&narrow, &t.n.m, x, 4), NEAR);
    model_release(&narrow);
    free(x);
    trial_release(&t);
}
END_TEST

static int named_bn(struct net *n, const char *name, int x)
{
    struct err e;
    struct node p = {.op = OP_BN, .name = (char[32]){0}, .n_in = 1, .in = &x, .u.bn.eps = 1e-5F};
    snprintf(p.name, 32, "%s", name);
    n->last = graph_add(&n->m.graph, &p, &e);
    ck_assert_int_ge(n->last, 0);
    return n->last;
}

/* BNs of the model's own whose names look like ours stay where folding them would change the result. */
START_TEST(names_alike)
{
    struct net n;
    struct model out;
    struct err e;
    net_init(&n, 1, "alike");
    int a = conv(&n, input(&n, 3, 6, 6), 4, 3, 1);
    int b = named_bn(&n, "n3/unfolded", relu(&n, a)); /* behind no conv */
    int c = named_bn(&n, "n1/unfolded", a);           /* its conv has another reader */
    int d = conv(&n, sum(&n, b, c), 4, 3, 1);
    tail(&n, named_bn(&n, "other/unfolded", d), 5); /* not its conv's name */
    draw_weights(&n);
    float *x = draw_images(&n.rng, &n.m.graph, 3);
    must(fold(&n.m, &out, &e), &e);
    ck_assert_int_eq(out.graph.n, n.m.graph.n);
    ck_assert_double_lt(model_distance(&out, &n.m, x, 3), NEAR);
    free(x);
    model_release(&out);
    model_release(&n.m);
}
END_TEST

static int stop(void *arg, const char *stage, uint64_t done, uint64_t total, struct err *e)
{
    (void)arg;
    (void)done;
    (void)total;
    return err_set(e, ERR_CANCELLED, "stopped in %s", stage);
}

START_TEST(refused)
{
    struct trial t;
    struct stats_list s = {0};
    struct err e;
    int bare[64];
    trial_init(&t, 3, 9);
    int n = unfold_missing(&t.n.m.graph, bare);
    ck_assert_int_gt(n, 0);
    pool_free(t.threads);
    t.threads = t.cw.pool = new_pool(1); /* the calling thread alone reports */
    t.cw.progress = stop;
    ck_assert_int_eq(stats_measure(&t.cw, bare, n, &s, &e), ERR_CANCELLED);
    ck_assert_str_eq(e.text, "stopped in measure");
    stats_list_release(&s);
    t.album.set.n = 0;
    ck_assert_int_eq(stats_measure(&t.cw, bare, n, &s, &e), ERR_INVALID);
    stats_list_release(&s);
    trial_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("unfold");
    TCase *t = tcase_create("unfold");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, drawn, 0, 5);
    tcase_add_test(t, which);
    tcase_add_test(t, dead_channels);
    tcase_add_test(t, names_alike);
    tcase_add_test(t, refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
