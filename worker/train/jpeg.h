/*
 * jpeg - JPEG files, on libjpeg: the accurate integer DCT, colour at full resolution; grey becomes RGB, CMYK
 * (stored inverted, as Adobe's programs do) is converted without a colour profile. How a camera was held (EXIF) is
 * not looked at.
 */
#ifndef WORKER_TRAIN_JPEG_H
#define WORKER_TRAIN_JPEG_H

#include <stddef.h>

#include "worker/train/rows.h"

/* ERR_INVALID with libjpeg's words for what is broken or ends early; ERR_LIMIT as rows_check. */
MUST_CHECK int jpeg_rows(const uint8_t *bytes, size_t n, const struct rows *to, struct err *e);

#endif
