/*
 * dataset - labelled images as bytes, and how they become the network's input.
 *
 *   cifar10    data_batch_1..5.bin, test_batch.bin: records of 1 label byte + 3072 pixel bytes (3,32,32)
 *   cifar100   train.bin, test.bin: 1 coarse + 1 fine label byte + 3072 pixel bytes; the fine label counts
 *   idx        train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-...: the MNIST family (1,H,W)
 *   synthetic  no files: ten classes drawn from the seed, (3,32,32), see synthetic.h
 *   images     JPEG and PNG files, decoded when they are asked for, see pictures.h
 *
 * A file that is truncated, missing or oversized is refused with its name and byte counts.
 */
#ifndef WORKER_TRAIN_DATASET_H
#define WORKER_TRAIN_DATASET_H

#include "proto/recipe.h"
#include "worker/train/pictures.h"

enum { SPLIT_TRAIN, SPLIT_TEST, SPLITS };

struct dataset {
    int n;           /* images */
    int C, H, W;
    int n_classes;
    uint8_t *pixels; /* (n,C,H,W) */
    uint8_t *labels; /* (n) */
    struct pictures *pictures; /* of images, borrowed; pixels and labels are NULL then */
    int *place;                /* (n) in `pictures` */
};

/* Of any kind but images. paths: one for each of the split's data_kind_files, in order. `seed` matters to synthetic alone. */
MUST_CHECK int dataset_load(struct dataset *d, enum data_kind kind, int split, const char *const *paths, uint64_t seed,
                            struct err *e);
/* The n images at `place` (copied; NULL: 0 ... n-1) of `pictures`. */
MUST_CHECK int dataset_of_pictures(struct dataset *d, struct pictures *pictures, const int *place, int n,
                                   struct err *e);
void dataset_release(struct dataset *d);

/* The class of image i. */
int dataset_label(const struct dataset *d, int i);

/*
 * x (n,C,H,W) = (pixel - mean[c]) / std[c] of images index[0..n-1]; mean, std one a channel, as in struct recipe; a NULL
 * stands for mean 0, std 1. At most 4 channels. Only images that can't be decoded make it fail.
 */
MUST_CHECK int dataset_fill(const struct dataset *d, const int *index, int n, const double *mean, const double *std,
                            float *x, struct err *e);

/* What a byte stands for: table[v] = (v - mean[c]) / std[c]. */
void dataset_table(int c, const double *mean, const double *std, float table[256]);

/* Carves the training set by seed: `reward` and `calibrate` image indices (distinct, ascending within each list). ERR_INVALID when there are too few. */
MUST_CHECK int dataset_carve(const struct dataset *d, uint64_t seed, int reward, int calibrate, int *reward_index,
                             int *calibrate_index, struct err *e);

#endif
