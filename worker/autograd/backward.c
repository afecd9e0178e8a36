/*
 * What each kind of node does in the backward pass: takes the contributions to its value's gradient, and
 * contributes to its inputs' gradients and its own weights'.
 */
#include "worker/autograd/region.h"
#include "worker/autograd/tape.h"

/* ---- weights ---- */

static int weighted_backward(struct tape *t, int node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    const struct param *p = t->values[node].param;
    const struct value *x = &t->values[n->in[0]];
    int grad = tape_gathered(t, node, e);
    if (grad < 0)
        return grad;
    struct deed *d = tape_kernel(t, node, p->weights, NULL);
    d->in[0] = x->buffer;
    d->in[1] = grad;
    d->prim.w = p->dw;
    d->prim.w_step = p->dw_bytes;
    d->prim.b = p->db;
    d->prim.b_step = p->db_floats * sizeof(float);
    program_uses(t->p, d);
    if (!t->wants[n->in[0]])
        return 0;
    int dx = tape_buffer(t, &x->l, e);
    if (dx < 0)
        return dx;
    d = tape_kernel(t, node, p->data, NULL);
    d->in[0] = dx;
    d->in[1] = grad;
    d->prim.w = p->w[1];
    program_uses(t->p, d);
    tape_contribute(t, n->in[0], dx);
    return 0;
}

/* ---- element by element ---- */

/* A blend's gradient on its way: what is behind the activation, in one buffer but for the case that a BN alone can
 * work the activation's mask out again from its input. */
struct arrival {
    int grads[2], n;
    int g;     /* the buffer */
    bool mask; /* still to be masked by the BN's own output */
};

static enum elem_kind sums_kind(const struct blend *b, int n)
{
    if (!blend_clamps(b))
        return n == 2 ? ELEM_SUMS_2 : ELEM_SUMS;
    if (b->n == 1)
        return n == 2 ? ELEM_SUMS_2X : ELEM_SUMS_X;
    return n == 2 ? ELEM_SUMS_2Y : ELEM_SUMS_Y;
}

static enum elem_kind plain_kind(const struct blend *b, int n)
{
    if (!blend_clamps(b))
        return ELEM_ADD;
    return n == 2 ? ELEM_ADD_Y : ELEM_MASK_Y;
}

static struct deed *elem_deed(struct tape *t, const struct blend *b, enum deed_kind kind, enum elem_kind elem)
{
    struct deed *d = program_add(t->p, kind, b->tail);
    d->elem.kind = elem;
    d->elem.flat = flat_of(&t->values[b->tail].l);
    d->elem.lo = b->lo;
    d->elem.hi = b->hi;
    return d;
}

/* The first pass: mask, and the first BN's sums. */
static int arrive(struct tape *t, const struct blend *b, struct arrival *a, struct err *e)
{
    const struct value *y = &t->values[b->tail];
    bool norm = b->bn[0] >= 0, clamps = blend_clamps(b);
    a->mask = norm && b->n == 1 && clamps && a->n == 1;
    a->g = a->grads[0];
    if (!norm && !clamps && a->n == 1)
        return 0;
    bool out = a->n == 2 || (clamps && !a->mask);
    if (out && (a->g = tape_over(t, a->grads, a->n, &y->l, e)) < 0)
        return a->g;
    struct deed *d =
        norm ? elem_deed(t, b, DEED_SUMS, sums_kind(b, a->n)) : elem_deed(t, b, DEED_ELEM, plain_kind(b, a->n));
    for (int k = 0; k < a->n; k++)
        d->in[k] = a->grads[k];
    if (norm) {
        d->in[2] = t->values[b->x[0]].buffer;
        d->elem.norm[0] = t->values[b->bn[0]].norm;
        tape_pend(t, d->elem.norm[0]);
    }
    if (clamps && (b->n == 2 || !norm))
        d->in[3] = y->buffer;
    if (out)
        d->out = a->g;
    program_uses(t->p, d);
    return 0;
}

/* Sums of a second BN operand. */
static void sum_second(struct tape *t, const struct blend *b, int g)
{
    struct deed *d = elem_deed(t, b, DEED_SUMS, ELEM_SUMS);
    d->in[0] = g;
    d->in[2] = t->values[b->x[1]].buffer;
    d->elem.norm[0] = t->values[b->bn[1]].norm;
    program_uses(t->p, d);
    tape_pend(t, d->elem.norm[0]);
}

/* The second pass: through operand k's BN. */
static int slope(struct tape *t, const struct blend *b, const struct arrival *a, int k, bool last, struct err *e)
{
    const struct value *x = &t->values[b->x[k]];
    if (!t->wants[b->x[k]])
        return 0;
    int out = last ? tape_over(t, &a->g, 1, &x->l, e) : tape_buffer(t, &x->l, e);
    if (out < 0)
        return out;
    struct deed *d = elem_deed(t, b, DEED_ELEM, a->mask ? ELEM_SLOPE_X : ELEM_SLOPE);
    d->in[0] = a->g;
    d->in[2] = x->buffer;
    d->elem.norm[0] = t->values[b->bn[k]].norm;
    d->out = out;
    program_uses(t->p, d);
    tape_contribute(t, b->x[k], out);
    return 0;
}

static int blend_backward(struct tape *t, int node, struct err *e)
{
    struct blend b;
    struct arrival a;
    blend_of(t->g, t->reads, node, &b);
    a.n = tape_gather(t, node, 2, a.grads, e);
    int rc = a.n < 0 ? a.n : arrive(t, &b, &a, e);
    if (rc < 0)
        return rc;
    for (int k = 0; k < b.n; k++)
        if (b.bn[k] < 0)
            tape_contribute(t, b.x[k], a.g);
    if (b.bn[0] < 0)
        return 0;
    if (b.bn[1] >= 0)
        sum_second(t, &b, a.g);
    tape_join(t, node);
    rc = slope(t, &b, &a, 0, b.bn[1] < 0, e);
    if (rc == 0 && b.bn[1] >= 0)
        rc = slope(t, &b, &a, 1, true, e);
    return rc;
}

