#include "coordinator/policy/uniform.h"

#include <string.h>

#include "coordinator/policy/wall.h"

static void set_fraction(const struct frame *f, struct bill *b, double frac)
{
    wall_begin(&(struct wall){.limits = f->s->limits}, b);
    for (int i = 0; i < f->n_cut; i++)
        bill_move(b, f->cut[i], limits_round(f->s->limits, f->cut[i], frac));
}

void uniform_allocate(const struct frame *f, int budget, int *keep)
{
    struct wall w = {.limits = f->s->limits, .most = f->s->budgets[budget].most};
    struct bill b;
    bill_init(&b, frame_price(f, budget));
    if (b.cost > w.most) {
        double fits = 0, over = 1; /* fraction 0 is every group's least, which was checked */
        for (int i = 0; i < 40; i++) {
            double mid = (fits + over) / 2;
            set_fraction(f, &b, mid);
            *(b.cost <= w.most ? &fits : &over) = mid;
        }
        set_fraction(f, &b, fits);
        wall_fill(&w, &b, f->cut, f->n_cut);
    }
    memcpy(keep, b.keep, (size_t)f->n * sizeof *keep);
    bill_release(&b);
}
