/*
 * Mul, forward and backward: a curve of its input where it is a swish, a product of two values, or of a value and its gate,
 * which then is plain fp32 on its way in and out.
 */
#include "worker/autograd/region.h"
#include "worker/autograd/tape.h"

static bool is_curve(const struct tape *t, int node)
{
    struct act a;
    int x;
    return curve_at(t->g, t->reads, node, &a, &x);
}

static bool is_gated(const struct tape *t, const struct node *n)
{
    const struct node *gate = &t->g->nodes[n->in[1]];
    return gate->H != n->H || gate->W != n->W;
}

static struct layout gate_layout(const struct tape *t, int gate)
{
    return layout_of(&t->g->nodes[gate], t->p->images, 1);
}

/* Appends a deed of a pass over a value like `node`'s. */
static void add_pass(struct tape *t, enum deed_kind kind, int node, int a, int b, int out)
{
    struct deed *d = program_add(t->p, kind, node);
    d->lx = t->values[node].l;
    d->in[0] = a;
    d->in[1] = b;
    d->out = out;
    program_uses(t->p, d);
}

/* The gate where the passes find it. */
static int take_gate(struct tape *t, int node, int gate, struct err *e)
{
    struct value *v = &t->values[node];
    const struct value *g = &t->values[gate];
    struct layout plain = gate_layout(t, gate);
    v->gate = g->buffer;
    if (layout_same(&g->l, &plain))
        return 0;
    if ((v->gate = tape_buffer(t, &plain, e)) < 0)
        return v->gate;
    struct box b = box_all(&g->l, &plain);
    tape_box(t, node, &b, g->buffer, v->gate);
    return 0;
}

int mul_forward(struct tape *t, int node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    struct value *v = &t->values[node];
    if (is_curve(t, node))
        return curve_forward(t, node, e);
    bool gated = is_gated(t, n);
    int rc = tape_value(t, node, e);
    if (rc == 0 && gated)
        rc = take_gate(t, node, n->in[1], e);
    if (rc < 0)
        return rc;
    int second = gated ? v->gate : t->values[n->in[1]].buffer;
    add_pass(t, gated ? DEED_GATE : DEED_MUL, node, t->values[n->in[0]].buffer, second, v->buffer);
    return 0;
}

/* The gate's gradient, in the gate's own layout. */
static int gate_backward(struct tape *t, int node, int grad, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    const struct value *g = &t->values[n->in[1]];
    struct layout plain = gate_layout(t, n->in[1]);
    int sums = tape_buffer(t, &plain, e), out = sums;
    if (sums < 0)
        return sums;
    add_pass(t, DEED_GATE_SUMS, node, grad, t->values[n->in[0]].buffer, sums);
    if (!layout_same(&g->l, &plain)) {
        if ((out = tape_buffer(t, &g->l, e)) < 0)
            return out;
        struct box b = box_all(&plain, &g->l);
        tape_box(t, node, &b, sums, out);
    }
    tape_contribute(t, n->in[1], out);
    return 0;
}

/* The gradient of operand k of a product, or of what a gate is for. */
static int operand_backward(struct tape *t, int node, int k, int grad, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    bool gated = is_gated(t, n);
    int dx = tape_buffer(t, &t->values[node].l, e);
    if (dx < 0)
        return dx;
    add_pass(t, gated ? DEED_GATE : DEED_MUL, node, grad,
             gated ? t->values[node].gate : t->values[n->in[1 - k]].buffer, dx);
    tape_contribute(t, n->in[k], dx);
    return 0;
}

int mul_backward(struct tape *t, int node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    if (is_curve(t, node))
        return curve_backward(t, node, e);
    int grad = tape_gathered(t, node, e), rc = grad < 0 ? grad : 0;
    for (int k = 0; rc == 0 && k < 2; k++)
        if (t->wants[n->in[k]])
            rc = k == 1 && is_gated(t, n) ? gate_backward(t, node, grad, e) : operand_backward(t, node, k, grad, e);
    return rc;
}
