#include <inttypes.h>
#include <string.h>

#include "common/onnx/loader.h"
#include "common/onnx/ops.h"

/* One number of a window, as an int. */
static int pixels(struct call *c, const char *what, int64_t v, int least)
{
    if (v >= least && v <= GRAPH_MAX_DIM)
        return (int)v;
    call_fail(c, ERR_INVALID, "attribute \"%s\" of %s holds %" PRId64 ", which isn't in %d ... %d", what,
              c->src->op_type, v, least, GRAPH_MAX_DIM);
    return least;
}

/* auto_pad SAME: the output is ceil(size / stride) long; an odd pixel goes after (UPPER) or before. */
static void pad_same(int size, int kernel, int stride, int dil, bool upper, int *before, int *after)
{
    int64_t out = (size + (int64_t)stride - 1) / stride;
    int64_t total = (out - 1) * stride + (int64_t)(kernel - 1) * dil + 1 - size;
    int64_t less = total > 0 ? total / 2 : 0, more = total > 0 ? total - less : 0;
    *before = (int)(upper ? less : more);
    *after = (int)(upper ? more : less);
}

static void read_padding(struct call *c, const struct node *x, struct window *w)
{
    int64_t p[4] = {0};
    char mode[32] = "NOTSET";
    attr_ints(c, "pads", p, 4);
    attr_text(c, "auto_pad", mode);
    bool same = strcmp(mode, "SAME_UPPER") == 0 || strcmp(mode, "SAME_LOWER") == 0;
    if (!same && strcmp(mode, "NOTSET") != 0 && strcmp(mode, "VALID") != 0)
        call_fail(c, ERR_UNSUPPORTED, "attribute \"auto_pad\" = \"%s\" of %s is not supported", mode,
                  c->src->op_type);
    if (strcmp(mode, "NOTSET") != 0 && (p[0] || p[1] || p[2] || p[3]))
        call_fail(c, ERR_INVALID, "attribute \"pads\" beside \"auto_pad\" = \"%s\"", mode);
    w->pad_t = pixels(c, "pads", p[0], 0);
    w->pad_l = pixels(c, "pads", p[1], 0);
    w->pad_b = pixels(c, "pads", p[2], 0);
    w->pad_r = pixels(c, "pads", p[3], 0);
    if (!same || c->rc < 0)
        return;
    bool upper = strcmp(mode, "SAME_UPPER") == 0;
    pad_same(x->H, w->R, w->stride_h, w->dil_h, upper, &w->pad_t, &w->pad_b);
    pad_same(x->W, w->S, w->stride_w, w->dil_w, upper, &w->pad_l, &w->pad_r);
}

/* R and S are what the weights say, or 0: then the attribute must. */
static void read_window(struct call *c, const struct node *x, int R, int S, struct window *w)
{
    int64_t k[2] = {R, S}, s[2] = {1, 1}, d[2] = {1, 1};
    bool said = attr_ints(c, "kernel_shape", k, 2);
    attr_ints(c, "strides", s, 2);
    attr_ints(c, "dilations", d, 2);
    if (!said && R == 0)
        call_fail(c, ERR_INVALID, "attribute \"kernel_shape\" of %s is missing", c->src->op_type);
    if (R > 0 && (k[0] != R || k[1] != S))
        call_fail(c, ERR_INVALID, "attribute \"kernel_shape\" is %" PRId64 " x %" PRId64 ", the weight %d x %d",
                  k[0], k[1], R, S);
    w->R = pixels(c, "kernel_shape", k[0], 1);
    w->S = pixels(c, "kernel_shape", k[1], 1);
    w->stride_h = pixels(c, "strides", s[0], 1);
    w->stride_w = pixels(c, "strides", s[1], 1);
    w->dil_h = pixels(c, "dilations", d[0], 1);
    w->dil_w = pixels(c, "dilations", d[1], 1);
    read_padding(c, x, w);
}

