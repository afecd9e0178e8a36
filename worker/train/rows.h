/*
 * rows - where a decoder hands an image's rows as they come, so that no decoder needs room for all of them.
 */
#ifndef WORKER_TRAIN_ROWS_H
#define WORKER_TRAIN_ROWS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/err.h"

#define ROWS_MAX_SIDE 20000 /* pixels */
#define ROWS_MAX_AREA (100 * 1000 * 1000)
#define ROWS_MAX_HELD (25 * 1000 * 1000) /* of a progressive or interlaced image, which is held as a whole */

struct rows {
    int (*begin)(void *arg, int H, int W, struct err *e);          /* once, before the first row */
    void (*row)(void *arg, int h, const uint8_t *rgb /* (W,3) */); /* 0 ... H-1 */
    void *arg;
};

/* ERR_LIMIT for more pixels than are accepted; ERR_INVALID for none. held: all rows come at once. */
MUST_CHECK int rows_check(unsigned long H, unsigned long W, bool held, struct err *e);

#endif
