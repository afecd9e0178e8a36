/* Parts of a value along an axis: Pad adds to it; Slice, Split and Gather take from it. */
#include <inttypes.h>
#include <string.h>

#include "common/onnx/loader.h"
#include "common/onnx/ops.h"
#include "common/onnx/slice.h"

/* Which of C, H, W (0, 1, 2) a layout's dimension is; the batch: -1. */
static int place_of(enum layout layout, int dim)
{
    static const int last[] = {-1, 1, 2, 0};
    return layout == LAYOUT_LAST ? last[dim] : dim - 1;
}

static void check_pad_mode(struct call *c)
{
    char mode[32] = "constant";
    attr_text(c, "mode", mode);
    if (strcmp(mode, "constant") != 0)
        call_fail(c, ERR_UNSUPPORTED, "attribute \"mode\" = \"%s\" of Pad is not supported", mode);
    float v = c->l->opset < 11 ? attr_float(c, "value", 0) : call_has(c, 2) ? call_scalar(c, 2) : 0;
    if (v != 0)
        call_fail(c, ERR_UNSUPPORTED, "Pad with %g in place of 0 is not supported", (double)v);
}

/* Spreads the n listed pads, for the axes that are named if any are, over all axes. */
static void read_pads(struct call *c, int rank, int64_t *before, int64_t *after)
{
    int64_t p[8], axes[4] = {0, 1, 2, 3};
    bool old = c->l->opset < 11, seen[4] = {false};
    int n = call_list(c, old ? -1 : 1, "pads", p, 8), n_axes = rank;
    if (call_has(c, 3))
        n_axes = call_list(c, 3, "axes", axes, 4);
    if (c->rc == 0 && n != 2 * n_axes)
        call_fail(c, ERR_INVALID, "Pad with %d pads for %d axes", n < 0 ? 0 : n, n_axes);
    for (int j = 0; j < n_axes && c->rc == 0; j++) {
        int k = call_axis(c, axes[j], rank);
        if (c->rc == 0 && seen[k])
            call_fail(c, ERR_INVALID, "Pad names axis %d twice", k);
        seen[k] = true;
        before[k] = p[j];
        after[k] = p[n_axes + j];
        if (p[j] < 0 || p[j] > GRAPH_MAX_DIM || p[n_axes + j] < 0 || p[n_axes + j] > GRAPH_MAX_DIM)
            call_fail(c, ERR_UNSUPPORTED, "Pad by %" PRId64 " and %" PRId64 " along axis %d is not supported", p[j],
                      p[n_axes + j], k);
    }
}

void op_pad(struct call *c)
{
    struct node x, d = {.op = OP_PAD, .n_in = 1};
    enum layout layout;
    int64_t before[4] = {0}, after[4] = {0};
    int front[3] = {0}, back[3] = {0};
    bool old = c->l->opset < 11;
    call_inputs(c, old ? 1 : 2, old ? 1 : c->l->opset < 18 ? 3 : 4);
    int in = call_layout(c, 0, &x, &layout), rank = layout == LAYOUT_FLAT ? 2 : 4;
    check_pad_mode(c);
    read_pads(c, rank, before, after);
    if (c->rc == 0 && (before[0] || after[0]))
        call_fail(c, ERR_UNSUPPORTED, "Pad along the batch is not supported");
    for (int k = 1; k < rank; k++) {
        front[place_of(layout, k)] = (int)before[k];
        back[place_of(layout, k)] = (int)after[k];
    }
    d.u.pad.front = front[0];
    d.u.pad.back = back[0];
    d.u.pad.top = front[1];
    d.u.pad.bottom = back[1];
    d.u.pad.left = front[2];
    d.u.pad.right = back[2];
    d.in = &in;
    call_add_to(c, &d, c->out, layout);
}

static struct span *span_at(struct node *d, int place)
{
    return place == 0 ? &d->u.slice.c : place == 1 ? &d->u.slice.h : &d->u.slice.w;
}

/* A slice that takes everything. */
static struct node whole(const struct node *x, int *in)
{
    struct node d = {.op = OP_SLICE, .n_in = 1, .in = in};
    d.u.slice.c = (struct span){0, x->C, 1};
    d.u.slice.h = (struct span){0, x->H, 1};
    d.u.slice.w = (struct span){0, x->W, 1};
    return d;
}

/* The end is where the last step's index is exceeded: a slice has one form only. */
static struct span span_of(struct call *c, const struct slice *s, int k)
{
    if (c->rc == 0 && (s->step[k] < 1 || s->count[k] < 1))
        call_fail(c, ERR_UNSUPPORTED, "Slice of axis %d that takes nothing or runs backwards is not supported", k);
    if (c->rc < 0)
        return (struct span){0};
    int64_t step = s->count[k] > 1 ? s->step[k] : 1; /* a step beyond the size is as good as none */
    return (struct span){(int)s->begin[k], (int)(s->begin[k] + (s->count[k] - 1) * step + 1), (int)step};
}

