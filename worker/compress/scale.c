#include "worker/compress/scale.h"

#include <math.h>

void output_scale(const struct model *m, int node, double *scale)
{
    const struct graph *g = &m->graph;
    int bn = node + 1;
    while (bn < g->n && !(g->nodes[bn].op == OP_BN && g->nodes[bn].in[0] == node))
        bn++;
    const struct params *p = bn < g->n ? &m->weights.of[bn] : NULL;
    for (int k = 0; k < g->nodes[node].C; k++)
        scale[k] = p ? (double)p->w[k] / sqrt((double)p->var[k] + (double)g->nodes[bn].u.bn.eps) : 1;
}
