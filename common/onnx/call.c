#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/onnx/loader.h"

void call_fail(struct call *c, enum err_code code, const char *fmt, ...)
{
    if (c->rc < 0)
        return;
    char text[sizeof c->e->text];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    c->rc = err_set(c->e, code, "%s", text);
}

/* For what a callee has put into `e` already. */
static void failed(struct call *c, const struct err *e)
{
    call_fail(c, e->code, "%s", e->text);
}

void call_inputs(struct call *c, int least, int most)
{
    if (c->n_in > most)
        call_fail(c, ERR_UNSUPPORTED, "%d inputs of %s, at most %d are supported", c->n_in, c->src->op_type, most);
    for (int i = 0; i < least; i++)
        if (!call_has(c, i))
            call_fail(c, ERR_INVALID, "input %d of %s is missing", i, c->src->op_type);
}

bool call_has(const struct call *c, int i)
{
    return i < c->n_in && c->in[i];
}

bool call_constant(const struct call *c, int i)
{
    return call_has(c, i) && c->in[i]->kind == VALUE_TENSOR;
}

int call_any(struct call *c, int i, struct node *x, struct view *v)
{
    *x = (struct node){0};
    *v = (struct view){0};
    if (c->rc < 0)
        return -1;
    if (!call_has(c, i) || c->in[i]->kind != VALUE_NODE) {
        call_fail(c, ERR_UNSUPPORTED, "input %d of %s (\"%s\") must be computed from the network's input", i,
                  c->src->op_type, call_has(c, i) ? c->in[i]->name : "");
        return -1;
    }
    *x = c->l->draft.nodes[c->in[i]->node];
    *v = c->in[i]->view;
    return c->in[i]->node;
}

static int refuse_view(struct call *c, const struct view *v)
{
    char text[96];
    view_describe(v, text);
    call_fail(c, ERR_UNSUPPORTED, "%s of a value laid out as %s is not supported", c->src->op_type, text);
    return -1;
}

int call_node(struct call *c, int i, struct node *x)
{
    struct view v;
    int in = call_any(c, i, x, &v);
    if (in < 0)
        return -1;
    enum layout layout = view_layout(&v);
    return layout == LAYOUT_FLAT || layout == LAYOUT_IMAGE ? in : refuse_view(c, &v);
}

int call_layout(struct call *c, int i, struct node *x, enum layout *layout)
{
    struct view v;
    int in = call_any(c, i, x, &v);
    *layout = view_layout(&v);
    if (in < 0)
        return -1;
    if (*layout == LAYOUT_OTHER)
        return refuse_view(c, &v);
    if (!x->flat || *layout == LAYOUT_FLAT)
        return in;
    char suffix[32];
    snprintf(suffix, sizeof suffix, "unflatten%d", i);
    in = call_add_step(c, &(struct node){.op = OP_UNFLATTEN, .n_in = 1, .in = &in}, suffix);
    if (in < 0)
        return -1;
    c->in[i]->node = in;
    *x = c->l->draft.nodes[in];
    return in;
}

const struct tensor *call_tensor(struct call *c, int i)
{
    if (c->rc < 0)
        return NULL;
    if (!call_constant(c, i)) {
        call_fail(c, ERR_UNSUPPORTED, "input %d of %s (\"%s\") must be constant", i, c->src->op_type,
                  call_has(c, i) ? c->in[i]->name : "");
        return NULL;
    }
    struct value *v = c->in[i];
    struct err e;
    if (!v->t && !(v->t = tensor_decode(&c->l->tensors, v->src, v->name, &e)))
        failed(c, &e);
    return v->t;
}

const struct tensor *call_ints(struct call *c, int i)
{
    const struct tensor *t = call_tensor(c, i);
    if (!t)
        return NULL;
    if (t->type != TENSOR_INT || t->rank > 1) {
        call_fail(c, ERR_INVALID, "\"%s\" isn't a list of integers", c->in[i]->name);
        return NULL;
    }
    for (size_t k = 0; k < t->n; k++)
        if (t->batch[k]) {
            call_fail(c, ERR_UNSUPPORTED, "\"%s\" depends on the batch size, which is not supported",
                      c->in[i]->name);
            return NULL;
        }
    return t;
}

