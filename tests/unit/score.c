#include <check.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/unit/nets.h"
#include "tests/unit/types.h"
#include "worker/train/score.h"

enum { PIXELS = 12 }; /* (1,3,4) */

/* A network whose output k is its input's number k, so that images say what the logits are; and images to go with
 * it. */
struct bench {
    struct model m;
    struct dataset data;
    struct scored_set set;
    struct pool *pool;
};

/* classes <= PIXELS. Few different pixels, so that ties are many. */
static void bench_init(struct bench *b, int outputs, int classes, int n, bool softmax, int threads)
{
    struct err e;
    struct rng rng;
    *b = (struct bench){0};
    graph_init(&b->m.graph);
    int gemm = net_gemm(&b->m.graph, net_op(&b->m.graph, OP_FLATTEN, net_input(&b->m.graph, 1, 3, 4)), outputs);
    b->m.graph.output = softmax ? net_op(&b->m.graph, OP_SOFTMAX, gemm) : gemm;
    ck_assert_int_eq(weights_new(&b->m.weights, &b->m.graph, &e), 0);
    for (int k = 0; k < outputs; k++)
        b->m.weights.of[gemm].w[k * PIXELS + k] = 1;
    b->data = (struct dataset){.n = n, .C = 1, .H = 3, .W = 4, .n_classes = classes, .pixels = mem_alloc((size_t)n, PIXELS), .labels = mem_alloc((size_t)n, 1)};
    rng_init(&rng, 7, "score", 0);
    for (int i = 0; i < n; i++) {
        b->data.labels[i] = (uint8_t)rng_below(&rng, (uint64_t)classes);
        for (int k = 0; k < PIXELS; k++)
            b->data.pixels[i * PIXELS + k] = (uint8_t)rng_below(&rng, 6);
    }
    b->set = (struct scored_set){.data = &b->data, .n = n};
    ck_assert_int_eq(pool_new(&b->pool, threads, &e), 0);
}

static void bench_release(struct bench *b)
{
    pool_free(b->pool);
    dataset_release(&b->data);
    model_release(&b->m);
}

static void run_in(struct bench *b, enum dtype type, struct score *out)
{
    struct err e;
    if (score_model(b->pool, &b->m.graph, &b->m.weights, type, &b->set, NULL, NULL, out, &e) < 0)
        ck_abort_msg("%s", e.text);
}

static void run(struct bench *b, struct score *out)
{
    run_in(b, DTYPE_F32, out);
}

/* The same numbers the plain way. */
static struct score by_hand(const struct bench *b)
{
    struct score s = {.n = b->set.n};
    int K = b->m.graph.nodes[b->m.graph.output].C;
    double std = b->set.std ? *b->set.std : 1; /* the mean shifts all logits alike */
    for (int i = 0; i < b->set.n; i++) {
        int image = b->set.index ? b->set.index[i] : i, label = b->data.labels[image], before = 0;
        const uint8_t *x = b->data.pixels + image * PIXELS;
        double sum = 0;
        for (int k = 0; k < K; k++) {
            before += x[k] > x[label] || (x[k] == x[label] && k < label);
            sum += exp((x[k] - x[label]) / std);
        }
        s.top1 += before == 0;
        s.top5 += before <= 4;
        s.loss += log(sum);
    }
    s.loss /= s.n;
    return s;
}

static void check_same(const struct score *got, const struct score *want)
{
    ck_assert_int_eq(got->n, want->n);
    ck_assert_int_eq(got->top1, want->top1);
    ck_assert_int_eq(got->top5, want->top5);
    ck_assert_double_eq_tol(got->loss, want->loss, 1e-6);
    ck_assert(got->images_s > 0);
}

/* Sizes about the batch, with logits and with probabilities. */
START_TEST(counts)
{
    static const int beyond[] = {-1, 0, 1, 7};
    struct bench b;
    struct score got, want;
    bench_init(&b, 10, 10, 1, false, 1);
    int B = engine_best_batch(&b.m.graph);
    bench_release(&b);
    for (int i = 0; i < 8; i++) {
        bench_init(&b, 10, 10, (i < 4 ? 1 : 3) * B + beyond[i % 4], i % 2, 2);
        run(&b, &got);
        want = by_hand(&b);
        check_same(&got, &want);
        if (has_type(DTYPE_BF16)) { /* holds small whole numbers as they are */
            run_in(&b, DTYPE_BF16, &got);
            check_same(&got, &want);
        }
        ck_assert_int_gt(want.top1, 0);
        ck_assert_int_gt(want.top5, want.top1);
        ck_assert_int_gt(want.n, want.top5);
        bench_release(&b);
    }
}
END_TEST

START_TEST(one_image_and_ties)
{
    struct bench b;
    struct score got;
    bench_init(&b, 10, 10, 1, false, 1);
    memset(b.data.pixels, 3, PIXELS);
    for (int label = 0; label < 10; label++) {
        b.data.labels[0] = (uint8_t)label;
        run(&b, &got);
        ck_assert_int_eq(got.top1, label == 0); /* all equal: the lower index comes first */
        ck_assert_int_eq(got.top5, label < 5);
        ck_assert_double_eq_tol(got.loss, log(10), 1e-12);
    }
    bench_release(&b);
}
END_TEST

START_TEST(few_classes)
{
    struct bench b;
    struct score got, want;
    bench_init(&b, 3, 3, 100, false, 1);
    run(&b, &got);
    want = by_hand(&b);
    check_same(&got, &want);
    ck_assert_int_eq(got.top5, 100);
    bench_release(&b);
    bench_init(&b, 12, 10, 100, true, 1); /* more outputs than classes */
    run(&b, &got);
    want = by_hand(&b);
    check_same(&got, &want);
    bench_release(&b);
}
END_TEST

