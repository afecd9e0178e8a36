#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/unit/naive.h"
#include "tests/unit/nets.h"
#include "worker/train/teacher.h"

enum { IMAGES = 70, BATCH = 32, C = 3, SIDE = 12, IMAGE = C * SIDE * SIDE, K = 10 };

static const struct augment mirrored = {.flip = true}, cropped = {.pad = 1, .flip = true};

/* A network, and images for it. */
struct trial {
    struct model m;
    struct dataset d;
    struct scored_set set;
    struct pool *pool;
};

static void build(struct graph *g, bool softmax)
{
    graph_init(g);
    int x = net_op(g, OP_RELU, net_conv_bn(g, net_input(g, C, SIDE, SIDE), 16, 3, 1, 1));
    int y = net_op(g, OP_RELU, net_conv_bn(g, x, 16, 3, 1, 1));
    x = net_op(g, OP_RELU, net_join(g, OP_ADD, x, net_conv_bn(g, y, 16, 3, 1, 1)));
    x = net_op(g, OP_RELU, net_conv_bn(g, x, 24, 1, 2, 1));
    x = net_op(g, OP_FLATTEN, net_op(g, OP_GLOBALPOOL, x));
    x = net_gemm(g, x, K);
    g->output = softmax ? net_op(g, OP_SOFTMAX, x) : x;
}

static void draw_weights(struct model *m)
{
    struct rng r;
    rng_init(&r, 1, "teacher", 0);
    for (int i = 0; i < m->graph.n; i++) {
        struct params *p = &m->weights.of[i];
        bool bn = m->graph.nodes[i].op == OP_BN;
        for (size_t k = 0; k < p->n_w; k++)
            p->w[k] = (float)(bn ? 0.5 + rng_uniform(&r) : 0.3 * rng_normal(&r));
        for (size_t k = 0; p->b && k < p->n_b; k++)
            p->b[k] = (float)rng_normal(&r);
        for (size_t k = 0; bn && k < p->n_b; k++) {
            p->mean[k] = (float)rng_normal(&r);
            p->var[k] = 1;
        }
    }
}

static void trial_init(struct trial *t, bool softmax, int threads)
{
    static const double mean[] = {128, 128, 128}, std[] = {60, 60, 60};
    struct rng r;
    struct err e;
    *t = (struct trial){0};
    build(&t->m.graph, softmax);
    ck_assert_int_eq(weights_new(&t->m.weights, &t->m.graph, &e), 0);
    draw_weights(&t->m);
    t->d = (struct dataset){.n = IMAGES, .C = C, .H = SIDE, .W = SIDE, .n_classes = K, .pixels = mem_alloc(IMAGES, IMAGE), .labels = mem_zalloc(IMAGES, 1)};
    rng_init(&r, 2, "teacher", 0);
    for (int i = 0; i < IMAGES * IMAGE; i++)
        t->d.pixels[i] = (uint8_t)rng_below(&r, 256);
    t->set = (struct scored_set){&t->d, NULL, IMAGES, mean, std};
    ck_assert_int_eq(pool_new(&t->pool, threads, &e), 0);
}

static void trial_release(struct trial *t)
{
    pool_free(t->pool);
    dataset_release(&t->d);
    model_release(&t->m);
}

static struct teacher *hire(struct trial *t, const struct augment *a, enum dtype type)
{
    struct teacher *teacher;
    struct err e;
    if (teacher_new(&teacher, &t->m, &t->m.graph, BATCH, IMAGES, a, type, t->pool, &e) < 0)
        ck_abort_msg("%s", e.text);
    return teacher;
}

static struct feed *start(const struct trial *t, const struct augment *a, int step)
{
    struct feed *f;
    struct err e;
    ck_assert_int_eq(feed_new(&f, &t->set, a, BATCH, 1, 0, step, 2, &e), 0);
    return f;
}

static void next(struct feed *f, struct feed_batch *b)
{
    struct err e;
    ck_assert_int_eq(feed_next(f, b, &e), 0);
}

static const float *ask(struct teacher *teacher, const struct feed_batch *b)
{
    const float *logits;
    struct err e;
    if (teacher_logits(teacher, b, &logits, &e) < 0)
        ck_abort_msg("%s", e.text);
    return logits;
}

/* The network's numbers by plain loops, with and without a softmax at its end, in fp32 and bf16. */
START_TEST(as_plain_loops)
{
    const bool softmax = _i & 1, half = _i & 2;
    struct trial t;
    struct teacher *teacher;
    struct feed_batch b;
    struct naive plain;
    struct err e;
    trial_init(&t, softmax, 2);
    int rc =
        teacher_new(&teacher, &t.m, &t.m.graph, BATCH, IMAGES, &cropped, half ? DTYPE_BF16 : DTYPE_F32, t.pool, &e);
    if (rc == ERR_UNSUPPORTED && half) {
        printf("bf16 skipped: %s\n", e.text);
        trial_release(&t);
        return;
    }
    ck_assert_msg(rc == 0, "%s", e.text);
    struct feed *f = start(&t, &cropped, 0);
    for (int s = 0; s < 3; s++) {
        next(f, &b);
        const float *y = ask(teacher, &b);
        naive_run(&plain, &t.m.graph, &t.m.weights, BATCH, ENGINE_INFER, b.x);
        const double *want = plain.value[softmax ? t.m.graph.nodes[t.m.graph.output].in[0] : t.m.graph.output];
        double most = 0, off = 0;
        for (int i = 0; i < BATCH * K; i++) {
            most = fmax(most, fabs(want[i]));
            off = fmax(off, fabs((double)y[i] - want[i]));
        }
        ck_assert_msg(off < most * (half ? 0.03 : 1e-5), "%g off, largest %g", off, most);
        ck_assert_msg(!half || off > most * 1e-5, "%g off is fp32, largest %g", off, most);
        naive_release(&plain);
    }
    teacher_free(teacher);
    feed_free(f);
    trial_release(&t);
}
END_TEST

