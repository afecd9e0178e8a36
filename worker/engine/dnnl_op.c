/*
 * Operations, and the kernels that do them.
 */
#include <string.h>

#include "worker/engine/dnnl_int.h"

/* ---- operations ---- */

struct slide { /* a window in oneDNN's words */
    dnnl_dims_t kernel, stride, gap, before, after;
};

static struct slide slide_of(const struct window *w)
{
    return (struct slide){
        .kernel = {w->R, w->S},
        .stride = {w->stride_h, w->stride_w},
        .gap = {w->dil_h - 1, w->dil_w - 1},
        .before = {w->pad_t, w->pad_l},
        .after = {w->pad_b, w->pad_r},
    };
}

int desc_conv(dnnl_convolution_desc_t *d, dnnl_prop_kind_t prop, bool winograd, const struct window *win,
              const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *w, const dnnl_memory_desc_t *b,
              const dnnl_memory_desc_t *y, struct err *e)
{
    struct slide s = slide_of(win);
    dnnl_alg_kind_t alg = winograd ? dnnl_convolution_winograd : dnnl_convolution_direct;
    dnnl_status_t rc;
    if (prop == dnnl_backward_data)
        rc = dnnl_dilated_convolution_backward_data_desc_init(d, alg, x, w, y, s.stride, s.gap, s.before, s.after);
    else if (prop == dnnl_backward_weights)
        rc = dnnl_dilated_convolution_backward_weights_desc_init(d, alg, x, w, b, y, s.stride, s.gap, s.before,
                                                                 s.after);
    else
        rc = dnnl_dilated_convolution_forward_desc_init(d, prop, alg, x, w, b, y, s.stride, s.gap, s.before,
                                                        s.after);
    return dnnl_check(rc, "describe a convolution", e);
}

int desc_gemm(dnnl_inner_product_desc_t *d, dnnl_prop_kind_t prop, const dnnl_memory_desc_t *x,
              const dnnl_memory_desc_t *w, const dnnl_memory_desc_t *b, const dnnl_memory_desc_t *y, struct err *e)
{
    dnnl_status_t rc;
    if (prop == dnnl_backward_data)
        rc = dnnl_inner_product_backward_data_desc_init(d, x, w, y);
    else if (prop == dnnl_backward_weights)
        rc = dnnl_inner_product_backward_weights_desc_init(d, x, w, b, y);
    else
        rc = dnnl_inner_product_forward_desc_init(d, prop, x, w, b, y);
    return dnnl_check(rc, "describe an inner product", e);
}

int desc_pool(dnnl_pooling_v2_desc_t *d, dnnl_prop_kind_t prop, enum pooling kind, const struct window *win,
              const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *y, struct err *e)
{
    static const dnnl_alg_kind_t algs[] = {
        [POOL_MAX] = dnnl_pooling_max,
        [POOL_MEAN] = dnnl_pooling_avg_exclude_padding,
        [POOL_MEAN_PADDED] = dnnl_pooling_avg_include_padding,
    };
    struct slide s = slide_of(win);
    dnnl_status_t rc;
    if (prop == dnnl_backward_data)
        rc = dnnl_pooling_v2_backward_desc_init(d, algs[kind], x, y, s.stride, s.kernel, s.gap, s.before, s.after);
    else
        rc = dnnl_pooling_v2_forward_desc_init(d, prop, algs[kind], x, y, s.stride, s.kernel, s.gap, s.before,
                                               s.after);
    return dnnl_check(rc, "describe a pool", e);
}

/* ---- kernels ---- */

const char *pd_name(const_dnnl_primitive_desc_t pd)
{
    const char *text = NULL;
    if (dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &text) != dnnl_success || !text)
        return "unknown";
    return text;
}

const dnnl_memory_desc_t *pd_md(const_dnnl_primitive_desc_t pd, dnnl_query_t what)
{
    return dnnl_primitive_desc_query_md(pd, what, 0);
}

static dnnl_status_t append(dnnl_post_ops_t ops, dnnl_alg_kind_t alg, float alpha, float beta)
{
    return dnnl_post_ops_append_eltwise(ops, 1, alg, alpha, beta);
}

static dnnl_status_t append_curve(dnnl_post_ops_t ops, struct act act)
{
    dnnl_status_t s;
    switch (act.curve) {
    case CURVE_SLOPE:
        return append(ops, dnnl_eltwise_relu, act.alpha, 0);
    case CURVE_ELU:
        return append(ops, dnnl_eltwise_elu, act.alpha, 0);
    case CURVE_SIGMOID:
        return append(ops, dnnl_eltwise_logistic, 0, 0);
    case CURVE_TANH:
        return append(ops, dnnl_eltwise_tanh, 0, 0);
    case CURVE_HARDSIGMOID:
        s = append(ops, dnnl_eltwise_linear, act.alpha, act.beta);
        return s == dnnl_success ? append(ops, dnnl_eltwise_clip, 0, 1) : s;
    case CURVE_SWISH:
        return append(ops, dnnl_eltwise_swish, 1, 0);
    case CURVE_HARDSWISH:
        if (!act_usual_hardswish(act))
            BUG("HardSwish with alpha %g, beta %g in a kernel", (double)act.alpha, (double)act.beta);
        return append(ops, dnnl_eltwise_hardswish, 0, 0);
    case CURVE_NONE:
        return dnnl_success;
    default:
        BUG("curve %d in a kernel", (int)act.curve);
    }
}

