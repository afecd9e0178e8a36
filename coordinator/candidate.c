#include "coordinator/candidate.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct candidate *candidate_new(int64_t search, int32_t episode, int budget, const int *keep, int n_keep,
                                const struct cost *cost, struct task_lists *lists)
{
    struct candidate *c = xcalloc(1, sizeof(*c));
    c->episode = episode;
    c->budget = budget;
    c->n_keep = n_keep;
    c->keep = xcalloc((size_t)n_keep, sizeof(*c->keep));
    memcpy(c->keep, keep, (size_t)n_keep * sizeof(*keep));
    c->cost = *cost;
    task_init(&c->evaluate, TASK_EVALUATE, search, episode, lists);
    task_init(&c->final, TASK_FINAL, search, episode, lists);
    task_init(&c->timing, TASK_TIME, search, episode, lists);
    return c;
}

void candidate_free(struct candidate *c)
{
    if (!c)
        return;
    free(c->keep);
    free(c);
}

struct candidate *candidate_from_row(const struct candidate_row *r, struct task_lists *lists, int64_t lease_ns)
{
    struct candidate *c = candidate_new(r->search, r->episode, r->budget, r->keep, (int)r->n_keep, &r->cost, lists);
    c->reward = r->reward;
    c->evaluate.id.attempt = r->attempts;
    c->evaluate.lease_ns = lease_ns;
    c->evaluate.diverged = r->diverged;
    if (r->failed)
        task_move(&c->evaluate, TASK_PARKED);
    else if (r->has_result)
        task_move(&c->evaluate, TASK_DONE);
    else
        task_move(&c->evaluate, r->attempts > 0 ? TASK_LEASED : TASK_READY);
    if (r->has_final || r->final_failed)
        task_move(&c->final, r->has_final ? TASK_DONE : TASK_PARKED);
    if (r->has_timing || r->timing_failed) {
        task_move(&c->timing, r->has_timing ? TASK_DONE : TASK_PARKED);
        c->timed = true;
        c->ratio = r->ratio;
        c->spread = r->spread;
    }
    return c;
}
