/*
 * crew - the coordinator and the workers that `up` runs in a place.
 */
#ifndef COORDINATOR_CLI_CREW_H
#define COORDINATOR_CLI_CREW_H

#include "coordinator/cli/place.h"

#define CREW_COORDINATOR "espalierd"

/* Runs espalierd unless it runs, and waits until it serves. `moved`: workers of before don't find it where it is
 * now. */
MUST_CHECK int crew_coordinator(const struct place *p, const char *conninfo, bool *started, bool *moved,
                                struct err *e);

void crew_worker_name(int k, char name[32]); /* k from 1: its program name in the place */

/* Starts those of 1 ... n that don't run, with so many threads each, stops those over n, and waits until all are
 * connected. */
struct crew_change {
    int started, stopped;
    bool is_new[PLACE_MAX_WORKERS + 1]; /* index k: started by this call */
};
MUST_CHECK int crew_workers(const struct place *p, int n, int threads, struct crew_change *change, struct err *e);

/* All workers; how many there were, or -1 when one can't be ended. */
int crew_stop_workers(const struct place *p, int from);

#endif
