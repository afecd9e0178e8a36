/*
 * recipe - all that a worker needs to know to turn candidates of one search into numbers, apart from the blobs it
 * names. Part of every WORK message; fixed-size, so that it can be copied and compared.
 */
#ifndef PROTO_RECIPE_H
#define PROTO_RECIPE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/training.h"

enum data_kind { DATA_CIFAR10, DATA_CIFAR100, DATA_IDX, DATA_SYNTHETIC, DATA_IMAGES, DATA_KINDS };
enum cut_kind { CUT_CHANNELS, CUT_FINE, CUT_KINDS }; /* what a search cuts: common/model/groups.h, fine.h */
enum select_kind { SELECT_GRAM, SELECT_L1, SELECT_KINDS };

#define RECIPE_MAX_FILES 8
#define RECIPE_NAME      64 /* with its NUL */
#define RECIPE_MAX_RESIZE 4096
#define RECIPE_MAX_OFFSET 1000 /* of images' classes */

struct data_file {
    char name[RECIPE_NAME]; /* as in the set, such as "data_batch_1.bin"; a plain name, never a path */
    struct hash hash;
    uint64_t size; /* bytes */
};

struct recipe {
    uint64_t seed;
    struct hash model; /* the dense ONNX file */
    enum data_kind data;
    struct data_file files[RECIPE_MAX_FILES];
    int n_files;
    double mean[4], std[4]; /* x = (pixel - mean) / std, pixels 0..255, a number a channel */
    int n_channels;         /* 1..4: numbers in mean and std; 0: mean 0, std 1 */
    int reward, calibrate;  /* images carved from the training set */
    enum cut_kind cut;
    enum select_kind select;
    bool reconstruct, recalibrate; /* of CUT_FINE never reconstruct */
    enum precision precision;  /* of scoring, recalibration and training; Gram matrices and the test set: fp32 */
    struct training finetune;  /* inside each evaluation, on the training images that aren't in the reward split */
    struct training finish;    /* of finalists and training jobs, on all training images */
    int resize; /* images: pixels of the shorter side before the evaluation's crop; 0: the usual ones for the input */
    int offset; /* images: added to each class, for networks with a background class before the others */
};

const char *data_kind_name(enum data_kind k);
bool data_kind_from_name(const char *s, enum data_kind *k);

/* One of the files that a data set is made of. */
struct set_file {
    const char *name;
    uint64_t bytes; /* the size that it has, 0: any */
};
/* The files of a kind's training or test split; the last is followed by one without a name. Synthetic has none.
 * Images have an index for both, and the parts that it names by their hash. */
const struct set_file *data_kind_files(enum data_kind k, bool test);
/* Images of the training split; 0: the files say. */
int data_kind_images(enum data_kind k);

const char *cut_kind_name(enum cut_kind k); /* "channels" "fine" */
bool cut_kind_from_name(const char *s, enum cut_kind *k);

const char *select_kind_name(enum select_kind k);
bool select_kind_from_name(const char *s, enum select_kind *k);

#endif
