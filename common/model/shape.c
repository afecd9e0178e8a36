#include "common/model/shape.h"

#include <math.h>
#include <stddef.h>

/* A shape rule fills C, H, W and flat of `d` from its first input `x` (NULL for OP_INPUT); the inputs are known to
 * exist. */
struct rule {
    int least, most; /* inputs */
    int (*infer)(const struct graph *g, const struct node *x, struct node *d, struct err *e);
};

static void take_shape(struct node *d, const struct node *x)
{
    d->C = x->C;
    d->H = x->H;
    d->W = x->W;
    d->flat = x->flat;
}

static bool in_range(int v, int least)
{
    return v >= least && v <= GRAPH_MAX_DIM;
}

static int need_image(const struct node *x, struct err *e)
{
    if (x->flat)
        return err_set(e, ERR_INVALID, "input \"%s\" has no height and width", x->name);
    return 0;
}

static int need_flat(const struct node *x, struct err *e)
{
    if (!x->flat)
        return err_set(e, ERR_INVALID, "input \"%s\" of shape (%d,%d,%d) isn't flat", x->name, x->C, x->H, x->W);
    return 0;
}

/* a * b * c * d with each factor in 1 ... 2^31-1, or -1 when that is more than `most`. */
static int64_t product(int64_t a, int64_t b, int64_t c, int64_t d, int64_t most)
{
    int64_t f[] = {b, c, d}, p = a;
    for (int i = 0; i < 3; i++) {
        if (p > most / f[i])
            return -1;
        p *= f[i];
    }
    return p;
}

static int check_shape(const struct node *d, struct err *e)
{
    if (!in_range(d->C, 1) || !in_range(d->H, 1) || !in_range(d->W, 1))
        return err_set(e, ERR_LIMIT, "shape (%d,%d,%d) isn't within 1 ... %d", d->C, d->H, d->W, GRAPH_MAX_DIM);
    if (product(d->C, d->H, d->W, 1, INT32_MAX) < 0)
        return err_set(e, ERR_LIMIT, "shape (%d,%d,%d) has more than %d numbers", d->C, d->H, d->W, INT32_MAX);
    return 0;
}

static int check_work(int64_t pixels, int K, int C, int R, int S, struct err *e)
{
    int64_t weight = product(K, C, R, S, INT32_MAX);
    if (weight < 0)
        return err_set(e, ERR_LIMIT, "a weight of shape (%d,%d,%d,%d) has more than %d numbers", K, C, R, S,
                       INT32_MAX);
    if (product(weight, pixels, 1, 1, GRAPH_MAX_MACS) < 0)
        return err_set(e, ERR_LIMIT, "%lld outputs of %lld multiply-adds each are more than %lld",
                       (long long)pixels * K, (long long)weight / K, (long long)GRAPH_MAX_MACS);
    return 0;
}

/* One axis of a window: how often it fits, into *out. */
static int slide(const char *axis, int size, int kernel, int stride, int dil, int before, int after, int *out,
                 struct err *e)
{
    if (!in_range(kernel, 1) || !in_range(stride, 1) || !in_range(dil, 1) || !in_range(before, 0) ||
        !in_range(after, 0))
        return err_set(e, ERR_INVALID, "%s: kernel %d, stride %d, dilation %d, padding %d and %d are out of range",
                       axis, kernel, stride, dil, before, after);
    int64_t extent = (int64_t)(kernel - 1) * dil + 1, room = (int64_t)size + before + after;
    if (extent > room)
        return err_set(e, ERR_INVALID, "%s: a window of %lld pixels doesn't fit into %lld", axis, (long long)extent,
                       (long long)room);
    *out = (int)((room - extent) / stride + 1);
    return 0;
}

static int slide_window(const struct window *w, const struct node *x, struct node *d, struct err *e)
{
    int rc = need_image(x, e);
    if (rc < 0)
        return rc;
    rc = slide("height", x->H, w->R, w->stride_h, w->dil_h, w->pad_t, w->pad_b, &d->H, e);
    if (rc < 0)
        return rc;
    d->flat = false;
    return slide("width", x->W, w->S, w->stride_w, w->dil_w, w->pad_l, w->pad_r, &d->W, e);
}

