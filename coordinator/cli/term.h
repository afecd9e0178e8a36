/*
 * term - what the terminal can do, and numbers as people read them.
 */
#ifndef COORDINATOR_CLI_TERM_H
#define COORDINATOR_CLI_TERM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool term_is(int fd);                /* a terminal that can redraw: not piped, not TERM=dumb */
int term_width(void);                /* columns of standard output; 80 when nobody says */
bool term_colour(void);              /* on standard output: a terminal, and no NO_COLOR */
size_t term_cells(const char *utf8); /* columns that a text takes: one a code point */

#define TERM_TEXT 32
/* All write into s and return it. */
const char *term_count(char s[TERM_TEXT], double x);           /* "62.7M" */
const char *term_percent(char s[TERM_TEXT], double fraction);  /* "91.73%"; "-" when negative */
const char *term_points(char s[TERM_TEXT], double difference); /* of fractions: "-0.42" percentage points */
const char *term_duration(char s[TERM_TEXT], double seconds);  /* "48 s", "3 min 20 s", "2 h 5 min" */

#endif
