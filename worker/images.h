/*
 * images - the pictures of one search, kept between its jobs: what its recipe carves from the training set, and the
 * test set while it is asked for.
 */
#ifndef WORKER_IMAGES_H
#define WORKER_IMAGES_H

#include "worker/job.h"
#include "worker/train/score.h"

struct images {
    bool loaded;
    struct recipe recipe;             /* whose they are */
    struct dataset reward, calibrate; /* copies of the carved images alone: a worker holds no more than it uses */
    double mean[4], std[4];           /* one a channel of the data */
};

/* Loads the recipe's images unless they are there. */
MUST_CHECK int images_load(struct images *im, const struct recipe *r, const struct job_host *host, struct err *e);
void images_release(struct images *im);

/* The whole test set; the caller releases it. */
MUST_CHECK int images_test(const struct recipe *r, const struct job_host *host, struct dataset *test,
                           struct err *e);

struct scored_set images_set(const struct images *im, const struct dataset *d);

#endif
