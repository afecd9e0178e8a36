/*
 * candidate - one episode of a search: the classes kept in every group, what that costs, and what became of it.
 */
#ifndef COORDINATOR_CANDIDATE_H
#define COORDINATOR_CANDIDATE_H

#include "coordinator/store/store.h"
#include "coordinator/task.h"

struct candidate {
    int32_t episode;
    int budget; /* index into the search's budgets */
    int n_keep;
    int *keep; /* (n_keep) */
    struct cost cost;
    struct metrics reward; /* when evaluate is DONE */
    bool finalist;         /* chosen to be scored on the test set */
    bool timed;            /* chosen to be timed */
    double ratio, spread;  /* when timing is DONE: beside the dense network, at batch 1 */
    struct task evaluate, final, timing;
};

/* keep is copied. */
struct candidate *candidate_new(int64_t search, int32_t episode, int budget, const int *keep, int n_keep,
                                const struct cost *cost, struct task_lists *lists);
void candidate_free(
    struct candidate *c); /* NULL is fine; neither task may be in a list then, or the lists must die too */

/*
 * From its row: a result or a failure on record is DONE or PARKED, an attempt on record that may still run is
 * LEASED to nobody until lease_ns, and everything else READY.
 */
struct candidate *candidate_from_row(const struct candidate_row *r, struct task_lists *lists, int64_t lease_ns);

static inline bool candidate_scored(const struct candidate *c)
{
    return c->evaluate.state == TASK_DONE;
}

/* Durably scored, or given up. */
static inline bool candidate_over(const struct candidate *c)
{
    return c->evaluate.state == TASK_DONE || c->evaluate.state == TASK_PARKED;
}

#endif
