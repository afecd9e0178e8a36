/*
 * png - PNG files, on libpng: palettes and grey become RGB, 16 bits keep their upper 8, transparency is dropped,
 * gamma isn't looked at.
 */
#ifndef WORKER_TRAIN_PNG_H
#define WORKER_TRAIN_PNG_H

#include <stddef.h>

#include "worker/train/rows.h"

/* ERR_INVALID with libpng's words for what is broken or ends early; ERR_LIMIT as rows_check. */
MUST_CHECK int png_rows(const uint8_t *bytes, size_t n, const struct rows *to, struct err *e);

#endif
