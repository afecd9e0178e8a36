/*
 * sliced_random - what a cut leaves out is all that it changes: on random graphs and for random actions, each kept
 * channel of each value of the sliced network is what it is in the whole one with the other channels' values zero;
 * and the file that is written of the sliced network gives the same output.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/model/groups.h"
#include "common/onnx/load.h"
#include "common/onnx/save.h"
#include "tests/unit/naive.h"
#include "tests/unit/nets.h"
#include "worker/compress/cut.h"

enum { SUITES = 8, TRIALS = 80, ACTIONS = 3, IMAGES = 2, MOST_CHANNELS = 48, MOST_NODES = 26 };

/* What the graphs of one suite had, so that the test knows that it tests something. */
struct tally {
    int ops[OP_COUNT];
    int grouped, depthwise, shared, gates, last, dropped;
};

static int among(struct rng *r, int n)
{
    return (int)rng_below(r, (uint64_t)n);
}

static float drawn(struct rng *r, double lo, double hi)
{
    return (float)(lo + (hi - lo) * rng_uniform(r));
}

/* --- graphs --- */

/* A value that isn't the input's, of x's height and width and, if wanted, channels; x when there is none. */
static int partner(struct rng *r, const struct graph *g, int x, bool same_channels)
{
    const struct node *d = &g->nodes[x];
    for (int tries = 0; tries < 30; tries++) {
        int y = 1 + among(r, g->n - 1 > 0 ? g->n - 1 : 1);
        const struct node *o = &g->nodes[y < g->n ? y : x];
        if (y < g->n && o->H == d->H && o->W == d->W && o->flat == d->flat && (!same_channels || o->C == d->C))
            return y;
    }
    return x;
}

/* Squeeze and excite: the mean of each channel, through two layers, gates it. */
static void grow_gate(struct rng *r, struct graph *g, int x)
{
    int C = g->nodes[x].C, m;
    if (g->nodes[x].flat)
        return;
    if (among(r, 2)) {
        m = net_op(g, OP_GLOBALPOOL, x);
        m = net_op(g, OP_RELU, net_conv(g, m, 4, 1, 1, 1));
        m = net_conv(g, m, C, 1, 1, 1);
    } else {
        m = net_op(g, OP_FLATTEN, net_op(g, OP_GLOBALPOOL, x));
        m = net_op(g, OP_UNFLATTEN, net_gemm(g, net_op(g, OP_TANH, net_gemm(g, m, 5)), C));
    }
    net_join(g, OP_MUL, x, net_op(g, among(r, 2) ? OP_SIGMOID : OP_HARDSIGMOID, m));
}

static void grow_conv(struct rng *r, struct graph *g, int x)
{
    static const int widths[] = {4, 6, 8, 12}, groups[] = {1, 1, 1, 2, 3, 4};
    struct err e;
    struct node d = net_conv_node(&x, widths[among(r, 4)], among(r, 2) ? 1 : 3, 1, groups[among(r, 6)]);
    d.u.conv.bias = among(r, 2);
    if (among(r, 4) == 0) {
        d.u.conv.groups = g->nodes[x].C;
        d.C = g->nodes[x].C * (1 + among(r, 2));
    }
    if (net_try(g, d, &e) < 0)
        ck_assert_int_eq(e.code, ERR_INVALID);
}

/* The weight of a conv or gemm again, where a value fits. */
static void grow_shared(struct rng *r, struct graph *g)
{
    struct err e;
    for (int tries = 0; tries < 20; tries++) {
        int k = among(r, g->n), x = among(r, g->n);
        if (g->nodes[k].op != OP_CONV && g->nodes[k].op != OP_GEMM)
            continue;
        struct node d = g->nodes[k];
        d.shares = d.shares ? d.shares : k;
        d.label = NULL;
        d.in = &x;
        if (x > 0 && net_try(g, d, &e) >= 0)
            return;
    }
}

static struct span part(struct rng *r, int size)
{
    int begin = among(r, size), step = among(r, 8) == 0 ? 2 : 1;
    return (struct span){begin, begin + 1 + among(r, size - begin), step};
}

