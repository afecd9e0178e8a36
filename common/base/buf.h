/*
 * buf - growable bytes with a limit. Zeroed is empty and valid; buf_release returns it to that.
 * Appending aborts only when memory is gone (see mem.h); use buf_reserve where the size comes from outside.
 */
#ifndef COMMON_BASE_BUF_H
#define COMMON_BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

struct buf {
    uint8_t *p; /* n bytes, then one NUL that isn't counted, so that text can be printed */
    size_t n, cap;
};

void buf_append(struct buf *b, const void *p, size_t n);
void buf_text(struct buf *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
void buf_clear(struct buf *b); /* keeps the storage */
void buf_release(struct buf *b);

/* Room for `cap` bytes in all; ERR_NOMEM when that isn't to be had. */
MUST_CHECK int buf_reserve(struct buf *b, size_t cap, struct err *e);

#endif