static int infer_input(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    (void)x;
    if (d->flat && (d->H != 1 || d->W != 1))
        return err_set(e, ERR_INVALID, "a flat value of height %d and width %d", d->H, d->W);
    return 0;
}

static int infer_conv(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    int groups = d->u.conv.groups;
    int rc = slide_window(&d->u.conv.win, x, d, e);
    if (rc < 0)
        return rc;
    if (groups < 1 || x->C % groups != 0)
        return err_set(e, ERR_INVALID, "%d groups don't divide %d input channels", groups, x->C);
    if (!in_range(d->C, 1) || d->C % groups != 0)
        return err_set(e, ERR_INVALID, "%d groups don't divide %d output channels", groups, d->C);
    rc = check_shape(d, e); /* what check_work multiplies fits then */
    if (rc < 0)
        return rc;
    return check_work((int64_t)d->H * d->W, d->C, x->C / groups, d->u.conv.win.R, d->u.conv.win.S, e);
}

static int infer_same(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    (void)e;
    take_shape(d, x);
    return 0;
}

static int infer_clip(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    if (!(d->u.clip.lo <= d->u.clip.hi))
        return err_set(e, ERR_INVALID, "lower bound %g isn't at most upper bound %g", (double)d->u.clip.lo,
                       (double)d->u.clip.hi);
    return infer_same(g, x, d, e);
}

/* Every window must see a pixel, or its maximum or mean means nothing. */
static int check_sight(const char *axis, int size, int kernel, int dil, int before, int after, struct err *e)
{
    int64_t extent = (int64_t)(kernel - 1) * dil + 1;
    if (before >= extent || after >= extent || (kernel > 1 && dil > size))
        return err_set(e, ERR_INVALID,
                       "%s: kernel %d, dilation %d, padding %d and %d leave a window without a pixel of %d", axis,
                       kernel, dil, before, after, size);
    return 0;
}

static int infer_pool(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    const struct window *w = &d->u.pool.win;
    int rc = slide_window(w, x, d, e);
    if (rc < 0)
        return rc;
    d->C = x->C;
    rc = check_sight("height", x->H, w->R, w->dil_h, w->pad_t, w->pad_b, e);
    if (rc < 0)
        return rc;
    return check_sight("width", x->W, w->S, w->dil_w, w->pad_l, w->pad_r, e);
}

static int infer_globalpool(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    d->C = x->C;
    d->H = d->W = 1;
    return need_image(x, e);
}

static int infer_add(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    const struct node *y = &g->nodes[d->in[1]];
    take_shape(d, x);
    if (x->C != y->C || x->H != y->H || x->W != y->W || x->flat != y->flat)
        return err_set(e, ERR_INVALID, "\"%s\" (%d,%d,%d)%s and \"%s\" (%d,%d,%d)%s differ in shape", x->name, x->C,
                       x->H, x->W, x->flat ? " flat" : "", y->name, y->C, y->H, y->W, y->flat ? " flat" : "");
    return 0;
}

static int infer_mul(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    const struct node *y = &g->nodes[d->in[1]];
    if (x->C == y->C && !x->flat && !y->flat && y->H == 1 && y->W == 1) {
        take_shape(d, x);
        return 0;
    }
    return infer_add(g, x, d, e);
}

static int infer_act(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    if (!isfinite(d->u.act.alpha) || !isfinite(d->u.act.beta))
        return err_set(e, ERR_INVALID, "alpha %g, beta %g", (double)d->u.act.alpha, (double)d->u.act.beta);
    return infer_same(g, x, d, e);
}

static int infer_lrn(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    if (!in_range(d->u.lrn.size, 1) || !isfinite(d->u.lrn.alpha) || !isfinite(d->u.lrn.beta) || !isfinite(d->u.lrn.bias))
        return err_set(e, ERR_INVALID, "size %d, alpha %g, beta %g, bias %g", d->u.lrn.size, (double)d->u.lrn.alpha,
                       (double)d->u.lrn.beta, (double)d->u.lrn.bias);
    take_shape(d, x);
    return need_image(x, e);
}

