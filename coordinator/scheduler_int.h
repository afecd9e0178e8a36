/*
 * scheduler_int - the insides that scheduler.c, leases.c, course.c, record.c, checkpoints.c and exports.c share.
 */
#ifndef COORDINATOR_SCHEDULER_INT_H
#define COORDINATOR_SCHEDULER_INT_H

#include "coordinator/scheduler.h"

struct export
{
    struct task task;
    struct recipe recipe;
    struct hash profile;
    double lr_scale; /* what the evaluation had: the file is of the network that was scored */
    uint32_t n_keep;
    int32_t *keep; /* (n_keep) */
    struct msg_about about;
    char reason[PROTO_MAX_TEXT]; /* PARKED: why */
    struct export *next;
};

struct scheduler {
    zloop_t *loop;
    struct store *store;
    struct fleet *fleet;
    struct bus *bus;
    struct scheduler_options o;
    struct search *searches; /* in the order of their ids */
    int64_t turn;            /* id of the search that got something last */
    struct export *exports;
    struct task_lists export_lists;
    int timer; /* that wakes again soon, or -1 */
    struct task *quiet;      /* that waits for a host to have nothing else to do, or NULL: never looked into, only compared */
    char quiet_host[RECIPE_NAME]; /* whose workers get nothing else meanwhile; "": none is chosen yet */
    int64_t quiet_ns;        /* since when it waits */
    bool stopped;
};

/* What a write to the store remembers until it is durable: the task by its numbers, who waits for the answer, and
 * for a result or a checkpoint all that it said. */
struct pending {
    struct scheduler *sch;
    struct task_id id;
    bool has_peer;
    struct peer peer;
    struct message m;
};
struct pending *pending_new(struct scheduler *sch, const struct task_id *id, const struct worker *w /* or NULL */);
void pending_free(struct pending *p);

struct task *scheduler_task(struct scheduler *sch, const struct task_id *id); /* NULL: there is none any more */

/* The worker says that it works on an attempt, or holds its result. True when that attempt still counts; a lease
 * that has run out or that a restart left to nobody is then the worker's again. */
bool scheduler_adopt(struct scheduler *sch, struct worker *w, const struct task_id *id);
void scheduler_disown(struct scheduler *sch, const struct worker *w, const struct task_id *id); /* CANCEL */

/* quiet.c: who measures and times, and where everything else has to wait for it. */
struct worker *quiet_worker(struct scheduler *sch, struct task **t, int64_t now_ns); /* both or NULL */
bool quiet_forbids(const struct scheduler *sch, const struct worker *w); /* anything else on this worker */

/* course.c: proposals, the change from one state to the next, the end. False: there is more to do, soon. */
bool course_advance(struct scheduler *sch, struct search *s); /* may free s */
/* Ends a search in any state: its workers are told, its open attempts closed. Frees s. */
void course_end(struct scheduler *sch, struct search *s, enum search_state to, const char *reason, store_done *done,
                void *arg);

/* record.c: an attempt ends without a result. `ack`: the worker that waits to hear so, or NULL. The task is ready
 * again or given up afterwards; giving up a profile or a training frees its search. */
enum attempt_outcome {
    OUTCOME_LOST,        /* the worker went, or went silent */
    OUTCOME_ORPHANED,    /* likewise, while no coordinator ran: nobody's fault */
    OUTCOME_FAILED,      /* the worker, or the store, said so */
    OUTCOME_HANDED_BACK, /* the worker stops, or the search is paused: nobody's fault */
    OUTCOME_DIVERGED,    /* training's numbers went out of hand */
};
void record_attempt_end(struct scheduler *sch, struct task *t, enum attempt_outcome o, bool permanent,
                        const char *reason, const struct worker *ack);
/* A STARTING attempt that the store didn't take. Likewise. */
void record_refused(struct scheduler *sch, struct task *t, const char *reason);

/* exports.c */
struct task *exports_task(struct scheduler *sch, const struct task_id *id);
void exports_done(struct scheduler *sch, struct task *t);
void exports_parked(struct scheduler *sch, struct task *t, const char *reason);
void exports_work(struct scheduler *sch, const struct task *t, struct msg_work *w);
void exports_free(struct scheduler *sch);

#endif
