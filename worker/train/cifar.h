/*
 * cifar - the binary versions of CIFAR-10 and CIFAR-100: records of label bytes and 3072 pixel bytes, R then G then
 * B, row by row (https://www.cs.toronto.edu/~kriz/cifar.html).
 */
#ifndef WORKER_TRAIN_CIFAR_H
#define WORKER_TRAIN_CIFAR_H

#include "worker/train/dataset.h"

/* kind: DATA_CIFAR10 or DATA_CIFAR100. On failure the caller releases `d`. */
MUST_CHECK int cifar_load(struct dataset *d, enum data_kind kind, int split, const char *const *paths,
                          struct err *e);

#endif