/* Nodes of one input that only need their numbers. */
static void grow_one(struct rng *r, struct graph *g, int x)
{
    static const enum op ops[] = {OP_BN,        OP_RELU,  OP_CLIP, OP_SIGMOID, OP_TANH,    OP_HARDSIGMOID, OP_HARDSWISH,
                                  OP_LEAKYRELU, OP_ELU,   OP_PRELU, OP_LRN,    OP_SHUFFLE, OP_SHUFFLE,     OP_PAD,
                                  OP_SLICE,     OP_SLICE, OP_MAXPOOL, OP_AVGPOOL, OP_GEMM, OP_UNFLATTEN};
    struct node d = {.op = ops[among(r, sizeof ops / sizeof *ops)], .n_in = 1, .in = &x};
    const struct node *from = &g->nodes[x];
    struct err e;
    switch (d.op) {
    case OP_CLIP:
        d.u.clip.lo = -0.5F;
        d.u.clip.hi = 0.75F;
        break;
    case OP_HARDSIGMOID:
    case OP_LEAKYRELU:
    case OP_ELU:
        d.u.act.alpha = 0.3F;
        d.u.act.beta = d.op == OP_HARDSIGMOID ? 0.4F : 0;
        break;
    case OP_LRN:
        if (among(r, 2))
            return;
        d.u.lrn.size = 3;
        d.u.lrn.alpha = 0.1F;
        d.u.lrn.beta = 0.75F;
        d.u.lrn.bias = 1;
        break;
    case OP_SHUFFLE:
        d.u.shuffle.groups = 2 + among(r, 2);
        break;
    case OP_PAD:
        d.u.pad.front = among(r, 3);
        d.u.pad.back = among(r, 3);
        break;
    case OP_SLICE:
        d.u.slice.c = part(r, from->C);
        d.u.slice.h = (struct span){0, from->H, 1};
        d.u.slice.w = (struct span){0, from->W, 1};
        break;
    case OP_MAXPOOL:
    case OP_AVGPOOL:
        d.u.pool.win = (struct window){3, 3, 1, 1, 1, 1, 1, 1, 1, 1};
        break;
    case OP_GEMM:
        d.C = 3 + among(r, 6);
        break;
    default:
        break;
    }
    if (net_try(g, d, &e) < 0)
        ck_assert_int_eq(e.code, ERR_INVALID);
}

static void grow_two(struct rng *r, struct graph *g, int x)
{
    static const enum op ops[] = {OP_ADD, OP_ADD, OP_MUL, OP_CONCAT};
    enum op op = ops[among(r, 4)];
    int y = partner(r, g, x, op != OP_CONCAT);
    if (op != OP_CONCAT || g->nodes[x].C + g->nodes[y].C <= MOST_CHANNELS)
        net_join(g, op, x, y);
}

static int widest(const struct graph *g)
{
    int C = 0;
    for (int i = 0; i < g->n; i++)
        C = !g->nodes[i].flat && g->nodes[i].C > C ? g->nodes[i].C : C;
    return C;
}

/* A flat value in one of several ways, and a classifier. */
static void finish(struct rng *r, struct graph *g)
{
    int x = g->n - 1;
    struct node d = {.op = OP_FLATTEN, .n_in = 1, .in = &x};
    if (!g->nodes[x].flat) {
        if (among(r, 3) == 0)
            x = net_op(g, OP_GLOBALPOOL, x);
        d.u.flatten.last = among(r, 2) && g->nodes[x].C > 1 && g->nodes[x].H * g->nodes[x].W > 1;
        x = net_add(g, d);
    }
    x = net_gemm(g, x, 5);
    g->output = among(r, 2) ? net_op(g, OP_SOFTMAX, x) : x;
}

