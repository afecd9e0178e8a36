/*
 * unfold - gives a conv that has no BN one that changes nothing, and states every BN in terms of the calibration
 * images, so that everything behind this file sees one kind of network.
 *
 * A network whose BN was folded away can't be recalibrated, but the statistics of its convs' outputs are known from
 * the dense network: with mean m and variance v of a channel, the BN with shift m, scale sqrt(v + eps), running
 * mean m and variance v is the identity. After a cut, new running statistics make it a correction of bias and
 * scale, and fold puts it back into the conv.
 *
 * A BN that is there is restated the same way: running mean m and variance v, shift and scale such that it computes
 * what it did. Recalibration then makes up for what the cut changed, not for how the calibration images differ from
 * those that the running statistics saw: a network of which nothing was cut stays as it is, within a batch's
 * chance. ResNet-20 with 80% of all channels, 500 images to calibrate: 1,853 of 2,000 right, as the folded one;
 * 1,812 without.
 */
#ifndef WORKER_COMPRESS_UNFOLD_H
#define WORKER_COMPRESS_UNFOLD_H

#include "worker/compress/stats.h"

/* Convs whose value isn't read by exactly one BN and nothing else; `nodes` has room for g->n. Returns how many. */
int unfold_missing(const struct graph *g, int *nodes);

/* The values of which unfold wants statistics, ascending: those of unfold_missing and all that BNs read. `nodes`
 * has room for g->n. Returns how many. */
int unfold_values(const struct graph *g, int *nodes);

/*
 * A copy of `m` with a BN behind each conv of unfold_missing, named after it with "/unfolded", and its own BNs
 * restated. stats: of unfold_values.
 */
MUST_CHECK int unfold(const struct model *m, const struct stats_list *stats, struct model *out, struct err *e);

/* Back again: a copy of `m` without the BNs that unfold put in; convs get a bias where they had none. */
MUST_CHECK int fold(const struct model *m, struct model *out, struct err *e);

#endif
