/*
 * infer - times engine_forward on one thread:  infer FILE.onnx SECONDS BATCH...
 *
 * Prints a line a batch size: "BATCH RATE CPU_RATE CONV_SHARE", in images a second of wall time and of processor
 * time (which other programs disturb less), and the share of the time that oneDNN's conv primitives take. `steps`
 * before FILE adds each step's share; `stats` is BATCH mode, where every BN uses the batch's statistics; `bf16` is
 * the other type of values. A batch of 0 stands for engine_best_batch.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/onnx/load.h"
#include "worker/engine/engine.h"
#include "worker/engine/pool.h"

struct bench {
    struct engine *eng;
    struct engine_run *run;
    float *x, *y;
    int64_t *ns; /* (steps) */
};

static size_t image_floats(const struct node *n)
{
    return (size_t)n->C * (size_t)n->H * (size_t)n->W;
}

struct manner {
    enum engine_mode mode;
    enum dtype type;
    bool steps; /* are printed */
};

static int bench_init(struct bench *b, const struct model *m, int batch, const struct manner *how, struct err *e)
{
    const struct graph *g = &m->graph;
    int rc = engine_new(&b->eng, g, &m->weights, batch, how->mode, how->type, NULL, 0, e);
    if (rc == 0)
        rc = engine_run_new(&b->run, b->eng, e);
    if (rc < 0)
        return rc;
    size_t floats = (size_t)batch * image_floats(&g->nodes[0]);
    struct rng r;
    b->x = xcalloc(floats, sizeof *b->x);
    b->y = xcalloc((size_t)batch * image_floats(&g->nodes[g->output]), sizeof *b->y);
    b->ns = xcalloc((size_t)engine_steps(b->eng), sizeof *b->ns);
    rng_init(&r, 1, "bench", 0);
    for (size_t i = 0; i < floats; i++)
        b->x[i] = (float)rng_normal(&r);
    return engine_forward(b->run, b->x, b->y, e);
}

static void bench_release(struct bench *b)
{
    engine_run_free(b->run);
    engine_free(b->eng);
    free(b->x);
    free(b->y);
    free(b->ns);
}

static double cpu_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / (double)NS_PER_S;
}

struct rate { /* images a second */
    double wall, cpu;
};

/* Forward passes for `seconds`. */
static int measure(struct bench *b, double seconds, bool timed, struct rate *rate, struct err *e)
{
    int64_t begin = clock_mono_ns(), now = begin, passes = 0;
    double cpu = cpu_seconds();
    while ((double)(now - begin) < seconds * (double)NS_PER_S || passes < 3) {
        int rc = timed ? engine_forward_timed(b->run, b->x, b->y, b->ns, e) : engine_forward(b->run, b->x, b->y, e);
        if (rc < 0)
            return rc;
        passes++;
        now = clock_mono_ns();
    }
    double images = (double)passes * engine_batch(b->eng);
    rate->wall = images / ((double)(now - begin) / (double)NS_PER_S);
    rate->cpu = images / (cpu_seconds() - cpu);
    return 0;
}

static double conv_share(const struct bench *b)
{
    double conv = 0, all = 0;
    for (int i = 0; i < engine_steps(b->eng); i++) {
        all += (double)b->ns[i];
        conv += engine_step(b->eng, i).conv ? (double)b->ns[i] : 0;
    }
    return conv / all;
}

static void print_steps(const struct bench *b)
{
    double all = 0;
    for (int i = 0; i < engine_steps(b->eng); i++)
        all += (double)b->ns[i];
    for (int i = 0; i < engine_steps(b->eng); i++) {
        struct engine_step s = engine_step(b->eng, i);
        printf("%6.2f%%  %-28s %s\n", 100 * (double)b->ns[i] / all, s.kernel, s.node);
    }
}

static int time_batch(const struct model *m, int batch, const struct manner *how, double seconds, struct err *e)
{
    struct bench b = {0};
    struct rate rate = {0}, timed;
    int rc = bench_init(&b, m, batch, how, e);
    if (rc == 0)
        rc = measure(&b, seconds, false, &rate, e);
    if (rc == 0)
        rc = measure(&b, seconds / 4, true, &timed, e);
    if (rc == 0)
        printf("%d %.1f %.1f %.3f\n", batch, rate.wall, rate.cpu, conv_share(&b));
    if (rc == 0 && how->steps)
        print_steps(&b);
    bench_release(&b);
    return rc;
}

/* Whether `word` is one of those before FILE. */
static bool take(const char *word, struct manner *how)
{
    if (!strcmp(word, "steps"))
        how->steps = true;
    else if (!strcmp(word, "stats"))
        how->mode = ENGINE_BATCH;
    else if (!strcmp(word, "bf16"))
        how->type = DTYPE_BF16;
    else
        return false;
    return true;
}

int main(int argc, char **argv)
{
    struct model m;
    struct pool *one;
    struct err e;
    struct manner how = {0};
    int at = 1, rc;
    while (at < argc && take(argv[at], &how))
        at++;
    if (argc - at < 3) {
        fprintf(stderr, "usage: infer [steps] [stats] [bf16] FILE.onnx SECONDS BATCH...\n");
        return 2;
    }
    rc = pool_new(&one, 1, &e); /* one thread for OpenMP and BLAS */
    if (rc < 0 || (rc = onnx_load_file(argv[at], &m, &e)) < 0) {
        fprintf(stderr, "infer: %s\n", e.text);
        return 1;
    }
    double seconds = strtod(argv[at + 1], NULL);
    for (int i = at + 2; rc == 0 && i < argc; i++) {
        int batch = atoi(argv[i]);
        rc = time_batch(&m, batch > 0 ? batch : engine_best_batch(&m.graph), &how, seconds, &e);
    }
    if (rc < 0)
        fprintf(stderr, "infer: %s\n", e.text);
    model_release(&m);
    pool_free(one);
    return rc < 0;
}
