/*
 * Ten steps of SGD of two small nets against PyTorch: every step's loss, and the weights they end with
 * (tests/golden/steps.py).
 */
#include "tests/unit/autograd_net.h"
#include "worker/train/loss.h"
#include "worker/train/sgd.h"

#define BATCH   12
#define PIXELS  12
#define CLASSES 7
#define STEPS   10

/* The formula of steps.py. */
static float noise(size_t i, size_t seed)
{
    return (float)((double)((i * 7919 + seed * 104729 + i * i % 1013 * 31) % 10007) / 10007 - 0.5);
}

static void basic_block(struct net *n, int K, int stride)
{
    int x = n->last, s = x, C = n->m.graph.nodes[x].C;
    struct err e;
    int y = bn(n, conv(n, relu(n, bn(n, conv(n, x, K, 3, stride))), K, 3, 1));
    if (K != C) {
        s = slice(n, x, (struct span){0, C, 1}, 1);
        n->m.graph.nodes[s].u.slice.h.step = n->m.graph.nodes[s].u.slice.w.step = stride;
        ck_assert_int_eq(graph_infer(&n->m.graph, s, &e), 0);
        s = pad(n, s, (K - C) / 2, (K - C) / 2, 0);
    }
    relu(n, sum(n, y, s));
}

static void resnet(struct net *n)
{
    relu(n, bn(n, conv(n, input(n, 3, PIXELS, PIXELS), 16, 3, 1)));
    basic_block(n, 16, 1);
    basic_block(n, 32, 2);
    basic_block(n, 32, 1);
    tail(n, n->last, CLASSES);
}

static void inverted_block(struct net *n, int K, int stride)
{
    int x = n->last, C = n->m.graph.nodes[x].C;
    int y = clip(n, bn(n, conv(n, x, 3 * C, 1, 1)), 0, 6);
    y = clip(n, bn(n, conv_win(n, y, 3 * C, window(3, stride, 1), 3 * C, false)), 0, 6);
    y = bn(n, conv(n, y, K, 1, 1));
    if (stride == 1 && K == C)
        sum(n, x, y);
}

static void mobilenet(struct net *n)
{
    clip(n, bn(n, conv(n, input(n, 3, PIXELS, PIXELS), 16, 3, 1)), 0, 6);
    inverted_block(n, 24, 2);
    inverted_block(n, 24, 1);
    inverted_block(n, 20, 1);
    tail(n, clip(n, bn(n, conv(n, n->last, 40, 1, 1)), 0, 6), CLASSES);
}

static void first_weights(struct net *n)
{
    struct err e;
    size_t seed = 0;
    must(weights_new(&n->m.weights, &n->m.graph, &e), &e);
    for (int i = 0; i < n->m.graph.n; i++) {
        const struct node *node = &n->m.graph.nodes[i];
        struct params *p = &n->m.weights.of[i];
        bool norm = node->op == OP_BN, gemm = node->op == OP_GEMM;
        double fan = (double)p->n_w / node->C;
        float scale = gemm ? 1 : (float)(2 / sqrt(fan));
        if (!p->w)
            continue;
        seed++;
        for (size_t k = 0; k < p->n_w; k++)
            p->w[k] = norm ? 1 + noise(k, 77) * 0.5F : noise(k, seed) * scale;
        seed += p->b ? 1 : 0;
        for (size_t k = 0; norm && k < p->n_b; k++)
            p->b[k] = noise(k, 78) * 0.5F;
    }
}

struct course {
    struct net n;
    struct pool *pool;
    struct autograd *ag;
    struct weights velocity, grad;
    float *x, logits[BATCH * CLASSES], dlogits[BATCH * CLASSES];
    int labels[BATCH];
};

