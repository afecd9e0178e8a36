/*
 * idx - the files of the MNIST family (http://yann.lecun.com/exdb/mnist): big-endian magic number and dimensions,
 * then bytes. Images have any height and width; how many classes there are isn't in the files, so the largest label
 * says it.
 */
#ifndef WORKER_TRAIN_IDX_H
#define WORKER_TRAIN_IDX_H

#include "worker/train/dataset.h"

/* paths: images, labels. On failure the caller releases `d`. */
MUST_CHECK int idx_load(struct dataset *d, int split, const char *const *paths, struct err *e);

#endif
