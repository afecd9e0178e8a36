/*
 * images - the pictures of one search, kept between its jobs: what its recipe carves from the training set, the
 * whole training set once a job trains, and the test set while it is asked for.
 *
 * Picture files without a training and a test part are all carved from; what neither the reward split nor the
 * calibration takes is the test set then, and the training set is what they take.
 */
#ifndef WORKER_IMAGES_H
#define WORKER_IMAGES_H

#include "worker/job.h"
#include "worker/train/score.h"

enum { IMAGES_CARVED = 1, IMAGES_TRAINING = 2 };

struct images {
    int have;                         /* IMAGES_..., added */
    struct recipe recipe;             /* whose they are */
    struct dataset reward, calibrate; /* copies of the carved images alone: a worker holds no more than it uses */
    struct dataset training;          /* the whole set */
    int *rest, n_rest;                /* places of those that aren't in the reward split, ascending */
    double mean[4], std[4];           /* one a channel of the data */
    struct pictures *pictures;        /* of picture files: the datasets are views of it, and ... */
    int *test, n_test;                /* ... these places in it are the test set */
    struct image_needs {              /* of picture files; set by the caller, and kept by images_release */
        const struct graph *graph;    /* the network: what size the crops are, which classes there may be */
        struct pool *pool;            /* decodes ahead */
        uint64_t memory;              /* bytes of crops that are kept */
    } needs;
};

/* Loads what is asked for (IMAGES_..., added) of the recipe's images, unless it is there. */
MUST_CHECK int images_load(struct images *im, const struct recipe *r, int want, const struct job_host *host,
                           struct err *e);
void images_release(struct images *im);

/* Any of those loaded, for their shape. */
const struct dataset *images_any(const struct images *im);

/* The whole test set; the caller releases it. Of picture files: a view, for as long as what images_load made. */
MUST_CHECK int images_test(const struct images *im, const struct recipe *r, const struct job_host *host,
                           struct dataset *test, struct err *e);

struct scored_set images_set(const struct images *im, const struct dataset *d);

/* What is trained on: all training images, or, with both kinds loaded, those that no candidate is scored on. The
 * order is the data set's, whatever was loaded before. Borrowed until the next images_load. */
struct scored_set images_training(const struct images *im, bool all);

#endif
