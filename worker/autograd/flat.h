/*
 * flat - a value as a few runs of numbers in which the channels repeat: all pixels of a channels-last value are one
 * run, each panel of a blocked one is a run. The period is the least common multiple of the lanes and FLAT_BLOCK,
 * so that loops go by whole vectors whatever the number of channels; a number a channel is expanded to a whole
 * period.
 */
#ifndef WORKER_AUTOGRAD_FLAT_H
#define WORKER_AUTOGRAD_FLAT_H

#include "worker/engine/layout.h"

#define FLAT_BLOCK 64

struct flat {
    size_t runs, length; /* numbers in a run; run r belongs to panel r % panels */
    int panels;
    size_t period;
    int C, lanes;
    enum dtype type;
};

struct flat flat_of(const struct layout *l);

size_t flat_width(const struct flat *f); /* numbers in an expanded array: panels * period */

/* Where the i-th number of a row has its place in an expanded array. In bf16, of 32 numbers those at even places
 * come first, since two numbers share a word. */
size_t flat_place(size_t i, enum dtype type);

/* out (width) from one number a channel; lanes of padding get zero, any NaN becomes the usual one. */
void flat_expand(const struct flat *f, const float *of_channel, float *out);

/* Adds up an expanded array of sums into one a channel. */
void flat_fold(const struct flat *f, const double *expanded, double *of_channel);

#endif
