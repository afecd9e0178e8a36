#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/onnx/loader.h"
#include "common/onnx/ops.h"
#include "common/onnx/slice.h"

/* ONNX's shape of a value, -1 for the batch; returns its rank. */
static int shape_of(const struct node *x, int64_t dims[4])
{
    dims[0] = -1;
    dims[1] = x->C;
    dims[2] = x->H;
    dims[3] = x->W;
    return x->flat ? 2 : 4;
}

static void flatten(struct call *c, int in)
{
    if (c->rc == 0 && c->l->draft.nodes[in].flat)
        call_alias(c, 0);
    else
        call_add(c, &(struct node){.op = OP_FLATTEN, .n_in = 1, .in = &in});
}

void op_flatten(struct call *c)
{
    struct node x;
    call_inputs(c, 1, 1);
    int in = call_node(c, 0, &x);
    if (call_axis(c, attr_int(c, "axis", 1), x.flat ? 2 : 4) != 1)
        call_fail(c, ERR_UNSUPPORTED, "Flatten at another axis than 1 is not supported");
    flatten(c, in);
}

/* Is dims[k] of the target, which came as number t->i[k], the batch itself? */
static bool is_batch(const struct call *c, const struct tensor *t, bool free_rest)
{
    if (t->batch[0] || t->i[0] == 0)
        return true;
    return free_rest ? c->l->batch > 0 && t->i[0] == c->l->batch : t->i[0] == -1 || t->i[0] == c->l->batch;
}

/* A target of Reshape as text, for the message: "[N,-1]". */
static void target_text(const struct tensor *t, char s[128])
{
    size_t n = 0;
    s[0] = 0;
    for (size_t k = 0; k < t->n && n < 96; k++) {
        const char *sep = k ? "," : "";
        if (t->batch[k])
            n += (size_t)snprintf(s + n, 128 - n, "%sN", sep);
        else
            n += (size_t)snprintf(s + n, 128 - n, "%s%" PRId64, sep, t->i[k]);
    }
}

/* Does the target keep the batch and lay out the rest of x as `rank` says (2: one axis, 4: as it is)? */
static bool target_fits(struct call *c, const struct tensor *t, const struct node *x)
{
    int64_t dims[4], want[4];
    int rank = shape_of(x, dims), n = (int)t->n, open = 0;
    if (t->n != 2 && t->n != (size_t)rank)
        return false;
    memcpy(want, dims, sizeof want);
    if (n == 2)
        want[1] = (int64_t)x->C * x->H * x->W;
    for (int k = 1; k < n; k++) {
        if (t->batch[k])
            return false;
        open += t->i[k] == -1;
        /* 0 copies the number at the same place; there may be none in a flat value */
        if (t->i[k] != -1 && (t->i[k] != 0 ? t->i[k] != want[k] : k >= rank || dims[k] != want[k]))
            return false;
    }
    return open <= 1 && is_batch(c, t, open > 0);
}

void op_reshape(struct call *c)
{
    struct node x;
    call_inputs(c, 2, 2);
    int in = call_node(c, 0, &x);
    const struct tensor *t = call_tensor(c, 1);
    int64_t allowzero = attr_int(c, "allowzero", 0);
    if (c->rc < 0)
        return;
    bool fits = t->type == TENSOR_INT && t->rank == 1 && t->n >= 1 && target_fits(c, t, &x);
    for (size_t k = 0; k < t->n && fits && allowzero; k++)
        fits = t->batch[k] || t->i[k] != 0;
    if (!fits) {
        char s[128] = "?";
        if (t->type == TENSOR_INT)
            target_text(t, s);
        call_fail(c, ERR_UNSUPPORTED,
                  "Reshape of [N,%d,%d,%d] to [%s] is not supported, only of all but the batch to one axis", x.C,
                  x.H, x.W, s);
    } else if (t->n == 2) {
        flatten(c, in);
    } else {
        call_alias(c, 0);
    }
}

void op_squeeze(struct call *c)
{
    struct node x;
    int64_t axes[4];
    bool over[4] = {false}, old = c->l->opset < 13;
    call_inputs(c, 1, old ? 1 : 2);
    int in = call_node(c, 0, &x);
    int n = call_list(c, old ? -1 : 1, "axes", axes, 4);
    for (int k = 0; k < n; k++)
        over[call_axis(c, axes[k], 4)] = true;
    if (x.flat || n != 2 || !over[2] || !over[3] || x.H != 1 || x.W != 1)
        call_fail(c, ERR_UNSUPPORTED, "Squeeze of anything but height and width of one pixel is not supported");
    flatten(c, in);
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
    bool old = c->l->opset < 11;
    int n = call_list(c, old ? -1 : 1, "pads", p, 8), n_axes = rank;
    if (call_has(c, 3))
        n_axes = call_list(c, 3, "axes", axes, 4);
    if (c->rc == 0 && n != 2 * n_axes)
        call_fail(c, ERR_INVALID, "Pad with %d pads for %d axes", n < 0 ? 0 : n, n_axes);
    for (int j = 0; j < n_axes && c->rc == 0; j++) {
        int k = call_axis(c, axes[j], rank);
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
    int64_t before[4] = {0}, after[4] = {0};
    bool old = c->l->opset < 11;
    call_inputs(c, old ? 1 : 2, old ? 1 : c->l->opset < 18 ? 3 : 4);
    int in = call_node(c, 0, &x);
    check_pad_mode(c);
    read_pads(c, x.flat ? 2 : 4, before, after);
    if (c->rc == 0 && (before[0] || after[0]))
        call_fail(c, ERR_UNSUPPORTED, "Pad along the batch is not supported");
    d.u.pad.front = (int)before[1];
    d.u.pad.back = (int)after[1];
    d.u.pad.top = (int)before[2];
    d.u.pad.bottom = (int)after[2];
    d.u.pad.left = (int)before[3];
    d.u.pad.right = (int)after[3];
    d.in = &in;
    call_add(c, &d);
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
    struct node x, d = {.op = OP_SLICE, .n_in = 1};
    int64_t dims[4];
    struct slice s;
    int in = call_node(c, 0, &x), rank = shape_of(&x, dims);
    slice_read(c, rank, dims, &s);
    d.u.slice.c = span_of(c, &s, 1);
    d.u.slice.h = rank == 4 ? span_of(c, &s, 2) : (struct span){0, 1, 1};
    d.u.slice.w = rank == 4 ? span_of(c, &s, 3) : (struct span){0, 1, 1};
    d.in = &in;
    call_add(c, &d);
}

void op_shape(struct call *c)
{
    struct node x;
    int64_t dims[4];
    call_inputs(c, 1, 1);
    call_node(c, 0, &x);
    int rank = shape_of(&x, dims);
    attr_only(c, "start", 0);
    attr_only(c, "end", rank);
    struct tensor *t = call_new(c, TENSOR_INT, 1, &(int64_t){rank});
    for (int k = 0; t && k < rank; k++) {
        t->batch[k] = k == 0;
        t->i[k] = k == 0 ? 0 : dims[k];
    }
    call_result(c, t);
}