static void course_new(struct course *c, void (*build)(struct net *n))
{
    struct err e;
    size_t floats = (size_t)BATCH * 3 * PIXELS * PIXELS;
    *c = (struct course){0};
    net_init(&c->n, 1, "golden");
    build(&c->n);
    first_weights(&c->n);
    must(weights_new(&c->velocity, &c->n.m.graph, &e), &e);
    must(weights_new(&c->grad, &c->n.m.graph, &e), &e);
    must(pool_new(&c->pool, 2, &e), &e);
    must(autograd_new(&c->ag, &c->n.m.graph, BATCH, DTYPE_F32, c->pool, &e), &e);
    c->x = xcalloc(floats, sizeof *c->x);
    for (size_t i = 0; i < floats; i++)
        c->x[i] = noise(i, 1000) * 4;
    for (int i = 0; i < BATCH; i++)
        c->labels[i] = i * 5 % CLASSES;
}

static void course_release(struct course *c)
{
    autograd_free(c->ag);
    pool_free(c->pool);
    weights_release(&c->velocity);
    weights_release(&c->grad);
    model_release(&c->n.m);
    free(c->x);
}

static double course_step(struct course *c)
{
    struct training t = training_none();
    struct loss_value loss;
    struct err e;
    t.momentum = 0.9;
    t.nesterov = true;
    t.weight_decay = 5e-3;
    must(autograd_load(c->ag, &c->n.m.weights, &e), &e);
    must(autograd_forward(c->ag, c->x, c->logits, &e), &e);
    loss_of(&t, c->logits, NULL, c->labels, BATCH, CLASSES, c->dlogits, &loss);
    must(autograd_backward(c->ag, c->dlogits, &c->grad, &e), &e);
    must(sgd_step(&t, 0.05, &c->n.m.graph, &c->n.m.weights, &c->velocity, &c->grad, c->pool, &e), &e);
    return loss.total;
}

static void compare_array(FILE *f, const char *name, const float *w, size_t n)
{
    size_t count;
    double want[3], got[3] = {0};
    char is[32];
    ck_assert_int_eq(fscanf(f, "%31s weights %zu %lf %lf %lf ", is, &count, &want[0], &want[1], &want[2]), 5);
    ck_assert_str_eq(is, name);
    ck_assert_uint_eq(count, n);
    for (size_t i = 0; i < n; i++) {
        got[0] += (double)w[i] * (double)w[i];
        got[1] += (double)w[i] * (double)noise(i, 501);
        got[2] += (double)w[i] * (double)noise(i, 502);
    }
    got[0] = sqrt(got[0]);
    for (int k = 0; k < 3; k++)
        ck_assert_msg(fabs(got[k] - want[k]) <= 1e-3 * want[0], "%s: number %d of %zu weights is %g, not %g", name,
                      k, n, got[k], want[k]);
}

static void compare_course(FILE *f, const char *name, void (*build)(struct net *n))
{
    struct course c;
    course_new(&c, build);
    for (int step = 0; step < STEPS; step++) {
        char is[32];
        double want, got = course_step(&c);
        ck_assert_int_eq(fscanf(f, "%31s loss %lf ", is, &want), 2);
        ck_assert_str_eq(is, name);
        ck_assert_msg(fabs(got - want) <= 1e-3 * want, "%s: loss of step %d is %g, not %g", name, step, got, want);
    }
    for (int i = 0; i < c.n.m.graph.n; i++) {
        const struct params *p = &c.n.m.weights.of[i];
        if (p->w)
            compare_array(f, name, p->w, p->n_w);
        if (p->b)
            compare_array(f, name, p->b, p->n_b);
    }
    course_release(&c);
}

START_TEST(ten_steps)
{
    const char *dir = getenv("ESPALIER_TESTS");
    char path[512];
    snprintf(path, sizeof path, "%s/golden/steps.txt", dir ? dir : "tests");
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "no %s", path);
    compare_course(f, "resnet", resnet);
    compare_course(f, "mobilenet", mobilenet);
    fclose(f);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("autograd_golden");
    TCase *t = tcase_create("autograd_golden");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, ten_steps);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
