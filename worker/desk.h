/*
 * desk - the table between the compute thread, which works on one task at a time, and the session thread, which
 * alone talks to the coordinator. One mutex, one condition for the compute thread, one eventfd for the session's
 * poll.
 *
 * The coordinator's view of the worker is `state` alone:
 *
 *   FREE --offer--> OFFERED --take--> WORKING --finish--> REPORTING --settle--> FREE
 *                      |                 |                    |
 *                      +---- drop -------+-------- drop ------+------> FREE
 *
 * A task that was dropped while it was WORKING ends for the compute thread at its next desk_progress or desk_wait,
 * with ERR_CANCELLED; until then the desk may already hold the next offer.
 */
#ifndef WORKER_DESK_H
#define WORKER_DESK_H

#include "proto/message.h"

struct desk;

MUST_CHECK int desk_new(struct desk **d, struct err *e);
void desk_free(struct desk *d); /* NULL is fine */

/* --- the compute thread's side --- */

/* Waits for a task: true and *work, which the caller releases; false when the program stops. */
bool desk_take(struct desk *d, struct message *work);

/* Ends the task taken. report: its RESULT or FAILED (copied), NULL when there is nothing to say; ignored when the
 * task was dropped. */
void desk_finish(struct desk *d, const struct message *report);

/* For the beats. ERR_CANCELLED when the task taken was dropped. */
MUST_CHECK int desk_progress(struct desk *d, const char *stage, uint64_t done, uint64_t total, struct err *e);

/* Queues a GET, PUT or CHECKPOINT (copied). When the queue is full it is forgotten, as a lost message would be: ask
 * again after a wait without an answer. */
void desk_ask(struct desk *d, const struct message *m);

enum desk_event {
    DESK_NOTHING, /* until_ns is over */
    DESK_ANSWER,
    DESK_RENEWED, /* there is a new connection: what was asked on the old one won't be answered */
};
struct desk_answer {
    struct message m; /* CHUNK, NOBLOB, STORED or KEPT */
    uint8_t *bytes;   /* what m.u.piece.bytes points to; the caller's, mem_free */
};

/* An enum desk_event, or ERR_CANCELLED when the task taken was dropped. */
MUST_CHECK int desk_wait(struct desk *d, int64_t until_ns, struct desk_answer *a, struct err *e);

/* --- the session thread's side --- */

int desk_fd(const struct desk *d); /* readable when there is something to send or to say */
void desk_heed(struct desk *d);    /* makes it unreadable again */

enum desk_offer {
    DESK_ACCEPTED,  /* *work is the desk's now, and zeroed */
    DESK_UNDER_WAY, /* it is the present task */
    DESK_REPORTED,  /* it is the present task, and its report waits to be acknowledged */
    DESK_BUSY,      /* the present task is another one */
};
enum desk_offer desk_offer(struct desk *d, struct message *work);

/* busy, task and progress, as a beat says them. */
void desk_status(struct desk *d, struct msg_beat *b);

/* Appends the packed report to `out` (NULL: only asks); false when there is none. */
bool desk_report(struct desk *d, struct buf *out);

/* Whether there was something of that task (NULL: any): it is FREE afterwards. With its report at hand, only
 * `report_too` drops it. */
bool desk_drop(struct desk *d, const struct task_id *task, bool report_too, const char *why);

/* ACK: forgets the report of `task`; false when there is none. */
bool desk_settle(struct desk *d, const struct task_id *task);

/* Appends the oldest of what was asked to `out`, and takes it away; false when there is none. */
bool desk_asked(struct desk *d, struct buf *out);
void desk_deliver(struct desk *d, const struct message *m); /* CHUNK, NOBLOB, STORED, KEPT; copied */
void desk_renew(struct desk *d);                            /* a new connection */

/* The program stops: what is offered or being worked on becomes FAILED with that reason; desk_take returns false
 * from now on. */
void desk_retire(struct desk *d, const char *why);

#endif
