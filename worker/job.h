/*
 * job - one WORK message turned into numbers: load what it names (kept warm for the next one), then profile,
 * evaluate or train. Knows no socket: what it needs from outside comes through struct job_host.
 */
#ifndef WORKER_JOB_H
#define WORKER_JOB_H

#include "proto/message.h"

struct fit_point;

struct job_host { /* what a job may ask of its surroundings */
    void *arg;
    /* The local path of a blob, fetched first if need be; borrowed until the job ends. size 0: not known. Data
     * files come with their name and their set's kind, so that a local copy can serve; else both are NULL. */
    int (*blob)(void *arg, const struct hash *h, uint64_t size, const char *data_name, const char *data_kind,
                const char **path, struct err *e);
    /* The nth folder on this machine that may have a data set of that kind; NULL: there is none. What is in it is for
     * the job to check. NULL: there are no such folders. */
    const char *(*folder)(void *arg, const char *data_kind, int nth);
    /* Makes bytes durable at the coordinator under their hash. */
    int (*put)(void *arg, const struct hash *h, const void *bytes, size_t n, struct err *e);
    /* For the heartbeats. ERR_CANCELLED when the task was cancelled, lost its lease or the program stops. */
    int (*progress)(void *arg, const char *stage, uint64_t done, uint64_t total, struct err *e);
    /* After an epoch of FINAL or TRAIN: makes the state's bytes, whose hash is k->blob, durable as where another
     * attempt goes on. */
    int (*checkpoint)(void *arg, const struct msg_checkpoint *k, const struct buf *bytes, struct err *e);
    /* How the epoch under way does so far, before each progress of a training; NULL: not wanted. */
    void (*point)(void *arg, const struct fit_point *so_far);
};

struct worker_state; /* what stays warm between jobs: compute threads, model, images, profile */

MUST_CHECK int job_state_new(struct worker_state **st, int threads, struct err *e);
/* What this machine is called in latency tables. */
void job_state_name(struct worker_state *st, const char *cpu, const char *kernels);
/* Bytes of decoded pictures that are kept, PICTURES_MEMORY until then. */
void job_state_memory(struct worker_state *st, uint64_t bytes);
void job_state_free(struct worker_state *st); /* NULL is fine */

/*
 * Fills *r (its arrays owned, see message_release). ERR_CANCELLED: there is nothing to report. ERR_INVALID,
 * ERR_UNSUPPORTED and ERR_LIMIT would come again on any worker; ERR_DIVERGED at the same learning rates; other
 * errors may pass.
 *
 *   PROFILE    the search's profile
 *   EVALUATE   the candidate: cut, reconstructed, recalibrated, fine-tuned as the recipe's finetune says on the
 *              training images outside the reward split, scored on the reward split
 *   EXPORT     the same network as a file
 *   FINAL      the candidate cut, reconstructed and recalibrated, not fine-tuned, but trained as `finish` says on
 * all training images; scored, also on the test set; as a file. Without a `finish`: the evaluated network TRAIN the
 * recipe's model as it is, trained as `finish` says on all training images, scored on the test set, as a file of
 * the same graph
 *   MEASURE    the model's latency table
 *   TIME       the candidate, cut and no more, beside the dense network at batch 1 and at w->batch
 */
MUST_CHECK int job_run(struct worker_state *st, const struct msg_work *w, const struct job_host *host,
                       struct msg_result *r, struct err *e);

#endif
