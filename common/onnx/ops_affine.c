#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/onnx/loader.h"
#include "common/onnx/ops.h"

static void check_finite(struct call *c, const float *v, size_t n)
{
    for (size_t k = 0; k < n && c->rc == 0; k++)
        if (!isfinite(v[k]))
            call_fail(c, ERR_INVALID, "%s makes a weight of %f", c->src->op_type, (double)v[k]);
}

static void check_bn(struct call *c, const struct tensor *var, float eps)
{
    if (!(eps >= 0) || !isfinite(eps))
        call_fail(c, ERR_INVALID, "attribute \"epsilon\" is %g", (double)eps);
    for (size_t k = 0; k < var->n && c->rc == 0; k++)
        if (!(var->f[k] >= 0) || !(var->f[k] + eps > 0))
            call_fail(c, ERR_INVALID, "variance \"%s\": number %zu is %g with epsilon %g", c->in[4]->name, k,
                      (double)var->f[k], (double)eps);
}

void op_bn(struct call *c)
{
    struct node x, d = {.op = OP_BN, .n_in = 1};
    const struct tensor *t[5] = {NULL};
    call_inputs(c, 5, 5);
    int in = call_node(c, 0, &x);
    for (int k = 1; k < 5; k++) {
        t[k] = call_floats(c, k);
        if (t[k] && c->rc == 0 && (t[k]->rank != 1 || t[k]->dims[0] != x.C))
            call_fail(c, ERR_INVALID, "\"%s\" doesn't hold %d numbers", c->in[k]->name, x.C);
    }
    d.u.bn.eps = attr_float(c, "epsilon", 1e-5f);
    attr_ignore(c, "momentum");
    attr_ignore(c, "consumed_inputs");
    attr_only(c, "spatial", 1);
    attr_only(c, "is_test", 1);
    attr_only(c, "training_mode", 0);
    if (c->rc == 0)
        check_bn(c, t[4], d.u.bn.eps);
    d.in = &in;
    int i = call_add(c, &d);
    if (i < 0)
        return;
    struct params *p = call_params(c, i);
    p->w = call_copy(c, t[1]->f, p->n_b);
    p->b = call_copy(c, t[2]->f, p->n_b);
    p->mean = call_copy(c, t[3]->f, p->n_b);
    p->var = call_copy(c, t[4]->f, p->n_b);
    for (int k = 0; k < NAME_COUNT; k++)
        call_name(c, i, k, k + 1);
}

/* to (K, C) = alpha * from, which is (K, C) or, turned, (C, K). */
static void copy_matrix(float *to, const float *from, size_t K, size_t C, bool turned, float alpha)
{
    for (size_t k = 0; k < K; k++)
        for (size_t i = 0; i < C; i++)
            to[k * C + i] = alpha * from[turned ? i * K + k : k * C + i];
}

/* Input 0 as a flat node: one that is, or (N,1,1,C) for a MatMul, which then has that layout, too. */
static int flat_input(struct call *c, struct node *x, struct view *v)
{
    int in = call_any(c, 0, x, v);
    if (in < 0)
        return -1;
    enum layout layout = view_layout(v);
    bool matmul = layout == LAYOUT_LAST && x->H == 1 && x->W == 1 && strcmp(c->src->op_type, "MatMul") == 0;
    if (layout != LAYOUT_FLAT && !matmul) {
        char text[96];
        view_describe(v, text);
        call_fail(c, ERR_UNSUPPORTED, "%s of a value laid out as %s is not supported", c->src->op_type, text);
    }
    if (c->rc == 0 && !x->flat) {
        in = call_add_step(c, &(struct node){.op = OP_FLATTEN, .n_in = 1, .in = &in}, "flatten");
        *x = in >= 0 ? c->l->draft.nodes[in] : *x;
    }
    return c->rc < 0 ? -1 : in;
}

