/*
 * fit - trains a network: epochs or steps of SGD on a set of images, from the beginning or from a checkpoint.
 * Everything that the next step depends on is in struct fit_state, and every draw in (seed, epoch, place), so a run
 * that was interrupted ends with the same bits as one that wasn't.
 */
#ifndef WORKER_TRAIN_FIT_H
#define WORKER_TRAIN_FIT_H

#include "common/base/buf.h"
#include "proto/training.h"
#include "worker/train/score.h"

struct fit_point { /* one epoch of a training curve */
    int epoch;     /* 1 ...; of a run by steps: each epoch begun, the last one maybe in part */
    double lr;     /* of its last step */
    double loss;   /* mean over its steps */
    double top1;   /* fraction of the epoch's augmented images that were right when they were trained on */
    double seconds;
};

struct fit_state {
    int epoch;               /* whole epochs done */
    struct weights velocity; /* of the optimiser */
    struct model *model;     /* borrowed: weights and running statistics as of now */
};

struct fit_work { /* all borrowed */
    const struct training *training;
    double lr_scale; /* 1, less after a divergence */
    uint64_t seed;
    enum precision precision;
    const struct scored_set *set;
    const struct model *teacher; /* NULL unless training->distill.kind */
    struct pool *pool;
    /* Now and then, with images done of all: ERR_CANCELLED and the like end the run. */
    int (*progress)(void *arg, uint64_t done, uint64_t total, const struct fit_point *so_far, struct err *e);
    /* After each epoch; NULL: not wanted. */
    int (*epoch)(void *arg, const struct fit_state *st, const struct fit_point *p, struct err *e);
    void *arg;
};

/* Zero velocity, no epoch done. */
MUST_CHECK int fit_state_new(struct fit_state *st, struct model *m, struct err *e);
void fit_state_release(struct fit_state *st);

/* Trains st->model from st->epoch on. ERR_DIVERGED with the loss and the step when the loss isn't finite or its mean over 20
 * steps exceeds three times the larger of its first step's and ln(classes); the model's weights are then of no use. */
MUST_CHECK int fit(const struct fit_work *w, struct fit_state *st, struct err *e);

/* ---- checkpoints ---- */
/* Appends the state's bytes: epoch, weights, running statistics, velocity. */
void fit_encode(const struct fit_state *st, struct buf *out);
/* Into a state whose model has the same graph: ERR_INVALID, and nothing changed, for anything else. */
MUST_CHECK int fit_decode(struct fit_state *st, const void *bytes, size_t n, struct err *e);

#endif
