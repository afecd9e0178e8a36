/*
 * mem - two allocation policies.
 *
 * Control-plane strings and lists use x*: they abort when memory is gone (all state is in PostgreSQL).
 * Whatever is sized by a model, a data set or a message uses mem_*: they return NULL, and the caller
 * fails that piece of work with ERR_NOMEM.
 */
#ifndef COMMON_BASE_MEM_H
#define COMMON_BASE_MEM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

void *xmalloc(size_t n);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t n);
char *xstrdup(const char *s);
char *xasprintf(const char *fmt, ...) PRINTF_LIKE(1, 2);

/* count * size bytes aligned to 64, or NULL (too large included); free with mem_free. */
void *mem_alloc(size_t count, size_t size);
void *mem_zalloc(size_t count, size_t size);
void *mem_dup(const void *p, size_t count, size_t size);
void mem_free(void *p); /* NULL is fine */

/* a * b into *out; false when it does not fit. */
bool mem_mul(size_t a, size_t b, size_t *out);

#endif