/* K, C/groups, R, S of a conv's weight. */
static void weight_shape(struct call *c, const struct tensor *w, const struct node *x, int groups, int shape[4])
{
    if (w->rank != 4) {
        call_fail(c, ERR_UNSUPPORTED,
                  "weight \"%s\" has %d dimensions, only 4 (a convolution over images) are supported",
                  c->in[1]->name, w->rank);
        return;
    }
    for (int k = 0; k < 4; k++) {
        if (w->dims[k] < 1 || w->dims[k] > GRAPH_MAX_DIM)
            call_fail(c, ERR_INVALID, "weight \"%s\": dimension %d is %" PRId64, c->in[1]->name, k, w->dims[k]);
        else
            shape[k] = (int)w->dims[k];
    }
    if (c->rc == 0 && (int64_t)shape[1] * groups != x->C)
        call_fail(c, ERR_INVALID, "weight \"%s\" is for %" PRId64 " input channels, and %d come in", c->in[1]->name,
                  (int64_t)shape[1] * groups, x->C);
}

void op_conv(struct call *c)
{
    struct node x, d = {.op = OP_CONV, .n_in = 1};
    int shape[4] = {0};
    call_inputs(c, 2, 3);
    int in = call_node(c, 0, &x);
    const struct tensor *w = call_floats(c, 1), *b = call_has(c, 2) ? call_floats(c, 2) : NULL;
    d.u.conv.groups = pixels(c, "group", attr_int(c, "group", 1), 1);
    if (c->rc < 0)
        return;
    weight_shape(c, w, &x, d.u.conv.groups, shape);
    if (c->rc < 0)
        return;
    read_window(c, &x, shape[2], shape[3], &d.u.conv.win);
    if (b && (b->rank != 1 || b->dims[0] != shape[0]))
        call_fail(c, ERR_INVALID, "bias \"%s\" doesn't hold %d numbers", c->in[2]->name, shape[0]);
    d.C = shape[0];
    d.in = &in;
    d.u.conv.bias = b != NULL;
    int i = call_add(c, &d);
    if (i < 0)
        return;
    struct params *p = call_params(c, i);
    call_shares(c, i, w, false);
    p->w = call_copy(c, w->f, w->n);
    p->b = b ? call_copy(c, b->f, b->n) : NULL;
    call_name(c, i, NAME_W, 1);
    if (b)
        call_name(c, i, NAME_B, 2);
}

/*
 * Pixels that ceil_mode adds after an axis: enough for a last window that overhangs, unless that would begin beyond the
 * image and the padding before it.
 */
static int overhang(int64_t size, int kernel, int stride, int dil, int before, int after)
{
    int64_t extent = (int64_t)(kernel - 1) * dil + 1, room = size + before + after - extent;
    if (room < 0)
        return 0;
    int64_t out = (room + stride - 1) / stride + 1;
    if ((out - 1) * stride >= size + before)
        out--;
    int64_t more = (out - 1) * stride - room;
    return more > 0 ? (int)more : 0;
}

/* A mean whose divisor counts padding, but not what overhangs: zeros around the image, and a mean that counts them. */
static int pad_first(struct call *c, int in, struct window *w)
{
    struct node d = {.op = OP_PAD, .n_in = 1, .in = &in};
    d.u.pad.top = w->pad_t;
    d.u.pad.left = w->pad_l;
    d.u.pad.bottom = w->pad_b;
    d.u.pad.right = w->pad_r;
    w->pad_t = w->pad_l = w->pad_b = w->pad_r = 0;
    return call_add_step(c, &d, "pad");
}

static void pool(struct call *c, struct node *d)
{
    struct node x;
    struct window *w = &d->u.pool.win;
    call_inputs(c, 1, 1);
    int in = call_node(c, 0, &x), down = 0, right = 0;
    read_window(c, &x, 0, 0, w);
    if (attr_int(c, "ceil_mode", 0) != 0 && c->rc == 0) {
        down = overhang(x.H, w->R, w->stride_h, w->dil_h, w->pad_t, w->pad_b);
        right = overhang(x.W, w->S, w->stride_w, w->dil_w, w->pad_l, w->pad_r);
    }
    if ((down > 0 || right > 0) && d->u.pool.count_pad) {
        in = pad_first(c, in, w);
        d->u.pool.count_pad = false;
    }
    w->pad_b += down;
    w->pad_r += right;
    d->n_in = 1;
    d->in = &in;
    call_add(c, d);
}

