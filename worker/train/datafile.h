/*
 * datafile - one file of a data set, whole, with errors that begin with its name in the set ("data_batch_3.bin");
 * where it lies on this machine (a cache names it by its hash) is said only when it can't be opened.
 */
#ifndef WORKER_TRAIN_DATAFILE_H
#define WORKER_TRAIN_DATAFILE_H

#include <stdint.h>

#include "common/base/buf.h"

/* Appends the bytes to `out`; ERR_INVALID unless there are exactly `size`. */
MUST_CHECK int datafile_read(const char *name, const char *path, uint64_t size, struct buf *out, struct err *e);

/* Appends the bytes, between `least` and `most` of them. */
MUST_CHECK int datafile_read_between(const char *name, const char *path, uint64_t least, uint64_t most,
                                     struct buf *out, struct err *e);

#endif
