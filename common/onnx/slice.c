#include "common/onnx/slice.h"

#include <inttypes.h>

static int64_t clamp(int64_t v, int64_t lo, int64_t hi)
{
    return v < lo ? lo : v > hi ? hi : v;
}

/* One axis of known size, as the operator's specification clamps it. */
static void cut(struct slice *s, int k, int64_t size, int64_t begin, int64_t end, int64_t step)
{
    int64_t up = step > 0;
    begin = clamp(begin < 0 ? begin + size : begin, 0, up ? size : size - 1);
    end = clamp(end < 0 ? end + size : end, up ? 0 : -1, up ? size : size - 1);
    s->begin[k] = begin;
    s->step[k] = step;
    if (size == 0 || (up ? end <= begin : end >= begin))
        s->count[k] = 0;
    else
        s->count[k] = up ? (end - begin - 1) / step + 1 : (begin - end - 1) / -step + 1;
}

static void apply(struct call *c, struct slice *s, int k, int64_t size, int64_t begin, int64_t end, int64_t step)
{
    if (step == 0 || step < -INT32_MAX)
        call_fail(c, ERR_INVALID, "Slice by steps of %" PRId64, step);
    else if (size >= 0)
        cut(s, k, size, begin, end, step);
    else if (begin != 0 || step != 1 || (end < INT32_MAX && (end != c->l->batch || end <= 0)))
        call_fail(c, ERR_UNSUPPORTED, "Slice along the batch is not supported");
}

void slice_read(struct call *c, int rank, const int64_t *dims, struct slice *s)
{
    int64_t begin[TENSOR_MAX_RANK], end[TENSOR_MAX_RANK], axes[TENSOR_MAX_RANK], step[TENSOR_MAX_RANK];
    bool old = c->l->opset < 10, seen[TENSOR_MAX_RANK] = {false};
    call_inputs(c, old ? 1 : 3, old ? 1 : 5);
    int n = call_list(c, old ? -1 : 1, "starts", begin, TENSOR_MAX_RANK);
    int n_end = call_list(c, old ? -1 : 2, "ends", end, TENSOR_MAX_RANK);
    int n_axes = call_list(c, old ? -1 : 3, "axes", axes, TENSOR_MAX_RANK);
    int n_step = old ? -1 : call_list(c, 4, "steps", step, TENSOR_MAX_RANK);
    if (c->rc == 0 && (n < 0 || n != n_end || (n_axes >= 0 && n_axes != n) || (n_step >= 0 && n_step != n)))
        call_fail(c, ERR_INVALID, "Slice with %d starts, %d ends, %d axes and %d steps", n, n_end, n_axes, n_step);
    for (int k = 0; k < rank; k++) {
        s->begin[k] = 0;
        s->count[k] = dims[k];
        s->step[k] = 1;
    }
    for (int j = 0; j < n && c->rc == 0; j++) {
        int k = call_axis(c, n_axes >= 0 ? axes[j] : j, rank);
        if (c->rc == 0 && seen[k])
            call_fail(c, ERR_INVALID, "Slice names axis %d twice", k);
        if (c->rc < 0)
            return;
        seen[k] = true;
        apply(c, s, k, dims[k], begin[j], end[j], n_step >= 0 ? step[j] : 1);
    }
}
