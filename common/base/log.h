/*
 * log - one line an event on stderr: time, level, event, key=value pairs. The level and the program's name are
 * the only global state of the program besides its stop flag.
 *
 *   log_info("leased", "search=%d episode=%d worker=%s", id, e, name);
 */
#ifndef COMMON_BASE_LOG_H
#define COMMON_BASE_LOG_H

#include <syslog.h> /* czmq.h brings it: two of its macros have our names, so they go before ours are made */

#include "common/base/err.h"

#undef LOG_DEBUG
#undef LOG_INFO
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

void log_init(const char *program, enum log_level least);
void log_line(enum log_level level, const char *event, const char *fmt, ...) PRINTF_LIKE(3, 4);

#define log_debug(event, ...) log_line(LOG_DEBUG, event, __VA_ARGS__)
#define log_info(event, ...)  log_line(LOG_INFO, event, __VA_ARGS__)
#define log_warn(event, ...)  log_line(LOG_WARN, event, __VA_ARGS__)
#define log_error(event, ...) log_line(LOG_ERROR, event, __VA_ARGS__)

#endif
