/*
 * synthetic - a data set out of nothing: one striped shape on a shaded ground, (3,32,32).
 *
 *   label = 2 * shape + stripes     shape: disc, square, triangle, cross, ring
 *                                   stripes: 0 rising to the right, 1 falling
 *
 * Place, size, tilt, stripe width and phase, both colours, the ground's shading and noise are drawn for each image,
 * so that no pixel by itself says anything: a linear model stays near chance, a small CNN gets nearly all.
 */
#ifndef WORKER_TRAIN_SYNTHETIC_H
#define WORKER_TRAIN_SYNTHETIC_H

#include "worker/train/dataset.h"

enum { SYNTHETIC_TEST = 2000 }; /* images; of the training split: data_kind_images */

/* Image i of a split has label i % 10 and depends on (seed, split, i) alone. On failure the caller releases `d`. */
MUST_CHECK int synthetic_draw(struct dataset *d, int split, uint64_t seed, struct err *e);

#endif