/*
 * What is kept is what would be computed, to the bit, however the images come together; so that it doesn't matter
 * when a training was interrupted.
 */
START_TEST(kept_as_computed)
{
    enum { LATE = 5 };
    struct trial t;
    struct feed_batch b;
    trial_init(&t, false, 2);
    struct feed *f = start(&t, &mirrored, 0);
    struct teacher *keeps = hire(&t, &mirrored, DTYPE_F32), *computes = hire(&t, &cropped, DTYPE_F32);
    struct teacher *late = NULL;
    for (int s = 0; s < 12 * IMAGES / BATCH; s++) {
        next(f, &b);
        const float *y = ask(keeps, &b), *want = ask(computes, &b);
        ck_assert_mem_eq(y, want, BATCH * K * sizeof(*y));
        if (s == LATE)
            late = hire(&t, &mirrored, DTYPE_F32);
        if (late)
            ck_assert_mem_eq(ask(late, &b), want, BATCH * K * sizeof(*y));
    }
    teacher_free(keeps);
    teacher_free(computes);
    teacher_free(late);
    feed_free(f);
    trial_release(&t);
}
END_TEST

/* Once an image and once its mirror image: after that its pixels don't matter any more. */
START_TEST(computed_once)
{
    struct trial t;
    struct feed_batch b;
    bool flipped[BATCH];
    float *blank = mem_zalloc(BATCH, IMAGE * sizeof(float)), y[BATCH * K];
    trial_init(&t, false, 1);
    struct feed *f = start(&t, &mirrored, 0);
    struct teacher *teacher = hire(&t, &mirrored, DTYPE_F32);
    next(f, &b);
    memcpy(y, ask(teacher, &b), sizeof y);
    b.x = blank;
    ck_assert_mem_eq(ask(teacher, &b), y, sizeof y);
    for (int i = 0; i < BATCH; i++)
        flipped[i] = i % 2 ? !b.flipped[i] : b.flipped[i];
    b.flipped = flipped;
    const float *now = ask(teacher, &b); /* every second one is new: blank */
    for (int i = 0; i < BATCH; i++)
        ck_assert((memcmp(now + i * K, y + i * K, K * sizeof(*y)) == 0) == (i % 2 == 0));
    ck_assert_mem_eq(now + K, now + 3 * K, K * sizeof(*y));
    teacher_free(teacher);
    feed_free(f);
    trial_release(&t);
    mem_free(blank);
}
END_TEST

START_TEST(same_with_any_threads)
{
    struct trial one, three;
    struct feed_batch b;
    trial_init(&one, false, 1);
    trial_init(&three, false, 3);
    struct feed *f = start(&one, &cropped, 0);
    struct teacher *a = hire(&one, &cropped, DTYPE_F32), *c = hire(&three, &cropped, DTYPE_F32);
    for (int s = 0; s < 4; s++) {
        next(f, &b);
        const float *y = ask(a, &b);
        ck_assert_mem_eq(y, ask(c, &b), BATCH * K * sizeof(*y));
    }
    teacher_free(a);
    teacher_free(c);
    feed_free(f);
    trial_release(&one);
    trial_release(&three);
}
END_TEST

static void check_refused(struct trial *t, const struct graph *student, const char *text)
{
    struct teacher *teacher;
    struct err e;
    ck_assert_int_eq(teacher_new(&teacher, &t->m, student, BATCH, IMAGES, &mirrored, DTYPE_F32, t->pool, &e),
                     ERR_INVALID);
    ck_assert_str_eq(e.text, text);
}

START_TEST(unlike_the_student)
{
    struct trial t;
    struct graph g;
    trial_init(&t, false, 1);
    graph_init(&g);
    g.output = net_gemm(&g, net_op(&g, OP_FLATTEN, net_input(&g, C, SIDE, SIDE)), K + 1);
    check_refused(&t, &g, "the teacher's output is 10x1x1, the student has 11 classes");
    graph_release(&g);
    graph_init(&g);
    g.output = net_gemm(&g, net_op(&g, OP_FLATTEN, net_input(&g, 1, SIDE, SIDE)), K);
    check_refused(&t, &g, "the teacher's input is 3x12x12, the student's 1x12x12");
    graph_release(&g);
    trial_release(&t);
}
END_TEST

START_TEST(not_finite)
{
    struct trial t;
    struct feed_batch b;
    struct err e;
    const float *logits;
    trial_init(&t, false, 2);
    t.m.weights.of[t.m.graph.output].b[3] = NAN;
    struct feed *f = start(&t, &mirrored, 0);
    struct teacher *teacher = hire(&t, &mirrored, DTYPE_F32);
    next(f, &b);
    ck_assert_int_eq(teacher_logits(teacher, &b, &logits, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "the teacher's logits are not finite");
    teacher_free(teacher);
    feed_free(f);
    trial_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("teacher");
    TCase *t = tcase_create("teacher");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, as_plain_loops, 0, 4);
    tcase_add_test(t, kept_as_computed);
    tcase_add_test(t, computed_once);
    tcase_add_test(t, same_with_any_threads);
    tcase_add_test(t, unlike_the_student);
    tcase_add_test(t, not_finite);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
