#include "common/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"

static struct {
    const char *program;
    enum log_level least;
} sink = {"espalier", LOG_INFO};

void log_init(const char *program, enum log_level least)
{
    sink.program = program;
    sink.least = least;
}

void log_line(enum log_level level, const char *event, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < sink.least)
        return;
    char when[32], line[2048];
    clock_wall_text(when);
    int n = snprintf(line, sizeof(line), "%s %s %s %s ", when, names[level], sink.program, event);
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(line + n, sizeof(line) - (size_t)n - 1, fmt, ap);
    va_end(ap);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ')
            *p = ' ';
    strcat(line, "\n"); /* one byte was kept for it */
    if (write(STDERR_FILENO, line, strlen(line)) < 0)
        return; /* nowhere left to say it */
}