static void random_graph(struct rng *r, struct graph *g)
{
    graph_init(g);
    int H = 2 + among(r, 3), x = net_input(g, 1 + among(r, 3), H, 2 + among(r, 3));
    g->nodes[0].u.input.last = among(r, 4) == 0 && g->nodes[0].C > 1;
    net_conv(g, x, 6, 3, 1, 1);
    for (int tries = 0; tries < 40 && g->n < MOST_NODES && widest(g) <= MOST_CHANNELS / 2; tries++) {
        /* near the end, so that graphs are deep, and sometimes anywhere, so that they branch */
        x = among(r, 3) ? g->n - 1 : 1 + among(r, g->n - 1);
        switch (among(r, 9)) {
        case 0:
        case 1:
            if (!g->nodes[x].flat)
                grow_conv(r, g, x);
            break;
        case 2:
            grow_gate(r, g, x);
            break;
        case 3:
            grow_shared(r, g);
            break;
        case 4:
        case 5:
            grow_two(r, g, x);
            break;
        default:
            grow_one(r, g, x);
        }
    }
    finish(r, g);
}

/* Random weights; nodes that share have the same. */
static void draw(struct rng *r, struct model *m)
{
    struct err e;
    if (weights_new(&m->weights, &m->graph, &e) < 0)
        ck_abort_msg("%s", e.text);
    for (int i = 0; i < m->graph.n; i++) {
        const struct node *d = &m->graph.nodes[i];
        struct params *p = &m->weights.of[i];
        for (size_t k = 0; k < p->n_w; k++)
            p->w[k] = d->shares ? m->weights.of[d->shares].w[k] : drawn(r, -0.6, 0.6);
        for (size_t k = 0; p->b && k < p->n_b; k++)
            p->b[k] = drawn(r, -0.5, 0.5);
        for (size_t k = 0; p->var && k < p->n_b; k++) {
            p->mean[k] = drawn(r, -0.5, 0.5);
            p->var[k] = drawn(r, 0.5, 1.5);
        }
    }
}

/* --- the property --- */

static bool **dead_channels(const struct graph *g, const struct groups *gs, const bool *live)
{
    bool **dead = xcalloc((size_t)g->n, sizeof *dead);
    for (int i = 0; i < g->n; i++) {
        dead[i] = xcalloc((size_t)g->nodes[i].C, 1);
        for (int c = 0; c < g->nodes[i].C; c++)
            dead[i][c] = !live[gs->classes[i][c]];
    }
    return dead;
}

static void dead_release(bool **dead, int n)
{
    for (int i = 0; i < n; i++)
        free(dead[i]);
    free(dead);
}

static void near(double got, double want, const char *where, const struct node *d)
{
    ck_assert_msg(fabs(got - want) <= 1e-9 * (1 + fabs(want)), "%s %s \"%s\": %.17g, not %.17g", where, op_name(d->op),
                  d->name, got, want);
}

/* Each kept channel of node i's value, in both. */
static void compare(const struct naive *whole, const struct naive *sliced, bool *const *dead, int i)
{
    const struct node *a = &whole->g->nodes[i], *b = &sliced->g->nodes[i];
    for (int n = 0; n < whole->N; n++)
        for (int c = 0, k = 0; c < a->C; c++) {
            if (dead[i][c])
                continue;
            for (int h = 0; h < a->H; h++)
                for (int w = 0; w < a->W; w++)
                    near(*naive_at(sliced->value[i], b, n, k, h, w), *naive_at(whole->value[i], a, n, c, h, w),
                         "sliced", a);
            k++;
        }
}

static void check_file(const struct model *m, const struct naive *sliced, const float *x)
{
    struct buf bytes = {0};
    struct model back;
    struct naive read;
    struct err e;
    if (onnx_save(m, NULL, 0, &bytes, &e) < 0 || onnx_load(bytes.p, bytes.n, &back, &e) < 0)
        ck_abort_msg("%s", e.text);
    naive_run(&read, &back.graph, &back.weights, IMAGES, ENGINE_INFER, x);
    const struct node *d = &m->graph.nodes[m->graph.output];
    for (size_t k = 0; k < (size_t)IMAGES * naive_image(d); k++)
        near(read.value[back.graph.output][k], sliced->value[m->graph.output][k], "read", d);
    naive_release(&read);
    model_release(&back);
    buf_release(&bytes);
}

