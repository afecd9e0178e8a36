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

int call_node(struct call *c, int i, struct node *x)
{
    *x = (struct node){0};
    if (c->rc < 0)
        return -1;
    if (!call_has(c, i) || c->in[i]->kind != VALUE_NODE) {
        call_fail(c, ERR_UNSUPPORTED, "input %d of %s (\"%s\") must be computed from the network's input", i,
                  c->src->op_type, call_has(c, i) ? c->in[i]->name : "");
        return -1;
    }
    *x = c->l->draft.nodes[c->in[i]->node];
    return c->in[i]->node;
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

int call_add(struct call *c, struct node *d)
{
    int i = add_node(c, d, c->out->name, c->src->name);
    if (i >= 0) {
        c->out->kind = VALUE_NODE;
        c->out->node = i;
    }
    return i;
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
    c->out->t = v->t;
    c->out->src = v->src;
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

void call_channels(struct call *c, const struct tensor *t, const struct node *x, float *v)
{
    if (c->rc < 0)
        return;
    int rank = x->flat ? 2 : 4, at = t->rank - (rank - 1); /* position of the channels among t's dims */
    bool fits = t->rank <= rank && t->n > 0;
    for (int k = 0; k < t->rank && fits; k++)
        fits = t->dims[k] == 1 || (k == at && t->dims[k] == x->C);
    if (!fits) {
        call_fail(c, ERR_UNSUPPORTED, "%s with a constant that isn't one number a channel is not supported",
                  c->src->op_type);
        return;
    }
    for (int k = 0; k < x->C; k++)
        v[k] = t->f[t->n == 1 ? 0 : k];
}
