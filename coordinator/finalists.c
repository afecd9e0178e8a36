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

int search_choose_finalists(struct search *s)
{
    bool chosen[COST_KINDS] = {false};
    for (int i = 0; i < s->spec.n_budgets; i++)
        chosen[s->budgets[i].kind] = true;
    struct candidate **of = xcalloc((size_t)s->proposed + 1, sizeof(struct candidate *));
    int n = 0, finalists = 0;
    for (int i = 0; i < s->proposed; i++)
        if (candidate_scored(s->candidates[i]))
            of[n++] = s->candidates[i];
    qsort(of, (size_t)n, sizeof(struct candidate *), compare);
    n = keep_front(of, n, chosen);
    for (int b = 0; b < s->spec.n_budgets; b++) {
        int left = s->spec.finish_top;
        for (int i = 0; i < n && left > 0; i++) {
            if (of[i]->cost.of[s->budgets[b].kind] > s->budgets[b].most)
                continue;
            left--;
            finalists += !of[i]->finalist;
            of[i]->finalist = true;
        }
    }
    free(of);
    return finalists;
}
