/*
 * groups_random - groups.c against a naive twin that follows groups.h word by word, on random graphs.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/rng.h"
#include "common/model/groups.h"
#include "tests/unit/nets.h"

/*
 * The naive twin: a label for every channel of every value, lowered to that of each channel it must live and die
 * with, pair by pair, until nothing changes.
 */
#define NODES    24
#define CHANNELS 256
struct naive {
    int label[NODES][CHANNELS];
    bool changed;
};

static void pair(struct naive *v, int i, int c, int j, int k)
{
    int *a = &v->label[i][c], *b = &v->label[j][k];
    if (*a != *b) {
        *a = *b = *a < *b ? *a : *b;
        v->changed = true;
    }
}

static void pair_conv(struct naive *v, const struct graph *g, int i)
{
    const struct node *d = &g->nodes[i];
    int x = d->in[0], n = d->u.conv.groups, C = g->nodes[x].C, K = d->C;
    if (n == 1)
        return;
    for (int k = 0; k < K && n == C; k++)
        pair(v, i, k, x, k / (K / C));
    for (int p = 0; p < n && n < C; p++)
        for (int q = 0; q < n; q++) {
            for (int c = 0; c < C / n; c++)
                pair(v, x, p * (C / n) + c, x, q * (C / n) + c);
            for (int k = 0; k < K / n; k++)
                pair(v, i, p * (K / n) + k, i, q * (K / n) + k);
        }
}

static void pair_shuffle(struct naive *v, const struct graph *g, int i)
{
    const struct node *d = &g->nodes[i];
    int x = d->in[0], groups = d->u.shuffle.groups, each = d->C / groups;
    for (int c = 0; c < d->C; c++) {
        pair(v, x, c, x, c % each);
        pair(v, i, c % each * groups + c / each, x, c);
    }
}

static void pair_shared(struct naive *v, const struct graph *g, int i)
{
    const struct node *d = &g->nodes[i], *first = &g->nodes[d->shares];
    for (int k = 0; k < d->C; k++)
        pair(v, i, k, d->shares, k);
    for (int c = 0; c < g->nodes[d->in[0]].C; c++)
        pair(v, d->in[0], c, first->in[0], c);
}

static void pair_node(struct naive *v, const struct graph *g, int i)
{
    const struct node *d = &g->nodes[i];
    int at = 0;
    if (d->op == OP_CONV)
        pair_conv(v, g, i);
    if (d->shares)
        pair_shared(v, g, i);
    if (d->op == OP_SHUFFLE)
        pair_shuffle(v, g, i);
    if (d->op == OP_SHUFFLE || d->op == OP_INPUT || d->op == OP_CONV || d->op == OP_GEMM)
        return;
    for (int j = 0; j < d->n_in; j++) {
        int x = d->in[j], C = g->nodes[x].C;
        for (int c = 0; c < C; c++)
            if (d->op == OP_CONCAT)
                pair(v, i, at + c, x, c);
            else if (d->op == OP_PAD)
                pair(v, i, d->u.pad.front + c, x, c);
            else if (d->op == OP_FLATTEN)
                for (int p = 0; p < d->C / C; p++)
                    pair(v, i, d->u.flatten.last ? p * C + c : c * (d->C / C) + p, x, c);
            else if (d->op != OP_SLICE)
                pair(v, i, c, x, c);
        at += C;
    }
    for (int c = 0; c < d->C && d->op == OP_SLICE; c++)
        pair(v, i, c, d->in[0], d->u.slice.c.begin + c * d->u.slice.c.step);
}

static void naive_find(struct naive *v, const struct graph *g)
{
    for (int i = 0; i < g->n; i++)
        for (int c = 0; c < g->nodes[i].C; c++)
            v->label[i][c] = i * CHANNELS + c;
    do {
        v->changed = false;
        for (int i = 0; i < g->n; i++)
            pair_node(v, g, i);
    } while (v->changed);
}

/* How often the label occurs in node i's value. */
static int times(const struct naive *v, const struct graph *g, int label, int i)
{
    int n = 0;
    for (int c = 0; c < g->nodes[i].C; c++)
        n += v->label[i][c] == label;
    return n;
}

static bool naive_fixed(const struct naive *v, const struct graph *g, int label)
{
    bool weights = false;
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        if ((d->op == OP_INPUT || d->op == OP_LRN || i == g->output) && times(v, g, label, i) > 0)
            return true;
        if (d->op == OP_SLICE && d->u.slice.c.step > 1)
            for (int c = d->u.slice.c.begin; c < d->u.slice.c.end; c++)
                if (v->label[d->in[0]][c] == label)
                    return true;
        weights = weights || ((d->op == OP_CONV || d->op == OP_GEMM) && times(v, g, label, i) > 0);
    }
    return !weights;
}

/* Random graphs. */

static int among(struct rng *r, int n)
{
    return (int)rng_below(r, (uint64_t)n);
}

/* A value that could be added to x (same shape) or put beside it (any channels); x itself when there is no other.
 */