void op_maxpool(struct call *c)
{
    attr_only(c, "storage_order", 0);
    pool(c, &(struct node){.op = OP_MAXPOOL});
}

void op_avgpool(struct call *c)
{
    struct node d = {.op = OP_AVGPOOL};
    int64_t count_pad = attr_int(c, "count_include_pad", 0);
    d.u.pool.count_pad = count_pad != 0;
    int n;
    const int64_t *dil = attr_list(c, "dilations", &n);
    for (int k = 0; k < n; k++)
        if (dil[k] != 1)
            call_fail(c, ERR_UNSUPPORTED, "attribute \"dilations\" of AveragePool is not supported");
    pool(c, &d);
}

void op_globalpool(struct call *c)
{
    struct node x, d = {.op = OP_GLOBALPOOL, .n_in = 1};
    call_inputs(c, 1, 1);
    int in = call_node(c, 0, &x);
    d.in = &in;
    call_add(c, &d);
}

/* A pool with one window. */
static struct node greatest(const struct node *x)
{
    struct node d = {.op = OP_MAXPOOL, .n_in = 1};
    d.u.pool.win = (struct window){x->H, x->W, 1, 1, 1, 1, 0, 0, 0, 0};
    return d;
}

void op_globalmaxpool(struct call *c)
{
    struct node x;
    call_inputs(c, 1, 1);
    int in = call_node(c, 0, &x);
    struct node d = greatest(&x);
    d.in = &in;
    call_add(c, &d);
}

/* The dimensions that a reduction is over, as flags; they must be height and width, whole, and nothing else. */
static void reduced(struct call *c, const struct view *v, bool *over)
{
    int64_t axes[VIEW_MAX_RANK];
    int n = call_list(c, c->l->opset < 18 ? -1 : 1, "axes", axes, VIEW_MAX_RANK);
    for (int k = 0; k < n; k++)
        over[call_axis(c, axes[k], v->rank)] = true;
    bool fits = n > 0;
    for (int i = 0; i < v->n; i++)
        fits = fits && over[v->dim[i]] == (v->of[i] == FACTOR_H || v->of[i] == FACTOR_W);
    if (!fits)
        call_fail(c, ERR_UNSUPPORTED, "%s over other axes than height and width is not supported", c->src->op_type);
}

static void drop(struct view *v, const bool *over)
{
    int n = 0;
    for (int i = 0; i < v->n; i++)
        if (!over[v->dim[i]]) {
            v->of[n] = v->of[i];
            v->dim[n++] = v->dim[i];
        }
    v->n = n;
}

static void reduce(struct call *c, bool mean)
{
    struct node x;
    struct view v;
    bool over[VIEW_MAX_RANK] = {false};
    call_inputs(c, 1, c->l->opset < 18 ? 1 : 2);
    int in = call_any(c, 0, &x, &v);
    bool keep = attr_int(c, "keepdims", 1) != 0;
    reduced(c, &v, over);
    attr_only(c, "noop_with_empty_axes", 0);
    if (c->rc < 0)
        return;
    drop(&v, over);
    if (!keep)
        view_squeeze(&v, over);
    if (x.H == 1 && x.W == 1) {
        call_settle(c, in, v);
        return;
    }
    struct node d = mean ? (struct node){.op = OP_GLOBALPOOL, .n_in = 1} : greatest(&x);
    bool flat = view_layout(&v) == LAYOUT_FLAT;
    d.in = &in;
    d.flat = flat && mean;
    if (flat && !mean) {
        call_settle(c, call_add_step(c, &d, "max"), v);
    } else {
        call_add(c, &d);
        call_view(c, &v);
    }
}

void op_reducemean(struct call *c)
{
    reduce(c, true);
}

void op_reducemax(struct call *c)
{
    reduce(c, false);
}
