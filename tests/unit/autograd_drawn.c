/*
 * Gradients of nets drawn at random; passes on several threads; bf16 beside fp32.
 */
#include "common/zoo/zoo.h"
#include "tests/unit/autograd_net.h"
#include "tests/unit/drawn_ops.h"

/* ---- drawn nets ---- */

static int any_of(struct net *n, const int *list, int count)
{
    return list[rng_below(&n->rng, (uint64_t)count)];
}

/* Some node with pixels; `like` >= 0: of its shape. */
static int pick(struct net *n, int like)
{
    const struct node *nodes = n->m.graph.nodes, *l = &nodes[like < 0 ? 0 : like];
    for (;;) {
        int i = (int)rng_below(&n->rng, (uint64_t)n->m.graph.n);
        bool alike = like < 0 || (nodes[i].C == l->C && nodes[i].H == l->H && nodes[i].W == l->W);
        if (alike && !nodes[i].flat)
            return i;
    }
}

static int drawn_conv(struct net *n, int x)
{
    static const int odd[] = {5, 8, 11, 16, 21, 24}, kernels[] = {1, 3, 3};
    int C = n->m.graph.nodes[x].C, R = any_of(n, kernels, 3), stride = rng_below(&n->rng, 5) == 0 ? 2 : 1;
    if (n->m.graph.nodes[x].H < 5 || n->m.graph.nodes[x].W < 5)
        stride = 1;
    if (rng_below(&n->rng, 6) == 0)
        return conv_win(n, x, C, window(3, stride, 1), C, true);
    return conv_win(n, x, any_of(n, odd, 6), window(R, stride, R / 2), 1, rng_below(&n->rng, 2) == 0);
}

static int drawn_node(struct net *n)
{
    int x = rng_below(&n->rng, 4) > 0 ? n->last : pick(n, -1), C = n->m.graph.nodes[x].C, y;
    switch (rng_below(&n->rng, 17)) {
    case 0:
    case 1:
    case 2:
        return drawn_conv(n, x);
    case 3:
        return bn(n, x);
    case 4:
        return relu(n, x);
    case 5:
        return clip(n, x, -0.5F, 1);
    case 6:
    case 7:
        return sum(n, x, pick(n, x));
    case 8:
        y = pick(n, x);
        return C + n->m.graph.nodes[y].C < 80 ? concat(n, x, y, -1) : relu(n, x);
    case 9:
        return pool(n, rng_below(&n->rng, 2) ? OP_MAXPOOL : OP_AVGPOOL, x, window(3, 1, 1), false);
    case 10:
    case 11:
        return drawn_act(n, x);
    case 12:
        return drawn_gate(n, x);
    case 13:
        return drawn_shuffle(n, x);
    case 14:
        return mul(n, x, pick(n, x));
    case 15:
        return drawn_lrn(n, x);
    default:
        return slice(n, pad(n, x, (int)rng_below(&n->rng, 9), 1, 0), (struct span){1, C + 1, 1}, 1);
    }
}

static void draw_net(struct net *n)
{
    int more = 4 + (int)rng_below(&n->rng, 8);
    conv(n, input(n, 3, 6 + 2 * (int)rng_below(&n->rng, 2), 6), 16, 3, 1);
    while (more-- > 0) {
        int i = drawn_node(n);
        if (rng_below(&n->rng, 2) && n->m.graph.nodes[i].op == OP_CONV)
            i = bn(n, i);
        if (rng_below(&n->rng, 2))
            relu(n, i);
    }
    if (rng_below(&n->rng, 3) == 0)
        gemm(n, flatten_last(n, n->last), 5, true);
    else
        tail(n, n->last, 5);
}

START_TEST(drawn)
{
    char what[32];
    struct net n;
    snprintf(what, sizeof what, "drawn %d", _i);
    net_init(&n, (uint64_t)_i, "drawn gradients");
    draw_net(&n);
    draw_weights(&n);
    compare_gradients(&n, 2 + _i % 3, 1 + _i % 2, what);
    model_release(&n.m);
}
END_TEST

