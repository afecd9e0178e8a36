#include <check.h>

#include "common/base/rng.h"
#include "tests/trainer/layers.c"
#include "tests/trainer/net.c"
#include "tests/trainer/tape.c"
#include "tests/trainer/trainer.c"
#include "tests/unit/naive.h"
#include "tests/unit/nets.h"
#include "worker/train/score.h"

/* A network with images, against the plain loops in double. */
struct trial {
    struct model m;
    struct tape tape;
    struct weights grad;
    float *x; /* (N,C,H,W) */
    int *label;
};

static float *draw_floats(struct rng *r, size_t n, double mean, double sd)
{
    float *x = mem_alloc(n, sizeof(*x));
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(mean + sd * rng_normal(r));
    return x;
}

/* Takes what is in t->m.graph. Any weights but the special ones that training starts from. */
static void trial_init(struct trial *t, int N)
{
    struct graph *g = &t->m.graph;
    const struct node *in = &g->nodes[0];
    size_t area = (size_t)in->H * (size_t)in->W;
    struct err e;
    struct rng r;
    rng_init(&r, 3, "trial", 0);
    ck_assert_int_eq(weights_new(&t->m.weights, g, &e), 0);
    ck_assert_int_eq(weights_new(&t->grad, g, &e), 0);
    for (int i = 0; i < g->n; i++) {
        struct params *p = &t->m.weights.of[i];
        double sd = p->w ? 1 / sqrt((double)p->n_w / g->nodes[i].C) : 0;
        for (size_t k = 0; k < p->n_w; k++)
            p->w[k] = (float)(g->nodes[i].op == OP_BN ? 0.5 + rng_uniform(&r) : sd * rng_normal(&r));
        for (size_t k = 0; p->b && k < p->n_b; k++)
            p->b[k] = (float)rng_normal(&r);
    }
    t->x = draw_floats(&r, (size_t)N * (size_t)in->C * area, 0.3, 1);
    t->label = mem_alloc((size_t)N, sizeof(int));
    for (int i = 0; i < N; i++)
        t->label[i] = (int)rng_below(&r, (uint64_t)g->nodes[g->output].C);
    if (tape_init(&t->tape, g, N, &e) < 0)
        ck_abort_msg("%s", e.text);
    for (int i = 0; i < N; i++)
        for (int c = 0; c < in->C; c++)
            memcpy(t->tape.value[0] + (size_t)(c * N + i) * area, t->x + (size_t)(i * in->C + c) * area,
                   area * sizeof(float));
}

static void trial_release(struct trial *t)
{
    tape_release(&t->tape);
    weights_release(&t->grad);
    model_release(&t->m);
    mem_free(t->x);
    mem_free(t->label);
}

/* Loss by the plain loops; `logits` (N,K), may be NULL. */
static double plain_loss(const struct trial *t, float *logits)
{
    const struct graph *g = &t->m.graph;
    int K = g->nodes[g->output].C, N = t->tape.N;
    struct naive plain;
    double loss = 0;
    naive_run(&plain, g, &t->m.weights, N, ENGINE_BATCH, t->x);
    const double *y = plain.value[g->output];
    for (int n = 0; n < N; n++, y += K) {
        double sum = 0;
        for (int k = 0; k < K; k++) {
            sum += exp(y[k]);
            if (logits)
                logits[n * K + k] = (float)y[k];
        }
        loss += log(sum) - y[t->label[n]];
    }
    naive_release(&plain);
    return loss / N;
}

static void check_forward(struct trial *t)
{
    const struct graph *g = &t->m.graph;
    int K = g->nodes[g->output].C, N = t->tape.N, correct, want = 0;
    float *logits = mem_alloc((size_t)(N * K), sizeof(float));
    double loss = plain_loss(t, logits);
    tape_forward(&t->tape, &t->m.weights);
    for (int n = 0; n < N; n++) {
        int best = 0;
        for (int k = 0; k < K; k++) {
            ck_assert_float_eq_tol(t->tape.value[g->output][k * N + n], logits[n * K + k], 1e-4F);
            best = logits[n * K + k] > logits[n * K + best] ? k : best;
        }
        want += best == t->label[n];
    }
    ck_assert_double_eq_tol(tape_loss(&t->tape, t->label, 1, &correct), loss, 1e-5);
    ck_assert_int_eq(correct, want);
    mem_free(logits);
}

/*
 * Central difference of the loss along random directions, one array of parameters at a time, against the gradient.
 * What is left of a difference is where a ReLU turns over on the way.
 */
