#include "coordinator/cli/table.h"

#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "coordinator/cli/term.h"

#define GAP       2
#define LEAST_CUT 8 /* columns that a flexible one always keeps */

void table_cell(struct table *t, const char *fmt, ...)
{
    char s[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s, sizeof(s), fmt, ap);
    va_end(ap);
    if (t->n == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 64;
        t->cells = xrealloc(t->cells, (size_t)t->cap * sizeof(*t->cells));
    }
    for (char *p = s; *p; p++) /* whatever a name holds, a row is a line */
        if ((unsigned char)*p < ' ' || *p == 127)
            *p = '?';
    t->cells[t->n++] = xstrdup(s);
}

static void measure(const struct table *t, int *widths)
{
    for (int c = 0; c < t->n_columns; c++)
        widths[c] = (int)term_cells(t->columns[c].title);
    for (int i = 0; i < t->n; i++) {
        int w = (int)term_cells(t->cells[i]);
        if (w > widths[i % t->n_columns])
            widths[i % t->n_columns] = w;
    }
}

/* Takes from the widest flexible column until it fits, or there is nothing left to take. */
static void squeeze(const struct table *t, int *widths, int most)
{
    int sum = GAP * (t->n_columns - 1);
    for (int c = 0; c < t->n_columns; c++)
        sum += widths[c];
    while (sum > most) {
        int widest = -1;
        for (int c = 0; c < t->n_columns; c++)
            if (t->columns[c].kind == COLUMN_FLEXIBLE && widths[c] > LEAST_CUT &&
                (widest < 0 || widths[c] > widths[widest]))
                widest = c;
        if (widest < 0)
            return;
        widths[widest]--;
        sum--;
    }
}

/* The first `cells` columns of a text, its last one replaced by a dot when there is more. */
static void append_cut(struct buf *out, const char *s, int cells)
{
    bool cut = (int)term_cells(s) > cells;
    int left = cut ? cells - 2 : cells;
    for (; *s; s++) {
        if (((unsigned char)*s & 0xc0) != 0x80 && left-- <= 0)
            break;
        buf_append(out, s, 1);
    }
    if (cut)
        buf_text(out, "..");
}

static void append_cell(const struct table *t, int c, const char *s, int width, struct buf *out)
{
    int pad = width - (int)term_cells(s);
    bool right = t->columns[c].kind == COLUMN_NUMBER;
    if (c > 0)
        buf_text(out, "%*s", GAP, "");
    if (right && pad > 0)
        buf_text(out, "%*s", pad, "");
    append_cut(out, s, width);
    if (!right && pad > 0 && c < t->n_columns - 1)
        buf_text(out, "%*s", pad, "");
}

void table_text(const struct table *t, int width, struct buf *out)
{
    int widths[TABLE_MAX_COLUMNS];
    if (t->n_columns > TABLE_MAX_COLUMNS || t->n % t->n_columns != 0)
        BUG("table of %d columns with %d cells", t->n_columns, t->n);
    measure(t, widths);
    if (width > 0)
        squeeze(t, widths, width);
    for (int c = 0; c < t->n_columns; c++)
        append_cell(t, c, t->columns[c].title, widths[c], out);
    buf_text(out, "\n");
    for (int i = 0; i < t->n; i++) {
        int c = i % t->n_columns;
        append_cell(t, c, t->cells[i], widths[c], out);
        if (c == t->n_columns - 1)
            buf_text(out, "\n");
    }
}

void table_release(struct table *t)
{
    for (int i = 0; i < t->n; i++)
        free(t->cells[i]);
    free(t->cells);
    t->cells = NULL;
    t->n = t->cap = 0;
}

void table_print(const struct table *t)
{
    struct buf b = {0};
    table_text(t, isatty(STDOUT_FILENO) ? term_width() : 0, &b);
    fwrite(b.p, 1, b.n, stdout);
    buf_release(&b);
}