/* ---- pooling ---- */

static int pool_backward(struct tape *t, int node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    const struct value *x = &t->values[n->in[0]], *y = &t->values[node];
    struct kernel *k;
    int grad = tape_gathered(t, node, e), dx = grad < 0 ? grad : tape_buffer(t, &x->l, e);
    if (dx < 0)
        return dx;
    int rc = kernel_pool(&k, t->p->be, PASS_DATA, region_pooling(n), &n->u.pool.win, &x->l, &y->l, e);
    if (rc < 0)
        return rc;
    struct deed *d = tape_kernel(t, node, k, k);
    d->in[0] = dx;
    d->in[1] = grad;
    d->in[2] = y->work;
    program_uses(t->p, d);
    tape_contribute(t, n->in[0], dx);
    return 0;
}

static int globalpool_backward(struct tape *t, int node, struct err *e)
{
    int x = t->g->nodes[node].in[0], grad = tape_gathered(t, node, e);
    int dx = grad < 0 ? grad : tape_buffer(t, &t->values[x].l, e);
    if (dx < 0)
        return dx;
    struct deed *d = program_add(t->p, DEED_SPREAD, node);
    d->in[0] = grad;
    d->out = dx;
    d->lx = t->values[x].l;
    d->ly = t->values[node].l;
    program_uses(t->p, d);
    tape_contribute(t, x, dx);
    return 0;
}

/* ---- moving about ---- */

static int region_backward(struct tape *t, int node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    int grad = tape_gathered(t, node, e);
    for (int k = 0; grad >= 0 && k < n->n_in; k++) {
        const struct value *x = &t->values[n->in[k]];
        if (!t->wants[n->in[k]])
            continue;
        int dx = tape_buffer(t, &x->l, e);
        if (dx < 0)
            return dx;
        struct box b = region_back(t->g, n, k, &x->l, &t->values[node].l);
        tape_box(t, node, &b, grad, dx);
        tape_contribute(t, n->in[k], dx);
    }
    return grad < 0 ? grad : 0;
}

static int flatten_backward(struct tape *t, int node, struct err *e)
{
    int x = t->g->nodes[node].in[0], grad = tape_gathered(t, node, e);
    const struct layout *l = &t->values[x].l;
    struct layout flat = region_flat(&t->g->nodes[node], l, &t->values[node].l);
    if (grad < 0)
        return grad;
    if (layout_same(l, &flat)) {
        tape_contribute(t, x, grad);
        return 0;
    }
    int dx = tape_buffer(t, l, e);
    if (dx < 0)
        return dx;
    struct box b = box_all(&flat, l);
    tape_box(t, node, &b, grad, dx);
    tape_contribute(t, x, dx);
    return 0;
}

static int shuffle_backward(struct tape *t, int node, struct err *e)
{
    int x = t->g->nodes[node].in[0], grad = tape_gathered(t, node, e);
    int dx = grad < 0 ? grad : tape_buffer(t, &t->values[x].l, e);
    if (dx < 0)
        return dx;
    struct deed *d = program_add(t->p, DEED_SHUFFLE, node);
    d->lx = t->values[x].l;
    d->shuffle.groups = t->g->nodes[node].u.shuffle.groups;
    d->shuffle.back = true;
    d->in[0] = grad;
    d->out = dx;
    program_uses(t->p, d);
    tape_contribute(t, x, dx);
    return 0;
}

/* ---- channels' neighbours ---- */

static int lrn_backward(struct tape *t, int node, struct err *e)
{
    int x = t->g->nodes[node].in[0], grad = tape_gathered(t, node, e);
    int dx = grad < 0 ? grad : tape_buffer(t, &t->values[x].l, e);
    if (dx < 0)
        return dx;
    struct deed *d = program_add(t->p, DEED_LRN_BACK, node);
    d->lx = t->values[x].l;
    d->lrn = region_lrn(&t->g->nodes[node]);
    d->in[0] = grad;
    d->in[1] = t->values[x].buffer;
    d->out = dx;
    program_uses(t->p, d);
    tape_contribute(t, x, dx);
    return 0;
}

int tape_backward(struct tape *t, int node, struct err *e)
{
    switch (t->g->nodes[node].op) {
    case OP_CONV:
    case OP_GEMM:
        return weighted_backward(t, node, e);
    case OP_BN:
    case OP_RELU:
    case OP_CLIP:
    case OP_ADD:
        return blend_backward(t, node, e);
    case OP_MAXPOOL:
    case OP_AVGPOOL:
        return pool_backward(t, node, e);
    case OP_GLOBALPOOL:
        return globalpool_backward(t, node, e);
    case OP_CONCAT:
    case OP_PAD:
    case OP_SLICE:
        return region_backward(t, node, e);
    case OP_FLATTEN:
    case OP_UNFLATTEN:
        return flatten_backward(t, node, e);
    case OP_SHUFFLE:
        return shuffle_backward(t, node, e);
    case OP_LRN:
        return lrn_backward(t, node, e);
    case OP_MUL:
        return mul_backward(t, node, e);
    case OP_SIGMOID:
    case OP_TANH:
    case OP_HARDSIGMOID:
    case OP_HARDSWISH:
    case OP_LEAKYRELU:
    case OP_ELU:
    case OP_PRELU:
        return curve_backward(t, node, e);
    default:
        BUG("no backward pass of %s", op_name(t->g->nodes[node].op));
    }
}
