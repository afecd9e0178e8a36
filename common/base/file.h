/*
 * file - whole files in and out. Writes go to PATH.part first and are renamed, so nothing half-written stays behind.
 */
#ifndef COMMON_BASE_FILE_H
#define COMMON_BASE_FILE_H

#include <stdint.h>

#include "common/base/buf.h"

/* Appends the file's bytes to `out`. ERR_LIMIT when it is larger than `most`, ERR_INVALID when it isn't a regular file. */
MUST_CHECK int file_read(const char *path, uint64_t most, struct buf *out, struct err *e);

/* Replaces the file in one step; the data is on disk when it returns. */
MUST_CHECK int file_write(const char *path, const void *p, size_t n, struct err *e);

/* Makes a folder and those above it; one that is there is fine. */
MUST_CHECK int file_mkdirs(const char *path, struct err *e);

/* "DIR/NAME", or NAME alone when it is absolute; the caller frees it. */
char *file_join(const char *dir, const char *name);

#endif
