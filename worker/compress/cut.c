#include "worker/compress/cut.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

void cut_live(const struct groups *gs, const int *keep, int *const *order, bool *live)
{
    for (int c = 0; c < gs->n_classes; c++)
        live[c] = gs->group[c] < 0;
    for (int g = 0; g < gs->n; g++)
        for (int k = 0; k < keep[g]; k++)
            live[gs->of[g].classes[order[g][k]]] = true;
}

/* The kept channels of every value. */
struct kept {
    int **of; /* (nodes)(n) */
    int *n;
    int nodes;
};

static void kept_release(struct kept *k)
{
    for (int i = 0; i < k->nodes; i++)
        free(k->of[i]);
    free(k->of);
    free(k->n);
}

static int kept_find(struct kept *k, const struct graph *g, const struct groups *gs, const bool *live,
                     struct err *e)
{
    k->of = xcalloc((size_t)g->n, sizeof(*k->of));
    k->n = xcalloc((size_t)g->n, sizeof(*k->n));
    k->nodes = g->n;
    for (int i = 0; i < g->n; i++) {
        k->of[i] = xcalloc((size_t)g->nodes[i].C, sizeof(int));
        k->n[i] = groups_kept(gs, g, i, live, k->of[i]);
        if (k->n[i] == 0)
            return err_set(e, ERR_INVALID, "no channel of \"%s\" would be left", g->nodes[i].name);
    }
    return 0;
}

/* How many of the n kept channels lie under `channel`. */
static int count_under(const int *kept, int n, int channel)
{
    int count = 0;
    while (count < n && kept[count] < channel)
        count++;
    return count;
}

/* What a node becomes when its inputs and its value keep only some channels; shapes follow by inference. */
static void shrink(struct node *n, const struct graph *g, int i, const struct kept *k)
{
    int in = n->n_in > 0 ? n->in[0] : -1, old_C = n->C;
    n->C = k->n[i];
    switch (n->op) {
    case OP_CONV:
        if (n->u.conv.groups > 1 && n->u.conv.groups == g->nodes[in].C)
            n->u.conv.groups = k->n[in];
        break;
    case OP_PAD: {
        int inside = g->nodes[in].C;
        n->u.pad.front = count_under(k->of[i], k->n[i], n->u.pad.front);
        n->u.pad.back = k->n[i] - count_under(k->of[i], k->n[i], old_C - n->u.pad.back);
        if (n->u.pad.front + n->u.pad.back + k->n[in] != k->n[i] || inside > old_C)
            BUG("pad \"%s\": %d channels inside %d", n->name, k->n[in], k->n[i]);
        break;
    }
    case OP_SLICE: /* with steps, all from begin to end stay (groups.h), but not all before */
        n->u.slice.c.begin = count_under(k->of[in], k->n[in], n->u.slice.c.begin);
        n->u.slice.c.end = count_under(k->of[in], k->n[in], n->u.slice.c.end);
        break;
    default:
        break;
    }
}

/* The conv's rows and columns that stay. in_kept are channels of the whole input; those of output channel k's own
 * conv group count. */
static void slice_conv(const struct node *old, int old_in_C, const int *out_kept, int n_out, const int *in_kept,
                       int n_in, const float *w, float *out)
{
    int groups = old->u.conv.groups, cols = old_in_C / groups, rows = old->C / groups;
    size_t area = (size_t)old->u.conv.win.R * (size_t)old->u.conv.win.S;
    for (int k = 0; k < n_out; k++) {
        int first = out_kept[k] / rows * cols; /* first input channel of this conv group */
        for (int c = 0; c < n_in; c++) {
            if (in_kept[c] < first || in_kept[c] >= first + cols)
                continue;
            memcpy(out, w + ((size_t)out_kept[k] * (size_t)cols + (size_t)(in_kept[c] - first)) * area,
                   area * sizeof(float));
            out += area;
        }
    }
}

static void slice_gemm(int old_in_C, const int *out_kept, int n_out, const int *in_kept, int n_in, const float *w,
                       float *out)
{
    for (int k = 0; k < n_out; k++)
        for (int c = 0; c < n_in; c++)
            *out++ = w[(size_t)out_kept[k] * (size_t)old_in_C + (size_t)in_kept[c]];
}

static void pick(const float *from, const int *kept, int n, float *to)
{
    for (int i = 0; from && i < n; i++)
        to[i] = from[kept[i]];
}

static void slice_params(const struct model *m, int i, const struct kept *k, struct params *to)
{
    const struct node *n = &m->graph.nodes[i];
    const struct params *from = &m->weights.of[i];
    if (!op_has_params(n->op))
        return;
    int in = n->in[0], in_C = m->graph.nodes[in].C;
    if (n->op == OP_CONV)
        slice_conv(n, in_C, k->of[i], k->n[i], k->of[in], k->n[in], from->w, to->w);
    else if (n->op == OP_GEMM)
        slice_gemm(in_C, k->of[i], k->n[i], k->of[in], k->n[in], from->w, to->w);
    else
        pick(from->w, k->of[i], k->n[i], to->w);
    pick(from->b, k->of[i], k->n[i], to->b);
    pick(from->mean, k->of[i], k->n[i], to->mean);
    pick(from->var, k->of[i], k->n[i], to->var);
}

int cut(const struct model *m, const struct groups *gs, const bool *live, struct model *out, struct err *e)
{
    const struct graph *g = &m->graph;
    struct kept k = {0};
    *out = (struct model){0};
    int rc = kept_find(&k, g, gs, live, e);
    if (rc < 0 || (rc = graph_copy(g, &out->graph, e)) < 0)
        goto out;
    for (int i = 0; i < g->n; i++) {
        shrink(&out->graph.nodes[i], g, i, &k);
        if (g->nodes[i].op != OP_INPUT && (rc = graph_infer(&out->graph, i, e)) < 0)
            goto out;
        if (out->graph.nodes[i].C != k.n[i])
            BUG("value \"%s\" has %d channels after the cut, not %d", g->nodes[i].name, out->graph.nodes[i].C,
                k.n[i]);
    }
    if ((rc = weights_new(&out->weights, &out->graph, e)) < 0)
        goto out;
    for (int i = 0; i < g->n; i++)
        slice_params(m, i, &k, &out->weights.of[i]);
out:
    kept_release(&k);
    if (rc < 0)
        model_release(out);
    return rc;
}
