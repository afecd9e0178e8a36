/*
 * scale - what the BN behind a layer multiplies each of its channels with.
 */
#ifndef WORKER_COMPRESS_SCALE_H
#define WORKER_COMPRESS_SCALE_H

#include "common/model/weights.h"

/* scale (C of the node): scale / sqrt(var + eps) of the first BN that reads the node; all 1 without one. */
void output_scale(const struct model *m, int node, double *scale);

#endif