static int infer_shuffle(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    if (d->u.shuffle.groups < 1 || x->C % d->u.shuffle.groups != 0)
        return err_set(e, ERR_INVALID, "%d groups don't divide %d channels", d->u.shuffle.groups, x->C);
    take_shape(d, x);
    return 0;
}

static int infer_concat(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    int64_t C = 0;
    for (int i = 0; i < d->n_in; i++) {
        const struct node *y = &g->nodes[d->in[i]];
        if (x->H != y->H || x->W != y->W || x->flat != y->flat)
            return err_set(e, ERR_INVALID, "\"%s\" (%d,%d,%d)%s and \"%s\" (%d,%d,%d)%s can't stand side by side",
                           x->name, x->C, x->H, x->W, x->flat ? " flat" : "", y->name, y->C, y->H, y->W,
                           y->flat ? " flat" : "");
        C += y->C;
    }
    take_shape(d, x);
    if (C > GRAPH_MAX_DIM)
        return err_set(e, ERR_LIMIT, "%lld channels, more than %d", (long long)C, GRAPH_MAX_DIM);
    d->C = (int)C;
    return 0;
}

static int infer_pad(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    int f = d->u.pad.front, b = d->u.pad.back, t = d->u.pad.top, l = d->u.pad.left;
    int u = d->u.pad.bottom, r = d->u.pad.right;
    if (!in_range(f, 0) || !in_range(b, 0) || !in_range(t, 0) || !in_range(l, 0) || !in_range(u, 0) ||
        !in_range(r, 0))
        return err_set(e, ERR_INVALID, "padding of channels %d and %d, height %d and %d, width %d and %d", f, b, t,
                       u, l, r);
    if (x->flat && (t || u || l || r))
        return err_set(e, ERR_INVALID, "input \"%s\" has no height and width to pad", x->name);
    take_shape(d, x);
    d->C += f + b;
    d->H += t + u;
    d->W += l + r;
    return 0;
}

static int cut_span(const char *axis, int size, struct span s, int *out, struct err *e)
{
    if (s.begin < 0 || s.begin >= s.end || s.end > size || s.step < 1)
        return err_set(e, ERR_INVALID, "%s: [%d,%d) by %d of %d", axis, s.begin, s.end, s.step, size);
    *out = (s.end - s.begin - 1) / s.step + 1;
    return 0;
}

static int infer_slice(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    d->flat = x->flat;
    int rc = cut_span("channels", x->C, d->u.slice.c, &d->C, e);
    if (rc == 0)
        rc = cut_span("height", x->H, d->u.slice.h, &d->H, e);
    if (rc == 0)
        rc = cut_span("width", x->W, d->u.slice.w, &d->W, e);
    return rc;
}

static int infer_flatten(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    int64_t C = (int64_t)x->C * x->H * x->W; /* x's own check keeps this under 2^31 */
    if (C > GRAPH_MAX_DIM)
        return err_set(e, ERR_LIMIT, "(%d,%d,%d) has %lld numbers, more than %d", x->C, x->H, x->W, (long long)C,
                       GRAPH_MAX_DIM);
    d->C = (int)C;
    d->H = d->W = 1;
    d->flat = true;
    return 0;
}

static int infer_unflatten(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    take_shape(d, x);
    d->flat = false;
    return need_flat(x, e);
}

static int infer_gemm(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    int rc = need_flat(x, e);
    if (rc < 0)
        return rc;
    d->H = d->W = 1;
    d->flat = true;
    if (!in_range(d->C, 1))
        return err_set(e, ERR_INVALID, "%d output channels, which isn't in 1 ... %d", d->C, GRAPH_MAX_DIM);
    return check_work(1, d->C, x->C, 1, 1, e);
}

static int infer_softmax(const struct graph *g, const struct node *x, struct node *d, struct err *e)
{
    (void)g;
    take_shape(d, x);
    return need_flat(x, e);
}

