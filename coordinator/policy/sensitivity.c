#include "coordinator/policy/sensitivity.h"

#include <string.h>

/* Error that group g gains by keeping `fewer` instead of `more`. Curves are estimates and can dip: a dip counts as
 * no gain. */
static double rise(const struct frame *f, int g, int fewer, int more)
{
    double d = (double)f->s->curve[g][fewer] - (double)f->s->curve[g][more];
    return d > 0 ? d : 0;
}

/* How many legal steps to look ahead: where time goes in stairs, one step alone may save nothing or cost something. */
static int reach(const struct bill *b)
{
    return b->price->timed ? 16 : 1;
}

bool sensitivity_shrink(const struct frame *f, struct bill *b, int64_t most, const bool *pinned)
{
    while (b->cost > most) {
        int best = -1, to = 0;
        double best_rise = 0, best_saved = 0;
        for (int i = 0; i < f->n_cut; i++) {
            int g = f->cut[i], k = b->keep[g], down = limits_down(f->s->limits, g, k);
            if (down == k || (pinned && pinned[g]))
                continue;
            for (int step = 0; step < reach(b); step++) {
                double saved = -(double)bill_change(b, g, down), up = rise(f, g, down, k);
                /* up / saved < best_rise / best_saved without dividing; among equals the larger saving. */
                double mine = up * best_saved, other = best_rise * saved;
                if (saved > 0 && (best < 0 || mine < other || (mine == other && saved > best_saved))) {
                    best = g;
                    to = down;
                    best_rise = up;
                    best_saved = saved;
                }
                down = limits_down(f->s->limits, g, down);
            }
        }
        if (best < 0)
            return false;
        bill_move(b, best, to);
    }
    return true;
}

void sensitivity_grow(const struct frame *f, struct bill *b, int64_t most, const bool *pinned)
{
    for (;;) {
        int best = -1, to = 0;
        double best_gain = 0, best_cost = 1;
        for (int i = 0; i < f->n_cut; i++) {
            int g = f->cut[i], k = b->keep[g], up = limits_up(f->s->limits, g, k);
            if (up == k || (pinned && pinned[g]))
                continue;
            for (int step = 0; step < reach(b); step++) {
                int64_t added = bill_change(b, g, up);
                double gain = rise(f, g, k, up), cost = added > 0 ? (double)added : 1; /* more channels may take less time */
                if (b->cost + added <= most && (best < 0 || gain * best_cost > best_gain * cost)) {
                    best = g;
                    to = up;
                    best_gain = gain;
                    best_cost = cost;
                }
                up = limits_up(f->s->limits, g, up);
            }
        }
        if (best < 0)
            return;
        bill_move(b, best, to);
    }
}

void sensitivity_allocate(const struct frame *f, int budget, int *keep)
{
    int64_t most = f->s->budgets[budget].most;
    struct bill b;
    bill_init(&b, frame_price(f, budget));
    if (!sensitivity_shrink(f, &b, most, NULL))
        bill_set(&b, f->s->limits->least); /* what remained saves nothing by itself; the least is known to fit */
    sensitivity_grow(f, &b, most, NULL);
    memcpy(keep, b.keep, (size_t)f->n * sizeof *keep);
    bill_release(&b);
}
