#include "coordinator/policy/frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define MAX_GROUPS 2048 /* price.h keeps the square of it: 32 MB a kind of cost */

int frame_budget(const struct frame *f, int episode)
{
    return episode % f->s->n_budgets;
}

const struct price *frame_price(const struct frame *f, int budget)
{
    return &f->price[f->s->budgets[budget].kind];
}

static int check_budget(const struct frame *f, int budget, struct err *e)
{
    const struct budget *b = &f->s->budgets[budget];
    if (b->kind == COST_LATENCY && !f->s->latency)
        BUG("a latency budget without a table");
    struct cost least, dense;
    setting_cost(f->s, f->s->limits->least, &least);
    setting_cost(f->s, NULL, &dense);
    if (least.of[b->kind] <= b->most)
        return 0;
    return err_set(e, ERR_INVALID,
                   "budget %s %g can't be met: with every group at its least the network still has %.4f of its %s",
                   cost_name(b->kind), b->frac, (double)least.of[b->kind] / (double)dense.of[b->kind],
                   cost_name(b->kind));
}

static int check_curves(const struct frame *f, struct err *e)
{
    const struct setting *s = f->s;
    if (s->kind == POLICY_UNIFORM || s->kind == POLICY_RANDOM)
        return 0; /* they don't look at them */
    for (int g = 0; g < f->n; g++)
        for (int k = 0; k <= s->limits->most[g]; k++)
            if (!isfinite(s->curve[g][k]))
                return err_set(e, ERR_INVALID, "sensitivity of group %d with %d of %d kept is not a number", g, k,
                               s->limits->most[g]);
    return 0;
}

static int check_setting(const struct setting *s, struct err *e)
{
    int n = s->fine ? s->fine->n : s->groups->n;
    if (s->limits->n != n)
        BUG("limits for %d groups, model has %d", s->limits->n, n);
    if (n > MAX_GROUPS)
        return err_set(e, ERR_UNSUPPORTED, "model has %d groups, a policy decides on %d at most", n, MAX_GROUPS);
    if (s->n_budgets < 1)
        return err_set(e, ERR_INVALID, "a search needs a budget");
    if (s->episodes < 1)
        return err_set(e, ERR_INVALID, "a search of %d episodes finds nothing", s->episodes);
    if (s->lookahead < 1)
        return err_set(e, ERR_INVALID, "lookahead %d is under 1", s->lookahead);
    return 0;
}

int frame_init(struct frame *f, const struct setting *s, struct err *e)
{
    int rc = check_setting(s, e);
    if (rc < 0)
        return rc;
    *f = (struct frame){.s = s, .n = s->limits->n};
    f->cut = xcalloc((size_t)f->n, sizeof *f->cut);
    f->record = xcalloc((size_t)s->episodes, sizeof *f->record);
    for (int g = 0; g < f->n; g++)
        if (s->limits->least[g] < s->limits->most[g])
            f->cut[f->n_cut++] = g;

    rc = check_curves(f, e);
    for (int b = 0; b < s->n_budgets && rc == 0; b++) {
        enum cost_kind kind = s->budgets[b].kind;
        rc = check_budget(f, b, e);
        if (rc == 0 && !f->priced[kind]) {
            rc = s->fine ? price_fine(&f->price[kind], s->fine, s->limits, kind, e)
                         : price_init(&f->price[kind], s->graph, s->groups, s->limits, kind, s->latency, e);
            f->priced[kind] = rc == 0;
        }
    }
    if (rc < 0)
        frame_release(f);
    return rc;
}

void frame_release(struct frame *f)
{
    for (int i = 0; f->record && i < f->s->episodes; i++)
        free(f->record[i]);
    free(f->record);
    free(f->cut);
    for (int k = 0; k < COST_KINDS; k++)
        price_release(&f->price[k]);
    *f = (struct frame){0};
}

void frame_note(struct frame *f, int episode, const int *keep)
{
    if (episode < 0 || episode >= f->s->episodes)
        BUG("episode %d of %d", episode, f->s->episodes);
    size_t bytes = (size_t)f->n * sizeof *keep;
    if (!f->record[episode])
        f->record[episode] = xmalloc(bytes);
    memcpy(f->record[episode], keep, bytes);
}

bool frame_seen(const struct frame *f, int episode, const int *keep)
{
    for (int i = frame_budget(f, episode); i < episode; i += f->s->n_budgets)
        if (f->record[i] && memcmp(f->record[i], keep, (size_t)f->n * sizeof *keep) == 0)
            return true;
    return false;
}

bool frame_fits(const struct frame *f, int budget, const int *keep)
{
    const struct budget *b = &f->s->budgets[budget];
    struct cost c;
    setting_cost(f->s, keep, &c);
    return c.of[b->kind] <= b->most;
}
