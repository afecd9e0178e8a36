/*
 * Nodes that are curves, forward and backward.
 */
#include "common/base/mem.h"
#include "worker/autograd/tape.h"

static int own_slopes(struct tape *t, int node, struct err *e)
{
    struct value *v = &t->values[node];
    int rc = slopes_new(&v->slopes, node, &v->l, t->p->parts, e);
    if (rc < 0)
        return rc;
    t->p->slopes = xrealloc(t->p->slopes, (size_t)(t->p->n_slopes + 1) * sizeof(struct slopes *));
    t->p->slopes[t->p->n_slopes++] = v->slopes;
    return 0;
}

int curve_forward(struct tape *t, int node, struct err *e)
{
    struct value *v = &t->values[node];
    struct act a;
    int x, rc = tape_value(t, node, e);
    if (!curve_at(t->g, t->reads, node, &a, &x))
        BUG("%s is no curve", t->g->nodes[node].name);
    if (rc == 0 && a.curve == CURVE_SLOPES)
        rc = own_slopes(t, node, e);
    if (rc < 0)
        return rc;
    struct deed *d = program_add(t->p, DEED_CURVE, node);
    if ((rc = map_new(&d->curve.map, &v->l, a, e)) < 0)
        return rc;
    if (v->slopes)
        d->curve.map.slope = v->slopes->slope;
    d->lx = v->l;
    d->in[0] = t->values[x].buffer;
    d->out = v->buffer;
    program_uses(t->p, d);
    return 0;
}

int curve_backward(struct tape *t, int node, struct err *e)
{
    const struct value *v = &t->values[node];
    struct act a;
    int x, grad = tape_gathered(t, node, e);
    curve_at(t->g, t->reads, node, &a, &x);
    int dx = grad < 0 ? grad : tape_over(t, &grad, 1, &v->l, e);
    if (dx < 0)
        return dx;
    struct deed *d = program_add(t->p, DEED_CURVE_BACK, node);
    d->curve.act = a;
    d->curve.slopes = v->slopes;
    d->lx = v->l;
    d->in[0] = grad;
    d->in[1] = t->values[x].buffer;
    d->out = dx;
    program_uses(t->p, d);
    tape_contribute(t, x, dx);
    return 0;
}
