/*
 * fleet - the workers that are connected: who said hello, when each was last heard, what it works on and how fast
 * it is.
 *
 * Names are unique among the connected. A hello under a name that is taken goes so: when the bearer holds the very
 * attempt that the newcomer says it is working on, or hasn't been heard for a beat and a half, the newcomer is the
 * same worker over a new connection and the fleet says whom it replaces; else it is another worker, and gets the
 * name with "-2", "-3" ... behind it. When nothing is heard of the bearer for a beat and a half after that, it was
 * killed and started again: it is displaced, and the newcomer inherits the name.
 *
 * Times are arguments (monotonic nanoseconds), so that tests need not wait.
 */
#ifndef COORDINATOR_FLEET_H
#define COORDINATOR_FLEET_H

#include <stddef.h>

#include "coordinator/peer.h"
#include "coordinator/task.h"

#define FLEET_MAX     10000 /* workers; hello is refused beyond */
#define FLEET_PATIENT 10    /* malformed messages until a worker is shut out */

struct worker {
    struct peer peer;
    char name[RECIPE_NAME], cpu[RECIPE_NAME], kernels[2 * RECIPE_NAME], host[RECIPE_NAME]; /* printable ASCII */
    uint32_t threads;
    int64_t connected_ns, heard_ns;
    struct peer rival; /* who last said hello under its name */
    int64_t rival_ns;  /* when; 0: nobody has */
    bool idle;         /* in the fleet's idle list */
    bool banned;       /* misbehaved: kept so that it can be ignored, until it is silent */
    int bad;           /* malformed messages so far */
    struct task *task; /* STARTING or LEASED, to this worker; NULL otherwise */
    char stage[RECIPE_NAME];
    uint64_t done, total;       /* of the stage, as the last beat says */
    int idle_beats;             /* in a row that named no task */
    uint64_t evaluations;       /* results on record since it connected */
    int64_t finished_ns[8];     /* the last of them, a ring */
    int puts, gets;             /* blob pieces under way for it */
    struct worker *prev, *next; /* private: in the idle list */
};

struct fleet;

struct fleet *fleet_new(int64_t beat_ns);
void fleet_free(struct fleet *f);

int fleet_count(const struct fleet *f);   /* without the banned */
int fleet_working(const struct fleet *f); /* with a task */

struct worker *fleet_find(const struct fleet *f, const struct peer *p); /* NULL: never said hello */
struct worker *fleet_first(struct fleet *f); /* any order; the fleet mustn't change in between */
struct worker *fleet_next(struct fleet *f);

/*
 * Makes (or, for a second hello over one connection, brings up to date) the peer's entry. `replaces`: the entry of
 * the same worker over an older connection, for the caller to take its task from and to drop; NULL otherwise.
 * ERR_LIMIT: full.
 */
MUST_CHECK int fleet_hello(struct fleet *f, const struct peer *p, const struct msg_hello *h, int64_t now_ns,
                           struct worker **w, struct worker **replaces, struct err *e);

void fleet_drop(struct fleet *f, struct worker *w); /* its task must be gone */
void fleet_ban(struct fleet *f, struct worker *w);  /* likewise */

/* Into and out of the idle list. Idle is who has no task and could take one; setting what is so already does
 * nothing. */
void fleet_set_idle(struct fleet *f, struct worker *w, bool idle);
struct worker *fleet_idle(const struct fleet *f); /* the one that has been idle longest, or NULL */
struct worker *fleet_idle_next(const struct worker *w); /* the one after it, or NULL */

/* Whether some worker of the host has a task: any, or only a quiet one (proto/message.h). A worker that doesn't say where it runs
 * has a host of its own. */
bool fleet_host_works(const struct fleet *f, const struct worker *w, bool quiet_only);

/* No word for three beats. */
bool fleet_silent(const struct fleet *f, const struct worker *w, int64_t now_ns);

/* No word for a beat and a half since another came under its name. */
bool fleet_displaced(const struct fleet *f, const struct worker *w, int64_t now_ns);
void fleet_inherit(struct fleet *f,
                   struct worker *w); /* that other one, if it is still there, changes names with w */

void worker_finished(struct worker *w, int64_t now_ns);
double worker_per_minute(const struct worker *w, int64_t now_ns); /* over the last eight; 0 before the first */

#endif
