#include "coordinator/cli/term.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

bool term_is(int fd)
{
    const char *kind = getenv("TERM");
    return isatty(fd) && kind && strcmp(kind, "dumb") != 0;
}

int term_width(void)
{
    struct winsize w;
    const char *columns = getenv("COLUMNS");
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 0)
        return w.ws_col;
    int n = columns ? atoi(columns) : 0;
    return n > 0 ? n : 80;
}

bool term_colour(void)
{
    const char *no = getenv("NO_COLOR");
    return term_is(STDOUT_FILENO) && !(no && *no);
}

size_t term_cells(const char *utf8)
{
    size_t n = 0;
    for (; *utf8; utf8++)
        n += ((unsigned char)*utf8 & 0xc0) != 0x80;
    return n;
}

const char *term_count(char s[TERM_TEXT], double x)
{
    static const char units[] = " kMGT";
    int u = 0;
    while (fabs(x) >= 999.5 && u < 4) {
        x /= 1000;
        u++;
    }
    int digits = u == 0 ? 0 : fabs(x) < 9.995 ? 2 : fabs(x) < 99.95 ? 1 : 0;
    snprintf(s, TERM_TEXT, "%.*f%.*s", digits, x, u > 0, units + u);
    return s;
}

const char *term_percent(char s[TERM_TEXT], double fraction)
{
    if (fraction >= 0)
        snprintf(s, TERM_TEXT, "%.2f%%", 100 * fraction);
    else
        snprintf(s, TERM_TEXT, "-");
    return s;
}

const char *term_points(char s[TERM_TEXT], double difference)
{
    snprintf(s, TERM_TEXT, "%+.2f", fabs(difference) < 0.00005 ? 0.0 : 100 * difference);
    return s;
}

const char *term_duration(char s[TERM_TEXT], double seconds)
{
    long t = seconds < 0 ? 0 : seconds > 1e9 ? 1000000000 : lround(seconds);
    if (t < 60)
        snprintf(s, TERM_TEXT, "%ld s", t);
    else if (t < 3600)
        snprintf(s, TERM_TEXT, "%ld min %ld s", t / 60, t % 60);
    else
        snprintf(s, TERM_TEXT, "%ld h %ld min", t / 3600, t / 60 % 60);
    return s;
}
