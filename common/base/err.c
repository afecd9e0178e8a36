#include "common/base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One error is one line, whatever a file or a peer put into it. */
static void flatten(char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < ' ' || *s == 127)
            *s = '?';
}

int err_set(struct err *e, enum err_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    flatten(e->text);
    e->code = code;
    return code;
}

int err_wrap(struct err *e, const char *fmt, ...)
{
    char was[sizeof(e->text)];
    memcpy(was, e->text, sizeof(was));
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(e->text, sizeof(e->text), fmt, ap);
    va_end(ap);
    size_t n = strlen(e->text);
    snprintf(e->text + n, sizeof(e->text) - n, ": %s", was);
    flatten(e->text);
    return e->code;
}

void err_bug(const char *file, int line, const char *fmt, ...)
{
    fprintf(stderr, "BUG at %s:%d: ", file, line);
    va_list ap;
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    abort();
}
