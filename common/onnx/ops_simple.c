#include <float.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/onnx/loader.h"
#include "common/onnx/ops.h"

/* A node of one input that has nothing to say. */
static void plain(struct call *c, enum op op)
{
    struct node x;
    call_inputs(c, 1, 1);
    int in = call_node(c, 0, &x);
    call_add(c, &(struct node){.op = op, .n_in = 1, .in = &in});
}

void op_relu(struct call *c)
{
    attr_ignore(c, "consumed_inputs");
    plain(c, OP_RELU);
}

/* ONNX's default bounds, which infinite ones are as well. */
static float bound(float v)
{
    return v > FLT_MAX ? FLT_MAX : v < -FLT_MAX ? -FLT_MAX : v;
}

void op_clip(struct call *c)
{
    struct node x, d = {.op = OP_CLIP, .n_in = 1};
    float lo = -FLT_MAX, hi = FLT_MAX;
    bool by_input = c->l->opset >= 11;
    call_inputs(c, 1, by_input ? 3 : 1);
    int in = call_node(c, 0, &x);
    if (by_input) {
        lo = call_has(c, 1) ? call_scalar(c, 1) : lo;
        hi = call_has(c, 2) ? call_scalar(c, 2) : hi;
    } else {
        lo = attr_float(c, "min", lo);
        hi = attr_float(c, "max", hi);
        attr_ignore(c, "consumed_inputs");
    }
    d.u.clip.lo = bound(lo);
    d.u.clip.hi = bound(hi);
    d.in = &in;
    call_add(c, &d);
}

/*
 * Before opset 13, softmax runs over all axes from `axis` on; since then, over that axis alone. Over the channels
 * of one pixel both are the same. There the value becomes flat, which only the end of the network may.
 */
void op_softmax(struct call *c)
{
    struct node x, d = {.op = OP_SOFTMAX, .n_in = 1};
    call_inputs(c, 1, 1);
    int in = call_node(c, 0, &x);
    int axis = call_axis(c, attr_int(c, "axis", c->l->opset < 13 ? 1 : -1), x.flat ? 2 : 4);
    if (c->rc < 0)
        return;
    if (axis != 1 || x.H != 1 || x.W != 1) {
        call_fail(c, ERR_UNSUPPORTED, "Softmax over anything but the channels of a flat value is not supported");
        return;
    }
    if (!x.flat && strcmp(c->out->name, c->l->src->output[0]->name) != 0) {
        call_fail(c, ERR_UNSUPPORTED,
                  "Softmax of a value with 4 dimensions that isn't the output is not supported");
        return;
    }
    if (!x.flat)
        in = call_add_step(c, &(struct node){.op = OP_FLATTEN, .n_in = 1, .in = &in}, "flatten");
    d.in = &in;
    call_add(c, &d);
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
    call_inputs(c, 1, 3);
    call_node(c, 0, &x);
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

void op_cast(struct call *c)
{
    call_inputs(c, 1, 1);
    int64_t to = attr_int(c, "to", ONNX__TENSOR_PROTO__DATA_TYPE__UNDEFINED);
    attr_ignore(c, "saturate");
    if (to != ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT)
        call_fail(c, ERR_UNSUPPORTED, "Cast of a computed value to %s is not supported", tensor_type_name(to));
    if (c->rc == 0)
        call_alias(c, 0);
}

void op_concat(struct call *c)
{
    struct node x, d = {.op = OP_CONCAT, .n_in = c->n_in};
    call_inputs(c, 1, GRAPH_MAX_DIM);
    int64_t axis = attr_int(c, "axis", 1);
    int *in = mem_alloc((size_t)c->n_in, sizeof *in);
    if (!in)
        call_fail(c, ERR_NOMEM, "no memory for %d inputs", c->n_in);
    for (int k = 0; k < c->n_in && c->rc == 0; k++)
        in[k] = call_node(c, k, &x);
    if (c->rc == 0 && call_axis(c, axis, x.flat ? 2 : 4) != 1)
        call_fail(c, ERR_UNSUPPORTED, "Concat along another axis than the channels is not supported");
    d.in = in;
    call_add(c, &d);
    mem_free(in);
}
