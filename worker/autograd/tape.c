#include "worker/autograd/tape.h"

#include <stdlib.h>

#include "common/base/mem.h"

/* ---- what counts ---- */

static void find_live(struct tape *t)
{
    const struct graph *g = t->g;
    t->live[t->output] = true;
    t->reads[t->output] = 1;
    for (int i = t->output; i >= 0; i--) {
        const struct node *n = &g->nodes[i];
        for (int k = 0; t->live[i] && k < n->n_in; k++) {
            t->live[n->in[k]] = true;
            t->reads[n->in[k]]++;
        }
    }
    for (int i = 0; i < g->n; i++) {
        const struct node *n = &g->nodes[i];
        t->wants[i] = op_has_params(n->op);
        for (int k = 0; k < n->n_in; k++)
            t->wants[i] = t->wants[i] || t->wants[n->in[k]];
    }
}

/* ---- values ---- */

/* A pooled value that is only made flat keeps fp32's precision, as flat values do. */
static bool only_flattened(const struct tape *t, int node)
{
    for (int i = node + 1; i < t->g->n; i++)
        for (int k = 0; t->live[i] && k < t->g->nodes[i].n_in; k++)
            if (t->g->nodes[i].in[k] == node && t->g->nodes[i].op != OP_FLATTEN)
                return false;
    return true;
}

/* The images as the first convolution likes them best. */
static bool only_convolved(const struct tape *t, int node)
{
    for (int i = node + 1; i < t->g->n; i++)
        for (int k = 0; t->live[i] && k < t->g->nodes[i].n_in; k++)
            if (t->g->nodes[i].in[k] == node && t->g->nodes[i].op != OP_CONV)
                return false;
    return true;
}

#define FEW 8 /* channels, of which oneDNN has no fast convolution in panels */

/* Images, or what a Pad or the like makes of them, plain for the first convolution. */
static bool plain_images(const struct tape *t, int node)
{
    const struct node *n = &t->g->nodes[node];
    bool moved = n->op == OP_PAD || n->op == OP_SLICE || n->op == OP_CONCAT;
    return (n->op == OP_INPUT || (moved && n->C < FEW)) && only_convolved(t, node);
}

struct layout tape_layout(const struct tape *t, int node)
{
    const struct node *n = &t->g->nodes[node];
    struct layout l = layout_of(n, t->p->images, n->C);
    l.type = t->type;
    if (n->flat || (n->op == OP_GLOBALPOOL && only_flattened(t, node)))
        l.type = DTYPE_F32;
    else if (t->blocked)
        l.lanes = plain_images(t, node) ? 1 : backend_lanes(t->p->be);
    return l;
}

int tape_buffer(struct tape *t, const struct layout *l, struct err *e)
{
    return plan_add(&t->p->plan, layout_bytes(l), e);
}

int tape_value(struct tape *t, int node, struct err *e)
{
    struct value *v = &t->values[node];
    v->l = tape_layout(t, node);
    v->buffer = tape_buffer(t, &v->l, e);
    return v->buffer < 0 ? v->buffer : 0;
}

/* ---- deeds ---- */

void tape_pend(struct tape *t, struct norm *n)
{
    if (t->n_pending == t->cap) {
        t->cap = t->cap ? 2 * t->cap : 8;
        t->pending = xrealloc(t->pending, (size_t)t->cap * sizeof(struct norm *));
    }
    t->pending[t->n_pending++] = n;
}

void tape_join(struct tape *t, int node)
{
    if (t->n_pending == 0)
        return;
    struct deed *d = program_add(t->p, DEED_JOIN, node);
    d->join.norms = t->pending;
    d->join.n = t->n_pending;
    t->pending = NULL;
    t->n_pending = t->cap = 0;
}

void tape_box(struct tape *t, int node, const struct box *b, int in, int out)
{
    struct deed *d = program_add(t->p, DEED_BOX, node);
    d->box = *b;
    d->in[0] = in;
    d->out = out;
    program_uses(t->p, d);
}

struct deed *tape_kernel(struct tape *t, int node, const struct kernel *k, struct kernel *own)
{
    struct deed *d = program_add(t->p, DEED_KERNEL, node);
    d->prim.kernel = k;
    d->prim.own = own;
    d->prim.conv = t->g->nodes[node].op == OP_CONV;
    return d;
}

/* ---- gradients ---- */

static int *owners(struct tape *t, int buffer)
{
    return &t->p->plan.of[buffer].owners;
}

void tape_contribute(struct tape *t, int node, int buffer)
{
    struct value *v = &t->values[node];
    if (!t->wants[node])
        return;
    if (v->n_grads == v->cap) {
        v->cap = v->cap ? 2 * v->cap : 4;
        v->grads = xrealloc(v->grads, (size_t)v->cap * sizeof *v->grads);
    }
    v->grads[v->n_grads++] = buffer;
    ++*owners(t, buffer);
}

int tape_over(struct tape *t, const int *buffers, int n, const struct layout *l, struct err *e)
{
    for (int k = 0; k < n; k++)
        if (*owners(t, buffers[k]) == 0)
            return buffers[k];
    return tape_buffer(t, l, e);
}

