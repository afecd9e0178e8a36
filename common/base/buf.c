#include "common/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static void grow(struct buf *b, size_t more)
{
    size_t want = b->n + more + 1;
    if (want <= b->cap)
        return;
    size_t cap = b->cap * 2 > want ? b->cap * 2 : want;
    b->p = xrealloc(b->p, cap);
    b->cap = cap;
}

void buf_append(struct buf *b, const void *p, size_t n)
{
    grow(b, n);
    if (n)
        memcpy(b->p + b->n, p, n);
    b->n += n;
    b->p[b->n] = 0;
}

void buf_text(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        BUG("bad format \"%s\"", fmt);
    grow(b, (size_t)n);
    va_start(ap, fmt);
    vsnprintf((char *)b->p + b->n, (size_t)n + 1, fmt, ap);
    va_end(ap);
    b->n += (size_t)n;
}

void buf_clear(struct buf *b)
{
    b->n = 0;
    if (b->p)
        b->p[0] = 0;
}

void buf_release(struct buf *b)
{
    free(b->p);
    *b = (struct buf){0};
}

int buf_reserve(struct buf *b, size_t cap, struct err *e)
{
    if (cap < b->cap)
        return 0;
    uint8_t *p = cap == SIZE_MAX ? NULL : realloc(b->p, cap + 1);
    if (!p)
        return err_set(e, ERR_NOMEM, "could not get %zu bytes of memory", cap);
    b->p = p;
    b->cap = cap + 1;
    b->p[b->n] = 0;
    return 0;
}
