#include "common/model/weights.h"

#include "common/base/mem.h"

size_t weights_count(const struct graph *g, int i)
{
    const struct node *d = &g->nodes[i];
    if (!op_has_params(d->op))
        return 0;
    size_t K = (size_t)d->C, C = (size_t)g->nodes[d->in[0]].C;
    if (d->op == OP_CONV)
        return K * (C / (size_t)d->u.conv.groups) * (size_t)d->u.conv.win.R * (size_t)d->u.conv.win.S;
    return d->op == OP_GEMM ? K * C : C;
}

const float *params_of(const struct params *p, int which, size_t *n)
{
    const float *const of[NAME_COUNT] = {p->w, p->b, p->mean, p->var};
    *n = which == NAME_W ? p->n_w : p->n_b;
    return of[which];
}

static bool has_bias(const struct node *d)
{
    return d->op == OP_BN || (d->op == OP_CONV && d->u.conv.bias) || (d->op == OP_GEMM && d->u.gemm.bias);
}

static int params_new(struct params *p, const struct graph *g, int i, struct err *e)
{
    const struct node *d = &g->nodes[i];
    p->n_w = weights_count(g, i);
    p->n_b = (size_t)d->C;
    p->w = mem_zalloc(p->n_w, sizeof *p->w);
    bool whole = p->w != NULL;
    if (has_bias(d))
        whole = (p->b = mem_zalloc(p->n_b, sizeof *p->b)) && whole;
    if (d->op == OP_BN) {
        p->mean = mem_zalloc(p->n_b, sizeof *p->mean);
        p->var = mem_zalloc(p->n_b, sizeof *p->var);
        whole = whole && p->mean && p->var;
    }
    if (!whole)
        return err_set(e, ERR_NOMEM, "no memory for the %zu weights of \"%s\"", p->n_w, d->name);
    return 0;
}

static int table_new(struct weights *w, int n, struct err *e)
{
    w->n = n;
    w->of = mem_zalloc((size_t)n, sizeof *w->of);
    if (w->of)
        return 0;
    *w = (struct weights){0};
    return err_set(e, ERR_NOMEM, "no memory for the weights of %d nodes", n);
}

int weights_new(struct weights *w, const struct graph *g, struct err *e)
{
    int rc = table_new(w, g->n, e);
    for (int i = 0; i < g->n && rc == 0; i++)
        if (op_has_params(g->nodes[i].op))
            rc = params_new(&w->of[i], g, i, e);
    if (rc < 0)
        weights_release(w);
    return rc;
}

/* NULL stays NULL; false when memory is gone. */
static bool copy_array(float **to, const float *from, size_t n)
{
    *to = from ? mem_dup(from, n, sizeof **to) : NULL;
    return *to || !from;
}

int weights_copy(const struct weights *w, struct weights *out, struct err *e)
{
    int rc = table_new(out, w->n, e);
    for (int i = 0; i < w->n && rc == 0; i++) {
        const struct params *p = &w->of[i];
        struct params *q = &out->of[i];
        q->n_w = p->n_w;
        q->n_b = p->n_b;
        if (!copy_array(&q->w, p->w, p->n_w) || !copy_array(&q->b, p->b, p->n_b) ||
            !copy_array(&q->mean, p->mean, p->n_b) || !copy_array(&q->var, p->var, p->n_b))
            rc = err_set(e, ERR_NOMEM, "no memory for a copy of the %zu weights of node %d", p->n_w, i);
    }
    if (rc < 0)
        weights_release(out);
    return rc;
}

void weights_release(struct weights *w)
{
    for (int i = 0; i < w->n; i++) {
        mem_free(w->of[i].w);
        mem_free(w->of[i].b);
        mem_free(w->of[i].mean);
        mem_free(w->of[i].var);
    }
    mem_free(w->of);
    *w = (struct weights){0};
}

void model_release(struct model *m)
{
    graph_release(&m->graph);
    weights_release(&m->weights);
}
