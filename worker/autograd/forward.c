/*
 * What each kind of node does in the forward pass.
 */
#include "common/base/mem.h"
#include "worker/autograd/region.h"
#include "worker/autograd/tape.h"

static int input_forward(struct tape *t, int node, struct err *e)
{
    int rc = tape_value(t, node, e);
    if (rc < 0)
        return rc;
    struct box b = box_all(&t->p->x, &t->values[node].l);
    tape_box(t, node, &b, BUFFER_X, t->values[node].buffer);
    return 0;
}

/* ---- weights ---- */

static int own_param(struct tape *t, int node, struct kernel *const k[3], struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    struct params shape = {.n_w = weights_count(t->g, node), .n_b = (size_t)n->C};
    struct value *v = &t->values[node];
    bool bias = n->op == OP_CONV ? n->u.conv.bias : n->u.gemm.bias;
    if (!bias)
        shape.n_b = 0;
    int rc = param_new(&v->param, t->p->be, node, &shape, t->p->parts, k[PASS_FORWARD], k[PASS_DATA],
                       k[PASS_WEIGHTS], e);
    if (rc < 0)
        return rc;
    t->p->params = xrealloc(t->p->params, (size_t)(t->p->n_params + 1) * sizeof *t->p->params);
    t->p->params[t->p->n_params++] = v->param;
    return 0;
}

/* F(4x4, 3x3) pays from 32 channels on (measured: 8x8 to 32x32 pixels). */
#define WINOGRAD_CHANNELS 32

static bool wants_winograd(const struct kernel_conv *c)
{
    const struct window *w = &c->win;
    return c->x.type == DTYPE_F32 && c->x.lanes == 16 && c->groups == 1 && w->R == 3 && w->S == 3 &&
           w->stride_h == 1 && w->stride_w == 1 && w->dil_h == 1 && w->dil_w == 1 && c->x.C >= WINOGRAD_CHANNELS &&
           c->y.C >= WINOGRAD_CHANNELS && c->x.C % 16 == 0 && c->y.C % 16 == 0;
}

/*
 * A 1x1 convolution of a channels-last value is a matrix product. oneDNN's AMX convolutions are several times
 * slower backwards than its products where an image has few pixels (weights 2 to 10 times at 16x16 and below), and
 * faster above.
 */
#define GEMM_PIXELS 256

static bool wants_gemm(const struct kernel_conv *c, enum pass pass)
{
    const struct window *w = &c->win;
    return c->x.type == DTYPE_BF16 && pass != PASS_FORWARD && c->groups == 1 && w->R == 1 && w->S == 1 &&
           w->stride_h == 1 && w->stride_w == 1 && w->pad_t == 0 && w->pad_l == 0 && w->pad_b == 0 &&
           w->pad_r == 0 && c->x.lanes == c->x.C && c->y.lanes == c->y.C && c->x.H * c->x.W <= GEMM_PIXELS;
}

/* The best kernel there is: Winograd's, a product's, a fast one, any. */
static int conv_kernel(struct tape *t, enum pass pass, struct kernel_conv c, struct kernel **k, struct err *e)
{
    int pixels = c.x.N * c.x.H * c.x.W;
    if (wants_gemm(&c, pass))
        return kernel_gemm(k, t->p->be, pass, pixels, c.x.C, c.y.C, c.bias, c.x.type, e);
    c.winograd = wants_winograd(&c);
    if (c.winograd && kernel_conv(k, t->p->be, pass, &c, false, e) == 0)
        return 0;
    c.winograd = false;
    if (kernel_conv(k, t->p->be, pass, &c, false, e) == 0)
        return 0;
    return kernel_conv(k, t->p->be, pass, &c, true, e);
}

static int conv_kernels(struct tape *t, int node, struct kernel *k[3], struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    struct kernel_conv c = {.x = t->values[n->in[0]].l, .y = t->values[node].l};
    c.groups = n->u.conv.groups;
    c.win = n->u.conv.win;
    c.bias = n->u.conv.bias;
    int rc = conv_kernel(t, PASS_FORWARD, c, &k[PASS_FORWARD], e);
    if (rc == 0 && t->wants[n->in[0]])
        rc = conv_kernel(t, PASS_DATA, c, &k[PASS_DATA], e);
    return rc < 0 ? rc : conv_kernel(t, PASS_WEIGHTS, c, &k[PASS_WEIGHTS], e);
}