void op_slice(struct call *c)
{
    struct node x;
    struct view v;
    enum layout layout;
    int64_t dims[VIEW_MAX_RANK] = {0};
    struct slice s;
    int in = call_layout(c, 0, &x, &layout);
    if (in < 0)
        return;
    view_init(&v, &x, layout);
    view_dims(&v, &x, dims);
    slice_read(c, v.rank, dims, &s);
    struct node d = whole(&x, &in);
    for (int k = 1; k < v.rank; k++)
        *span_at(&d, place_of(layout, k)) = span_of(c, &s, k);
    call_add_to(c, &d, c->out, layout);
}

/* The sizes of the parts: listed, or `n` equal ones, the last of which may be smaller. */
static void part_sizes(struct call *c, int64_t size, int n, int64_t *sizes)
{
    int64_t count = 0, sum = 0, each;
    bool old = c->l->opset < 13;
    int said = call_list(c, old ? -1 : 1, "split", sizes, n);
    if (c->l->opset >= 18 && attr_int(c, "num_outputs", n) != n)
        call_fail(c, ERR_INVALID, "Split with attribute \"num_outputs\" and %d outputs", n);
    if (c->rc < 0)
        return;
    each = (size + n - 1) / n;
    for (int k = 0; k < n && said < 0; k++, count += each)
        sizes[k] = size - count < each ? size - count : each;
    for (int k = 0; k < n && c->rc == 0; k++) {
        if (sizes[k] < 1 || sizes[k] > size - sum)
            call_fail(c, ERR_INVALID, "Split of %" PRId64 ": part %d is %" PRId64, size, k, sizes[k]);
        sum += sizes[k];
    }
    if (c->rc == 0 && ((said >= 0 && said != n) || sum != size))
        call_fail(c, ERR_INVALID, "Split of %" PRId64 " into %d parts of %" PRId64 " together, for %d outputs", size,
                  said, sum, n);
}

/* A slice for each output that somebody reads. */
void op_split(struct call *c)
{
    struct node x;
    struct view v;
    enum layout layout;
    int64_t dims[VIEW_MAX_RANK];
    int n = (int)c->src->n_output, begin = 0;
    struct tensor *sizes = call_new(c, TENSOR_INT, 1, &(int64_t){n});
    call_inputs(c, 1, c->l->opset < 13 ? 1 : 2);
    int in = call_layout(c, 0, &x, &layout);
    if (in < 0 || !sizes)
        return;
    view_init(&v, &x, layout);
    view_dims(&v, &x, dims);
    int axis = call_axis(c, attr_int(c, "axis", 0), v.rank);
    if (c->rc == 0 && axis == 0)
        call_fail(c, ERR_UNSUPPORTED, "Split along the batch is not supported");
    part_sizes(c, dims[axis], n, sizes->i);
    for (int k = 0; k < n && c->rc == 0; k++) {
        struct value *out = values_find(&c->l->values, c->src->output[k]);
        struct node d = whole(&x, &in);
        *span_at(&d, place_of(layout, axis)) = (struct span){begin, begin + (int)sizes->i[k], 1};
        begin += (int)sizes->i[k];
        if (out && out->needed)
            call_add_to(c, &d, out, layout);
    }
}

/* One channel, row or column, whose dimension a single index takes away. */
void op_gather(struct call *c)
{
    struct node x;
    struct view v;
    enum layout layout;
    int64_t dims[VIEW_MAX_RANK];
    bool gone[VIEW_MAX_RANK] = {false};
    call_inputs(c, 2, 2);
    int in = call_layout(c, 0, &x, &layout);
    const struct tensor *t = call_ints(c, 1);
    if (in < 0 || !t)
        return;
    view_init(&v, &x, layout);
    view_dims(&v, &x, dims);
    int axis = call_axis(c, attr_int(c, "axis", 0), v.rank);
    if (c->rc == 0 && (axis == 0 || t->n != 1))
        call_fail(c, ERR_UNSUPPORTED, "Gather of anything but one channel, row or column is not supported");
    if (c->rc == 0 && (t->i[0] < -dims[axis] || t->i[0] >= dims[axis]))
        call_fail(c, ERR_INVALID, "Gather of number %" PRId64 " of %" PRId64, t->i[0], dims[axis]);
    if (c->rc < 0)
        return;
    int at = (int)(t->i[0] < 0 ? t->i[0] + dims[axis] : t->i[0]);
    struct node d = whole(&x, &in);
    *span_at(&d, place_of(layout, axis)) = (struct span){at, at + 1, 1};
    int i = call_add_to(c, &d, c->out, layout);
    gone[axis] = t->rank == 0;
    if (i >= 0 && t->rank == 0)
        view_squeeze(&c->out->view, gone);
}
