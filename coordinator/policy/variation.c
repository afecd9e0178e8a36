#include "coordinator/policy/variation.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/policy/noise.h"
#include "coordinator/policy/sensitivity.h"
#include "coordinator/policy/wall.h"

/* Few groups by visible steps: moving many at once loses in one what it wins in another. */
static const double spread[] = {0.05, 0.1, 0.15, 0.2};
enum { SPREADS = sizeof spread / sizeof *spread };

/* Groups that can be cut in random order, the pinned ones last. */
static void shuffled(const struct frame *f, const bool *pinned, struct rng *r, int *order)
{
    memcpy(order, f->cut, (size_t)f->n_cut * sizeof *order);
    rng_shuffle(r, order, (size_t)f->n_cut);
    if (!pinned)
        return;
    int n = 0;
    for (int i = 0; i < f->n_cut; i++)
        if (!pinned[order[i]]) {
            int g = order[i];
            memmove(order + n + 1, order + n, (size_t)(i - n) * sizeof *order);
            order[n++] = g;
        }
}

static void settle_any(const struct frame *f, const struct wall *w, struct bill *b, const bool *pinned,
                       struct rng *r)
{
    int *order = xcalloc((size_t)f->n_cut, sizeof *order), free_ones = 0;
    shuffled(f, pinned, r, order);
    for (int i = 0; i < f->n_cut; i++)
        free_ones += !pinned || !pinned[order[i]];
    if (!wall_repair(w, b, order, free_ones))
        wall_repair(w, b, order, f->n_cut);
    while (wall_fill(w, b, order, free_ones)) /* what was moved stays so: filled up, it would be the base again */
        ;
    free(order);
}

void variation_settle(const struct frame *f, int budget, struct bill *b, const bool *pinned, enum variation_fit fit,
                      struct rng *r)
{
    struct wall w = {.limits = f->s->limits, .most = f->s->budgets[budget].most};
    if (fit == FIT_ANY) {
        settle_any(f, &w, b, pinned, r);
    } else {
        if (!sensitivity_shrink(f, b, w.most, pinned) && !sensitivity_shrink(f, b, w.most, NULL))
            wall_repair(&w, b, f->cut, f->n_cut);
        sensitivity_grow(f, b, w.most, pinned);
    }
}

static int moved(const struct frame *f, int g, int k, double sigma, struct rng *r)
{
    const struct limits *l = f->s->limits;
    double most = l->most[g];
    int to = limits_round(l, g, noise_truncated(r, k / most, sigma, l->least[g] / most, 1));
    if (to != k)
        return to;
    int up = limits_up(l, g, k), down = limits_down(l, g, k);
    if (up == k)
        return down;
    return down == k || rng_uniform(r) < 0.5 ? up : down;
}

void variation_draw(const struct frame *f, int budget, const int *base, double widen, enum variation_fit fit,
                    struct rng *r, int *keep)
{
    struct bill b;
    bill_init(&b, frame_price(f, budget));
    bill_set(&b, base);
    bool *pinned = xcalloc((size_t)f->n, sizeof *pinned);
    double sigma = widen * spread[rng_below(r, SPREADS)];
    int few = f->n_cut == 0 ? 0 : 1 + (int)rng_below(r, (uint64_t)(1 + f->n_cut / 3));
    for (int i = 0; i < few; i++) {
        int g = f->cut[rng_below(r, (uint64_t)f->n_cut)];
        pinned[g] = true;
        bill_move(&b, g, moved(f, g, b.keep[g], sigma, r));
    }
    variation_settle(f, budget, &b, pinned, fit, r);
    memcpy(keep, b.keep, (size_t)f->n * sizeof *keep);
    free(pinned);
    bill_release(&b);
}