const struct tensor *call_floats(struct call *c, int i)
{
    const struct tensor *t = call_tensor(c, i);
    if (!t)
        return NULL;
    if (t->type != TENSOR_FLOAT) {
        call_fail(c, ERR_INVALID, "\"%s\" holds integers in place of floats", c->in[i]->name);
        return NULL;
    }
    for (size_t k = 0; k < t->n; k++)
        if (!isfinite(t->f[k])) {
            call_fail(c, ERR_INVALID, "\"%s\": number %zu is %f", c->in[i]->name, k, (double)t->f[k]);
            return NULL;
        }
    return t;
}

float call_scalar(struct call *c, int i)
{
    const struct tensor *t = call_tensor(c, i);
    if (!t)
        return 0;
    if (t->type != TENSOR_FLOAT || t->n != 1 || isnan(t->f[0])) {
        call_fail(c, ERR_INVALID, "\"%s\" isn't one float", c->in[i]->name);
        return 0;
    }
    return t->f[0];
}

int call_list(struct call *c, int i, const char *name, int64_t *v, int most)
{
    const int64_t *list = NULL;
    int n = 0;
    if (i < 0) {
        list = attr_list(c, name, &n);
    } else if (call_has(c, i)) {
        const struct tensor *t = call_ints(c, i);
        if (t && t->n <= INT_MAX) {
            list = t->i;
            n = (int)t->n;
        }
    }
    if (!list)
        return -1;
    if (n > most) {
        call_fail(c, ERR_INVALID, "%d %s, more than %d", n, name, most);
        return -1;
    }
    memcpy(v, list, (size_t)n * sizeof *v);
    return n;
}

int call_axis(struct call *c, int64_t axis, int rank)
{
    if (axis >= -rank && axis < rank)
        return (int)(axis < 0 ? axis + rank : axis);
    call_fail(c, ERR_INVALID, "axis %" PRId64 " of a value with %d dimensions", axis, rank);
    return 0;
}

static int add_node(struct call *c, struct node *d, const char *name, const char *label)
{
    struct err e;
    if (c->rc < 0)
        return -1;
    d->name = (char *)name;
    d->label = (char *)label;
    int i = graph_add(&c->l->draft, d, &e);
    if (i < 0) {
        failed(c, &e);
        return -1;
    }
    c->l->parts[i].name = c->l->draft.nodes[i].name;
    return i;
}

int call_add_to(struct call *c, struct node *d, struct value *value, enum layout layout)
{
    int i = add_node(c, d, value->name, value == c->out ? c->src->name : "");
    if (i >= 0) {
        value->kind = VALUE_NODE;
        value->node = i;
        view_init(&value->view, &c->l->draft.nodes[i], layout);
    }
    return i;
}

int call_add(struct call *c, struct node *d)
{
    int i = call_add_to(c, d, c->out, LAYOUT_IMAGE);
    if (i >= 0 && c->l->draft.nodes[i].flat)
        view_init(&c->out->view, &c->l->draft.nodes[i], LAYOUT_FLAT);
    return i;
}

void call_view(struct call *c, const struct view *v)
{
    if (c->rc == 0)
        c->out->view = *v;
}

int call_add_step(struct call *c, struct node *d, const char *suffix)
{
    char *name = xasprintf("%s/%s", c->out->name, suffix);
    while (values_find(&c->l->values, name)) {
        char *longer = xasprintf("%s_", name);
        free(name);
        name = longer;
    }
    int i = add_node(c, d, name, "");
    free(name);
    return i;
}

void call_alias(struct call *c, int i)
{
    const struct value *v = c->in[i];
    if (v->kind == VALUE_TENSOR)
        call_tensor(c, i); /* so that it is decoded once, whatever its name */
    if (c->rc < 0)
        return;
    c->out->kind = v->kind;
    c->out->node = v->node;
    c->out->view = v->view;
    c->out->t = v->t;
    c->out->src = v->src;
    c->out->stored = v->stored;
}

static void be(struct call *c, int node, const struct view *v)
{
    c->out->kind = VALUE_NODE;
    c->out->node = node;
    c->out->view = *v;
}

