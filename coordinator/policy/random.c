/*
 * random - no idea at all: fractions drawn evenly, behind AMC's wall. AMC acts from the first layer to the last, so
 * that its last ones get what the wall leaves them; here the order is drawn anew each time. What is left of the
 * budget is used up.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/policy/kind.h"
#include "coordinator/policy/wall.h"

static int create(void **self, const struct frame *f, struct err *e)
{
    (void)e;
    const struct frame **x = xmalloc(sizeof *x);
    *x = f;
    *self = x;
    return 0;
}

static void propose(void *self, int episode, int attempt, struct rng *r, int *keep)
{
    (void)attempt; /* the next draw is as good as the last */
    const struct frame *f = *(const struct frame **)self;
    const struct limits *l = f->s->limits;
    int budget = frame_budget(f, episode);
    struct wall w = {.limits = l, .most = f->s->budgets[budget].most};
    struct bill b;
    bill_init(&b, frame_price(f, budget));

    int *order = xcalloc((size_t)f->n_cut, sizeof *order);
    memcpy(order, f->cut, (size_t)f->n_cut * sizeof *order);
    rng_shuffle(r, order, (size_t)f->n_cut);
    wall_begin(&w, &b);
    for (int i = 0; i < f->n_cut; i++) {
        double least = (double)l->least[order[i]] / l->most[order[i]];
        wall_act(&w, &b, order[i], least + (1 - least) * rng_uniform(r));
    }
    rng_shuffle(r, order, (size_t)f->n_cut);
    while (wall_fill(&w, &b, order, f->n_cut))
        ;
    memcpy(keep, b.keep, (size_t)f->n * sizeof *keep);
    free(order);
    bill_release(&b);
}

const struct kind kind_random = {.create = create, .destroy = free, .propose = propose};
