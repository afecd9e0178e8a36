/*
 * labels - a label file: a line an image, "file,class", the file's name relative to the folder of the label file,
 * its class as a number from 0. A first line whose class is no number is a heading; further columns are passed
 * over.
 */
#ifndef COMMON_PICTURES_LABELS_H
#define COMMON_PICTURES_LABELS_H

#include <stdint.h>

#include "common/base/err.h"

struct label {
    char *file;
    uint32_t label;
    int line;
};

struct labels { /* in the order of the lines */
    struct label *of;
    int n;
};

/* ERR_INVALID with the file, the line and the value: a class that is none, a name that leads out of the folder or
 * stands twice. */
MUST_CHECK int labels_read(struct labels *l, const char *path, struct err *e);
void labels_release(struct labels *l); /* zeroed is fine */

#endif
