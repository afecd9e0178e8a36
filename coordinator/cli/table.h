/*
 * table - rows of texts in columns that fit the terminal: numbers to the right, the widest flexible column cut
 * where there isn't room.
 */
#ifndef COORDINATOR_CLI_TABLE_H
#define COORDINATOR_CLI_TABLE_H

#include <stdio.h>

#include "common/base/buf.h"

#define TABLE_MAX_COLUMNS 16

enum column_kind { COLUMN_TEXT, COLUMN_NUMBER, COLUMN_FLEXIBLE /* a text that may be cut */ };

struct column {
    const char *title;
    enum column_kind kind;
};

struct table {                    /* zeroed but for `columns` and `n_columns` */
    const struct column *columns; /* borrowed */
    int n_columns;
    char **cells; /* (n), row after row */
    int n, cap;
};

/* The next cell, row after row; the text is copied. */
void table_cell(struct table *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Appends the titles and rows, at most `width` columns a line (0: as wide as it gets). */
void table_text(const struct table *t, int width, struct buf *out);
void table_release(struct table *t);

/* To standard output: as wide as the terminal, or whole when it isn't one. */
void table_print(const struct table *t);

#endif
