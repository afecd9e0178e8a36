/*
 * clock - deadlines run on the monotonic clock, in int64_t nanoseconds with _ns in the name; wall time is for
 * rows and logs only.
 */
#ifndef COMMON_BASE_CLOCK_H
#define COMMON_BASE_CLOCK_H

#include <stddef.h>
#include <stdint.h>

#define NS_PER_MS INT64_C(1000000)
#define NS_PER_S  INT64_C(1000000000)

int64_t clock_mono_ns(void);
/* What the calling thread has had of a CPU: stands still while another has it. */
int64_t clock_thread_ns(void);
void clock_sleep_ns(int64_t ns);

/* "2026-11-23T01:24:05.123Z" into s[32]. */
void clock_wall_text(char s[32]);

#endif
