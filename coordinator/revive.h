/*
 * revive - at the program's start: every search that isn't over, from its rows and its model's bytes to what it was
 * when the last coordinator stopped. Reading the rows blocks; models come through the loop, one after the other.
 */
#ifndef COORDINATOR_REVIVE_H
#define COORDINATOR_REVIVE_H

#include "coordinator/scheduler.h"

struct revival;

/* `ready` runs from the loop when the scheduler has all searches, however many those are. Attempts that were under
 * way stay their workers' for grace_ns. A search that can't be brought back is FAILED with the reason. */
MUST_CHECK int revive(struct revival **r, zloop_t *loop, struct scheduler *sch, int64_t grace_ns,
                      void (*ready)(void *arg), void *arg, struct err *e);
void revival_free(struct revival *r); /* NULL is fine; after the loop has ended */

#endif