static const struct rule rules[OP_COUNT] = {
    [OP_INPUT] = {0, 0, infer_input},
    [OP_CONV] = {1, 1, infer_conv},
    [OP_BN] = {1, 1, infer_same},
    [OP_RELU] = {1, 1, infer_same},
    [OP_CLIP] = {1, 1, infer_clip},
    [OP_MAXPOOL] = {1, 1, infer_pool},
    [OP_AVGPOOL] = {1, 1, infer_pool},
    [OP_GLOBALPOOL] = {1, 1, infer_globalpool},
    [OP_ADD] = {2, 2, infer_add},
    [OP_MUL] = {2, 2, infer_mul},
    [OP_SIGMOID] = {1, 1, infer_same},
    [OP_TANH] = {1, 1, infer_same},
    [OP_HARDSIGMOID] = {1, 1, infer_act},
    [OP_HARDSWISH] = {1, 1, infer_same},
    [OP_LEAKYRELU] = {1, 1, infer_act},
    [OP_ELU] = {1, 1, infer_act},
    [OP_PRELU] = {1, 1, infer_same},
    [OP_LRN] = {1, 1, infer_lrn},
    [OP_SHUFFLE] = {1, 1, infer_shuffle},
    [OP_CONCAT] = {1, GRAPH_MAX_DIM, infer_concat},
    [OP_PAD] = {1, 1, infer_pad},
    [OP_SLICE] = {1, 1, infer_slice},
    [OP_FLATTEN] = {1, 1, infer_flatten},
    [OP_UNFLATTEN] = {1, 1, infer_unflatten},
    [OP_GEMM] = {1, 1, infer_gemm},
    [OP_SOFTMAX] = {1, 1, infer_softmax},
};

/* Checks that the inputs stand before node i and that there are as many as the operator takes. */
static int check_inputs(const struct node *d, int i, struct err *e)
{
    const struct rule *r = &rules[d->op];
    if ((i == 0) != (d->op == OP_INPUT))
        return err_set(e, ERR_INVALID, "node %d can't be a%s", i,
                       i == 0 ? "nything but the input" : " second input");
    if (d->n_in < r->least || d->n_in > r->most)
        return err_set(e, ERR_INVALID, "%d inputs in place of %d", d->n_in, r->least);
    for (int j = 0; j < d->n_in; j++)
        if (d->in[j] < 0 || d->in[j] >= i)
            return err_set(e, ERR_INVALID, "input %d is node %d, which isn't before node %d", j, d->in[j], i);
    return 0;
}

bool shape_can_share(const struct graph *g, const struct node *a, const struct node *b)
{
    if (a->op != b->op || (a->op != OP_CONV && a->op != OP_GEMM))
        return false;
    if (a->C != b->C || g->nodes[a->in[0]].C != g->nodes[b->in[0]].C)
        return false;
    return a->op == OP_GEMM || (a->u.conv.groups == b->u.conv.groups && a->u.conv.win.R == b->u.conv.win.R &&
                                a->u.conv.win.S == b->u.conv.win.S);
}

static int check_shares(const struct graph *g, const struct node *d, int i, struct err *e)
{
    if (d->shares < 0 || d->shares >= i || g->nodes[d->shares].shares != 0)
        return err_set(e, ERR_INVALID, "it shares the weight of node %d, which isn't the first", d->shares);
    const struct node *first = &g->nodes[d->shares];
    if (!shape_can_share(g, first, d))
        return err_set(e, ERR_INVALID, "it shares the weight of %s \"%s\", which isn't alike", op_name(first->op),
                       first->name);
    return 0;
}

int shape_infer(const struct graph *g, struct node *d, int i, struct err *e)
{
    if ((int)d->op < 0 || d->op >= OP_COUNT)
        BUG("operator %d", (int)d->op);
    int rc = check_inputs(d, i, e);
    if (rc == 0)
        rc = rules[d->op].infer(g, i == 0 ? NULL : &g->nodes[d->in[0]], d, e);
    if (rc == 0)
        rc = check_shape(d, e);
    if (rc == 0 && d->shares != 0)
        rc = check_shares(g, d, i, e);
    return rc < 0 ? err_wrap(e, "%s \"%s\"", op_name(d->op), d->name) : 0;
}
