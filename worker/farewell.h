/*
 * farewell - SIGTERM and SIGINT in a program whose work is on disk: it stops at the next chance, or within a second
 * wherever it is, and says a last line. A second signal doesn't wait at all.
 */
#ifndef WORKER_FAREWELL_H
#define WORKER_FAREWELL_H

#include <stdbool.h>

#include "common/base/err.h"

MUST_CHECK int farewell_catch(struct err *e); /* from now on; once in a program's life */
bool farewell_due(void);                      /* a signal came: end the work with ERR_CANCELLED */

/* The last line, with its end of line; may be called again at any time. */
void farewell_prepare(const char *fmt, ...) PRINTF_LIKE(1, 2);
void farewell_say(void); /* to stderr */

/* Whether a bar stands on stdout's last line, which the last line must not be joined to. */
void farewell_bar(bool there);

#endif