/* The node of x * w, w being input 1; its index, or -1. */
static int add_matrix(struct call *c, bool turned, float alpha, bool bias)
{
    struct node x, d = {.op = OP_GEMM, .n_in = 1};
    struct view v;
    int in = flat_input(c, &x, &v);
    const struct tensor *w = call_floats(c, 1);
    if (c->rc < 0)
        return -1;
    if (w->rank != 2)
        call_fail(c, ERR_UNSUPPORTED, "%s with a weight of %d dimensions is not supported", c->src->op_type,
                  w->rank);
    else if (w->dims[turned ? 0 : 1] != x.C)
        call_fail(c, ERR_INVALID, "weight \"%s\" is for %lld inputs, and %d come in", c->in[1]->name,
                  (long long)w->dims[turned ? 0 : 1], x.C);
    else if (w->dims[turned ? 1 : 0] < 1 || w->dims[turned ? 1 : 0] > GRAPH_MAX_DIM)
        call_fail(c, ERR_INVALID, "weight \"%s\" is for %lld outputs", c->in[1]->name,
                  (long long)w->dims[turned ? 1 : 0]);
    if (c->rc < 0)
        return -1;
    d.C = (int)w->dims[turned ? 1 : 0];
    d.in = &in;
    d.u.gemm.bias = bias;
    int i = call_add_to(c, &d, c->out, view_layout(&v));
    if (i < 0)
        return -1;
    struct params *p = call_params(c, i);
    if (alpha == 1) {
        call_shares(c, i, w, turned);
        call_name(c, i, NAME_W, 1);
    }
    p->w = call_room(c, p->n_w);
    if (!p->w)
        return -1;
    copy_matrix(p->w, w->f, (size_t)d.C, (size_t)x.C, turned, alpha);
    check_finite(c, p->w, p->n_w);
    return i;
}

void op_gemm(struct call *c)
{
    call_inputs(c, 2, 3);
    float alpha = attr_float(c, "alpha", 1), beta = attr_float(c, "beta", 1);
    attr_only(c, "transA", 0);
    bool turned = attr_int(c, "transB", 0) == 0, bias = call_has(c, 2);
    int i = add_matrix(c, turned, alpha, bias);
    const struct tensor *b = bias ? call_floats(c, 2) : NULL;
    if (i < 0 || !b)
        return;
    struct params *p = call_params(c, i);
    p->b = call_room(c, p->n_b);
    if (!p->b)
        return;
    call_channels(c, b, &c->l->draft.nodes[i], &c->out->view, p->b);
    for (size_t k = 0; k < p->n_b && c->rc == 0; k++)
        p->b[k] *= beta;
    if (beta == 1)
        call_name(c, i, NAME_B, 2);
    if (c->rc == 0)
        check_finite(c, p->b, p->n_b);
}

void op_matmul(struct call *c)
{
    call_inputs(c, 2, 2);
    add_matrix(c, true, 1, false);
}

/*
 * A constant added to what a conv or gemm without a bias computes, and which nothing else reads, is its bias; the
 * value then has the sum's name. False when this isn't so.
 */
static bool add_to_bias(struct call *c, int in, const struct tensor *t, float sign)
{
    const struct value *v = c->in[in];
    struct node *x = &c->l->draft.nodes[v->node];
    struct part *part = &c->l->parts[v->node];
    bool *bias = x->op == OP_CONV ? &x->u.conv.bias : x->op == OP_GEMM ? &x->u.gemm.bias : NULL;
    if (!bias || *bias || v->readers != 1 || strcmp(part->name, v->name) != 0)
        return false;
    part->p.b = call_room(c, part->p.n_b);
    if (!part->p.b)
        return true;
    call_channels(c, t, x, &v->view, part->p.b);
    for (size_t k = 0; k < part->p.n_b && c->rc == 0; k++)
        part->p.b[k] *= sign;
    *bias = true;
    part->name = c->out->name;
    if (sign == 1)
        call_name(c, v->node, NAME_B, 1 - in);
    call_alias(c, in);
    return true;
}

enum arith { ARITH_ADD, ARITH_SUB, ARITH_MUL, ARITH_DIV };

/* What y = x op v, or y = v op x when `first`, is as y = scale * x + shift; false where it isn't of that form. */
static bool line_of(enum arith op, bool first, float v, float *scale, float *shift)
{
    *scale = 1;
    *shift = 0;
    if (op == ARITH_ADD || op == ARITH_SUB) {
        *scale = op == ARITH_SUB && first ? -1 : 1;
        *shift = op == ARITH_SUB && !first ? -v : v;
    } else if (op == ARITH_MUL) {
        *scale = v;
    } else {
        *scale = 1 / v;
        return !first;
    }
    return true;
}

/* Turns the constants in p->b into the scale and shift of a BN with mean 0 and variance 1. */
static void fill_line(struct call *c, struct params *p, enum arith op, bool first)
{
    for (size_t k = 0; k < p->n_b; k++) {
        p->mean[k] = 0;
        p->var[k] = 1;
        if (!line_of(op, first, p->b[k], &p->w[k], &p->b[k]))
            call_fail(c, ERR_UNSUPPORTED, "%s by a computed value is not supported", c->src->op_type);
    }
    check_finite(c, p->w, p->n_b);
}

