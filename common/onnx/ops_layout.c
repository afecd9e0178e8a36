/* What changes no number but the way they lie: Flatten, Reshape, Squeeze, Unsqueeze, Transpose. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/onnx/loader.h"
#include "common/onnx/ops.h"

static void refuse(struct call *c, const struct view *v, const char *to)
{
    char text[96];
    view_describe(v, text);
    call_fail(c, ERR_UNSUPPORTED, "%s of a value laid out as %s%s%s is not supported", c->src->op_type, text,
              *to ? " to " : "", to);
}

void op_flatten(struct call *c)
{
    struct node x;
    struct view v;
    int64_t dims[2] = {-1, 0};
    call_inputs(c, 1, 1);
    int in = call_any(c, 0, &x, &v);
    int axis = call_axis(c, attr_int(c, "axis", 1), v.rank);
    if (c->rc < 0)
        return;
    for (int i = 0; i < v.n; i++)
        if ((v.of[i] == FACTOR_N) != (v.dim[i] < axis)) {
            call_fail(c, ERR_UNSUPPORTED, "Flatten at axis %d is not supported, only behind the batch", axis);
            return;
        }
    dims[1] = (int64_t)x.C * x.H * x.W;
    if (!view_reshape(&v, &x, 2, dims))
        refuse(c, &v, "");
    call_settle(c, in, v);
}

/* A target of Reshape as text, for the message: "[N,-1]". */
static void target_text(const struct tensor *t, char s[128])
{
    size_t n = 1;
    strcpy(s, "[");
    for (size_t k = 0; k < t->n && n < 96; k++) {
        const char *sep = k ? "," : "";
        if (t->batch[k])
            n += (size_t)snprintf(s + n, 128 - n, "%sN", sep);
        else
            n += (size_t)snprintf(s + n, 128 - n, "%s%" PRId64, sep, t->i[k]);
    }
    snprintf(s + n, 128 - n, "]");
}

/*
 * Does the target's first dimension stand for the batch? A number does if the input is declared for that many, or
 * for any number and the target for one: then the network works with one image alone, and does the same here.
 */
static bool is_batch(const struct call *c, const struct tensor *t, bool open)
{
    if (t->batch[0] || t->i[0] == 0)
        return true;
    return (t->i[0] == -1 && !open) || (c->l->batch > 0 ? t->i[0] == c->l->batch : t->i[0] == 1);
}

/* The target's dimensions behind the batch, 0 and -1 replaced by what they stand for; false when it has others. */
static bool resolve(const struct call *c, const struct tensor *t, const struct view *v, const struct node *x,
                    bool allowzero, int64_t *dims)
{
    int64_t was[VIEW_MAX_RANK], known = 1, all = (int64_t)x->C * x->H * x->W;
    int open = 0;
    view_dims(v, x, was);
    for (size_t k = 1; k < t->n; k++) {
        if (t->batch[k] || t->i[k] < -1 || (t->i[k] == 0 && (allowzero || k >= (size_t)v->rank)))
            return false;
        dims[k] = t->i[k] == 0 ? was[k] : t->i[k];
        if (dims[k] == -1 && t->i[k] == 0)
            return false; /* the batch copied to another place */
        if (dims[k] == -1)
            open = open ? -1 : (int)k;
        else if (dims[k] > all / known)
            return false;
        else
            known *= dims[k];
        if (open < 0)
            return false;
    }
    if (open > 0)
        dims[open] = all / known;
    return is_batch(c, t, open > 0) && !(allowzero && !t->batch[0] && t->i[0] == 0);
}

void op_reshape(struct call *c)
{
    struct node x;
    struct view v;
    int64_t dims[VIEW_MAX_RANK];
    char s[128] = "numbers that aren't dimensions";
    call_inputs(c, 2, 2);
    int in = call_any(c, 0, &x, &v);
    const struct tensor *t = call_tensor(c, 1);
    int64_t allowzero = attr_int(c, "allowzero", 0);
    if (c->rc < 0)
        return;
    struct view was = v;
    bool dimensions = t->type == TENSOR_INT && t->rank == 1;
    if (dimensions)
        target_text(t, s);
    if (!dimensions || t->n < 1 || t->n > VIEW_MAX_RANK || !resolve(c, t, &v, &x, allowzero != 0, dims) ||
        !view_reshape(&v, &x, (int)t->n, dims)) {
        char from[96];
        view_describe(&was, from);
        call_fail(c, ERR_UNSUPPORTED, "Reshape of %s, %d x %d x %d, to %s is not supported", from, x.C, x.H, x.W, s);
        return;
    }
    call_settle(c, in, v);
}

