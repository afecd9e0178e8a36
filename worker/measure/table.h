/*
 * table - measures a network's latency table (common/model/latency.h) on this machine: what each node takes in the
 * dense network, how each distinct shape of convolution and Gemm goes with its channels, and, on random candidates
 * measured end to end, how much of the predicted saving comes about and by how much the prediction is off.
 */
#ifndef WORKER_MEASURE_TABLE_H
#define WORKER_MEASURE_TABLE_H

#include "common/model/latency.h"
#include "worker/measure/latency.h"

/* how->pairs and most_ns bound each candidate's measurement. What the table says of machine and precision is the
 * caller's to fill in. */
MUST_CHECK int table_measure(const struct model *m, const struct groups *gs, const struct measuring *how,
                             struct latency *t, struct err *e);

/* The network that keeps the first keep[k] classes of each group: as fast as any candidate with these numbers. */
MUST_CHECK int table_candidate(const struct model *m, const struct groups *gs, const int *keep, struct model *out,
                               struct err *e);

#endif