START_TEST(subset_and_scale)
{
    enum { N = 300 };
    static const double mean[] = {2.5}, std[] = {0.25};
    int index[N];
    struct bench b;
    struct score got, want;
    bench_init(&b, 10, 10, 1000, false, 2);
    for (int i = 0; i < N; i++)
        index[i] = 999 - 3 * i;
    b.set = (struct scored_set){&b.data, index, N, mean, std};
    run(&b, &got);
    want = by_hand(&b);
    check_same(&got, &want);
    bench_release(&b);
}
END_TEST

/* The threads share the batches out as it comes; the sum must not show it. */
START_TEST(any_threads)
{
    struct score first = {0}, got;
    for (int threads = 1; threads <= 4; threads++) {
        struct bench b;
        bench_init(&b, 10, 10, 5003, false, threads);
        run(&b, &got);
        if (threads == 1)
            first = got;
        ck_assert(got.top1 == first.top1 && got.top5 == first.top5);
        ck_assert(got.loss == first.loss);
        bench_release(&b);
    }
}
END_TEST

struct watcher {
    pthread_t thread;
    int calls, last, stop_at;
};

static int watch(void *arg, int done, int total)
{
    struct watcher *w = arg;
    ck_assert(pthread_equal(pthread_self(), w->thread));
    ck_assert_int_gt(done, w->last);
    ck_assert_int_le(done, total);
    ck_assert_int_eq(total, 5003);
    w->calls++;
    w->last = done;
    return w->calls == w->stop_at ? -1 : 0;
}

START_TEST(progress)
{
    struct bench b;
    struct score got;
    struct err e;
    bench_init(&b, 10, 10, 5003, false, 1);
    struct watcher w = {.thread = pthread_self()};
    ck_assert_int_eq(score_model(b.pool, &b.m.graph, &b.m.weights, DTYPE_F32, &b.set, watch, &w, &got, &e), 0);
    ck_assert_int_gt(w.calls, 1);
    ck_assert_int_eq(w.last, 5003);
    w = (struct watcher){.thread = pthread_self(), .stop_at = 2};
    ck_assert_int_eq(score_model(b.pool, &b.m.graph, &b.m.weights, DTYPE_F32, &b.set, watch, &w, &got, &e),
                     ERR_CANCELLED);
    ck_assert_int_eq(w.calls, 2);
    char line[80];
    snprintf(line, sizeof(line), "scoring was cancelled after %d of 5003 images", w.last);
    ck_assert_str_eq(e.text, line);
    bench_release(&b);
}
END_TEST

static void refused(struct bench *b, const char *line)
{
    struct score got;
    struct err e;
    ck_assert_int_eq(score_model(b->pool, &b->m.graph, &b->m.weights, DTYPE_F32, &b->set, NULL, NULL, &got, &e),
                     ERR_INVALID);
    ck_assert_str_eq(e.text, line);
}

START_TEST(progress_from_the_caller)
{
    struct bench b;
    struct score got;
    struct err e;
    bench_init(&b, 10, 10, 5003, false, 3);
    for (int i = 0; i < 20; i++) {
        struct watcher w = {.thread = pthread_self()};
        ck_assert_int_eq(score_model(b.pool, &b.m.graph, &b.m.weights, DTYPE_F32, &b.set, watch, &w, &got, &e), 0);
    }
    bench_release(&b);
}
END_TEST

START_TEST(misfits)
{
    struct bench b;
    bench_init(&b, 9, 10, 20, false, 1);
    refused(&b, "the network's output has 9 classes, the data set 10");
    b.set.n = 0;
    refused(&b, "no images to score");
    b.set.n = 20;
    b.data.H = 4;
    b.data.W = 3;
    refused(&b, "the network's input is 1x3x4, the images are 1x4x3");
    b.data.H = 3;
    b.data.W = 4;
    b.m.graph.output = 0;
    refused(&b, "the network's output is 1x3x4, expected one number a class");
    bench_release(&b);
}
END_TEST

START_TEST(not_finite)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    struct bench b;
    bench_init(&b, 10, 10, 20, false, 2);
    for (int i = 0; i < 3; i++) {
        b.m.weights.of[b.m.graph.output].b[4] = bad[i];
        refused(&b, "the network's output for image 0 is not finite");
    }
    bench_release(&b);
}
END_TEST

/* A probability that underflows costs as much as the smallest float, not infinity. */
START_TEST(certain_and_wrong)
{
    struct bench b;
    struct score got;
    bench_init(&b, 10, 10, 1, true, 1);
    memset(b.data.pixels, 0, PIXELS);
    b.data.labels[0] = 1;
    b.m.weights.of[b.m.graph.output - 1].b[0] = 1000;
    run(&b, &got);
    ck_assert_int_eq(got.top1, 0);
    ck_assert_double_eq_tol(got.loss, 126 * log(2), 1e-9);
    bench_release(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("score");
    TCase *t = tcase_create("score");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, counts);
    tcase_add_test(t, one_image_and_ties);
    tcase_add_test(t, few_classes);
    tcase_add_test(t, subset_and_scale);
    tcase_add_test(t, any_threads);
    tcase_add_test(t, progress);
    tcase_add_test(t, progress_from_the_caller);
    tcase_add_test(t, misfits);
    tcase_add_test(t, not_finite);
    tcase_add_test(t, certain_and_wrong);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run_count = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run_count;
}
