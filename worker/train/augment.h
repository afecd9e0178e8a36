/*
 * augment - what happens to a training image on its way into a batch: crop of the zero-padded image, or, of picture
 * files, a rectangle of random size and proportions resized to the network's input (Szegedy et al. 2015);
 * left-right flip, cutout (DeVries and Taylor 2017), normalisation. Zeros of padding and cutout are zeros of the
 * normalised image, as is usual. Every draw comes from (seed, "augment", epoch and place in the epoch), so a run
 * that goes on from a checkpoint sees the same pictures.
 */
#ifndef WORKER_TRAIN_AUGMENT_H
#define WORKER_TRAIN_AUGMENT_H

#include "proto/training.h"
#include "worker/train/dataset.h"

struct augment {
    int pad;
    bool flip;
    int cutout;
    double scale[2]; /* of picture files, which have no `pad`: the rectangle's share of the image, least and most;
                      * 0, 0: the evaluation's crop */
};

/* Whether an image looks the same each time but for a flip: then a teacher's logits can be kept. */
bool augment_few(const struct augment *a);

/* x (C,H,W) = image `index` of d as it looks at place `at` of epoch `epoch`; mean, std as in dataset_fill. *flipped
 * (may be NULL) says whether it was. Only a picture file that can't be decoded makes it fail. */
MUST_CHECK int augment_image(const struct augment *a, const struct dataset *d, int index, const double *mean,
                             const double *std, uint64_t seed, int epoch, int at, float *x, bool *flipped,
                             struct err *e);

#endif
