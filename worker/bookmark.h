/*
 * bookmark - the file beside a local training's output that says where to go on: SHA-256 of the packed WORK
 * message, scale of the learning rates (f64), epoch (u32), both little-endian, then the state as fit.h encodes it.
 */
#ifndef WORKER_BOOKMARK_H
#define WORKER_BOOKMARK_H

#include "common/base/buf.h"
#include "common/base/hash.h"

struct bookmark {
    double lr_scale;
    int epoch;
    struct hash hash; /* of the state's bytes */
    bool is_open;     /* fd: a file of those bytes in memory, so that they have a path */
    int fd;
    char path[64];
};

/* Replaces the file in one step. */
MUST_CHECK int bookmark_write(const char *path, const struct hash *work, double lr_scale, int epoch,
                              const struct buf *state, struct err *e);

/* 1: *b is what the file says; 0: there is no file. ERR_INVALID when it is of another work or not a bookmark. */
MUST_CHECK int bookmark_open(struct bookmark *b, const char *path, const struct hash *work, struct err *e);
void bookmark_close(struct bookmark *b); /* a zeroed one is fine */

#endif
