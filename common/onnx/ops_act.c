/* Operators that make each number another by itself, whatever the layout. */
#include <float.h>
#include <math.h>

#include "common/onnx/loader.h"
#include "common/onnx/ops.h"

static int elementwise(struct call *c, struct node *d)
{
    struct node x;
    struct view v;
    int in = call_any(c, 0, &x, &v);
    d->n_in = 1;
    d->in = &in;
    int i = call_add(c, d);
    call_view(c, &v);
    d->in = NULL;
    return i;
}

static void plain(struct call *c, enum op op)
{
    call_inputs(c, 1, 1);
    elementwise(c, &(struct node){.op = op});
}

void op_relu(struct call *c)
{
    attr_ignore(c, "consumed_inputs");
    plain(c, OP_RELU);
}

void op_sigmoid(struct call *c)
{
    plain(c, OP_SIGMOID);
}

void op_tanh(struct call *c)
{
    plain(c, OP_TANH);
}

void op_hardswish(struct call *c)
{
    plain(c, OP_HARDSWISH);
}

static void with_alpha(struct call *c, enum op op, float alpha)
{
    struct node d = {.op = op};
    call_inputs(c, 1, 1);
    d.u.act.alpha = attr_float(c, "alpha", alpha);
    d.u.act.beta = op == OP_HARDSIGMOID ? attr_float(c, "beta", 0.5f) : 0;
    elementwise(c, &d);
}

void op_hardsigmoid(struct call *c)
{
    with_alpha(c, OP_HARDSIGMOID, 0.2f);
}

void op_leakyrelu(struct call *c)
{
    with_alpha(c, OP_LEAKYRELU, 0.01f);
}

void op_elu(struct call *c)
{
    with_alpha(c, OP_ELU, 1);
}

void op_prelu(struct call *c)
{
    struct node x, d = {.op = OP_PRELU};
    struct view v;
    call_inputs(c, 2, 2);
    call_any(c, 0, &x, &v);
    const struct tensor *t = call_floats(c, 1);
    int i = elementwise(c, &d);
    if (i < 0)
        return;
    struct params *p = call_params(c, i);
    p->w = call_room(c, p->n_w);
    if (p->w)
        call_channels(c, t, &x, &v, p->w);
    call_name(c, i, NAME_W, 1);
}

/* ONNX's default bounds, which infinite ones are as well. */
static float bound(float v)
{
    return v > FLT_MAX ? FLT_MAX : v < -FLT_MAX ? -FLT_MAX : v;
}

static void clip(struct call *c, float lo, float hi)
{
    struct node d = {.op = OP_CLIP};
    d.u.clip.lo = bound(lo);
    d.u.clip.hi = bound(hi);
    elementwise(c, &d);
}

void op_clip(struct call *c)
{
    float lo = -FLT_MAX, hi = FLT_MAX;
    bool by_input = c->l->opset >= 11;
    call_inputs(c, 1, by_input ? 3 : 1);
    if (by_input) {
        lo = call_has(c, 1) ? call_scalar(c, 1) : lo;
        hi = call_has(c, 2) ? call_scalar(c, 2) : hi;
    } else {
        lo = attr_float(c, "min", lo);
        hi = attr_float(c, "max", hi);
        attr_ignore(c, "consumed_inputs");
    }
    clip(c, lo, hi);
}

/* The greater or smaller of a value and one number. */
static void limit(struct call *c, bool greatest)
{
    call_inputs(c, 2, 2);
    if (c->rc == 0 && call_constant(c, 0)) {
        struct value *v = c->in[0];
        c->in[0] = c->in[1];
        c->in[1] = v;
    }
    if (c->rc == 0 && !call_constant(c, 1))
        call_fail(c, ERR_UNSUPPORTED, "%s of two computed values is not supported", c->src->op_type);
    float v = call_scalar(c, 1);
    clip(c, greatest ? v : -FLT_MAX, greatest ? FLT_MAX : v);
}

void op_max(struct call *c)
{
    limit(c, true);
}

void op_min(struct call *c)
{
    limit(c, false);
}
