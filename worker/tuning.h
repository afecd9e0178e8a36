/*
 * tuning - the training inside a job, from its seed to its checkpoints.
 *
 * Every draw comes from a seed of the task's own: the first number of the stream (recipe's seed, stage, episode),
 * so each candidate sees its own order of images, the same one on any worker, at any attempt and after any resume.
 */
#ifndef WORKER_TUNING_H
#define WORKER_TUNING_H

#include "worker/job.h"
#include "worker/train/score.h"

struct tuning { /* all borrowed */
    const struct msg_work *work;
    const struct training *training; /* of its recipe */
    const char *stage;               /* "finetune", "finish" or "train": in the beats, and what the seed is for */
    bool durable;                    /* takes up the work's `resume`, leaves a checkpoint after each epoch */
    const struct scored_set *set;
    const struct model *teacher; /* NULL without distillation */
    struct pool *pool;
    const struct job_host *host;
};

/* Trains `m` in place; after an error it is of no use. ERR_DIVERGED as in fit.h; ERR_INVALID when the checkpoint
 * isn't one of this network after that epoch. */
MUST_CHECK int tuning_run(const struct tuning *t, struct model *m, struct err *e);

#endif