/* Keeps a random number of random classes in each group. */
static void random_action(struct rng *r, const struct groups *gs, bool *live, struct tally *t)
{
    memset(live, true, (size_t)gs->n_classes);
    for (int k = 0; k < gs->n; k++)
        for (int left = gs->of[k].n, keep = 1 + among(r, left); left > keep;) {
            bool *at = &live[gs->of[k].classes[among(r, gs->of[k].n)]];
            left -= *at;
            t->dropped += *at;
            *at = false;
        }
}

static void check_action(struct rng *r, const struct model *m, const struct groups *gs, const float *x, struct tally *t)
{
    bool *live = xcalloc((size_t)gs->n_classes, 1);
    struct model small;
    struct naive sliced;
    struct err e;
    random_action(r, gs, live, t);
    bool **dead = dead_channels(&m->graph, gs, live);
    struct naive whole = {.g = &m->graph, .w = &m->weights, .N = IMAGES, .mode = ENGINE_INFER, .dead = dead};
    if (cut(m, gs, live, &small, &e) < 0)
        ck_abort_msg("%s", e.text);
    naive_run_this(&whole, x);
    naive_run(&sliced, &small.graph, &small.weights, IMAGES, ENGINE_INFER, x);
    for (int i = 0; i < m->graph.n; i++)
        compare(&whole, &sliced, dead, i);
    check_file(&small, &sliced, x);
    naive_release(&whole);
    naive_release(&sliced);
    model_release(&small);
    dead_release(dead, m->graph.n);
    free(live);
}

static void count(const struct graph *g, struct tally *t)
{
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        t->ops[d->op]++;
        t->shared += d->shares != 0;
        t->last += (d->op == OP_FLATTEN && d->u.flatten.last) || (i == 0 && d->u.input.last);
        if (d->op == OP_CONV && d->u.conv.groups > 1)
            *(d->u.conv.groups == g->nodes[d->in[0]].C ? &t->depthwise : &t->grouped) += 1;
        if (d->op == OP_MUL && d->H * d->W > 1 && g->nodes[d->in[1]].H * g->nodes[d->in[1]].W == 1)
            t->gates++;
    }
}

START_TEST(sliced_is_masked)
{
    struct tally t = {{0}, 0, 0, 0, 0, 0, 0};
    for (int trial = 0; trial < TRIALS; trial++) {
        struct rng r;
        struct model m = {0};
        struct groups gs;
        struct err e;
        rng_init(&r, (uint64_t)_i, "sliced", (uint64_t)trial);
        random_graph(&r, &m.graph);
        draw(&r, &m);
        count(&m.graph, &t);
        if (groups_find(&m.graph, &gs, &e) < 0)
            ck_abort_msg("%s", e.text);
        float *x = xcalloc(IMAGES * naive_image(&m.graph.nodes[0]), sizeof *x);
        for (size_t k = 0; k < IMAGES * naive_image(&m.graph.nodes[0]); k++)
            x[k] = drawn(&r, -1, 1);
        for (int a = 0; a < ACTIONS; a++)
            check_action(&r, &m, &gs, x, &t);
        free(x);
        groups_release(&gs);
        model_release(&m);
    }
    for (int op = 0; op < OP_COUNT; op++)
        ck_assert_msg(t.ops[op] >= 5, "only %d of %s", t.ops[op], op_name((enum op)op));
    ck_assert_msg(t.grouped >= 10 && t.depthwise >= 10 && t.shared >= 10 && t.gates >= 10 && t.last >= 10,
                  "%d grouped, %d depthwise, %d shared, %d gates, %d last", t.grouped, t.depthwise, t.shared, t.gates,
                  t.last);
    ck_assert_int_gt(t.dropped, 1000);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sliced_random");
    TCase *t = tcase_create("sliced_random");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, sliced_is_masked, 0, SUITES);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r) > 0 || srunner_ntests_run(r) == 0;
    srunner_free(r);
    return failed;
}
