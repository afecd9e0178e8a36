#include <inttypes.h>

#include "common/onnx/loader.h"
#include "common/onnx/ops.h"
#include "common/onnx/slice.h"

/* dims as outer * dims[axis] * inner. */
static void around(const struct tensor *t, int axis, size_t *outer, size_t *inner)
{
    *outer = *inner = 1;
    for (int k = 0; k < t->rank; k++) {
        if (k < axis)
            *outer *= (size_t)t->dims[k];
        if (k > axis)
            *inner *= (size_t)t->dims[k];
    }
}

/* dims of all inputs put together along *axis; false after a failure. */
static bool concat_dims(struct call *c, int *axis, int64_t dims[TENSOR_MAX_RANK])
{
    const struct tensor *x = call_tensor(c, 0);
    if (!x)
        return false;
    *axis = call_axis(c, attr_int(c, "axis", 0), x->rank);
    for (int k = 0; k < x->rank; k++)
        dims[k] = x->dims[k];
    for (int i = 1; i < c->n_in && c->rc == 0; i++) {
        const struct tensor *y = call_tensor(c, i);
        if (!y)
            return false;
        bool fits = y->rank == x->rank && y->type == x->type;
        for (int k = 0; k < x->rank && fits; k++)
            fits = k == *axis || y->dims[k] == x->dims[k];
        if (!fits || __builtin_add_overflow(dims[*axis], y->dims[*axis], &dims[*axis]))
            call_fail(c, ERR_INVALID, "Concat of constants that don't fit together, \"%s\" and \"%s\"",
                      c->in[0]->name, c->in[i]->name);
    }
    return c->rc == 0;
}

void fold_concat(struct call *c)
{
    int axis;
    int64_t dims[TENSOR_MAX_RANK];
    size_t outer, inner, at = 0;
    call_inputs(c, c->n_in > 0 ? c->n_in : 1, INT32_MAX);
    if (!concat_dims(c, &axis, dims))
        return;
    struct tensor *t = call_new(c, c->in[0]->t->type, c->in[0]->t->rank, dims);
    if (!t)
        return;
    around(t, axis, &outer, &inner);
    for (int i = 0; i < c->n_in; i++) {
        const struct tensor *x = c->in[i]->t;
        size_t run = (size_t)x->dims[axis] * inner;
        for (size_t o = 0; o < outer; o++)
            for (size_t k = 0; k < run; k++)
                tensor_put(t, o * (size_t)dims[axis] * inner + at + k, x, o * run + k);
        at += run;
    }
    call_result(c, t);
}

/* The dims of the result: those of x with axis replaced by those of the indices. */
static int gather_dims(struct call *c, const struct tensor *x, const struct tensor *at, int axis,
                       int64_t dims[2 * TENSOR_MAX_RANK])
{
    int rank = 0;
    for (int k = 0; k < axis; k++)
        dims[rank++] = x->dims[k];
    for (int k = 0; k < at->rank; k++)
        dims[rank++] = at->dims[k];
    for (int k = axis + 1; k < x->rank; k++)
        dims[rank++] = x->dims[k];
    for (size_t k = 0; k < at->n && c->rc == 0; k++)
        if (at->batch[k] || at->i[k] < -x->dims[axis] || at->i[k] >= x->dims[axis])
            call_fail(c, ERR_INVALID, "Gather of number %" PRId64 " of %" PRId64, at->i[k], x->dims[axis]);
    return rank;
}

void fold_gather(struct call *c)
{
    int64_t dims[2 * TENSOR_MAX_RANK];
    size_t outer, inner, to = 0;
    call_inputs(c, 2, 2);
    const struct tensor *x = call_tensor(c, 0), *at = call_tensor(c, 1);
    int axis = x ? call_axis(c, attr_int(c, "axis", 0), x->rank) : 0;
    if (c->rc == 0 && at->type != TENSOR_INT)
        call_fail(c, ERR_INVALID, "\"%s\" doesn't hold integers", c->in[1]->name);
    if (c->rc < 0)
        return;
    int rank = gather_dims(c, x, at, axis, dims);
    struct tensor *t = call_new(c, x->type, rank, dims);
    if (!t)
        return;
    around(x, axis, &outer, &inner);
    size_t size = (size_t)x->dims[axis];
    for (size_t o = 0; o < outer; o++)
        for (size_t j = 0; j < at->n; j++)
            for (size_t k = 0; k < inner; k++) {
                size_t pick = (size_t)(at->i[j] < 0 ? at->i[j] + x->dims[axis] : at->i[j]);
                tensor_put(t, to++, x, (o * size + pick) * inner + k);
            }
    call_result(c, t);
}

/* Fills t from x, where stepping along axis k of t moves by stride[k] in x. */
static void pick(struct tensor *t, const struct tensor *x, int64_t from, const int64_t *stride)
{
    int64_t index[TENSOR_MAX_RANK] = {0};
    for (size_t at = 0; at < t->n; at++) {
        tensor_put(t, at, x, (size_t)from);
        for (int k = t->rank - 1; k >= 0; k--) {
            from += stride[k];
            if (++index[k] < t->dims[k])
                break;
            from -= stride[k] * t->dims[k];
            index[k] = 0;
        }
    }
}

void fold_slice(struct call *c)
{
    struct slice s;
    int64_t stride[TENSOR_MAX_RANK], from = 0;
    const struct tensor *x = call_tensor(c, 0);
    if (!x)
        return;
    slice_read(c, x->rank, x->dims, &s);
    struct tensor *t = call_new(c, x->type, x->rank, s.count);
    if (!t)
        return;
    tensor_strides(x->rank, x->dims, stride);
    for (int k = 0; k < x->rank; k++) {
        from += s.begin[k] * stride[k];
        stride[k] = s.count[k] > 1 ? stride[k] * s.step[k]
                                   : 0; /* where there is no next, a step may be beyond all bounds */
    }
    pick(t, x, from, stride);
    call_result(c, t);
}

void fold_transpose(struct call *c)
{
    int64_t perm[TENSOR_MAX_RANK], strides[TENSOR_MAX_RANK], stride[TENSOR_MAX_RANK], dims[TENSOR_MAX_RANK];
    bool seen[TENSOR_MAX_RANK] = {false};
    call_inputs(c, 1, 1);
    const struct tensor *x = call_tensor(c, 0);
    if (!x)
        return;
    for (int k = 0; k < x->rank; k++)
        perm[k] = x->rank - 1 - k;
    attr_ints(c, "perm", perm, x->rank);
    tensor_strides(x->rank, x->dims, strides);
    for (int k = 0; k < x->rank && c->rc == 0; k++) {
        int from = call_axis(c, perm[k], x->rank);
        if (seen[from])
            call_fail(c, ERR_INVALID, "attribute \"perm\" of Transpose names axis %d twice", from);
        seen[from] = true;
        stride[k] = strides[from];
        dims[k] = x->dims[from];
    }
    if (c->rc < 0)
        return;
    struct tensor *t = call_new(c, x->type, x->rank, dims);
    if (t)
        pick(t, x, 0, stride);
    call_result(c, t);
    if (x->rank == 2)
        c->out->stored = c->in[0]->stored; /* a matrix is turned for a gemm as well */
}