static int gemm_kernels(struct tape *t, int node, struct kernel *k[3], struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    int rc = 0;
    for (enum pass pass = PASS_FORWARD; rc == 0 && pass <= PASS_WEIGHTS; pass++)
        if (pass != PASS_DATA || t->wants[n->in[0]])
            rc = kernel_gemm(&k[pass], t->p->be, pass, t->p->images, t->g->nodes[n->in[0]].C, n->C, n->u.gemm.bias,
                             DTYPE_F32, e);
    return rc;
}

static int weighted_forward(struct tape *t, int node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    struct value *v = &t->values[node];
    struct kernel *k[3] = {NULL};
    int rc = tape_value(t, node, e);
    if (rc == 0)
        rc = n->op == OP_CONV ? conv_kernels(t, node, k, e) : gemm_kernels(t, node, k, e);
    if (rc < 0) {
        for (int i = 0; i < 3; i++)
            kernel_free(k[i]);
        return rc;
    }
    if ((rc = own_param(t, node, k, e)) < 0)
        return rc;
    struct deed *d = tape_kernel(t, node, v->param->forward, NULL);
    d->in[0] = t->values[n->in[0]].buffer;
    d->in[1] = v->buffer;
    d->prim.w = v->param->w[0];
    d->prim.b = v->param->bias;
    program_uses(t->p, d);
    return 0;
}

/* ---- element by element ---- */

/* A BN's sums are taken right when its input is there. */
static int take_stats(struct tape *t, int node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    const struct value *x = &t->values[n->in[0]];
    struct program *p = t->p;
    struct norm *norm;
    int rc = norm_new(&norm, node, (double)n->u.bn.eps, &x->l, p->parts, e);
    if (rc < 0)
        return rc;
    p->norms = xrealloc(p->norms, (size_t)(p->n_norms + 1) * sizeof(struct norm *));
    p->norms[p->n_norms++] = t->values[node].norm = norm;
    struct deed *d = program_add(p, DEED_STATS, node);
    d->in[0] = x->buffer;
    d->elem.kind = ELEM_STATS;
    d->elem.flat = norm->flat;
    d->elem.norm[0] = norm;
    program_uses(p, d);
    tape_pend(t, norm);
    return 0;
}

static bool pending(const struct tape *t, const struct norm *n)
{
    for (int i = 0; i < t->n_pending; i++)
        if (t->pending[i] == n)
            return true;
    return false;
}

static int blend_forward(struct tape *t, int node, struct err *e)
{
    struct blend b;
    int rc = tape_value(t, node, e);
    if (rc < 0)
        return rc;
    blend_of(t->g, t->reads, node, &b);
    for (int k = 0; k < b.n; k++)
        if (b.bn[k] >= 0 && pending(t, t->values[b.bn[k]].norm))
            tape_join(t, node);
    struct deed *d = program_add(t->p, DEED_ELEM, node);
    d->elem.kind = b.n == 1 ? ELEM_BLEND : b.bn[1] >= 0 ? ELEM_BLEND_2 : ELEM_BLEND_R;
    d->elem.flat = flat_of(&t->values[node].l);
    d->elem.lo = b.lo;
    d->elem.hi = b.hi;
    for (int k = 0; k < b.n; k++) {
        d->in[k] = t->values[b.x[k]].buffer;
        d->elem.norm[k] = b.bn[k] >= 0 ? t->values[b.bn[k]].norm : NULL;
    }
    d->out = t->values[node].buffer;
    program_uses(t->p, d);
    return 0;
}

/* ---- pooling ---- */

static int pool_forward(struct tape *t, int node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    struct value *v = &t->values[node];
    const struct value *x = &t->values[n->in[0]];
    struct kernel *k;
    int rc = tape_value(t, node, e);
    if (rc == 0)
        rc = kernel_pool(&k, t->p->be, PASS_FORWARD, region_pooling(n), &n->u.pool.win, &x->l, &v->l, e);
    if (rc < 0)
        return rc;
    struct deed *d = tape_kernel(t, node, k, k);
    d->in[0] = x->buffer;
    d->in[1] = v->buffer;
    v->work = BUFFER_NONE;
    if (kernel_bytes(k, TENSOR_WORK))
        v->work = plan_add(&t->p->plan, kernel_bytes(k, TENSOR_WORK), e);
    d->in[2] = v->work;
    program_uses(t->p, d);
    return v->work < BUFFER_NONE ? v->work : 0;
}