/* The axes, an attribute before opset 13, as flags over `rank` dimensions; how many, or -1 when absent. */
static int read_axes(struct call *c, int rank, bool add, bool *over)
{
    int64_t axes[VIEW_MAX_RANK];
    bool old = c->l->opset < 13;
    call_inputs(c, 1, old ? 1 : 2);
    int n = call_list(c, old ? -1 : 1, "axes", axes, VIEW_MAX_RANK);
    rank += add && n > 0 ? n : 0;
    if (rank > VIEW_MAX_RANK)
        call_fail(c, ERR_UNSUPPORTED, "%d dimensions, more than %d", rank, VIEW_MAX_RANK);
    for (int k = 0; k < n && c->rc == 0; k++) {
        int axis = call_axis(c, axes[k], rank);
        if (c->rc == 0 && over[axis])
            call_fail(c, ERR_INVALID, "%s names axis %d twice", c->src->op_type, axis);
        over[axis] = true;
    }
    return n;
}

void op_squeeze(struct call *c)
{
    struct node x;
    struct view v;
    bool gone[VIEW_MAX_RANK] = {false};
    int in = call_any(c, 0, &x, &v);
    int n = read_axes(c, v.rank, false, gone);
    if (c->rc == 0 && n < 0 && c->l->batch == 1)
        call_fail(c, ERR_UNSUPPORTED, "Squeeze without axes, which takes the batch away, is not supported");
    for (int k = 0; k < v.rank && c->rc == 0; k++) {
        enum factor f = view_at(&v, k);
        gone[k] = n < 0 ? f == FACTOR_NONE : gone[k];
        if (gone[k] && f != FACTOR_NONE)
            call_fail(c, ERR_UNSUPPORTED, "Squeeze of axis %d, which is more than one, is not supported", k);
    }
    if (c->rc < 0)
        return;
    view_squeeze(&v, gone);
    call_settle(c, in, v);
}

void op_unsqueeze(struct call *c)
{
    struct node x;
    struct view v;
    bool added[VIEW_MAX_RANK] = {false};
    int in = call_any(c, 0, &x, &v);
    int n = read_axes(c, v.rank, true, added);
    if (c->rc == 0 && n < 0)
        call_fail(c, ERR_INVALID, "Unsqueeze without axes");
    if (c->rc < 0)
        return;
    view_unsqueeze(&v, added, n);
    call_settle(c, in, v);
}

void op_transpose(struct call *c)
{
    struct node x;
    struct view v;
    int64_t perm[VIEW_MAX_RANK];
    int from[VIEW_MAX_RANK];
    bool seen[VIEW_MAX_RANK] = {false};
    call_inputs(c, 1, 1);
    int in = call_any(c, 0, &x, &v);
    for (int k = 0; k < v.rank; k++)
        perm[k] = v.rank - 1 - k;
    attr_ints(c, "perm", perm, v.rank);
    for (int k = 0; k < v.rank && c->rc == 0; k++) {
        from[k] = call_axis(c, perm[k], v.rank);
        if (c->rc == 0 && seen[from[k]])
            call_fail(c, ERR_INVALID, "attribute \"perm\" of Transpose names axis %d twice", from[k]);
        seen[from[k]] = true;
    }
    if (c->rc < 0)
        return;
    view_transpose(&v, from);
    call_settle(c, in, v);
}

void op_shape(struct call *c)
{
    struct node x;
    struct view v;
    int64_t dims[VIEW_MAX_RANK];
    call_inputs(c, 1, 1);
    call_any(c, 0, &x, &v);
    view_dims(&v, &x, dims);
    int64_t first = attr_int(c, "start", 0), end = attr_int(c, "end", v.rank), rank = v.rank;
    first = first < 0 ? first + rank : first;
    end = end < 0 ? end + rank : end;
    first = first < 0 ? 0 : first > rank ? rank : first;
    end = end < first ? first : end > rank ? rank : end;
    struct tensor *t = call_new(c, TENSOR_INT, 1, &(int64_t){end - first});
    for (int64_t k = first; t && k < end; k++) {
        t->batch[k - first] = dims[k] < 0;
        t->i[k - first] = dims[k] < 0 ? 0 : dims[k];
    }
    call_result(c, t);
}
