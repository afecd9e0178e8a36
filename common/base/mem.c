#include "common/base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *whole(void *p)
{
    if (!p) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return p;
}

void *xmalloc(size_t n)
{
    return whole(malloc(n ? n : 1));
}

void *xcalloc(size_t count, size_t size)
{
    return whole(calloc(count ? count : 1, size ? size : 1));
}

void *xrealloc(void *p, size_t n)
{
    return whole(realloc(p, n ? n : 1));
}

char *xstrdup(const char *s)
{
    return whole(strdup(s));
}

char *xasprintf(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        BUG("bad format \"%s\"", fmt);
    char *s = xmalloc((size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

bool mem_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

void *mem_alloc(size_t count, size_t size)
{
    size_t n;
    void *p = NULL;
    if (!mem_mul(count, size, &n) || posix_memalign(&p, 64, n ? n : 1) != 0)
        return NULL;
    return p;
}

void *mem_zalloc(size_t count, size_t size)
{
    void *p = mem_alloc(count, size);
    if (p)
        memset(p, 0, count * size);
    return p;
}

void *mem_dup(const void *src, size_t count, size_t size)
{
    void *p = mem_alloc(count, size);
    if (p && count > 0 && size > 0)
        memcpy(p, src, count * size);
    return p;
}

void mem_free(void *p)
{
    free(p);
}
