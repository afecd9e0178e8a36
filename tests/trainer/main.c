/*
 * train-demo - makes the network that `make demo` prunes: trains it on the synthetic set and writes it as ONNX.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/onnx/save.h"
#include "tests/trainer/net.h"
#include "tests/trainer/trainer.h"
#include "worker/train/score.h"

static const struct net_plan plan = {.stages = 3, .blocks = 2, .width = {16, 32, 64}, .classes = 10};
static const double mean[] = {127.5, 127.5, 127.5}, std[] = {54, 54, 54};

struct options {
    const char *file;
    int epochs, threads;
    uint64_t seed;
};

static const char usage[] = "usage: train-demo -o FILE.onnx [--epochs N] [--seed S] [--threads N]\n";

static bool number(const char *text, unsigned long long most, unsigned long long *value)
{
    char *end;
    *value = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && !*end && *value <= most;
}

static bool parse(int argc, char **argv, struct options *o)
{
    static const struct option known[] = {{"output", required_argument, NULL, 'o'},
                                          {"epochs", required_argument, NULL, 'e'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"threads", required_argument, NULL, 't'},
                                          {0}};
    unsigned long long v;
    for (int c; (c = getopt_long(argc, argv, "o:", known, NULL)) >= 0;) {
        if (c == 'o')
            o->file = optarg;
        else if (c == 'e' && number(optarg, 1000, &v) && v > 0)
            o->epochs = (int)v;
        else if (c == 't' && number(optarg, TRAINER_SHARDS, &v) && v > 0)
            o->threads = (int)v;
        else if (c == 's' && number(optarg, UINT64_MAX, &v))
            o->seed = v;
        else
            return false;
    }
    return o->file && optind == argc;
}

/* One line at the end of each epoch, and on a terminal one that is written over as the steps go by. */
static void show(const struct options *o, int step, int steps, double loss, int correct, int seen, int64_t start_ns)
{
    int per_epoch = steps / o->epochs;
    bool last = step % per_epoch == 0;
    if (!last && (!isatty(STDOUT_FILENO) || step % 8 != 0))
        return;
    double s = (double)(clock_mono_ns() - start_ns) / NS_PER_S, left = s / step * (steps - step);
    printf("%sepoch %d of %d  loss %.3f  right %5.1f%%  %5.0f images/s  %3.0f s left%s",
           isatty(STDOUT_FILENO) ? "\r" : "", (step - 1) / per_epoch + 1, o->epochs, loss, 100.0 * correct / seen,
           (double)step * TRAINER_BATCH / s, left, last ? "\n" : "");
    fflush(stdout);
}

static int train(struct trainer *t, const struct options *o, struct err *e)
{
    int steps = trainer_steps(t), seen = 0, correct = 0, rc = 0;
    double loss = 0;
    int64_t start_ns = clock_mono_ns();
    for (int step = 1; step <= steps && rc == 0; step++) {
        double step_loss;
        int step_correct;
        rc = trainer_step(t, &step_loss, &step_correct, e);
        if (rc < 0)
            break;
        if ((step - 1) % (steps / o->epochs) == 0)
            loss = seen = correct = 0;
        seen += TRAINER_BATCH;
        correct += step_correct;
        loss += (step_loss - loss) * TRAINER_BATCH / seen;
        show(o, step, steps, loss, correct, seen, start_ns);
    }
    return rc;
}

static int save(const struct model *m, const struct options *o, struct err *e)
{
    struct buf bytes = {0};
    char seed[32];
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)o->seed);
    const struct onnx_meta meta[] = {
        {"data", "synthetic"}, {"seed", seed}, {"normalize", "x = (pixel - 127.5) / 54"}};
    int rc = onnx_save(m, meta, sizeof(meta) / sizeof(*meta), &bytes, e);
    if (rc == 0)
        rc = file_write(o->file, bytes.p, bytes.n, e);
    buf_release(&bytes);
    return rc;
}

static int run(const struct options *o, struct err *e)
{
    struct dataset data[SPLITS] = {0};
    struct model m = {0};
    struct pool *pool = NULL;
    struct trainer *t = NULL;
    struct score score;
    int rc = 0;
    for (int s = 0; s < SPLITS && rc == 0; s++)
        rc = dataset_load(&data[s], DATA_SYNTHETIC, s, NULL, o->seed, e);
    const struct training how = {.data = &data[SPLIT_TRAIN],
                                 .mean = mean,
                                 .std = std,
                                 .epochs = o->epochs,
                                 .peak_rate = 0.2,
                                 .momentum = 0.9,
                                 .decay = 5e-4,
                                 .seed = o->seed};
    const struct scored_set test = {&data[SPLIT_TEST], NULL, data[SPLIT_TEST].n, mean, std};
    if (rc < 0 || (rc = net_new(&m, &plan, o->seed, e)) < 0 || (rc = pool_new(&pool, o->threads, e)) < 0 ||
        (rc = trainer_new(&t, pool, &m, &how, e)) < 0 || (rc = train(t, o, e)) < 0 ||
        (rc = score_model(pool, &m.graph, &m.weights, &test, NULL, NULL, &score, e)) < 0 ||
        (rc = save(&m, o, e)) < 0)
        goto out;
    printf("test: %d of %d right (%.2f%%), written to %s\n", score.top1, score.n, 100.0 * score.top1 / score.n,
           o->file);
out:
    trainer_free(t);
    pool_free(pool);
    model_release(&m);
    for (int s = 0; s < SPLITS; s++)
        dataset_release(&data[s]);
    return rc;
}

int main(int argc, char **argv)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    struct options o = {.epochs = 4, .seed = 1, .threads = cores > TRAINER_SHARDS ? TRAINER_SHARDS : (int)cores};
    struct err e;
    if (!parse(argc, argv, &o)) {
        fputs(usage, stderr);
        return 2;
    }
    if (run(&o, &e) < 0) {
        fprintf(stderr, "train-demo: %s\n", e.text);
        return 1;
    }
    return 0;
}
