#include "common/model/latency.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/mem.h"

int latency_new(struct latency *t, int n_nodes, int n_shapes, struct err *e)
{
    *t = (struct latency){.n_nodes = n_nodes, .n_shapes = n_shapes};
    t->base = mem_zalloc((size_t)n_nodes + 1, sizeof *t->base);
    t->shape = mem_zalloc((size_t)n_nodes + 1, sizeof *t->shape);
    t->shapes = mem_zalloc((size_t)n_shapes + 1, sizeof *t->shapes);
    if (!t->base || !t->shape || !t->shapes) {
        latency_release(t);
        return err_set(e, ERR_NOMEM, "no memory for a latency table of %d nodes", n_nodes);
    }
    for (int i = 0; i < n_nodes; i++)
        t->shape[i] = -1;
    return 0;
}

void latency_release(struct latency *t)
{
    for (int i = 0; t->shapes && i < t->n_shapes; i++)
        mem_free(t->shapes[i].ns);
    mem_free(t->shapes);
    mem_free(t->shape);
    mem_free(t->base);
    *t = (struct latency){0};
}

/* ---- prediction ---- */

/* Where a width lies: between points lo and lo + 1, `part` of the way. */
struct place {
    int lo;
    double part;
    double factor;
};

static int alignment(int width)
{
    int a = 0;
    while (a < LATENCY_ALIGNS - 1 && width % (2 << a) == 0)
        a++;
    return a;
}

static bool measured(const struct latency_axis *x, int width)
{
    for (int i = 0; i < x->n; i++)
        if (x->at[i] == width)
            return true;
    return false;
}

static struct place place_of(const struct latency_axis *x, int width)
{
    struct place p = {.factor = 1};
    if (width >= 1 && !measured(x, width) && width % x->pitch != 0)
        p.factor = x->factor[alignment(width)];
    if (x->n == 1 || width <= x->at[0])
        return p;
    while (p.lo < x->n - 2 && x->at[p.lo + 1] < width)
        p.lo++;
    int from = x->at[p.lo], to = x->at[p.lo + 1];
    p.part = width >= to ? 1 : (double)(width - from) / (double)(to - from);
    return p;
}

static double along(const struct latency_shape *s, int row, const struct place *p)
{
    const float *at = s->ns + (size_t)row * (size_t)s->in.n + p->lo;
    return p->part > 0 ? at[0] + p->part * (double)(at[1] - at[0]) : at[0];
}

double latency_at(const struct latency_shape *s, int in, int out)
{
    struct place x = place_of(&s->in, in), y = place_of(&s->out, out);
    double ns = along(s, y.lo, &x);
    if (y.part > 0)
        ns += y.part * (along(s, y.lo + 1, &x) - ns);
    return ns * x.factor * y.factor;
}

static double relative(const struct latency *t, const struct graph *g, const struct groups *gs, int node,
                       const int *keep)
{
    const struct node *d = &g->nodes[node];
    int K = groups_width(gs, g, node, keep);
    if (t->shape[node] < 0)
        return (double)K / (double)d->C;
    const struct latency_shape *s = &t->shapes[t->shape[node]];
    int dense_in = g->nodes[d->in[0]].C;
    double dense = latency_at(s, dense_in, d->C);
    return dense > 0 ? latency_at(s, groups_width(gs, g, d->in[0], keep), K) / dense : 1;
}

int64_t latency_node(const struct latency *t, const struct graph *g, const struct groups *gs, int node,
                     const int *keep)
{
    if (t->base[node] == 0)
        return 0;
    return llround((1 - t->lost) * (double)t->base[node] * relative(t, g, gs, node, keep));
}

int64_t latency_fixed(const struct latency *t)
{
    double sum = 0;
    for (int i = 0; i < t->n_nodes; i++)
        sum += (double)t->base[i];
    return llround(t->lost * sum);
}

int64_t latency_total(const struct latency *t, const struct graph *g, const struct groups *gs, const int *keep)
{
    int64_t ns = latency_fixed(t);
    for (int i = 0; i < g->n; i++)
        ns += latency_node(t, g, gs, i, keep);
    return ns;
}

void latency_cost(const struct latency *t, const struct graph *g, const struct groups *gs, const int *keep,
                  struct cost *out)
{
    cost_of(g, gs, keep, out);
    out->of[COST_LATENCY] = t ? latency_total(t, g, gs, keep) : 0;
}

/* ---- rounding ---- */

#define SLOWER 1.02 /* of the nodes concerned: what measuring can tell apart */

static void nodes_of_group(const struct graph *g, const struct groups *gs, int group, int *keep, bool *concerned)
{
    int most = keep[group];
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        keep[group] = most;
        int out = groups_width(gs, g, i, keep), in = d->n_in > 0 ? groups_width(gs, g, d->in[0], keep) : 0;
        keep[group] = most - 1;
        concerned[i] =
            groups_width(gs, g, i, keep) != out || (d->n_in > 0 && groups_width(gs, g, d->in[0], keep) != in);
    }
    keep[group] = most;
}

static double time_with(const struct latency *t, const struct graph *g, const struct groups *gs,
                        const bool *concerned, int *keep, int group, int k)
{
    int most = keep[group];
    double ns = 0;
    keep[group] = k;
    for (int i = 0; i < g->n; i++)
        if (concerned[i] && t->base[i] > 0)
            ns += (double)t->base[i] * relative(t, g, gs, i, keep);
    keep[group] = most;
    return ns;
}

/* From the whole group down: is any multiple slower than the fastest of the larger ones? */
static bool never_slower(const struct latency *t, const struct graph *g, const struct groups *gs,
                         const bool *concerned, int *keep, int group, int multiple)
{
    int most = keep[group];
    double best = time_with(t, g, gs, concerned, keep, group, most);
    for (int k = (most - 1) / multiple * multiple; k >= multiple; k -= multiple) {
        double ns = time_with(t, g, gs, concerned, keep, group, k);
        if (ns > best * SLOWER)
            return false;
        if (ns < best)
            best = ns;
    }
    return true;
}

int latency_round(const struct latency *t, const struct graph *g, const struct groups *gs, int group)
{
    int *keep = xcalloc((size_t)gs->n, sizeof *keep);
    bool *concerned = xcalloc((size_t)g->n, sizeof *concerned);
    int multiple = 1;
    for (int k = 0; k < gs->n; k++)
        keep[k] = gs->of[k].n;
    if (gs->of[group].n > 1) {
        nodes_of_group(g, gs, group, keep, concerned);
        while (multiple < 32 && !never_slower(t, g, gs, concerned, keep, group, multiple))
            multiple *= 2;
    }
    free(concerned);
    free(keep);
    return multiple;
}
