#include "coordinator/policy/toll.h"

#include <stdlib.h>

#include "common/base/mem.h"

static void mark(const struct toll *t, int value, bool *seen)
{
    for (int c = 0; c < t->g->nodes[value].C; c++) {
        int k = t->gs->group[t->gs->classes[value][c]];
        if (k >= 0)
            seen[k] = true;
    }
}

static void note(struct toll *t, int node, const bool *seen)
{
    for (int k = 0; k < t->gs->n; k++) {
        if (!seen[k])
            continue;
        if ((t->n[k] & (t->n[k] - 1)) == 0) /* full: rooms are powers of two */
            t->nodes[k] = xrealloc(t->nodes[k], (size_t)(t->n[k] ? 2 * t->n[k] : 1) * sizeof **t->nodes);
        t->nodes[k][t->n[k]++] = node;
    }
}

void toll_init(struct toll *t, const struct latency *table, const struct graph *g, const struct groups *gs)
{
    *t = (struct toll){.table = table, .g = g, .gs = gs};
    t->nodes = xcalloc((size_t)gs->n, sizeof *t->nodes);
    t->n = xcalloc((size_t)gs->n, sizeof *t->n);
    bool *seen = xcalloc((size_t)gs->n, sizeof *seen);
    for (int i = 0; i < g->n; i++) {
        if (table->base[i] == 0)
            continue;
        for (int k = 0; k < gs->n; k++)
            seen[k] = false;
        mark(t, i, seen);
        if (g->nodes[i].n_in > 0)
            mark(t, g->nodes[i].in[0], seen);
        note(t, i, seen);
    }
    free(seen);
}

void toll_release(struct toll *t)
{
    for (int k = 0; t->gs && k < t->gs->n; k++)
        free(t->nodes[k]);
    free(t->nodes);
    free(t->n);
    *t = (struct toll){0};
}

int64_t toll_of(const struct toll *t, int node, const int *keep)
{
    return latency_node(t->table, t->g, t->gs, node, keep);
}