/* The last two become one. */
static int add_two(struct tape *t, int node, struct err *e)
{
    struct value *v = &t->values[node];
    int two[2] = {v->grads[v->n_grads - 2], v->grads[v->n_grads - 1]};
    v->n_grads -= 2;
    for (int k = 0; k < 2; k++)
        --*owners(t, two[k]);
    int out = tape_over(t, two, 2, &v->l, e);
    if (out < 0)
        return out;
    struct deed *d = program_add(t->p, DEED_ELEM, node);
    d->elem.kind = ELEM_ADD;
    d->elem.flat = flat_of(&v->l);
    d->in[0] = two[0];
    d->in[1] = two[1];
    d->out = out;
    program_uses(t->p, d);
    tape_contribute(t, node, out);
    return 0;
}

int tape_gather(struct tape *t, int node, int most, int grads[2], struct err *e)
{
    struct value *v = &t->values[node];
    while (v->n_grads > most) {
        int rc = add_two(t, node, e);
        if (rc < 0)
            return rc;
    }
    int n = v->n_grads;
    for (int k = 0; k < n; k++) {
        grads[k] = v->grads[k];
        --*owners(t, grads[k]);
    }
    v->n_grads = 0;
    return n;
}

int tape_gathered(struct tape *t, int node, struct err *e)
{
    int grads[2], n = tape_gather(t, node, 1, grads, e);
    return n < 0 ? n : grads[0];
}

/* ---- the whole ---- */

static int record_forward(struct tape *t, struct err *e)
{
    const struct value *out = &t->values[t->output];
    for (int i = 0; i <= t->output; i++) {
        if (!t->live[i])
            continue;
        int rc = tape_forward(t, i, e);
        if (rc < 0)
            return rc;
    }
    tape_join(t, t->output);
    struct box b = box_all(&out->l, &t->p->y);
    tape_box(t, t->output, &b, out->buffer, BUFFER_LOGITS);
    t->p->forward = t->p->n;
    return 0;
}

static int record_backward(struct tape *t, struct err *e)
{
    const struct value *out = &t->values[t->output];
    int grad = tape_buffer(t, &out->l, e);
    if (grad < 0)
        return grad;
    struct box b = box_all(&t->p->y, &out->l);
    tape_box(t, t->output, &b, BUFFER_DLOGITS, grad);
    tape_contribute(t, t->output, grad);
    for (int i = t->output; i >= 0; i--) {
        if (!t->live[i] || t->inner[i] || !t->wants[i])
            continue;
        int rc = tape_backward(t, i, e);
        if (rc < 0)
            return rc;
    }
    tape_join(t, t->output);
    return 0;
}

static int check_output(struct tape *t, struct err *e)
{
    const struct graph *g = t->g;
    t->output = g->output;
    if (g->nodes[t->output].op == OP_SOFTMAX)
        t->output = g->nodes[t->output].in[0];
    const struct node *out = &g->nodes[t->output];
    if (out->H != 1 || out->W != 1)
        return err_set(e, ERR_UNSUPPORTED, "the output %s is %dx%dx%d, not one number a class", out->name, out->C,
                       out->H, out->W);
    return 0;
}

/*
 * Panels suit oneDNN's fp32 kernels where channels come in whole panels; what else there is goes faster with
 * channels last, as all of bf16 does.
 */
static bool suits_panels(const struct tape *t)
{
    int lanes = backend_lanes(t->p->be);
    double real = 0, padded = 0;
    if (t->type != DTYPE_F32 || !backend_wide(t->p->be))
        return false;
    for (int i = 0; i < t->g->n; i++) {
        const struct node *n = &t->g->nodes[i];
        if (!t->live[i] || n->flat || n->op == OP_INPUT)
            continue;
        if (n->op == OP_CONV && n->u.conv.groups > 1 &&
            (n->u.conv.groups != n->C || n->C != t->g->nodes[n->in[0]].C || n->C % lanes))
            return false;
        if (n->op == OP_LRN)
            return false; /* it knows channels last alone */
        if (n->op == OP_CONV && t->g->nodes[n->in[0]].C < FEW && !plain_images(t, n->in[0]))
            return false;
        if (n->op == OP_CLIP && (n->u.clip.lo > 0 || n->u.clip.hi < 0) && n->C % lanes)
            return false; /* padding must stay zero */
        real += (double)n->C * n->H * n->W;
        padded += (double)((n->C + lanes - 1) / lanes * lanes) * n->H * n->W;
    }
    return padded <= 1.1 * real;
}

static void tape_release(struct tape *t)
{
    for (int i = 0; i < t->g->n; i++)
        free(t->values[i].grads);
    free(t->values);
    free(t->live);
    free(t->inner);
    free(t->wants);
    free(t->reads);
    free(t->pending);
}

int tape_record(struct program *p, const struct graph *g, enum dtype type, struct err *e)
{
    struct tape t = {.g = g, .p = p, .type = type};
    size_t n = (size_t)g->n;
    t.live = xcalloc(n, sizeof *t.live);
    t.inner = xcalloc(n, sizeof *t.inner);
    t.wants = xcalloc(n, sizeof *t.wants);
    t.reads = xcalloc(n, sizeof *t.reads);
    t.values = xcalloc(n, sizeof *t.values);
    int rc = check_output(&t, e);
    if (rc == 0) {
        find_live(&t);
        blend_inner(g, t.reads, t.live, t.inner);
        curve_inner(g, t.reads, t.live, t.inner);
        t.blocked = suits_panels(&t);
        p->y = layout_of(&g->nodes[t.output], p->images, 1);
        p->x = layout_of(&g->nodes[0], p->images, 1);
        rc = record_forward(&t, e);
    }
    if (rc == 0)
        rc = record_backward(&t, e);
    tape_release(&t);
    return rc;
}
