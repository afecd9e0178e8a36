/* The matrices as such: which there are, their memory; gram.c fills them. */
#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/compress/gram.h"

void gram_list_release(struct gram_list *l)
{
    for (int i = 0; i < l->n; i++) {
        mem_free(l->of[i].cov);
        mem_free(l->of[i].mean);
    }
    free(l->of);
    *l = (struct gram_list){0};
}

const struct gram *gram_find(const struct gram_list *l, int node)
{
    for (int i = 0; i < l->n; i++)
        if (l->of[i].node == node)
            return &l->of[i];
    return NULL;
}

/* What the matrix of node i would be, without its memory; false where none is of use. */
static bool describe(const struct graph *g, const struct groups *gs, int i, struct gram *gr)
{
    const struct node *n = &g->nodes[i];
    if (n->op != OP_CONV && n->op != OP_GEMM)
        return false;
    int C = g->nodes[n->in[0]].C;
    *gr = (struct gram){.node = i, .n = C, .groups = 1};
    if (n->op == OP_CONV) {
        gr->groups = n->u.conv.groups;
        gr->n = (int)(weights_count(g, i) / (size_t)n->C);
    }
    if (gr->n > GRAM_MOST)
        return false;
    if (!gs)
        return true;
    if (gr->groups > 1 && gr->groups == C)
        return false;
    for (int c = 0; c < C; c++)
        if (gs->group[gs->classes[n->in[0]][c]] >= 0)
            return true;
    return false;
}

int gram_list_new(struct gram_list *l, const struct graph *g, const struct groups *gs, struct err *e)
{
    *l = (struct gram_list){.of = xcalloc((size_t)g->n, sizeof(*l->of))};
    for (int i = 0; i < g->n; i++) {
        struct gram *gr = &l->of[l->n];
        if (!describe(g, gs, i, gr))
            continue;
        l->n++;
        size_t cols = (size_t)gr->n * (size_t)gr->groups;
        gr->cov = mem_zalloc(cols, (size_t)gr->n * sizeof(float));
        gr->mean = mem_zalloc(cols, sizeof(float));
        if (!gr->cov || !gr->mean) {
            int rc = err_set(e, ERR_NOMEM, "no memory for the Gram matrix of \"%s\" (%d by %d)", g->nodes[i].name,
                             gr->n, gr->n);
            gram_list_release(l);
            return rc;
        }
    }
    return 0;
}

bool gram_list_fits(const struct gram_list *l, const struct graph *g, const struct groups *gs)
{
    int n = 0;
    for (int i = 0; i < g->n; i++) {
        struct gram want;
        if (!describe(g, gs, i, &want))
            continue;
        if (n >= l->n || l->of[n].node != i || l->of[n].n != want.n || l->of[n].groups != want.groups)
            return false;
        n++;
    }
    return n == l->n;
}
