/* The statistics as such, their memory; stats.c measures them. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/compress/stats.h"

void stats_list_release(struct stats_list *s)
{
    for (int i = 0; i < s->n; i++) {
        mem_free(s->of[i].mean);
        mem_free(s->of[i].var);
    }
    free(s->of);
    *s = (struct stats_list){0};
}

int stats_list_new(struct stats_list *s, const struct graph *g, const int *nodes, int n, struct err *e)
{
    *s = (struct stats_list){.of = xcalloc((size_t)n, sizeof(*s->of))};
    for (int i = 0; i < n; i++) {
        struct channel_stats *c = &s->of[s->n++];
        c->node = nodes[i];
        c->C = g->nodes[nodes[i]].C;
        c->mean = mem_zalloc((size_t)c->C, sizeof(float));
        c->var = mem_zalloc((size_t)c->C, sizeof(float));
        if (!c->mean || !c->var) {
            stats_list_release(s);
            return err_set(e, ERR_NOMEM, "no memory for the statistics of \"%s\"", g->nodes[nodes[i]].name);
        }
    }
    return 0;
}