static int globalpool_forward(struct tape *t, int node, struct err *e)
{
    const struct value *x = &t->values[t->g->nodes[node].in[0]];
    int rc = tape_value(t, node, e);
    if (rc < 0)
        return rc;
    struct deed *d = program_add(t->p, DEED_MEAN, node);
    d->in[0] = x->buffer;
    d->out = t->values[node].buffer;
    d->lx = x->l;
    d->ly = t->values[node].l;
    program_uses(t->p, d);
    return 0;
}

/* ---- moving about ---- */

static int region_forward(struct tape *t, int node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    int rc = tape_value(t, node, e);
    for (int k = 0; rc == 0 && k < n->n_in; k++) {
        const struct value *x = &t->values[n->in[k]];
        struct box b = region_box(t->g, n, k, &x->l, &t->values[node].l);
        tape_box(t, node, &b, x->buffer, t->values[node].buffer);
    }
    return rc;
}

/* A flat value is one order of its pixels; what was flat has one pixel. */
static int flatten_forward(struct tape *t, int node, struct err *e)
{
    const struct value *x = &t->values[t->g->nodes[node].in[0]];
    struct value *v = &t->values[node];
    v->l = tape_layout(t, node);
    struct layout flat = region_flat(&t->g->nodes[node], &x->l, &v->l);
    if (layout_same(&x->l, &flat)) {
        v->buffer = x->buffer;
        return 0;
    }
    int rc = tape_value(t, node, e);
    if (rc < 0)
        return rc;
    struct box b = box_all(&x->l, &flat);
    tape_box(t, node, &b, x->buffer, v->buffer);
    return 0;
}

static int shuffle_forward(struct tape *t, int node, struct err *e)
{
    const struct value *x = &t->values[t->g->nodes[node].in[0]];
    int rc = tape_value(t, node, e);
    if (rc < 0)
        return rc;
    struct deed *d = program_add(t->p, DEED_SHUFFLE, node);
    d->lx = x->l;
    d->shuffle.groups = t->g->nodes[node].u.shuffle.groups;
    d->in[0] = x->buffer;
    d->out = t->values[node].buffer;
    program_uses(t->p, d);
    return 0;
}

/* ---- channels' neighbours ---- */

static int lrn_forward(struct tape *t, int node, struct err *e)
{
    const struct value *x = &t->values[t->g->nodes[node].in[0]];
    int rc = tape_value(t, node, e);
    if (rc < 0)
        return rc;
    struct deed *d = program_add(t->p, DEED_LRN, node);
    d->lx = x->l;
    d->lrn = region_lrn(&t->g->nodes[node]);
    d->in[0] = x->buffer;
    d->out = t->values[node].buffer;
    program_uses(t->p, d);
    return 0;
}

int tape_forward(struct tape *t, int node, struct err *e)
{
    const struct node *n = &t->g->nodes[node];
    int rc = 0;
    switch (n->op) {
    case OP_INPUT:
        return input_forward(t, node, e);
    case OP_CONV:
    case OP_GEMM:
        return weighted_forward(t, node, e);
    case OP_BN:
        rc = take_stats(t, node, e);
        break;
    case OP_RELU:
    case OP_CLIP:
    case OP_ADD:
        break;
    case OP_MAXPOOL:
    case OP_AVGPOOL:
        return pool_forward(t, node, e);
    case OP_GLOBALPOOL:
        return globalpool_forward(t, node, e);
    case OP_CONCAT:
    case OP_PAD:
    case OP_SLICE:
        return region_forward(t, node, e);
    case OP_FLATTEN:
    case OP_UNFLATTEN:
        return flatten_forward(t, node, e);
    case OP_SHUFFLE:
        return shuffle_forward(t, node, e);
    case OP_LRN:
        return lrn_forward(t, node, e);
    case OP_MUL:
        return mul_forward(t, node, e);
    case OP_SIGMOID:
    case OP_TANH:
    case OP_HARDSIGMOID:
    case OP_HARDSWISH:
    case OP_LEAKYRELU:
    case OP_ELU:
    case OP_PRELU:
        return t->inner[node] ? 0 : curve_forward(t, node, e);
    default:
        return err_set(e, ERR_UNSUPPORTED, "%s %s can't be trained through", op_name(n->op), n->name);
    }
    return rc < 0 || t->inner[node] ? rc : blend_forward(t, node, e);
}
