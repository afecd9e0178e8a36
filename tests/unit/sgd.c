#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/unit/nets.h"
#include "worker/train/sgd.h"

/* A network's parameters, what is known of them between steps, and a gradient. */
struct trial {
    struct graph g;
    struct weights w, velocity, grad;
    struct pool *pool;
};

/* Takes what is in t->g. */
static void trial_init(struct trial *t, int threads)
{
    struct err e;
    ck_assert_int_eq(weights_new(&t->w, &t->g, &e), 0);
    ck_assert_int_eq(weights_new(&t->velocity, &t->g, &e), 0);
    ck_assert_int_eq(weights_new(&t->grad, &t->g, &e), 0);
    ck_assert_int_eq(pool_new(&t->pool, threads, &e), 0);
}

static void trial_release(struct trial *t)
{
    pool_free(t->pool);
    weights_release(&t->w);
    weights_release(&t->velocity);
    weights_release(&t->grad);
    graph_release(&t->g);
}

static void step(struct trial *t, const struct training *how, double lr)
{
    struct err e;
    if (sgd_step(how, lr, &t->g, &t->w, &t->velocity, &t->grad, t->pool, &e) < 0)
        ck_abort_msg("%s", e.text);
}

/* Conv without bias, BN, Gemm: nodes 1, 2, 4. */
static void small_net(struct trial *t)
{
    graph_init(&t->g);
    int bn = net_conv_bn(&t->g, net_input(&t->g, 3, 1, 1), 2, 3, 1, 1);
    t->g.output = net_gemm(&t->g, net_op(&t->g, OP_FLATTEN, bn), 5);
}

struct array {
    float *x;
    size_t n;
};

/* In the order of sgd.txt. */
static void arrays_of(struct weights *w, struct array a[5])
{
    a[0] = (struct array){w->of[1].w, w->of[1].n_w};
    a[1] = (struct array){w->of[2].w, w->of[2].n_w};
    a[2] = (struct array){w->of[2].b, w->of[2].n_b};
    a[3] = (struct array){w->of[4].w, w->of[4].n_w};
    a[4] = (struct array){w->of[4].b, w->of[4].n_b};
}

static void read_weights(FILE *f, struct weights *w)
{
    struct array a[5];
    arrays_of(w, a);
    for (int k = 0; k < 5; k++)
        for (size_t i = 0; i < a[k].n; i++)
            ck_assert_int_eq(fscanf(f, "%f", &a[k].x[i]), 1);
}

static void check_weights(FILE *f, struct weights *w, int number)
{
    struct array a[5];
    arrays_of(w, a);
    for (int k = 0; k < 5; k++)
        for (size_t i = 0; i < a[k].n; i++) {
            float want, got = a[k].x[i];
            ck_assert_int_eq(fscanf(f, "%f", &want), 1);
            ck_assert_msg(fabsf(got - want) <= 1e-6F * fmaxf(1, fabsf(want)),
                          "step %d, array %d, %zu: %.9g, not %.9g", number, k, i, (double)got, (double)want);
        }
}

/* Against torch.optim.SGD: tests/golden/sgd.py. */
START_TEST(as_pytorch)
{
    const char *dir = getenv("ESPALIER_TESTS");
    char path[512];
    int cases, steps, size[4], nesterov, all;
    snprintf(path, sizeof path, "%s/golden/sgd.txt", dir ? dir : "tests");
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "could not open %s", path);
    ck_assert_int_eq(fscanf(f, "%d %d %d %d %d %d", &cases, &steps, &size[0], &size[1], &size[2], &size[3]), 6);
    ck_assert(cases == 4 && size[0] == 54 && size[1] == 2 && size[2] == 10 && size[3] == 5);
    struct trial start;
    small_net(&start);
    trial_init(&start, 2);
    read_weights(f, &start.w);
    for (int c = 0; c < cases; c++) {
        struct training how = training_none();
        struct trial t;
        double lr;
        small_net(&t);
        trial_init(&t, 2);
        weights_release(&t.w);
        struct err e;
        ck_assert_int_eq(weights_copy(&start.w, &t.w, &e), 0);
        ck_assert_int_eq(fscanf(f, "%d %lf %lf %d %lf", &nesterov, &how.momentum, &how.weight_decay, &all, &lr), 5);
        how.nesterov = nesterov;
        how.decay_all = all;
        for (int s = 0; s < steps; s++) {
            read_weights(f, &t.grad);
            step(&t, &how, s < 3 ? lr : lr / 10);
            check_weights(f, &t.w, s);
        }
        trial_release(&t);
    }
    trial_release(&start);
    fclose(f);
}
END_TEST

