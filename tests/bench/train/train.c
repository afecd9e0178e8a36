/*
 * train ARCHITECTURE BATCH THREADS fp32|bf16 SECONDS: whole training steps (weights in, forward pass,
 * cross-entropy, backward pass, SGD with Nesterov's momentum) on random 32x32 images. Prints the images a second of
 * the median step, by the clock and by the processor time of all threads, and the share of the steps that is spent
 * in oneDNN's convolution primitives.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/zoo/zoo.h"
#include "worker/autograd/autograd.h"
#include "worker/train/loss.h"
#include "worker/train/sgd.h"

#define CLASSES    10
#define MOST_STEPS 10000

struct bench {
    int batch;
    struct model model;
    struct weights velocity, grad;
    struct pool *pool;
    struct autograd *ag;
    struct training training;
    float *x, *logits, *dlogits;
    int *labels;
    int64_t took[MOST_STEPS], cpu[MOST_STEPS];
    int steps;
};

static int set_up(struct bench *b, char **argv, struct err *e)
{
    enum dtype type = strcmp(argv[4], "bf16") == 0 ? DTYPE_BF16 : DTYPE_F32;
    size_t N = (size_t)b->batch, image = 3 * 32 * 32;
    struct rng r;
    rng_init(&r, 1, "bench", 0);
    b->x = xcalloc(N * image, sizeof *b->x);
    b->logits = xcalloc(N * CLASSES, sizeof *b->logits);
    b->dlogits = xcalloc(N * CLASSES, sizeof *b->dlogits);
    b->labels = xcalloc(N, sizeof *b->labels);
    for (size_t i = 0; i < N * image; i++)
        b->x[i] = (float)rng_normal(&r);
    for (size_t i = 0; i < N; i++)
        b->labels[i] = (int)rng_below(&r, CLASSES);
    b->training = training_none();
    int rc = zoo_build(argv[1], 3, 32, 32, CLASSES, 1, &b->model, e);
    if (rc == 0)
        rc = weights_new(&b->velocity, &b->model.graph, e);
    if (rc == 0)
        rc = weights_new(&b->grad, &b->model.graph, e);
    if (rc == 0)
        rc = pool_new(&b->pool, atoi(argv[3]), e);
    return rc < 0 ? rc : autograd_new(&b->ag, &b->model.graph, b->batch, type, b->pool, e);
}

static int step(struct bench *b, struct err *e)
{
    struct loss_value loss;
    int rc = autograd_load(b->ag, &b->model.weights, e);
    if (rc == 0)
        rc = autograd_forward(b->ag, b->x, b->logits, e);
    if (rc < 0)
        return rc;
    loss_of(&b->training, b->logits, NULL, b->labels, b->batch, CLASSES, b->dlogits, &loss);
    rc = autograd_backward(b->ag, b->dlogits, &b->grad, e);
    return rc < 0 ? rc
                  : sgd_step(&b->training, 0.01, &b->model.graph, &b->model.weights, &b->velocity, &b->grad,
                             b->pool, e);
}

static int64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * NS_PER_S + t.tv_nsec;
}

static int by_time(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static int measure(struct bench *b, double seconds, struct err *e)
{
    int64_t total, conv, wall = 0;
    int rc = step(b, e);
    if (rc == 0)
        rc = step(b, e);
    autograd_timing(b->ag, true, &total, &conv);
    for (int64_t begin = clock_mono_ns(); rc == 0 && b->steps < MOST_STEPS; b->steps++) {
        int64_t at = clock_mono_ns(), cpu_at = cpu_ns();
        if ((double)(at - begin) > seconds * (double)NS_PER_S && b->steps > 2)
            break;
        rc = step(b, e);
        wall += b->took[b->steps] = clock_mono_ns() - at;
        b->cpu[b->steps] = cpu_ns() - cpu_at;
    }
    autograd_timing(b->ag, false, &total, &conv);
    qsort(b->took, (size_t)b->steps, sizeof *b->took, by_time);
    qsort(b->cpu, (size_t)b->steps, sizeof *b->cpu, by_time);
    int threads = pool_threads(b->pool) < autograd_parts(b->ag) ? pool_threads(b->pool) : autograd_parts(b->ag);
    if (rc == 0)
        printf("%.1f %.1f %.3f\n", b->batch * (double)NS_PER_S / (double)b->took[b->steps / 2],
               b->batch * (double)NS_PER_S / (double)b->cpu[b->steps / 2], (double)conv / ((double)wall * threads));
    return rc;
}

int main(int argc, char **argv)
{
    static struct bench b;
    struct err e;
    if (argc != 6) {
        fprintf(stderr, "usage: train ARCHITECTURE BATCH THREADS fp32|bf16 SECONDS\n");
        return 1;
    }
    b.batch = atoi(argv[2]);
    int rc = set_up(&b, argv, &e);
    if (rc == 0)
        rc = measure(&b, atof(argv[5]), &e);
    if (rc < 0)
        fprintf(stderr, "train: %s\n", e.text);
    autograd_free(b.ag);
    pool_free(b.pool);
    weights_release(&b.velocity);
    weights_release(&b.grad);
    model_release(&b.model);
    free(b.x);
    free(b.logits);
    free(b.dlogits);
    free(b.labels);
    return rc < 0;
}
