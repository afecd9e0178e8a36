/*
 * task - one piece of work that a worker can hold a lease for: a search's profile, a candidate's evaluation, a
 * finalist, an export, a training.
 *
 * The state says where the task is, and task_move is the only thing that changes it:
 *
 *            +--------------------------------------------------------+
 *            |                    (on record: start of the program)   v
 *    new -> ready -> starting -> leased -> recording -> done, or parked
 *            ^  |        |          |          |
 *            |  |        v          v          |         back to ready: lost, failed, handed back, refused by the
 * store
 *            +--|--------+----------+----------+
 *               +----------------------------->          a late result, of an attempt that nobody has replaced
 *                          (ready -> leased: likewise, its worker is still at it)
 *
 * `id.attempt` is the highest attempt number given out; a result counts only with that number.
 */
#ifndef COORDINATOR_TASK_H
#define COORDINATOR_TASK_H

#include "proto/message.h"

#define TASK_MOST_DIVERGED 2 /* attempts whose training diverged, until the task is given up */

struct worker;

enum task_state {
    TASK_NEW,      /* not to be given out yet: its row is being written, or its time hasn't come */
    TASK_READY,    /* in lists->ready */
    TASK_STARTING, /* the attempt's row is being written; worker->task */
    TASK_LEASED, /* in lists->leased; worker->task, or no worker: one that was at it before a restart may come back
                  */
    TASK_RECORDING, /* the result, or that there will be none, is being written */
    TASK_DONE,      /* the result is durable */
    TASK_PARKED,    /* durable: no more attempts */
    TASK_STATES
};

struct task_list {
    struct task *first, *last;
    int n;
};

struct task_lists {
    struct task_list ready; /* first: the next to go out; what comes back goes to the front */
    struct task_list leased;
};

struct task {
    struct task_id id;
    enum task_state state;
    struct task_lists *lists; /* borrowed from who owns the task */
    struct task *prev, *next; /* private: in one of the lists */
    struct worker *worker;    /* STARTING, LEASED: who has it; NULL otherwise, and when that one is gone */
    int64_t lease_ns;         /* LEASED: until when, monotonic */
    int failures;             /* attempts that a worker reported as failed, in this program's life */
    int losses;               /* attempts whose worker went silent, likewise */
    int diverged;             /* attempts on record whose training diverged */

    /* FINAL, TRAIN: the latest checkpoint on record */
    int32_t epoch; /* 0: none */
    struct hash checkpoint;
    int32_t keeping; /* epoch of the one that is being written, or 0 */
};

void task_init(struct task *t, enum task_kind kind, int64_t search, int32_t episode, struct task_lists *lists);

/* BUG() when there is no such way from the present state. Leaving STARTING or LEASED clears `worker`. */
void task_move(struct task *t, enum task_state to);
bool task_can_move(enum task_state from, enum task_state to);
const char *task_state_name(enum task_state s);

/*
 * Enough is enough: `most` attempts failed, or three times as many were lost. A machine that goes away is rarely
 * the task's fault, and a task mustn't be given up because of a bad day in the cluster; one that takes every
 * machine with it has to be. Training that diverged twice will do so again.
 */
bool task_spent(const struct task *t, int most);

/* Of the recipe's learning rates, after so many attempts that diverged; what else ended an attempt doesn't matter.
 */
double task_lr_scale(int diverged);

#endif