/* The last node that a layout needs has the output's name. */
static void settle_shuffle(struct call *c, int in, struct view v, int groups)
{
    struct node d = {.op = OP_SHUFFLE, .n_in = 1, .in = &in};
    d.u.shuffle.groups = groups;
    enum layout layout = view_layout(&v);
    if (layout == (c->l->draft.nodes[in].flat ? LAYOUT_FLAT : LAYOUT_IMAGE)) {
        call_add(c, &d);
        return;
    }
    int i = call_add_step(c, &d, "shuffle");
    if (i >= 0)
        call_settle(c, i, v);
}

void call_settle(struct call *c, int in, struct view v)
{
    int groups;
    if (c->rc < 0)
        return;
    struct node x = c->l->draft.nodes[in], d = {.op = OP_FLATTEN, .n_in = 1, .in = &in};
    if (view_shuffled(&v, &x, &groups))
        settle_shuffle(c, in, v, groups);
    else if (x.flat && view_layout(&v) == LAYOUT_IMAGE)
        call_add(c, &(struct node){.op = OP_UNFLATTEN, .n_in = 1, .in = &in});
    else if (!x.flat && view_flattened(&v, &x, &d.u.flatten.last))
        call_add(c, &d);
    else
        be(c, in, &v);
}

void call_result(struct call *c, struct tensor *t)
{
    if (c->rc < 0)
        return;
    c->out->kind = VALUE_TENSOR;
    c->out->t = t;
}

struct tensor *call_new(struct call *c, enum tensor_type type, int rank, const int64_t *dims)
{
    struct err e;
    if (c->rc < 0)
        return NULL;
    struct tensor *t = tensor_new(&c->l->tensors, type, rank, dims, &e);
    if (!t)
        failed(c, &e);
    return t;
}

float *call_room(struct call *c, size_t n)
{
    struct err e;
    if (c->rc < 0)
        return NULL;
    float *f = tensors_floats(&c->l->tensors, n, &e);
    if (!f)
        failed(c, &e);
    return f;
}

float *call_copy(struct call *c, const float *from, size_t n)
{
    float *f = call_room(c, n);
    if (f)
        memcpy(f, from, n * sizeof *f);
    return f;
}

struct params *call_params(struct call *c, int node)
{
    struct params *p = &c->l->parts[node].p;
    p->n_w = weights_count(&c->l->draft, node);
    p->n_b = (size_t)c->l->draft.nodes[node].C;
    return p;
}

void call_name(struct call *c, int node, int which, int i)
{
    const struct value *v = c->in[i];
    const struct params *p = &c->l->parts[node].p;
    struct err e;
    if (c->rc < 0 || !v->stored || v->t->n != (which == NAME_W ? p->n_w : p->n_b))
        return;
    c->l->parts[node].names[which] = v->stored;
    if (tensors_spend(&c->l->tensors, strlen(v->stored) + 1, &e) < 0)
        failed(c, &e);
}

void call_channels(struct call *c, const struct tensor *t, const struct node *x, const struct view *view, float *v)
{
    if (c->rc < 0)
        return;
    bool fits = t->rank <= view->rank && t->n > 0;
    for (int k = 0; k < t->rank && fits; k++)
        fits = t->dims[k] == 1 ||
               (t->dims[k] == x->C && view_at(view, k + view->rank - t->rank) == FACTOR_C);
    if (!fits) {
        call_fail(c, ERR_UNSUPPORTED, "%s with a constant that isn't one number a channel is not supported",
                  c->src->op_type);
        return;
    }
    for (int k = 0; k < x->C; k++)
        v[k] = t->f[t->n == 1 ? 0 : k];
}

void call_shares(struct call *c, int i, const struct tensor *t, bool turned)
{
    struct node *nodes = c->l->draft.nodes, *d = &nodes[i];
    struct part *parts = c->l->parts;
    parts[i].weight = t;
    parts[i].turned = turned;
    for (int k = 1; k < i && d->shares == 0; k++)
        if (parts[k].weight == t && parts[k].turned == turned && graph_can_share(&c->l->draft, k, i))
            d->shares = k;
}
