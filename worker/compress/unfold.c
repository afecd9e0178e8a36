#include "worker/compress/unfold.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

#define SUFFIX "/unfolded"
#define EPS    1e-5f

int unfold_missing(const struct graph *g, int *nodes)
{
    int *readers = xcalloc((size_t)g->n, sizeof(int));
    bool *has_bn = xcalloc((size_t)g->n, sizeof(bool));
    int n = 0;
    graph_readers(g, readers);
    for (int i = 0; i < g->n; i++)
        if (g->nodes[i].op == OP_BN)
            has_bn[g->nodes[i].in[0]] = true;
    for (int i = 0; i < g->n; i++)
        if (g->nodes[i].op == OP_CONV && !(has_bn[i] && readers[i] == 1))
            nodes[n++] = i;
    free(readers);
    free(has_bn);
    return n;
}

int unfold_values(const struct graph *g, int *nodes)
{
    int *bare = xcalloc((size_t)g->n, sizeof(int)), n_bare = unfold_missing(g, bare), n = 0;
    bool *wanted = xcalloc((size_t)g->n, sizeof(bool));
    for (int i = 0; i < n_bare; i++)
        wanted[bare[i]] = true;
    for (int i = 0; i < g->n; i++)
        if (g->nodes[i].op == OP_BN)
            wanted[g->nodes[i].in[0]] = true;
    for (int i = 0; i < g->n; i++)
        if (wanted[i])
            nodes[n++] = i;
    free(bare);
    free(wanted);
    return n;
}

/* Copies node `i`'s parameters of `from` into node `to` of `w`. */
static void copy_params(const struct weights *from, int i, struct weights *w, int to)
{
    const struct params *s = &from->of[i];
    struct params *d = &w->of[to];
    if (s->n_w != d->n_w || (s->b && !d->b))
        BUG("parameters of node %d don't fit node %d", i, to);
    if (s->w)
        memcpy(d->w, s->w, s->n_w * sizeof(float));
    if (s->b)
        memcpy(d->b, s->b, s->n_b * sizeof(float));
    if (s->mean)
        memcpy(d->mean, s->mean, s->n_b * sizeof(float));
    if (s->var)
        memcpy(d->var, s->var, s->n_b * sizeof(float));
}

/* Adds a copy of node `i` of `g` whose inputs are looked up in `at`. */
static int add_copy(struct graph *out, const struct graph *g, int i, const int *at, bool bias, struct err *e)
{
    struct node n = g->nodes[i];
    int *in = xcalloc((size_t)n.n_in, sizeof(int));
    for (int k = 0; k < n.n_in; k++)
        in[k] = at[n.in[k]];
    n.in = in;
    if (bias)
        n.u.conv.bias = true;
    int rc = graph_add(out, &n, e);
    free(in);
    return rc;
}

static void fill_identity(const struct channel_stats *s, struct params *p)
{
    for (int c = 0; c < s->C; c++) {
        p->w[c] = sqrtf(s->var[c] + EPS);
        p->b[c] = s->mean[c];
        p->mean[c] = s->mean[c];
        p->var[c] = s->var[c];
    }
}

/* The same function with other running statistics. */
static void restate(const struct channel_stats *s, float eps, struct params *p)
{
    for (int c = 0; c < s->C; c++) {
        double factor = (double)p->w[c] / sqrt((double)p->var[c] + (double)eps);
        p->b[c] = (float)((double)p->b[c] + ((double)s->mean[c] - (double)p->mean[c]) * factor);
        p->w[c] = (float)(factor * sqrt((double)s->var[c] + (double)eps));
        p->mean[c] = s->mean[c];
        p->var[c] = s->var[c];
    }
}

static int add_bn(struct graph *out, const struct graph *g, int conv, int at, struct err *e)
{
    char *name = xasprintf("%s" SUFFIX, g->nodes[conv].name);
    struct node bn = {.op = OP_BN, .name = name, .label = name, .n_in = 1, .in = &at, .u.bn.eps = EPS};
    int rc = graph_add(out, &bn, e);
    free(name);
    return rc;
}

/* Parameters of the copy: at, self and bare as in unfold; `of` has the statistics by node. */
static void fill_params(const struct model *m, const int *at, const int *self, const bool *bare,
                        const struct channel_stats *const *of, struct weights *w)
{
    for (int i = 0; i < m->graph.n; i++) {
        const struct node *n = &m->graph.nodes[i];
        copy_params(&m->weights, i, w, self[i]);
        if (bare[i])
            fill_identity(of[i], &w->of[at[i]]);
        if (n->op == OP_BN)
            restate(of[n->in[0]], n->u.bn.eps, &w->of[self[i]]);
    }
}

