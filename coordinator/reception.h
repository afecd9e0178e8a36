/*
 * reception - what workers say, to whom it goes: hello and goodbye to the fleet, reports to the scheduler, pieces
 * of blobs to blobs. Who hasn't said hello is told so; who sends nonsense again and again is shut out until it is
 * silent.
 */
#ifndef COORDINATOR_RECEPTION_H
#define COORDINATOR_RECEPTION_H

#include "coordinator/blobs.h"
#include "coordinator/scheduler.h"

struct reception {
    struct scheduler *scheduler; /* all borrowed */
    struct fleet *fleet;
    struct blobs *blobs;
    struct bus *bus;
    uint32_t beat_ms, lease_ms; /* told to workers */
    int64_t complained_ns;      /* zero: when a stranger's nonsense was last logged */
};

/* The bus's handlers; arg is a struct reception. */
void reception_message(void *arg, const struct peer *from, struct message *m);
void reception_bad(void *arg, const struct peer *from, const char *why);

#endif
