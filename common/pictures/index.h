/*
 * index - what a set of picture files consists of: each file's name, class and size, and how the files, one after
 * the other in this order, make up parts of about PICTURES_PART_BYTES. The bytes of the index name the parts by
 * their hash, so the hash of the index stands for the whole set.
 *
 *   "ESPPIC01"  u32 flags (1: split, 2: folders)  u32 n_classes  u32 n_train  u32 n_test  u32 n_parts  u32 bytes of
 * names n_parts times   32 bytes SHA-256   u32 pictures n times         u32 size   u32 class   u32 bytes of its
 * name the names, without anything between them
 *
 * All numbers are little-endian. A part's size is the sum of its pictures' sizes.
 */
#ifndef COMMON_PICTURES_INDEX_H
#define COMMON_PICTURES_INDEX_H

#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/hash.h"

#define PICTURES_MAX         10000000 /* files of a set */
#define PICTURES_MAX_CLASSES 100000
#define PICTURES_MAX_NAME    1024                /* with its NUL */
#define PICTURES_MAX_FILE    (64 << 20)          /* bytes of one file */
#define PICTURES_PART_BYTES  (64 << 20)          /* a part ends before the file that would make it larger */
#define PICTURES_MAX_INDEX   (UINT64_C(1) << 30) /* bytes */

struct picture {
    const char *name; /* relative to the set's folder, such as "train/cat/17.jpg"; never leads out of it */
    uint32_t size;    /* bytes, not 0 */
    uint32_t label;   /* class, from 0 */
    uint32_t part;
    uint64_t offset; /* in its part */
};

struct picture_part {
    struct hash hash;
    uint64_t size;
    uint32_t first, n; /* pictures */
};

struct picture_index {
    bool split;    /* there are a training and a test part; else all pictures stand for both, and n_test is 0 */
    bool folders;  /* a folder a class: n_classes is how many there are, not just one more than the largest seen */
    int n_classes; /* every label is less */
    int n, n_test; /* pictures; the last n_test are the test part */
    struct picture *pictures;
    int n_parts;
    struct picture_part *parts;
    char *names; /* storage of all names */
};

/* Shares out the pictures among parts, whose hashes stay zero. */
void picture_index_share_out(struct picture_index *x);
void picture_index_encode(const struct picture_index *x, struct buf *out);
/* ERR_INVALID or ERR_LIMIT with what is wrong and where; `x` is empty then. */
MUST_CHECK int picture_index_decode(struct picture_index *x, const void *bytes, size_t n, struct err *e);
void picture_index_release(struct picture_index *x); /* zeroed is fine */

/*
 * Whether a network with these channels and outputs can be scored on the set, `offset` being added to each class:
 * ERR_INVALID with both numbers. Folders of classes must be as many as the outputs; a label file may leave some
 * out.
 */
MUST_CHECK int picture_index_suits(const struct picture_index *x, int offset, int channels, int outputs,
                                   struct err *e);

/* A relative path without "." and ".." in it and without control characters. */
bool picture_name_is_plain(const char *s);

#endif