static dnnl_status_t append_act(dnnl_post_ops_t ops, struct act act)
{
    dnnl_status_t s = append_curve(ops, act);
    if (s != dnnl_success || !act_clamps(act))
        return s;
    if (act_relu(act))
        return append(ops, dnnl_eltwise_relu, 0, 0);
    return append(ops, dnnl_eltwise_clip, act.lo, act.hi);
}

/* Post-ops and the caller's scratch; the attribute is the caller's, also on failure. */
static int attributes(dnnl_primitive_attr_t *attr, bool sum, struct act act, struct err *e)
{
    dnnl_post_ops_t ops = NULL;
    int rc = dnnl_check(dnnl_primitive_attr_create(attr), "make attributes", e);
    if (rc == 0)
        rc = dnnl_check(dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user),
                        "set the scratch mode", e);
    if (rc == 0)
        rc = dnnl_check(dnnl_post_ops_create(&ops), "make post-ops", e);
    if (rc == 0 && sum)
        rc = dnnl_check(dnnl_post_ops_append_sum(ops, 1), "append a sum", e);
    if (rc == 0)
        rc = dnnl_check(append_act(ops, act), "append an activation", e);
    if (rc == 0)
        rc = dnnl_check(dnnl_primitive_attr_set_post_ops(*attr, ops), "set post-ops", e);
    if (ops)
        dnnl_post_ops_destroy(ops);
    return rc;
}

static bool slow_kernel(const char *name)
{
    return strstr(name, "ref") || strstr(name, "gemm:");
}

static dnnl_status_t first(dnnl_primitive_desc_t *pd, dnnl_primitive_desc_iterator_t it, const struct choice *how)
{
    for (;;) {
        *pd = dnnl_primitive_desc_iterator_fetch(it);
        if (!*pd)
            return dnnl_out_of_memory;
        const char *name = pd_name(*pd);
        if ((how->reference_ok || !slow_kernel(name)) && !(how->skip && how->skip(how->arg, name)))
            return dnnl_success;
        dnnl_primitive_desc_destroy(*pd);
        *pd = NULL;
        dnnl_status_t s = dnnl_primitive_desc_iterator_next(it);
        if (s != dnnl_success)
            return s == dnnl_iterator_ends ? dnnl_unimplemented : s;
    }
}

int pd_choose(dnnl_primitive_desc_t *pd, const struct backend *be, const struct choice *how, struct err *e)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_iterator_t it = NULL;
    int rc = attributes(&attr, how->sum, how->act, e);
    if (rc == 0)
        rc = dnnl_check(dnnl_primitive_desc_iterator_create(&it, how->op, attr, be->engine, how->hint),
                        "find a kernel", e);
    if (rc == 0)
        rc = dnnl_check(first(pd, it, how), "find a kernel", e);
    if (it)
        dnnl_primitive_desc_iterator_destroy(it);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return rc;
}

/*
 * Channels last in fp32, the batched-GEMM kernels are the fastest on whole vectors of channels. The older direct
 * ones are on odd widths, where they mask the tail (165 against 151 GFLOP/s measured at 37 channels), and on few
 * channels, unless rows are longer than the 28 pixels that they keep in registers (16 channels: 197 against 164
 * GFLOP/s on 16x16 pixels, 152 against 169 on 32x32).
 */
static bool skip_conv(const void *arg, const char *kernel)
{
    const struct conv_size *s = arg;
    if (s->type != DTYPE_F32 || strncmp(kernel, "brgconv:", 8) != 0)
        return false;
    return s->C % 16 != 0 || s->K % 16 != 0 || ((s->C <= 16 || s->K <= 16) && s->Q <= 28);
}

int pd_choose_conv(dnnl_primitive_desc_t *pd, const struct backend *be, struct choice how,
                   const struct conv_size *size, struct err *e)
{
    struct choice best = how;
    best.skip = skip_conv;
    best.arg = size;
    best.reference_ok = false;
    int rc = pd_choose(pd, be, &best, e);
    if (rc == ERR_UNSUPPORTED) /* the kernel that was passed over may be the only one */
        rc = pd_choose(pd, be, &how, e);
    return rc;
}

int pd_reorder(dnnl_primitive_desc_t *pd, const struct backend *be, const dnnl_memory_desc_t *from,
               const dnnl_memory_desc_t *to, struct err *e)
{
    dnnl_primitive_attr_t attr = NULL;
    int rc = attributes(&attr, false, ACT_NONE, e);
    if (rc == 0)
        rc = dnnl_check(dnnl_reorder_primitive_desc_create(pd, from, be->engine, to, be->engine, attr),
                        "describe a reorder", e);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return rc;
}
