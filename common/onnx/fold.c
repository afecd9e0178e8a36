#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/onnx/loader.h"
#include "common/onnx/ops.h"

/* A constant of rank 1, or 0 when `list` is NULL, out of an attribute. */
static struct tensor *floats_of(struct call *c, const float *list, int n, float one)
{
    int64_t dim = n;
    struct tensor *t = call_new(c, TENSOR_FLOAT, list != NULL, &dim);
    for (int k = 0; t && list && k < n; k++)
        t->f[k] = list[k];
    if (t && !list)
        t->f[0] = one;
    return t;
}

static struct tensor *ints_of(struct call *c, const int64_t *list, int n, int64_t one)
{
    int64_t dim = n;
    struct tensor *t = call_new(c, TENSOR_INT, list != NULL, &dim);
    for (int k = 0; t && list && k < n; k++)
        t->i[k] = list[k];
    if (t && !list)
        t->i[0] = one;
    return t;
}

static struct tensor *decode(struct call *c, const Onnx__TensorProto *src)
{
    struct err e;
    if (c->rc < 0)
        return NULL;
    struct tensor *t = tensor_decode(&c->l->tensors, src, c->out->name, &e);
    if (!t)
        call_fail(c, e.code, "%s", e.text);
    return t;
}

void fold_constant(struct call *c)
{
    int n = 0;
    call_inputs(c, 0, 0);
    if (c->rc == 0 && (c->src->n_attribute != 1 || !c->src->attribute[0]->name))
        call_fail(c, ERR_INVALID, "Constant with %zu attributes", c->src->n_attribute);
    if (c->rc < 0)
        return;
    const char *form = c->src->attribute[0]->name;
    struct tensor *t = NULL;
    if (strcmp(form, "value") == 0) {
        const Onnx__TensorProto *src = attr_tensor(c, form);
        t = src ? decode(c, src) : NULL;
    } else if (strcmp(form, "value_float") == 0) {
        t = floats_of(c, NULL, 1, attr_float(c, form, 0));
    } else if (strcmp(form, "value_int") == 0) {
        t = ints_of(c, NULL, 1, attr_int(c, form, 0));
    } else if (strcmp(form, "value_floats") == 0) {
        const float *list = attr_floats(c, form, &n);
        t = floats_of(c, list, n, 0);
    } else if (strcmp(form, "value_ints") == 0) {
        const int64_t *list = attr_list(c, form, &n);
        t = ints_of(c, list, n, 0);
    } else {
        call_fail(c, ERR_UNSUPPORTED, "attribute \"%s\" of Constant is not supported", form);
    }
    call_result(c, t);
    c->out->stored = c->out->name;
}

void fold_constantofshape(struct call *c)
{
    call_inputs(c, 1, 1);
    const struct tensor *shape = call_ints(c, 0);
    const Onnx__TensorProto *src = attr_tensor(c, "value");
    struct tensor *one = src ? decode(c, src) : floats_of(c, NULL, 1, 0);
    if (c->rc == 0 && one->n != 1)
        call_fail(c, ERR_INVALID, "attribute \"value\" of ConstantOfShape holds %zu numbers", one->n);
    if (c->rc == 0 && shape->n > TENSOR_MAX_RANK)
        call_fail(c, ERR_UNSUPPORTED, "%zu dimensions, more than %d", shape->n, TENSOR_MAX_RANK);
    if (c->rc < 0)
        return;
    struct tensor *t = call_new(c, one->type, (int)shape->n, shape->i);
    for (size_t k = 0; t && k < t->n; k++)
        tensor_put(t, k, one, 0);
    call_result(c, t);
}

void fold_shape(struct call *c)
{
    call_inputs(c, 1, 1);
    const struct tensor *x = call_tensor(c, 0);
    if (!x)
        return;
    attr_only(c, "start", 0);
    attr_only(c, "end", x->rank);
    call_result(c, ints_of(c, x->dims, x->rank, 0));
}

/* The same numbers under other dims. */
static void reshaped(struct call *c, const struct tensor *x, int rank, const int64_t *dims)
{
    struct tensor *t = call_new(c, x->type, rank, dims);
    if (t && t->n != x->n)
        call_fail(c, ERR_INVALID, "%s of %zu numbers into %zu", c->src->op_type, x->n, t->n);
    for (size_t k = 0; t && c->rc == 0 && k < t->n; k++)
        tensor_put(t, k, x, k);
    call_result(c, t);
}

/* Replaces 0 by the dim at its place and -1 by what is left. */
static void resolve(struct call *c, const struct tensor *x, int rank, int64_t *dims)
{
    int64_t known = 1;
    int open = -1;
    for (int k = 0; k < rank && c->rc == 0; k++) {
        if (dims[k] == 0 && k < x->rank)
            dims[k] = x->dims[k];
        if (dims[k] == -1 && open < 0)
            open = k;
        else if (dims[k] < 0 || __builtin_mul_overflow(known, dims[k], &known))
            call_fail(c, ERR_INVALID, "Reshape to a dimension of %" PRId64, dims[k]);
    }
    if (c->rc < 0 || open < 0)
        return;
    if (known == 0 || x->n % (size_t)known != 0)
        call_fail(c, ERR_INVALID, "Reshape of %zu numbers to a multiple of %" PRId64, x->n, known);
    else
        dims[open] = (int64_t)(x->n / (size_t)known);
}