static void check_array(struct trial *t, int node, float *w, const float *dw, size_t n)
{
    const double h = 2e-5;
    struct rng r;
    double size = 0;
    rng_init(&r, 11, "direction", (uint64_t)node);
    for (size_t k = 0; k < n; k++)
        size += (double)dw[k] * dw[k];
    for (int trial = 0; trial < 3; trial++) {
        float *was = mem_dup(w, n, sizeof(*w)), *to = draw_floats(&r, n, 0, 1);
        double along = 0, loss[2];
        for (int side = 0; side < 2; side++) {
            for (size_t k = 0; k < n; k++) {
                w[k] = was[k] + (float)(side ? h : -h) * to[k];
                along += fabs((double)w[k] - was[k]) / (2 * h) * (to[k] < 0 ? -dw[k] : dw[k]);
            }
            loss[side] = plain_loss(t, NULL);
        }
        memcpy(w, was, n * sizeof(*w));
        double slope = (loss[1] - loss[0]) / (2 * h);
        if (fabs(slope - along) > 0.01 * sqrt(size) + 1e-5)
            ck_abort_msg("%s \"%s\": slope %.6f, gradient along it %.6f (size %.6f)",
                         op_name(t->m.graph.nodes[node].op), t->m.graph.nodes[node].name, slope, along, sqrt(size));
        mem_free(was);
        mem_free(to);
    }
}

/* Twice backward into the same place: gradients add up. */
static void check_gradients(struct trial *t)
{
    int correct;
    for (int turn = 0; turn < 2; turn++) {
        tape_forward(&t->tape, &t->m.weights);
        tape_loss(&t->tape, t->label, 0.5F, &correct);
        tape_backward(&t->tape, &t->m.weights, &t->grad);
    }
    for (int i = 0; i < t->m.graph.n; i++) {
        struct params *p = &t->m.weights.of[i], *d = &t->grad.of[i];
        if (p->w)
            check_array(t, i, p->w, d->w, p->n_w);
        if (p->b)
            check_array(t, i, p->b, d->b, p->n_b);
    }
}

static int window_conv(struct graph *g, int x, int K, struct window win)
{
    struct node d = net_conv_node(&x, K, 1, 1, 1);
    d.u.conv.win = win;
    return net_add(g, d);
}

/* Every kind of window, one on top of the other so that dx of each is in the gradient of those below; several
 * products a batch. */