static int partner(struct rng *r, const struct graph *g, int x, bool any_channels)
{
    const struct node *d = &g->nodes[x];
    for (int tries = 0; tries < 20; tries++) {
        int y = among(r, g->n);
        const struct node *o = &g->nodes[y];
        if (o->H == d->H && o->flat == d->flat && (any_channels || o->C == d->C))
            return y;
    }
    return x;
}

static struct node random_conv(struct rng *r, const struct graph *g, int *x)
{
    static const int widths[] = {2, 3, 4, 6, 8, 12}, groups[] = {1, 1, 2, 3, 4};
    int K = widths[among(r, 6)], C = g->nodes[*x].C;
    if (among(r, 3) == 0)
        return net_conv_node(x, C * (1 + among(r, 2)), 3, 1, C);
    return net_conv_node(x, K, 1, 1, groups[among(r, 5)]);
}

static struct span random_span(struct rng *r, int size, int step)
{
    int begin = among(r, size);
    return (struct span){begin, begin + 1 + among(r, size - begin), step};
}

/* Now and then a node whose weight to share; it needn't be alike. */
static int earlier(struct rng *r, const struct graph *g, enum op op)
{
    for (int tries = 0; tries < 8 && among(r, 2) == 0; tries++) {
        int k = among(r, g->n);
        if (g->nodes[k].op == op && g->nodes[k].shares == 0)
            return k;
    }
    return 0;
}

/* Tries to append something; what doesn't fit is refused, and that is fine. */
static void grow(struct rng *r, struct graph *g)
{
    static const enum op ops[] = {OP_CONV, OP_CONV,  OP_CONV,  OP_BN,      OP_RELU, OP_ADD,    OP_ADD,    OP_ADD, OP_PAD,
                                  OP_PAD,  OP_SLICE, OP_SLICE, OP_FLATTEN, OP_GEMM, OP_CONCAT, OP_SHUFFLE, OP_MUL, OP_UNFLATTEN,
                                  OP_LRN};
    struct err e;
    int in[2] = {among(r, g->n)};
    const struct node *x = &g->nodes[in[0]];
    struct node d = {.op = ops[among(r, sizeof ops / sizeof *ops)], .n_in = 1, .in = in};
    switch (d.op) {
    case OP_CONV:
        d = random_conv(r, g, in);
        d.shares = earlier(r, g, OP_CONV);
        break;
    case OP_SHUFFLE:
        d.u.shuffle.groups = 2 + among(r, 2);
        break;
    case OP_FLATTEN:
        d.u.flatten.last = among(r, 2);
        break;
    case OP_LRN:
        if (among(r, 4) > 0)
            return;
        d.u.lrn.size = 3;
        break;
    case OP_MUL:
    case OP_ADD:
    case OP_CONCAT:
        in[1] = partner(r, g, in[0], d.op == OP_CONCAT);
        d.n_in = 2;
        break;
    case OP_PAD:
        d.u.pad.front = among(r, 3);
        d.u.pad.back = among(r, 3);
        break;
    case OP_SLICE:
        d.u.slice.c = random_span(r, x->C, 1 + (among(r, 4) == 0));
        d.u.slice.h = d.u.slice.w = (struct span){0, x->H, 1};
        break;
    case OP_GEMM:
        d.C = 1 + among(r, 6);
        d.shares = earlier(r, g, OP_GEMM);
        break;
    default:
        break;
    }
    int i = net_try(g, d, &e);
    if (i >= 0 && g->nodes[i].C > CHANNELS)
        ck_abort_msg("too many channels for the naive twin");
}

static void random_graph(struct rng *r, struct graph *g)
{
    graph_init(g);
    int size = 1 + among(r, 2);
    net_input(g, 1 + among(r, 3), size, size);
    for (int tries = 0; g->n < NODES && tries < 60; tries++) {
        int widest = 0;
        for (int i = 0; i < g->n; i++)
            widest = g->nodes[i].C > widest ? g->nodes[i].C : widest;
        if (widest > CHANNELS / 4)
            break;
        grow(r, g);
    }
    g->output = among(r, 4) == 0 ? among(r, g->n) : g->n - 1;
}

/* Classes are labels under another name, groups are the classes with equal counts in every value. */
static void check_partition(const struct naive *v, const struct graph *g, const struct groups *gs)
{
    int *label_of = malloc((size_t)gs->n_classes * sizeof *label_of), class_of[NODES * CHANNELS];
    memset(class_of, -1, sizeof class_of);
    memset(label_of, -1, (size_t)gs->n_classes * sizeof *label_of);
    for (int i = 0; i < g->n; i++)
        for (int c = 0; c < g->nodes[i].C; c++) {
            int label = v->label[i][c], class = gs->classes[i][c];
            ck_assert(class >= 0 && class < gs->n_classes);
            ck_assert(label_of[class] == -1 || label_of[class] == label);
            ck_assert(class_of[label] == -1 || class_of[label] == class);
            label_of[class] = label;
            class_of[label] = class;
        }
    for (int a = 0; a < gs->n_classes; a++) {
        ck_assert_int_ge(label_of[a], 0);
        ck_assert_int_eq(gs->group[a] < 0, naive_fixed(v, g, label_of[a]));
        ck_assert_int_eq(gs->rank[a] < 0, gs->group[a] < 0);
        for (int b = 0; b < a && gs->group[a] >= 0; b++) {
            bool same = gs->group[b] >= 0;
            for (int i = 0; i < g->n && same; i++)
                same = times(v, g, label_of[a], i) == times(v, g, label_of[b], i);
            ck_assert_int_eq(gs->group[a] == gs->group[b], same);
        }
    }
    free(label_of);
}

