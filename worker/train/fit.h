/*
 * fit - trains a network: epochs or steps of SGD on a set of images, from the beginning or from a checkpoint.
 * Everything that the next step depends on is in struct fit_state, and every draw in (seed, epoch, place), so a run
 * that was interrupted ends with the same bits as one that wasn't.
 */
#ifndef WORKER_TRAIN_FIT_H
#define WORKER_TRAIN_FIT_H

#include "common/base/buf.h"
#include "proto/training.h"
#include "worker/train/mask.h"
#include "worker/train/score.h"

struct fit_point { /* one epoch of a training curve */
    int epoch;     /* 1 ...; of a run by steps: each epoch begun, the last one maybe in part */
    double lr;     /* of its last step */
    double loss;   /* mean over its steps */
    double top1;   /* fraction of the epoch's augmented images that were right when they were trained on */
    double seconds;
};

#define FIT_WINDOW 20 /* steps */

struct fit_losses { /* what an explosion is told from */
    int64_t steps;  /* so far */
    double first;
    double recent[FIT_WINDOW]; /* of step s at s % FIT_WINDOW; 0 where there is none yet */
};

struct fit_state {
    int epoch;               /* epochs done; of a run by steps the last one counts, whole or not */
    struct fit_losses losses;
    struct weights velocity; /* of the optimiser; its mean and var stay 0 */
    struct model *model;     /* borrowed: weights and running statistics as of now */
};

struct fit_work { /* all borrowed */
    const struct training *training;
    double lr_scale; /* 1, less after a divergence */
    uint64_t seed;
    enum precision precision;
    const struct scored_set *set;
    const struct model *teacher; /* NULL unless training->distill.kind */
    const struct mask *mask;     /* weights that stay zero; NULL: none */
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

/*
 * Trains st->model from st->epoch on; nothing to do is fine. ERR_INVALID when the set, the batch or the teacher
 * don't suit the network. ERR_DIVERGED with the step and the loss when the loss or, after an epoch, a weight isn't
 * finite, or when the mean of the last FIT_WINDOW losses exceeds three times the larger of the first step's and
 * ln(classes). After an error the state is somewhere within an epoch: whoever goes on begins with a checkpoint.
 */
MUST_CHECK int fit(const struct fit_work *w, struct fit_state *st, struct err *e);

/* ---- checkpoints ---- */
/* Appends the state's bytes: epoch, losses, weights, running statistics, velocity; and their SHA-256. */
void fit_encode(const struct fit_state *st, struct buf *out);
/* Into a state whose model has the same graph: ERR_INVALID, and nothing changed, for anything else. */
MUST_CHECK int fit_decode(struct fit_state *st, const void *bytes, size_t n, struct err *e);

#endif
