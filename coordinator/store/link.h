/*
 * link - one connection to PostgreSQL inside the loop: made without blocking, and made again after it broke, with a
 * back-off that grows to some seconds and jitter, so that many coordinators don't come back at once.
 *
 * (Host names are looked up by libpq, and that does block; an address in the conninfo doesn't.)
 */
#ifndef COORDINATOR_STORE_LINK_H
#define COORDINATOR_STORE_LINK_H

#include <czmq.h>
#include <libpq-fe.h>

#include "common/base/err.h"

enum link_state { LINK_DOWN, LINK_CONNECTING, LINK_UP };

struct link {
    zloop_t *loop;
    zloop_fn *on_event; /* when the socket has something to say */
    void *arg;
    const char *conninfo; /* borrowed */
    enum link_state state;
    PGconn *conn;        /* NULL when down */
    zmq_pollitem_t item; /* fd and the events that are waited for; fd -1: none */
    int failures;        /* since it was last known to be good */
    int64_t due_ns;      /* DOWN: when to try again; CONNECTING: when to give up */
};

void link_init(struct link *l, zloop_t *loop, const char *conninfo, zloop_fn *on_event, void *arg);
void link_close(struct link *l);

/* Takes over a connection that was made elsewhere. */
MUST_CHECK int link_adopt(struct link *l, PGconn *conn, struct err *e);

/* Goes on with connecting: begins when it is time to, ends it when it takes too long. True when the link has just
 * come up. */
bool link_step(struct link *l);

/* Closes it, to be made again after the back-off; the reason goes to the log. */
void link_drop(struct link *l, const char *reason);
/* The session works: the next failure is the first. */
void link_good(struct link *l);

/* Waits for input, and for room to write when something is left to write. */
void link_wait(struct link *l, bool more_to_write);

/* How long to wait before the next try after so many failures: 100 ms, doubled each time up to 5 s, times 0.5
 * to 1.5. */
int64_t link_backoff_ns(int failures);

/* A blocking connection, for the start of the program; PQfinish it. NULL when there is none within connect_timeout.
 */
MUST_CHECK PGconn *link_dial(const char *conninfo, struct err *e);
/* Whether a server is there at all; blocking likewise. */
PGPing link_ping(const char *conninfo);

#endif
