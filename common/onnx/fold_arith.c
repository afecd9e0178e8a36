#include <inttypes.h>
#include <math.h>

#include "common/onnx/loader.h"
#include "common/onnx/ops.h"

enum arith { ARITH_ADD, ARITH_SUB, ARITH_MUL, ARITH_DIV };

static float float_result(enum arith op, float a, float b)
{
    switch (op) {
    case ARITH_ADD:
        return a + b;
    case ARITH_SUB:
        return a - b;
    case ARITH_MUL:
        return a * b;
    default:
        return a / b;
    }
}

static int64_t int_result(struct call *c, enum arith op, int64_t a, int64_t b)
{
    int64_t r = 0;
    bool bad;
    switch (op) {
    case ARITH_ADD:
        bad = __builtin_add_overflow(a, b, &r);
        break;
    case ARITH_SUB:
        bad = __builtin_sub_overflow(a, b, &r);
        break;
    case ARITH_MUL:
        bad = __builtin_mul_overflow(a, b, &r);
        break;
    default:
        bad = b == 0 || (b == -1 && a == INT64_MIN);
        r = bad ? 0 : a / b;
        break;
    }
    if (bad)
        call_fail(c, ERR_INVALID, "%s of %" PRId64 " and %" PRId64 " isn't a number", c->src->op_type, a, b);
    return r;
}

/* Is the batch size, the left operand or the right, what it was after `op` with this number? */
static bool keeps_batch(enum arith op, bool left, int64_t other)
{
    switch (op) {
    case ARITH_ADD:
        return other == 0;
    case ARITH_SUB:
        return left && other == 0;
    case ARITH_MUL:
        return other == 1;
    default:
        return left && other == 1;
    }
}

static void with_batch(struct call *c, enum arith op, struct tensor *t, size_t at, bool left, bool right,
                       int64_t other)
{
    if ((left && right) || !keeps_batch(op, left, other))
        call_fail(c, ERR_UNSUPPORTED, "%s with the batch size is not supported", c->src->op_type);
    t->batch[at] = true;
}

static void result(struct call *c, enum arith op, struct tensor *t, size_t at, const struct tensor *x, size_t i,
                   const struct tensor *y, size_t j)
{
    if (t->type == TENSOR_FLOAT)
        t->f[at] = float_result(op, x->f[i], y->f[j]);
    else if (x->batch[i] || y->batch[j])
        with_batch(c, op, t, at, x->batch[i], y->batch[j], x->batch[i] ? y->i[j] : x->i[i]);
    else
        t->i[at] = int_result(c, op, x->i[i], y->i[j]);
}

/* Strides of x seen with the rank and dims of the result: 0 where it is repeated. */
static void broadcast(struct call *c, const struct tensor *x, int rank, int64_t *dims, int64_t *stride)
{
    int64_t own[TENSOR_MAX_RANK];
    tensor_strides(x->rank, x->dims, own);
    for (int k = 0; k < rank; k++) {
        int mine = k - (rank - x->rank);
        int64_t dim = mine < 0 ? 1 : x->dims[mine];
        stride[k] = dim == 1 ? 0 : own[mine];
        if (dims[k] == 1)
            dims[k] = dim;
        else if (dim != 1 && dim != dims[k])
            call_fail(c, ERR_INVALID, "%s of %" PRId64 " and %" PRId64 " numbers along an axis", c->src->op_type,
                      dims[k], dim);
    }
}

static void fold(struct call *c, enum arith op)
{
    int64_t dims[TENSOR_MAX_RANK], sx[TENSOR_MAX_RANK], sy[TENSOR_MAX_RANK], index[TENSOR_MAX_RANK] = {0}, i = 0,
                                                                             j = 0;
    call_inputs(c, 2, 2);
    const struct tensor *x = call_tensor(c, 0), *y = call_tensor(c, 1);
    if (c->rc < 0)
        return;
    if (x->type != y->type) {
        call_fail(c, ERR_INVALID, "%s of \"%s\" and \"%s\", which are integers and floats", c->src->op_type,
                  c->in[0]->name, c->in[1]->name);
        return;
    }
    int rank = x->rank > y->rank ? x->rank : y->rank;
    for (int k = 0; k < rank; k++)
        dims[k] = 1;
    broadcast(c, x, rank, dims, sx);
    broadcast(c, y, rank, dims, sy);
    struct tensor *t = call_new(c, x->type, rank, dims);
    for (size_t at = 0; t && at < t->n && c->rc == 0; at++) {
        result(c, op, t, at, x, (size_t)i, y, (size_t)j);
        for (int k = rank - 1; k >= 0; k--) {
            i += sx[k];
            j += sy[k];
            if (++index[k] < dims[k])
                break;
            i -= sx[k] * dims[k];
            j -= sy[k] * dims[k];
            index[k] = 0;
        }
    }
    call_result(c, t);
}

void fold_add(struct call *c)
{
    fold(c, ARITH_ADD);
}

void fold_sub(struct call *c)
{
    fold(c, ARITH_SUB);
}

void fold_mul(struct call *c)
{
    fold(c, ARITH_MUL);
}

void fold_div(struct call *c)
{
    fold(c, ARITH_DIV);
}

static void round_all(struct call *c, float (*round)(float))
{
    call_inputs(c, 1, 1);
    const struct tensor *x = call_floats(c, 0);
    struct tensor *t = x ? call_new(c, TENSOR_FLOAT, x->rank, x->dims) : NULL;
    for (size_t k = 0; t && k < t->n; k++)
        t->f[k] = round(x->f[k]);
    call_result(c, t);
}

void fold_floor(struct call *c)
{
    round_all(c, floorf);
}

void fold_ceil(struct call *c)
{
    round_all(c, ceilf);
}
