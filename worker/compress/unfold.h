/*
 * unfold - gives a conv that has no BN one that changes nothing, so that everything behind this file sees one kind
 * of network.
 *
 * A network whose BN was folded away can't be recalibrated, but the statistics of its convs' outputs are known from
 * the dense network: with mean m and variance v of a channel, the BN with shift m, scale sqrt(v + eps), running
 * mean m and variance v is the identity. After a cut, new running statistics make it a correction of bias and
 * scale, and fold puts it back into the conv.
 */
#ifndef WORKER_COMPRESS_UNFOLD_H
#define WORKER_COMPRESS_UNFOLD_H

#include "worker/compress/stats.h"

/* Convs whose value isn't read by exactly one BN and nothing else; `nodes` has room for g->n. Returns how many. */
int unfold_missing(const struct graph *g, int *nodes);

/* A copy of `m` with a BN behind each conv of `stats`; inserted BNs are named after their conv with "/unfolded". */
MUST_CHECK int unfold(const struct model *m, const struct stats_list *stats, struct model *out, struct err *e);

/* The other way: a copy of `m` without the BNs that unfold put in; convs get a bias where they had none. */
MUST_CHECK int fold(const struct model *m, struct model *out, struct err *e);

#endif