START_TEST(convolutions)
{
    static const struct window wins[] = {
        {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, {1, 1, 1, 1, 1, 1, 0, 0, 0, 0}, {5, 3, 1, 1, 1, 1, 2, 1, 2, 1},
        {3, 3, 1, 1, 1, 1, 0, 2, 2, 0}, {2, 2, 1, 1, 1, 1, 0, 0, 0, 0}, {3, 3, 2, 2, 1, 1, 1, 1, 1, 1},
        {1, 1, 2, 2, 1, 1, 0, 0, 0, 0}, {3, 3, 1, 1, 1, 1, 1, 1, 1, 1}, {5, 5, 1, 1, 1, 1, 2, 2, 2, 2},
    };
    struct trial t = {0};
    graph_init(&t.m.graph);
    int x = net_input(&t.m.graph, 2, 13, 11);
    for (size_t i = 0; i < sizeof(wins) / sizeof(*wins); i++)
        x = window_conv(&t.m.graph, x, 3, wins[i]);
    x = net_op(&t.m.graph, OP_FLATTEN, net_op(&t.m.graph, OP_GLOBALPOOL, x));
    t.m.graph.output = net_gemm(&t.m.graph, x, 4);
    trial_init(&t, 25);
    ck_assert_int_lt(conv_of(&t.m.graph, 3, 25).images, 25);
    check_forward(&t);
    check_gradients(&t);
    trial_release(&t);
}
END_TEST

/* Blocks as in the demo's network, and values that are read more than once. */
START_TEST(blocks)
{
    struct trial t = {0};
    struct graph *g = &t.m.graph;
    graph_init(g);
    int x = net_op(g, OP_RELU, net_conv_bn(g, net_input(g, 3, 8, 8), 4, 3, 1, 1));
    int y = net_conv_bn(g, net_op(g, OP_RELU, net_conv_bn(g, x, 4, 3, 1, 1)), 4, 3, 1, 1);
    x = net_op(g, OP_RELU, net_join(g, OP_ADD, y, x));
    y = net_conv_bn(g, net_op(g, OP_RELU, net_conv_bn(g, x, 6, 3, 2, 1)), 6, 3, 1, 1);
    x = net_op(g, OP_RELU, net_join(g, OP_ADD, y, net_conv_bn(g, x, 6, 1, 2, 1)));
    x = net_join(g, OP_ADD, x, x);
    y = net_join(g, OP_ADD, net_op(g, OP_GLOBALPOOL, x), net_op(g, OP_GLOBALPOOL, x));
    g->output = net_gemm(g, net_op(g, OP_FLATTEN, y), 5);
    trial_init(&t, 6);
    check_forward(&t);
    check_gradients(&t);
    trial_release(&t);
}
END_TEST

static void check_refused(struct graph *g, const char *line)
{
    struct tape t;
    struct err e;
    ck_assert_int_eq(tape_init(&t, g, 2, &e), ERR_UNSUPPORTED);
    ck_assert_str_eq(e.text, line);
    graph_release(g);
}

START_TEST(refused)
{
    struct graph g;
    graph_init(&g);
    g.output = net_op(&g, OP_SOFTMAX,
                      net_gemm(&g, net_op(&g, OP_FLATTEN, net_conv(&g, net_input(&g, 2, 1, 1), 4, 1, 1, 1)), 3));
    check_refused(&g, "Softmax \"n4\" can't be trained");
    g.output = net_conv(&g, net_input(&g, 4, 5, 5), 4, 3, 1, 2);
    check_refused(&g, "Conv \"n1\" can't be trained");
    g.output = net_op(&g, OP_FLATTEN, net_conv(&g, net_input(&g, 4, 5, 5), 4, 3, 1, 1));
    check_refused(&g, "Flatten \"n2\" can't be trained");
    g.output = net_op(&g, OP_BN, net_input(&g, 4, 5, 5));
    check_refused(&g, "BatchNormalization \"n1\" can't be trained");
}
END_TEST

static const double mean[] = {127.5, 127.5, 127.5}, std[] = {54, 54, 54};
static const struct net_plan small = {.stages = 2, .blocks = 1, .width = {8, 16}, .classes = 10};

/* Some of the synthetic set for some epochs. */
static double train_small(struct model *m, int images, int epochs, int threads, uint64_t seed)
{
    struct dataset d;
    struct pool *pool;
    struct trainer *t;
    struct err e;
    double loss = 0;
    int correct;
    ck_assert_int_eq(dataset_load(&d, DATA_SYNTHETIC, SPLIT_TEST, NULL, 1, &e), 0);
    d.n = images;
    const struct training how = {&d, mean, std, epochs, 0.2, 0.9, 5e-4, seed};
    ck_assert_int_eq(net_new(m, &small, seed, &e), 0);
    ck_assert_int_eq(pool_new(&pool, threads, &e), 0);
    ck_assert_int_eq(trainer_new(&t, pool, m, &how, &e), 0);
    ck_assert_int_eq(trainer_steps(t), epochs * (images / TRAINER_BATCH));
    for (int i = 0; i < trainer_steps(t); i++)
        ck_assert_int_eq(trainer_step(t, &loss, &correct, &e), 0);
    trainer_free(t);
    pool_free(pool);
    dataset_release(&d);
    return loss;
}

static bool same_weights(const struct weights *a, const struct weights *b)
{
    for (int i = 0; i < a->n; i++) {
        const struct params *p = &a->of[i], *q = &b->of[i];
        if (p->w && memcmp(p->w, q->w, p->n_w * sizeof(float)) != 0)
            return false;
        if (p->mean && (memcmp(p->mean, q->mean, p->n_b * sizeof(float)) != 0 ||
                        memcmp(p->var, q->var, p->n_b * sizeof(float)) != 0))
            return false;
        if (p->b && memcmp(p->b, q->b, p->n_b * sizeof(float)) != 0)
            return false;
    }
    return true;
}

START_TEST(same_with_any_threads)
{
    struct model one, three, other;
    double loss = train_small(&one, 200, 2, 1, 1);
    ck_assert(train_small(&three, 200, 2, 3, 1) == loss);
    ck_assert(same_weights(&one.weights, &three.weights));
    ck_assert(train_small(&other, 200, 2, 1, 2) != loss);
    ck_assert(!same_weights(&one.weights, &other.weights));
    model_release(&one);
    model_release(&three);
    model_release(&other);
}
END_TEST

/* Scored by the engine, which folds the running statistics: it knows what it learned by heart only if they are
 * right. */
START_TEST(learns_by_heart)
{
    enum { N = 128 };
    struct dataset d;
    struct model m;
    struct pool *pool;
    struct score score;
    struct err e;
    double loss = train_small(&m, N, 120, 2, 1);
    ck_assert(loss < 0.1);
    ck_assert_int_eq(dataset_load(&d, DATA_SYNTHETIC, SPLIT_TEST, NULL, 1, &e), 0);
    ck_assert_int_eq(pool_new(&pool, 1, &e), 0);
    const struct scored_set set = {&d, NULL, N, mean, std};
    ck_assert_int_eq(score_model(pool, &m.graph, &m.weights, &set, NULL, NULL, &score, &e), 0);
    ck_assert_int_ge(score.top1, N - 2);
    pool_free(pool);
    dataset_release(&d);
    model_release(&m);
}
END_TEST

START_TEST(too_little_data)
{
    struct dataset d = {.n = TRAINER_BATCH - 1, .C = 3, .H = 32, .W = 32};
    const struct training how = {.data = &d, .epochs = 1};
    struct trainer *t;
    struct model m;
    struct err e;
    ck_assert_int_eq(net_new(&m, &small, 1, &e), 0);
    ck_assert_int_eq(trainer_new(&t, NULL, &m, &how, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "can't train on 63 images of 3x32x32");
    model_release(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("trainer");
    TCase *t = tcase_create("trainer");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, convolutions);
    tcase_add_test(t, blocks);
    tcase_add_test(t, refused);
    tcase_add_test(t, same_with_any_threads);
    tcase_add_test(t, learns_by_heart);
    tcase_add_test(t, too_little_data);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run_count = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run_count;
}
