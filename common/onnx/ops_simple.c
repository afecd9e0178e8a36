#include <float.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/onnx/loader.h"
#include "common/onnx/ops.h"

/*
 * Before opset 13, softmax runs over all axes from `axis` on; since then, over that axis alone. Over the channels of
 * one pixel both are the same.
 */
static bool over_channels(const struct call *c, const struct view *v, const struct node *x, int axis)
{
    bool fits = x->H == 1 && x->W == 1 && view_layout(v) != LAYOUT_OTHER;
    for (int i = 0; i < v->n && fits; i++)
        fits = v->of[i] == FACTOR_N ? v->dim[i] < axis : c->l->opset < 13 ? v->dim[i] >= axis : v->dim[i] == axis;
    return fits;
}

/* The graph's softmax is of flat values; what the network puts out of an image of one pixel becomes flat with it. */
void op_softmax(struct call *c)
{
    struct node x, d = {.op = OP_SOFTMAX, .n_in = 1};
    struct view v;
    call_inputs(c, 1, 1);
    int in = call_any(c, 0, &x, &v);
    int axis = call_axis(c, attr_int(c, "axis", c->l->opset < 13 ? 1 : -1), v.rank);
    if (c->rc == 0 && !over_channels(c, &v, &x, axis))
        call_fail(c, ERR_UNSUPPORTED, "Softmax over anything but the channels of a flat value is not supported");
    if (c->rc < 0)
        return;
    if (!x.flat)
        in = call_add_step(c, &(struct node){.op = OP_FLATTEN, .n_in = 1, .in = &in}, "flatten");
    d.in = &in;
    if (c->out->last || view_layout(&v) != LAYOUT_IMAGE) {
        call_add(c, &d);
        if (!c->out->last)
            call_view(c, &v);
        return;
    }
    in = call_add_step(c, &d, "softmax");
    call_add(c, &(struct node){.op = OP_UNFLATTEN, .n_in = 1, .in = &in});
}

void op_identity(struct call *c)
{
    call_inputs(c, 1, 1);
    if (c->rc == 0)
        call_alias(c, 0);
}

/* In inference it does nothing; only newer files can ask for it in training. */
void op_dropout(struct call *c)
{
    struct node x;
    struct view v;
    call_inputs(c, 1, 3);
    call_any(c, 0, &x, &v);
    attr_ignore(c, "ratio");
    attr_ignore(c, "seed");
    attr_ignore(c, "consumed_inputs");
    attr_only(c, "is_test", 1);
    if (call_has(c, 2)) {
        const struct tensor *t = call_tensor(c, 2);
        if (t && (t->type != TENSOR_INT || t->n != 1 || t->i[0] != 0))
            call_fail(c, ERR_UNSUPPORTED, "Dropout in training mode is not supported");
    }
    if (c->rc == 0)
        call_alias(c, 0);
}

/* Between kinds of floats; here they are all of one kind. */
void op_cast(struct call *c)
{
    call_inputs(c, 1, 1);
    int64_t to = attr_int(c, "to", ONNX__TENSOR_PROTO__DATA_TYPE__UNDEFINED);
    attr_ignore(c, "saturate");
    if (to != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT && to != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16 &&
        to != ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE && to != ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16)
        call_fail(c, ERR_UNSUPPORTED, "Cast of a computed value to %s is not supported", tensor_type_name(to));
    if (c->rc == 0)
        call_alias(c, 0);
}

/* Is `dim` where the channels are? */
static bool is_channels(enum layout layout, int dim)
{
    return dim == (layout == LAYOUT_LAST ? 3 : 1);
}

void op_concat(struct call *c)
{
    struct node x, d = {.op = OP_CONCAT, .n_in = c->n_in};
    enum layout first = LAYOUT_OTHER, layout;
    call_inputs(c, 1, GRAPH_MAX_DIM);
    int64_t axis = attr_int(c, "axis", 1);
    int *in = mem_alloc((size_t)c->n_in, sizeof *in);
    if (!in)
        call_fail(c, ERR_NOMEM, "no memory for %d inputs", c->n_in);
    for (int k = 0; k < c->n_in && c->rc == 0; k++) {
        in[k] = call_layout(c, k, &x, &layout);
        if (c->rc == 0 && k > 0 && layout != first)
            call_fail(c, ERR_UNSUPPORTED, "Concat of values in different layouts is not supported");
        first = layout;
    }
    if (c->rc == 0 && !is_channels(first, call_axis(c, axis, first == LAYOUT_FLAT ? 2 : 4)))
        call_fail(c, ERR_UNSUPPORTED, "Concat along another axis than the channels is not supported");
    d.in = in;
    call_add_to(c, &d, c->out, first);
    mem_free(in);
}

void op_lrn(struct call *c)
{
    struct node x, d = {.op = OP_LRN, .n_in = 1};
    call_inputs(c, 1, 1);
    int in = call_node(c, 0, &x);
    int64_t size = attr_int(c, "size", 0);
    d.u.lrn.size = size >= 1 && size <= GRAPH_MAX_DIM ? (int)size : 0;
    d.u.lrn.alpha = attr_float(c, "alpha", 1e-4f);
    d.u.lrn.beta = attr_float(c, "beta", 0.75f);
    d.u.lrn.bias = attr_float(c, "bias", 1);
    if (d.u.lrn.size == 0)
        call_fail(c, ERR_INVALID, "attribute \"size\" of LRN is %lld, which isn't in 1 ... %d", (long long)size,
                  GRAPH_MAX_DIM);
    d.in = &in;
    call_add(c, &d);
}
