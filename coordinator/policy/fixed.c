/*
 * fixed - the two kinds of policy that know their answer: uniform and sensitivity. Episode e < n_budgets is the
 * allocation for its budget; later ones vary it at equal cost, so that a longer search stays a fair comparison.
 */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/policy/kind.h"
#include "coordinator/policy/sensitivity.h"
#include "coordinator/policy/uniform.h"
#include "coordinator/policy/variation.h"

struct fixed {
    const struct frame *f;
    enum variation_fit fit;
    int *base; /* (n_budgets, groups) */
};

static struct fixed *fixed_new(const struct frame *f, enum variation_fit fit,
                               void (*allocate)(const struct frame *, int budget, int *keep))
{
    struct fixed *x = xcalloc(1, sizeof *x);
    *x = (struct fixed){.f = f, .fit = fit};
    x->base = xcalloc((size_t)f->s->n_budgets * (size_t)f->n, sizeof *x->base);
    for (int b = 0; b < f->s->n_budgets; b++)
        allocate(f, b, x->base + (size_t)b * (size_t)f->n);
    return x;
}

static int create_uniform(void **self, const struct frame *f, struct err *e)
{
    (void)e;
    *self = fixed_new(f, FIT_ANY, uniform_allocate);
    return 0;
}

static int create_sensitivity(void **self, const struct frame *f, struct err *e)
{
    (void)e;
    *self = fixed_new(f, FIT_SENSITIVE, sensitivity_allocate);
    return 0;
}

static void destroy(void *self)
{
    struct fixed *x = self;
    free(x->base);
    free(x);
}

static void propose(void *self, int episode, int attempt, struct rng *r, int *keep)
{
    const struct fixed *x = self;
    int budget = frame_budget(x->f, episode);
    const int *base = x->base + (size_t)budget * (size_t)x->f->n;
    if (episode < x->f->s->n_budgets)
        memcpy(keep, base, (size_t)x->f->n * sizeof *keep);
    else
        variation_draw(x->f, budget, base, 1 + 0.25 * attempt, x->fit, r, keep);
}

const struct kind kind_uniform = {
    .create = create_uniform, .destroy = destroy, .propose = propose};
const struct kind kind_sensitivity = {
    .create = create_sensitivity, .destroy = destroy, .propose = propose};
