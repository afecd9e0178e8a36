/*
 * folder - a folder of JPEG and PNG files as a set of pictures with classes. Either of
 *
 *   DIR/CLASS/NAME.jpg   a folder a class, the classes numbered in the order of their names
 *   DIR/labels.csv       a label file, see labels.h
 *
 * or two of them, DIR/train and DIR/test (DIR/val where there is no test). The test part's classes are those of the
 * training part, by name. Hidden files are passed over, and in folders of classes files that by their names are no
 * pictures; what is called .jpg, .jpeg or .png must begin like one, and other formats are refused.
 */
#ifndef COMMON_PICTURES_FOLDER_H
#define COMMON_PICTURES_FOLDER_H

#include "common/pictures/index.h"

#define PICTURES_LABELS "labels.csv"

/* Looks at each file's size and first bytes. labels: the label files' name, which must be there then; NULL:
 * labels.csv where there is one. Parts get no hash. */
MUST_CHECK int picture_folder_scan(struct picture_index *x, const char *dir, const char *labels, struct err *e);

/* Appends the picture's bytes; ERR_INVALID when they aren't as many as the index says. */
MUST_CHECK int picture_folder_read(const char *dir, const struct picture *p, struct buf *out, struct err *e);

/* Replaces `out` by a whole part's bytes. */
MUST_CHECK int picture_folder_part(const struct picture_index *x, const char *dir, int part, struct buf *out,
                                   struct err *e);
/* Reads all files for the parts' hashes. */
MUST_CHECK int picture_folder_hash(struct picture_index *x, const char *dir, struct err *e);
/* ERR_INVALID when the folder's files aren't those of the index, which has hashes. */
MUST_CHECK int picture_folder_check(const struct picture_index *x, const char *dir, struct err *e);

#endif
