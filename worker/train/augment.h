/*
 * augment - what happens to a training image on its way into a batch: crop of the zero-padded image, left-right flip,
 * cutout (DeVries and Taylor 2017), normalisation. Zeros of padding and cutout are zeros of the normalised image, as
 * is usual. Every draw comes from (seed, "augment", epoch and place in the epoch), so a run that goes on from a
 * checkpoint sees the same pictures.
 */
#ifndef WORKER_TRAIN_AUGMENT_H
#define WORKER_TRAIN_AUGMENT_H

#include "proto/training.h"
#include "worker/train/dataset.h"

struct augment {
    int pad;
    bool flip;
    int cutout;
};

/* Whether an image looks the same each time but for a flip: then a teacher's logits can be kept. */
bool augment_few(const struct augment *a);

/* x (C,H,W) = image `index` of d as it looks at place `at` of epoch `epoch`; mean, std as in dataset_fill. *flipped
 * (may be NULL) says whether it was. */
void augment_image(const struct augment *a, const struct dataset *d, int index, const double *mean,
                   const double *std, uint64_t seed, int epoch, int at, float *x, bool *flipped);

#endif
