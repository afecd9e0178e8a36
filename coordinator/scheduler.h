/*
 * scheduler - who gets what next: searches take turns, exports that a person waits for go first. It records each
 * attempt before the work is sent and each result and checkpoint before it is acknowledged, watches the leases, and
 * carries every search on from its profile to its finalists.
 *
 * It owns the searches that aren't over. Store, fleet and bus are borrowed. Nothing here waits: what the store
 * answers later comes back through the loop, and is looked up again by its task's numbers, so that a search may go
 * at any time.
 */
#ifndef COORDINATOR_SCHEDULER_H
#define COORDINATOR_SCHEDULER_H

#include "coordinator/bus.h"
#include "coordinator/fleet.h"
#include "coordinator/search.h"

struct scheduler;

struct scheduler_options {
    int64_t lease_ns;       /* a lease ends so long after the last message that named its task */
    int64_t grace_ns;       /* after a start: so long may a worker take to come back to what it was at */
    int64_t short_grace_ns; /* likewise, when another worker has nothing else to do */
    int attempts;           /* failed ones until a task is given up */
};

struct scheduler *scheduler_new(zloop_t *loop, struct store *store, struct fleet *fleet, struct bus *bus,
                                const struct scheduler_options *o);
void scheduler_free(struct scheduler *sch); /* NULL is fine */

struct store *scheduler_store(const struct scheduler *sch);
struct fleet *scheduler_fleet(const struct scheduler *sch);

/* Takes over a search with an id and carries it on. */
void scheduler_add(struct scheduler *sch, struct search *s);
struct search *scheduler_search(struct scheduler *sch, int64_t id); /* borrowed; NULL: over, or never was */

/* Carries the searches on and hands out what there is; call it when the fleet has changed. */
void scheduler_wake(struct scheduler *sch);
void scheduler_tick(struct scheduler *sch, int64_t now_ns); /* several times a second: leases, silent workers */
void scheduler_stop(struct scheduler *sch);                 /* hand out and propose nothing more */

/* What workers say. Each of them leaves the worker idle, where it now is, and wakes. */
void scheduler_hello(struct scheduler *sch, struct worker *w, struct worker *replaces, const struct msg_hello *h);
void scheduler_beat(struct scheduler *sch, struct worker *w, const struct msg_beat *b);
void scheduler_result(struct scheduler *sch, struct worker *w, struct message *m); /* takes the message's insides */
void scheduler_failed(struct scheduler *sch, struct worker *w, const struct msg_failed *f);
/* An epoch of a training is done. Leaves the worker at it, or tells it to stop. */
void scheduler_checkpoint(struct scheduler *sch, struct worker *w, const struct message *m);
/* The worker goes or is shut out: what it had under way goes back. The caller drops or bans it afterwards. */
void scheduler_lost(struct scheduler *sch, struct worker *w, const char *why);

/* ERR_STATE when it isn't possible now. `done` runs when the new state is durable, and not when an error is
 * returned. */
MUST_CHECK int scheduler_pause(struct scheduler *sch, struct search *s, store_done *done, void *arg, struct err *e);
MUST_CHECK int scheduler_resume(struct scheduler *sch, struct search *s, store_done *done, void *arg,
                                struct err *e);
void scheduler_cancel(struct scheduler *sch, struct search *s, store_done *done, void *arg); /* frees s */

/* Why idle workers get nothing of this search now; "" when there is work, or no worker to give it to is missing. */
void scheduler_waiting(struct scheduler *sch, const struct search *s, char *out, size_t n);

/* --- exports: a candidate's ONNX file, made when a person asks for it --- */
struct export;
struct export *scheduler_export(struct scheduler *sch, int64_t search, int32_t episode); /* NULL: none under way */
/* From the rows; ERR_LIMIT when too many are under way. */
MUST_CHECK int scheduler_export_begin(struct scheduler *sch, const struct search_row *s,
                                      const struct candidate_row *c, struct err *e);
/* The reason when it was given up, which also forgets it; NULL while it is under way. */
bool scheduler_export_failed(struct scheduler *sch, struct export *x, char *why, size_t n);

#endif
