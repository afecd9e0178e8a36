/* The choice of a search's finalists (search.h). */
#include <stdlib.h>

#include "common/base/mem.h"
#include "coordinator/search.h"

/*
 * In this order whoever beats a candidate stands before it: more accurate, then cheaper, then earlier. Costs that
 * no budget chose come last and only make the order complete.
 */
static int compare(const void *a, const void *b)
{
    const struct candidate *x = *(struct candidate *const *)a, *y = *(struct candidate *const *)b;
    if (x->reward.top1 != y->reward.top1)
        return x->reward.top1 > y->reward.top1 ? -1 : 1;
    for (int k = 0; k < COST_KINDS; k++)
        if (x->cost.of[k] != y->cost.of[k])
            return x->cost.of[k] < y->cost.of[k] ? -1 : 1;
    return x->episode - y->episode;
}

/* a, which stands before b, is as good in everything that was asked for. */
static bool beats(const struct candidate *a, const struct candidate *b, const bool *chosen)
{
    for (int k = 0; k < COST_KINDS; k++)
        if (chosen[k] && a->cost.of[k] > b->cost.of[k])
            return false;
    return a->reward.top1 >= b->reward.top1;
}

/* Moves the front of `of` (n, in order) to its beginning and returns how many that are. */
static int keep_front(struct candidate **of, int n, const bool *chosen)
{
    int front = 0;
    for (int i = 0; i < n; i++) {
        bool beaten = false;
        for (int j = 0; j < front && !beaten; j++)
            beaten = beats(of[j], of[i], chosen);
        if (!beaten)
            of[front++] = of[i];
    }
    return front;
}

/* Durably timed, or given up. */
static bool timing_over(const struct candidate *c)
{
    return c->timing.state == TASK_DONE || c->timing.state == TASK_PARKED;
}

/* Measured, and not slower than the budget by more than the measurement is unsure of. */
static bool fast_enough(const struct candidate *c, const struct budget *b)
{
    return b->kind != COST_LATENCY || (c->timing.state == TASK_DONE && c->ratio <= b->frac + c->spread);
}

/* The fastest of those that were tried in vain, for want of a better one. */
static struct candidate *fastest(struct candidate **of, int n)
{
    struct candidate *best = of[0];
    for (int i = 1; i < n; i++)
        if (of[i]->timing.state == TASK_DONE && (best->timing.state != TASK_DONE || of[i]->ratio < best->ratio))
            best = of[i];
    return best;
}

/* One budget's finalists among the front (n, in order). Returns how many have to be timed first; where zeros are put in place,
 * none: time is the dense network's. */
static int choose(struct candidate **front, int n, const struct budget *b, int top, bool timed)
{
    struct candidate *slow[SEARCH_TRIES];
    int left = top, waiting = 0, tried = 0;
    for (int i = 0; i < n && left > 0 && tried < SEARCH_TRIES; i++) {
        struct candidate *c = front[i];
        if (c->cost.of[b->kind] > b->most)
            continue;
        if (timed && !timing_over(c)) {
            c->timed = true;
            waiting++;
            left--;
        } else if (fast_enough(c, b)) {
            c->finalist = true;
            left--;
        } else {
            slow[tried++] = c;
        }
    }
    if (left == top && waiting == 0 && tried > 0)
        fastest(slow, tried)->finalist = true;
    return waiting;
}

int search_choose_finalists(struct search *s)
{
    bool chosen[COST_KINDS] = {false};
    for (int i = 0; i < s->spec.n_budgets; i++)
        chosen[s->budgets[i].kind] = true;
    struct candidate **of = xcalloc((size_t)s->proposed + 1, sizeof(struct candidate *));
    int n = 0, waiting = 0;
    for (int i = 0; i < s->proposed; i++) {
        s->candidates[i]->finalist = false;
        if (candidate_scored(s->candidates[i]))
            of[n++] = s->candidates[i];
    }
    qsort(of, (size_t)n, sizeof(struct candidate *), compare);
    n = keep_front(of, n, chosen);
    for (int b = 0; b < s->spec.n_budgets; b++)
        waiting += choose(of, n, &s->budgets[b], s->spec.finish_top, s->spec.cut != CUT_FINE);
    free(of);
    return waiting;
}
