/*
 * stopwatch - the jobs that measure time: a network's latency table, and a candidate beside the dense network.
 */
#ifndef WORKER_STOPWATCH_H
#define WORKER_STOPWATCH_H

#include "common/model/weights.h"
#include "worker/job.h"

struct measurer { /* what a latency table says of who measured it */
    char cpu[RECIPE_NAME], kernels[2 * RECIPE_NAME];
};

/* MEASURE: fills r->table. */
MUST_CHECK int stopwatch_table(const struct model *m, const struct msg_work *w, const struct measurer *by,
                               const struct job_host *host, struct msg_result *r, struct err *e);

/* TIME: fills r->times. The numbers of the weights make no difference to the clock: the network is cut, and no
 * more. */
MUST_CHECK int stopwatch_candidate(const struct model *dense, const struct msg_work *w, const struct job_host *host,
                                   struct msg_result *r, struct err *e);

#endif