/* Means and variances follow the batches', and nothing else touches them. */
START_TEST(running_statistics)
{
    struct training how = training_none();
    struct trial t;
    small_net(&t);
    trial_init(&t, 1);
    how.decay_all = true;
    how.weight_decay = 1;
    struct params *bn = &t.w.of[2], *batch = &t.grad.of[2];
    bn->mean[0] = 2;
    bn->var[1] = 10;
    batch->mean[0] = 12;
    batch->var[1] = 20;
    step(&t, &how, 100);
    ck_assert_float_eq_tol(bn->mean[0], 3, 1e-6F);
    ck_assert_float_eq_tol(bn->var[1], 11, 1e-6F);
    ck_assert_float_eq(bn->mean[1], 0);
    step(&t, &how, 100);
    ck_assert_float_eq_tol(bn->mean[0], 3.9F, 1e-6F);
    ck_assert_float_eq_tol(bn->var[1], 11.9F, 1e-6F);
    ck_assert_float_eq(batch->mean[0], 12);
    ck_assert_float_eq(t.velocity.of[2].mean[0], 0);
    trial_release(&t);
}
END_TEST

static void draw(struct trial *t)
{
    struct rng r;
    rng_init(&r, 1, "sgd", 0);
    for (int i = 0; i < t->g.n; i++) {
        const struct params *w = &t->w.of[i], *g = &t->grad.of[i];
        for (size_t k = 0; k < w->n_w; k++) {
            w->w[k] = (float)rng_normal(&r);
            g->w[k] = (float)rng_normal(&r);
        }
        for (size_t k = 0; w->b && k < w->n_b; k++) {
            w->b[k] = (float)rng_normal(&r);
            g->b[k] = (float)rng_normal(&r);
        }
    }
}

/* Arrays longer than a slice and pieces of many short ones, with as many threads as there may be. */
static void wide_run(struct trial *t, int threads)
{
    struct training how = training_none();
    graph_init(&t->g);
    int x = net_input(&t->g, 100, 2, 2);
    for (int i = 0; i < 3; i++)
        x = net_conv_bn(&t->g, x, 90 + 7 * i, 3, 1, 1);
    t->g.output = net_gemm(&t->g, net_op(&t->g, OP_FLATTEN, x), 77);
    trial_init(t, threads);
    draw(t);
    step(t, &how, 0.1);
    step(t, &how, 0.05);
}

static void check_same(const float *a, const float *b, size_t n)
{
    ck_assert(!a == !b);
    if (a)
        ck_assert_mem_eq(a, b, n * sizeof(*a));
}

START_TEST(same_with_any_threads)
{
    struct trial one, five;
    wide_run(&one, 1);
    wide_run(&five, 5);
    for (int i = 0; i < one.g.n; i++) {
        const struct params *p = &one.w.of[i], *q = &five.w.of[i];
        check_same(p->w, q->w, p->n_w);
        check_same(p->b, q->b, p->n_b);
        check_same(one.velocity.of[i].w, five.velocity.of[i].w, p->n_w);
    }
    trial_release(&one);
    trial_release(&five);
}
END_TEST

/* Every float of them has moved by what its own gradient and weight say. */
START_TEST(reaches_all)
{
    struct trial t;
    struct weights was;
    struct err e;
    wide_run(&t, 2);
    memset(&was, 0, sizeof was);
    ck_assert_int_eq(weights_copy(&t.w, &was, &e), 0);
    struct training how = training_none();
    how.momentum = 0;
    how.nesterov = false;
    step(&t, &how, 0.5);
    for (int i = 0; i < t.g.n; i++) {
        const struct params *p = &t.w.of[i], *old = &was.of[i], *g = &t.grad.of[i];
        float decay = t.g.nodes[i].op == OP_BN ? 0 : 5e-4F;
        for (size_t k = 0; k < p->n_w; k++)
            ck_assert_float_eq_tol(p->w[k], old->w[k] - 0.5F * (g->w[k] + decay * old->w[k]), 1e-6F);
        for (size_t k = 0; p->b && k < p->n_b; k++)
            ck_assert_float_eq_tol(p->b[k], old->b[k] - 0.5F * g->b[k], 1e-6F);
    }
    weights_release(&was);
    trial_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sgd");
    TCase *t = tcase_create("sgd");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, as_pytorch);
    tcase_add_test(t, running_statistics);
    tcase_add_test(t, same_with_any_threads);
    tcase_add_test(t, reaches_all);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