/* Order, first producer and tie of each group, straight from the header's words. */
static void check_order(const struct graph *g, const struct groups *gs)
{
    int group = 0, next[NODES * CHANNELS] = {0};
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        for (int c = 0; c < d->C && (d->op == OP_CONV || d->op == OP_GEMM); c++) {
            int class = gs->classes[i][c], k = gs->group[class];
            if (k < 0 || gs->rank[class] < next[k])
                continue;
            if (gs->rank[class] == 0)
                ck_assert_int_eq(k, group++);
            ck_assert_int_eq(gs->of[k].first, i);
            ck_assert_int_eq(gs->rank[class], next[k]++);
            ck_assert_int_eq(gs->of[k].classes[gs->rank[class]], class);
        }
    }
    ck_assert_int_eq(group, gs->n);
    for (int k = 0; k < gs->n; k++) {
        bool tied = false;
        ck_assert_int_eq(gs->of[k].n, next[k]);
        for (int i = 0; i < g->n; i++)
            for (int c = 0; c < g->nodes[i].C && g->nodes[i].op == OP_ADD; c++)
                tied = tied || gs->group[gs->classes[i][c]] == k;
        ck_assert_int_eq(gs->of[k].tied, tied);
    }
}

/* With any choice of classes each node can still do its work, whose parts have equal widths where they must. */
static void check_parts(const struct graph *g, const struct groups *gs, const bool *live, int i)
{
    const struct node *d = &g->nodes[i];
    int *const *classes = gs->classes;
    if (d->op == OP_ADD || d->op == OP_MUL)
        for (int c = 0; c < d->C; c++)
            ck_assert(live[classes[d->in[0]][c]] == live[classes[d->in[1]][c]]);
    if (d->op != OP_CONV)
        return;
    int x = d->in[0], n = d->u.conv.groups, C = g->nodes[x].C / n, K = d->C / n, ins = -1, outs = -1;
    for (int p = 0; p < n; p++) {
        int in = 0, out = 0;
        for (int c = 0; c < C; c++)
            in += live[classes[x][p * C + c]];
        for (int k = 0; k < K; k++)
            out += live[classes[i][p * K + k]];
        if (C == 1 && n > 1) {
            ck_assert(out == in * K);
        } else {
            ck_assert((ins < 0 || ins == in) && (outs < 0 || outs == out));
            ins = in;
            outs = out;
        }
    }
}

/* Keeps a random number of random classes in each group and counts who is left. */
static void check_widths(struct rng *r, const struct graph *g, const struct groups *gs)
{
    bool *live = malloc((size_t)gs->n_classes);
    int *keep = calloc((size_t)gs->n + 1, sizeof *keep), kept[CHANNELS];
    memset(live, true, (size_t)gs->n_classes);
    for (int k = 0; k < gs->n; k++) {
        keep[k] = 1 + among(r, gs->of[k].n);
        for (int left = gs->of[k].n; left > keep[k];) {
            bool *at = &live[gs->of[k].classes[among(r, gs->of[k].n)]];
            left -= *at;
            *at = false;
        }
    }
    for (int i = 0; i < g->n; i++) {
        int n = groups_kept(gs, g, i, live, kept), want = 0;
        for (int c = 0; c < g->nodes[i].C; c++)
            if (live[gs->classes[i][c]])
                ck_assert_int_eq(kept[want++], c);
        ck_assert_int_eq(n, want);
        ck_assert_int_eq(groups_width(gs, g, i, keep), n);
        ck_assert_int_eq(groups_width(gs, g, i, NULL), g->nodes[i].C);
        ck_assert_int_gt(n, 0);
        check_parts(g, gs, live, i);
    }
    free(live);
    free(keep);
}

START_TEST(random_graphs)
{
    static struct naive v;
    struct rng r;
    for (int trial = 0; trial < 100; trial++) {
        struct graph g;
        struct groups gs;
        struct err e;
        rng_init(&r, (uint64_t)_i, "groups", (uint64_t)trial);
        random_graph(&r, &g);
        if (groups_find(&g, &gs, &e) < 0)
            ck_abort_msg("%s", e.text);
        naive_find(&v, &g);
        check_partition(&v, &g, &gs);
        check_order(&g, &gs);
        for (int t = 0; t < 5; t++)
            check_widths(&r, &g, &gs);
        groups_release(&gs);
        graph_release(&g);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("groups_random");
    TCase *t = tcase_create("groups_random");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, random_graphs, 0, 10);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r) > 0 || srunner_ntests_run(r) == 0;
    srunner_free(r);
    return failed;
}
