/*
 * work - what every step of compressing one network works with, and how a step tells how far it is.
 */
#ifndef WORKER_COMPRESS_WORK_H
#define WORKER_COMPRESS_WORK_H

#include "proto/message.h"
#include "worker/train/score.h"

struct compress_work { /* all borrowed */
    struct pool *pool;
    const struct model *model; /* as it came */
    const struct recipe *recipe;
    const struct scored_set *reward, *calibrate;
    int (*progress)(void *arg, const char *stage, uint64_t done, uint64_t total, struct err *e);
    void *arg;
};

/* A stage's name for the callbacks of score.h, gram.h and recalibrate.h: stage_report(&stage, done, total) passes
 * them on. */
struct stage {
    const struct compress_work *cw;
    const char *name;
};
int stage_report(void *stage, int done, int total);

#define COMPRESS_BATCH 20

/* Images of a forward pass with these nodes' values tapped: COMPRESS_BATCH, or fewer where they would be more than an eighth
 * of a gigabyte, by the graph alone, so that all workers do alike. A node may occur several times. */
int compress_batch(const struct graph *g, const int *taps, int n);

#endif