void fold_reshape(struct call *c)
{
    int64_t dims[TENSOR_MAX_RANK];
    call_inputs(c, 2, 2);
    const struct tensor *x = call_tensor(c, 0);
    int rank = call_list(c, 1, "dimensions", dims, TENSOR_MAX_RANK);
    attr_only(c, "allowzero", 0);
    if (c->rc < 0)
        return;
    resolve(c, x, rank, dims);
    if (c->rc == 0)
        reshaped(c, x, rank, dims);
}

/* Axes of Squeeze and Unsqueeze, an attribute before opset 13, as flags; how many, or -1 when absent. */
static int read_axes(struct call *c, int rank, bool add, bool over[2 * TENSOR_MAX_RANK])
{
    int64_t axes[TENSOR_MAX_RANK];
    bool old = c->l->opset < 13;
    call_inputs(c, 1, old ? 1 : 2);
    int n = call_list(c, old ? -1 : 1, "axes", axes, TENSOR_MAX_RANK);
    int whole = add ? rank + (n > 0 ? n : 0) : rank;
    for (int k = 0; k < n && c->rc == 0; k++) {
        int axis = call_axis(c, axes[k], whole);
        if (c->rc == 0 && over[axis])
            call_fail(c, ERR_INVALID, "%s names axis %d twice", c->src->op_type, axis);
        over[axis] = true;
    }
    return n;
}

void fold_squeeze(struct call *c)
{
    bool over[2 * TENSOR_MAX_RANK] = {false};
    int64_t dims[TENSOR_MAX_RANK];
    int rank = 0;
    const struct tensor *x = call_tensor(c, 0);
    int n = read_axes(c, x ? x->rank : 0, false, over);
    if (c->rc < 0)
        return;
    for (int k = 0; k < x->rank; k++) {
        if (n < 0 ? x->dims[k] != 1 : !over[k])
            dims[rank++] = x->dims[k];
        else if (x->dims[k] != 1)
            call_fail(c, ERR_INVALID, "Squeeze of axis %d, which has %" PRId64 " entries", k, x->dims[k]);
    }
    if (c->rc == 0)
        reshaped(c, x, rank, dims);
}

void fold_unsqueeze(struct call *c)
{
    bool over[2 * TENSOR_MAX_RANK] = {false};
    int64_t dims[2 * TENSOR_MAX_RANK];
    const struct tensor *x = call_tensor(c, 0);
    int n = read_axes(c, x ? x->rank : 0, true, over);
    if (c->rc == 0 && n < 0)
        call_fail(c, ERR_INVALID, "Unsqueeze without axes");
    if (c->rc < 0)
        return;
    for (int k = 0, from = 0; k < x->rank + n; k++)
        dims[k] = over[k] ? 1 : x->dims[from++];
    reshaped(c, x, x->rank + n, dims);
}

static int64_t to_int(struct call *c, float v, double least, double most)
{
    if (v >= least && v < most)
        return (int64_t)v;
    call_fail(c, ERR_INVALID, "Cast of %g to an integer", (double)v);
    return 0;
}

static void cast_to_ints(struct call *c, const struct tensor *x, struct tensor *t, int64_t type)
{
    bool narrow = type == ONNX__TENSOR_PROTO__DATA_TYPE__INT32, truth = type == ONNX__TENSOR_PROTO__DATA_TYPE__BOOL;
    double most = narrow ? 0x1p31 : 0x1p63;
    for (size_t k = 0; k < t->n && c->rc == 0; k++) {
        if (x->type == TENSOR_INT)
            tensor_put(t, k, x, k);
        else
            t->i[k] = truth ? x->f[k] != 0 : to_int(c, x->f[k], -most, most);
        if (truth && t->batch[k])
            call_fail(c, ERR_UNSUPPORTED, "Cast of the batch size to BOOL is not supported");
        if (truth)
            t->i[k] = t->i[k] != 0;
        else if (narrow && t->i[k] != (int32_t)t->i[k])
            call_fail(c, ERR_INVALID, "Cast of %" PRId64 " to INT32", t->i[k]);
    }
}

static void cast_to_floats(struct call *c, const struct tensor *x, struct tensor *t)
{
    for (size_t k = 0; k < t->n && c->rc == 0; k++) {
        if (x->type == TENSOR_INT && x->batch[k])
            call_fail(c, ERR_UNSUPPORTED, "Cast of the batch size to a float is not supported");
        t->f[k] = x->type == TENSOR_INT ? (float)x->i[k] : x->f[k];
    }
}

void fold_cast(struct call *c)
{
    call_inputs(c, 1, 1);
    const struct tensor *x = call_tensor(c, 0);
    int64_t type = attr_int(c, "to", ONNX__TENSOR_PROTO__DATA_TYPE__UNDEFINED);
    attr_ignore(c, "saturate");
    if (!x)
        return;
    bool floats = type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT || type == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE;
    if (!floats && type != ONNX__TENSOR_PROTO__DATA_TYPE__INT64 && type != ONNX__TENSOR_PROTO__DATA_TYPE__INT32 &&
        type != ONNX__TENSOR_PROTO__DATA_TYPE__BOOL)
        call_fail(c, ERR_UNSUPPORTED, "Cast of a constant to %s is not supported", tensor_type_name(type));
    struct tensor *t = call_new(c, floats ? TENSOR_FLOAT : TENSOR_INT, x->rank, x->dims);
    if (!t)
        return;
    if (floats)
        cast_to_floats(c, x, t);
    else
        cast_to_ints(c, x, t, type);
    call_result(c, t);
    if (floats && x->type == TENSOR_FLOAT)
        c->out->stored = c->in[0]->stored;
}