static void with_constant(struct call *c, enum arith op, int in, const struct tensor *t)
{
    struct node x, d = {.op = OP_BN, .n_in = 1};
    struct view v;
    bool first = in == 1; /* the constant is the left operand */
    int at = call_any(c, in, &x, &v);
    if (c->rc < 0)
        return;
    if ((op == ARITH_ADD || (op == ARITH_SUB && !first)) && add_to_bias(c, in, t, op == ARITH_SUB ? -1 : 1))
        return;
    d.in = &at;
    int i = call_add(c, &d);
    if (i < 0)
        return;
    call_view(c, &v);
    struct params *p = call_params(c, i);
    p->w = call_room(c, p->n_b);
    p->b = call_room(c, p->n_b);
    p->mean = call_room(c, p->n_b);
    p->var = call_room(c, p->n_b);
    call_channels(c, t, &x, &v, p->b);
    if (c->rc == 0)
        fill_line(c, p, op, first);
}

static bool is_gate(const struct node *x, const struct node *gate)
{
    return !x->flat && !gate->flat && gate->H == 1 && gate->W == 1 && x->C == gate->C;
}

/* Inputs i and k, either of which may be the gate of the other; a gate goes second. */
static void multiply(struct call *c, const int *in, const struct node *x, enum layout layout)
{
    bool turn = !is_gate(&x[0], &x[1]) && is_gate(&x[1], &x[0]);
    int order[2] = {in[turn], in[!turn]};
    call_add_to(c, &(struct node){.op = OP_MUL, .n_in = 2, .in = order}, c->out, layout);
}

/* Two values, of any layout if it is the same; in others they must be of a layout that the graph knows. */
static void of_two(struct call *c, enum arith op)
{
    struct node x[2];
    struct view v[2];
    enum layout layout[2];
    int in[2] = {call_any(c, 0, &x[0], &v[0]), call_any(c, 1, &x[1], &v[1])};
    if (c->rc < 0)
        return;
    if (op != ARITH_ADD && op != ARITH_MUL) {
        call_fail(c, ERR_UNSUPPORTED, "%s of two computed values is not supported", c->src->op_type);
        return;
    }
    if (view_same(&v[0], &v[1]) && x[0].flat == x[1].flat) {
        call_add(c, &(struct node){.op = op == ARITH_ADD ? OP_ADD : OP_MUL, .n_in = 2, .in = in});
        call_view(c, &v[0]);
        return;
    }
    in[0] = call_layout(c, 0, &x[0], &layout[0]);
    in[1] = call_layout(c, 1, &x[1], &layout[1]);
    if (c->rc == 0 && layout[0] != layout[1])
        call_fail(c, ERR_UNSUPPORTED, "%s of values in different layouts is not supported", c->src->op_type);
    else if (op == ARITH_MUL)
        multiply(c, in, x, layout[0]);
    else
        call_add_to(c, &(struct node){.op = OP_ADD, .n_in = 2, .in = in}, c->out, layout[0]);
}

static void arith(struct call *c, enum arith op)
{
    call_inputs(c, 2, 2);
    if (c->rc < 0)
        return;
    attr_ignore(c, "consumed_inputs");
    for (int k = 0; k < 2; k++) {
        const struct tensor *t = call_constant(c, 1 - k) ? call_floats(c, 1 - k) : NULL;
        if (t)
            with_constant(c, op, k, t);
        if (t || c->rc < 0)
            return;
    }
    of_two(c, op);
}

void op_add(struct call *c)
{
    arith(c, ARITH_ADD);
}

void op_sub(struct call *c)
{
    arith(c, ARITH_SUB);
}

void op_mul(struct call *c)
{
    arith(c, ARITH_MUL);
}

void op_div(struct call *c)
{
    arith(c, ARITH_DIV);
}

/* All but the last addition are steps in between. */
void op_sum(struct call *c)
{
    struct node x;
    int in[2], n = c->n_in;
    if (n == 1 && call_has(c, 0)) {
        call_alias(c, 0);
        return;
    }
    if (n <= 2) {
        arith(c, ARITH_ADD);
        return;
    }
    in[0] = call_node(c, 0, &x);
    for (int k = 1; k < n && c->rc == 0; k++) {
        char suffix[32];
        struct node d = {.op = OP_ADD, .n_in = 2, .in = in};
        snprintf(suffix, sizeof suffix, "sum%d", k);
        in[1] = call_node(c, k, &x);
        in[0] = k == n - 1 ? call_add(c, &d) : call_add_step(c, &d, suffix);
    }
}