int unfold(const struct model *m, const struct stats_list *stats, struct model *out, struct err *e)
{
    const struct graph *g = &m->graph;
    int *at = xcalloc((size_t)g->n, sizeof(int));     /* where readers of a value find it */
    int *self = xcalloc((size_t)g->n, sizeof(int));   /* where the node itself is */
    int *list = xcalloc((size_t)g->n, sizeof(int));   /* convs without BN */
    bool *bare = xcalloc((size_t)g->n, sizeof(bool)); /* whether the node is one of them */
    const struct channel_stats **of = xcalloc((size_t)g->n, sizeof(*of));
    for (int i = unfold_missing(g, list) - 1; i >= 0; i--)
        bare[list[i]] = true;
    for (int i = 0; i < stats->n; i++)
        of[stats->of[i].node] = &stats->of[i];
    *out = (struct model){0};
    graph_init(&out->graph);
    out->graph.name = g->name ? xstrdup(g->name) : NULL;
    out->graph.opset = g->opset;
    int rc = 0;
    for (int i = 0; rc >= 0 && i < g->n; i++) {
        rc = self[i] = at[i] = add_copy(&out->graph, g, i, at, false, e);
        if (rc >= 0 && bare[i])
            rc = at[i] = add_bn(&out->graph, g, i, self[i], e);
    }
    if (rc >= 0) {
        out->graph.output = at[g->output];
        rc = weights_new(&out->weights, &out->graph, e);
    }
    if (rc == 0)
        fill_params(m, at, self, bare, of, &out->weights);
    free(at);
    free(self);
    free(list);
    free(bare);
    free(of);
    if (rc < 0)
        model_release(out);
    return rc < 0 ? rc : 0;
}

/* Whether node i is a BN as unfold puts them in; another's name may end alike. */
static bool is_unfolded(const struct graph *g, int i, const int *readers)
{
    const struct node *n = &g->nodes[i];
    if (n->op != OP_BN || g->nodes[n->in[0]].op != OP_CONV || readers[n->in[0]] != 1)
        return false;
    const char *conv = g->nodes[n->in[0]].name;
    size_t len = strlen(conv);
    return strncmp(n->name, conv, len) == 0 && strcmp(n->name + len, SUFFIX) == 0;
}

/* For each node the conv into which it is folded, -1: it stays; and for each conv whether a BN is folded into it.
 */
static void find_unfolded(const struct graph *g, int *into, bool *folded)
{
    int *readers = xcalloc((size_t)g->n, sizeof(int));
    graph_readers(g, readers);
    for (int i = 0; i < g->n; i++) {
        into[i] = is_unfolded(g, i, readers) ? g->nodes[i].in[0] : -1;
        if (into[i] >= 0)
            folded[into[i]] = true;
    }
    free(readers);
}

/* w, b of the conv become those of conv and BN together. */
static void fold_params(const struct params *bn, float eps, struct params *conv)
{
    size_t K = conv->n_b, row = conv->n_w / K;
    for (size_t k = 0; k < K; k++) {
        float s = bn->w[k] / sqrtf(bn->var[k] + eps);
        for (size_t i = 0; i < row; i++)
            conv->w[k * row + i] *= s;
        conv->b[k] = (conv->b[k] - bn->mean[k]) * s + bn->b[k];
    }
}

int fold(const struct model *m, struct model *out, struct err *e)
{
    const struct graph *g = &m->graph;
    int *at = xcalloc((size_t)g->n, sizeof(int));
    int *into = xcalloc((size_t)g->n, sizeof(int));
    bool *folded = xcalloc((size_t)g->n, sizeof(bool));
    find_unfolded(g, into, folded);
    *out = (struct model){0};
    graph_init(&out->graph);
    out->graph.name = g->name ? xstrdup(g->name) : NULL;
    out->graph.opset = g->opset;
    int rc = 0;
    for (int i = 0; rc >= 0 && i < g->n; i++)
        rc = at[i] = into[i] >= 0 ? at[into[i]] : add_copy(&out->graph, g, i, at, folded[i], e);
    if (rc < 0)
        goto out;
    out->graph.output = at[g->output];
    if ((rc = weights_new(&out->weights, &out->graph, e)) < 0)
        goto out;
    for (int i = 0; i < g->n; i++) {
        if (into[i] >= 0)
            fold_params(&m->weights.of[i], g->nodes[i].u.bn.eps, &out->weights.of[at[i]]);
        else
            copy_params(&m->weights, i, &out->weights, at[i]);
    }
out:
    free(at);
    free(into);
    free(folded);
    if (rc < 0)
        model_release(out);
    return rc < 0 ? rc : 0;
}