/* ---- threads ---- */

static void zoo_net(struct net *n, const char *name)
{
    struct err e;
    net_init(n, 1, name);
    must(zoo_build(name, 3, 32, 32, 10, 1, &n->m, &e), &e);
}

static void same_weights(const struct weights *a, const struct weights *b)
{
    for (int i = 0; i < a->n; i++) {
        const struct params *p = &a->of[i], *q = &b->of[i];
        const float *x[] = {p->w, p->b, p->mean, p->var}, *y[] = {q->w, q->b, q->mean, q->var};
        for (int k = 0; k < 4; k++)
            if (x[k])
                ck_assert_msg(memcmp(x[k], y[k], (k ? p->n_b : p->n_w) * sizeof(float)) == 0,
                              "node %d: array %d differs", i, k);
    }
}

START_TEST(threads_agree)
{
    struct net n;
    struct trial one, more;
    zoo_net(&n, _i % 2 ? "mobilenet-v2" : "resnet-20");
    trial_new(&one, &n, 48, _i < 2 ? DTYPE_F32 : DTYPE_BF16, 1);
    trial_run(&one, &n);
    more = one;
    for (int threads = 2; threads <= 3; threads++) {
        struct err e;
        more.threads = threads;
        more.logits = xcalloc(one.n_logits, sizeof(float));
        must(weights_new(&more.grad, &n.m.graph, &e), &e);
        trial_run(&more, &n);
        ck_assert_mem_eq(one.logits, more.logits, one.n_logits * sizeof(float));
        same_weights(&one.grad, &more.grad);
        weights_release(&more.grad);
        free(more.logits);
    }
    trial_release(&one);
    model_release(&n.m);
}
END_TEST

/* ---- bf16 ---- */

static double cosine(const float *a, const float *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* A rounded activation that changes its sign changes gradients by all they are, so directions drift apart with
 * depth: from 0.999 at the last layers to 0.94 at the first; PyTorch's autocast does as much (0.89 to 0.97 at the
 * first layers). */
START_TEST(half_as_wide)
{
    struct net n;
    struct trial full, half;
    double worst = 1, last = 0;
    zoo_net(&n, "resnet-20");
    trial_new(&full, &n, 32, DTYPE_F32, 1);
    half = full;
    half.type = DTYPE_BF16;
    half.logits = xcalloc(full.n_logits, sizeof(float));
    struct err e;
    must(weights_new(&half.grad, &n.m.graph, &e), &e);
    trial_run(&full, &n);
    trial_run(&half, &n);
    ck_assert_double_gt(cosine(full.logits, half.logits, full.n_logits), 0.999);
    for (int i = 0; i < n.m.graph.n; i++) {
        const struct params *p = &full.grad.of[i], *q = &half.grad.of[i];
        if (p->w)
            worst = fmin(worst, cosine(p->w, q->w, p->n_w));
        if (n.m.graph.nodes[i].op == OP_CONV)
            last = cosine(p->w, q->w, p->n_w);
        if (p->b)
            worst = fmin(worst, cosine(p->b, q->b, p->n_b));
    }
    ck_assert_msg(worst > 0.9, "a gradient in bf16 points elsewhere: cosine %g", worst);
    ck_assert_double_gt(last, 0.99);
    weights_release(&half.grad);
    free(half.logits);
    trial_release(&full);
    model_release(&n.m);
}
END_TEST

#define DRAWN 60

int main(void)
{
    Suite *s = suite_create("autograd_drawn");
    TCase *t = tcase_create("autograd_drawn");
    tcase_set_timeout(t, 240);
    tcase_add_loop_test(t, drawn, 0, DRAWN);
    tcase_add_loop_test(t, threads_agree, 0, 4);
    tcase_add_test(t, half_as_wide);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
