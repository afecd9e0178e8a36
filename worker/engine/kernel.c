#include "worker/engine/kernel.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/engine/dnnl_int.h"

struct kernel {
    dnnl_engine_t engine;       /* borrowed from the backend */
    dnnl_primitive_desc_t hint; /* of the forward pass, kept for as long as pd, which refers to it */
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    struct {
        int arg;                      /* oneDNN's number for it */
        const dnnl_memory_desc_t *md; /* borrowed from pd; NULL: takes no such tensor */
    } of[TENSORS];
};

struct kernel_call {
    const struct kernel *kernel;
    dnnl_stream_t stream;
    dnnl_exec_arg_t args[TENSORS];
    int n;
};

/* ---- making ---- */

static struct kernel *start(const struct backend *be)
{
    struct kernel *k = xcalloc(1, sizeof *k);
    k->engine = be->engine;
    return k;
}

static void takes(struct kernel *k, enum tensor t, int arg, dnnl_query_t what)
{
    const dnnl_memory_desc_t *md = pd_md(k->pd, what);
    if (md && dnnl_memory_desc_get_size(md) > 0) {
        k->of[t].arg = arg;
        k->of[t].md = md;
    }
}

static void takes_forward(struct kernel *k)
{
    takes(k, TENSOR_X, DNNL_ARG_SRC, dnnl_query_src_md);
    takes(k, TENSOR_W, DNNL_ARG_WEIGHTS, dnnl_query_weights_md);
    takes(k, TENSOR_Y, DNNL_ARG_DST, dnnl_query_dst_md);
}

static void takes_data(struct kernel *k)
{
    takes(k, TENSOR_X, DNNL_ARG_DIFF_SRC, dnnl_query_diff_src_md);
    takes(k, TENSOR_W, DNNL_ARG_WEIGHTS, dnnl_query_weights_md);
    takes(k, TENSOR_Y, DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md);
}

static void takes_weights(struct kernel *k)
{
    takes(k, TENSOR_X, DNNL_ARG_SRC, dnnl_query_src_md);
    takes(k, TENSOR_W, DNNL_ARG_DIFF_WEIGHTS, dnnl_query_diff_weights_md);
    takes(k, TENSOR_Y, DNNL_ARG_DIFF_DST, dnnl_query_diff_dst_md);
}

/* The bias is the second of what oneDNN calls weights. */
static void takes_bias(struct kernel *k, enum pass pass)
{
    dnnl_query_t what = pass == PASS_WEIGHTS ? dnnl_query_diff_weights_md : dnnl_query_weights_md;
    k->of[TENSOR_B].arg = pass == PASS_WEIGHTS ? DNNL_ARG_DIFF_BIAS : DNNL_ARG_BIAS;
    k->of[TENSOR_B].md = dnnl_primitive_desc_query_md(k->pd, what, 1);
}

/* The primitive, once pd is chosen; frees the kernel when something failed. */
static int finish(struct kernel **out, struct kernel *k, enum pass pass, int rc, struct err *e)
{
    static void (*const takes_for[])(struct kernel * k) = {takes_forward, takes_data, takes_weights};
    if (rc == 0)
        rc = dnnl_check(dnnl_primitive_create(&k->primitive, k->pd), "make a primitive", e);
    if (rc < 0) {
        kernel_free(k);
        return rc;
    }
    takes_for[pass](k);
    takes(k, TENSOR_SCRATCH, DNNL_ARG_SCRATCHPAD, dnnl_query_scratchpad_md);
    *out = k;
    return 0;
}

void kernel_free(struct kernel *k)
{
    if (!k)
        return;
    if (k->primitive)
        dnnl_primitive_destroy(k->primitive);
    if (k->pd)
        dnnl_primitive_desc_destroy(k->pd);
    if (k->hint)
        dnnl_primitive_desc_destroy(k->hint);
    free(k);
}

static dnnl_prop_kind_t prop_of(enum pass pass)
{
    return pass == PASS_DATA      ? dnnl_backward_data
           : pass == PASS_WEIGHTS ? dnnl_backward_weights
                                  : dnnl_forward_training;
}

/* ---- kinds ---- */

/* As many lanes as channels: two orders at once, the same bytes. */
static bool ambiguous(const struct layout *l)
{
    return l->lanes == l->C && (l->lanes == 1 || l->lanes == 8 || l->lanes == 16);
}

/* Kernels want both sides in orders that go together; where a side has two names, it gets the other side's, or the
 * one of the faster kernels. */
static dnnl_memory_desc_t conv_image(const struct layout *l, const struct layout *other)
{
    enum order order = l->type == DTYPE_F32 ? ORDER_BLOCKED : ORDER_LAST;
    if (!ambiguous(l))
        return md_layout(l);
    if (!ambiguous(other) && other->lanes > 1)
        order = other->lanes == other->C ? ORDER_LAST : ORDER_BLOCKED;
    if (ambiguous(other) && l->lanes > 1 && other->lanes > 1 && l->lanes != other->lanes)
        order = ORDER_LAST;
    if (l->lanes == 1 && order == ORDER_BLOCKED)
        order = ORDER_PLAIN;
    return md_image(l->N, l->C, l->H, l->W, l->type, order, l->lanes);
}

static int conv_desc(dnnl_convolution_desc_t *d, enum pass pass, const struct kernel_conv *c, bool winograd,
                     struct err *e)
{
    dnnl_memory_desc_t x = conv_image(&c->x, &c->y), y = conv_image(&c->y, &c->x), bias = md_bias(c->y.C);
    enum dtype type = pass == PASS_WEIGHTS ? DTYPE_F32 : c->x.type;
    dnnl_memory_desc_t w = md_conv_weights(c->y.C, c->x.C, c->groups, &c->win, type);
    return desc_conv(d, prop_of(pass), winograd, &c->win, &x, &w, c->bias ? &bias : NULL, &y, e);
}

static int conv_forward(dnnl_primitive_desc_t *pd, struct backend *be, const struct kernel_conv *c, bool winograd,
                        bool reference_ok, struct err *e)
{
    dnnl_convolution_desc_t d;
    struct choice how = {.op = &d, .act = ACT_NONE, .reference_ok = reference_ok};
    struct conv_size size = {.C = c->x.C, .K = c->y.C, .Q = c->y.W, .type = c->x.type};
    int rc = conv_desc(&d, PASS_FORWARD, c, winograd, e);
    return rc < 0 ? rc : pd_choose_conv(pd, be, how, &size, e);
}

static int conv_backward(struct kernel *k, struct backend *be, enum pass pass, const struct kernel_conv *c,
                         bool reference_ok, struct err *e)
{
    dnnl_convolution_desc_t d;
    int rc = conv_forward(&k->hint, be, c, false, true, e);
    if (rc == 0)
        rc = conv_desc(&d, pass, c, c->winograd, e);
    struct choice how = {.op = &d, .act = ACT_NONE, .hint = k->hint, .reference_ok = reference_ok};
    return rc < 0 ? rc : pd_choose(&k->pd, be, &how, e);
}

int kernel_conv(struct kernel **out, struct backend *be, enum pass pass, const struct kernel_conv *c,
                bool reference_ok, struct err *e)
{
    struct kernel *k = start(be);
    if (c->x.type != c->y.type)
        BUG("a convolution from type %d to %d", c->x.type, c->y.type);
    int rc = pass == PASS_FORWARD ? conv_forward(&k->pd, be, c, c->winograd, reference_ok, e)
                                  : conv_backward(k, be, pass, c, reference_ok, e);
    rc = finish(out, k, pass, rc, e);
    if (rc == 0 && c->bias && pass != PASS_DATA)
        takes_bias(k, pass);
    return rc;
}

struct gemm {
    int N, C, K;
    bool bias;
    enum dtype type;
};

static int gemm_choose(dnnl_primitive_desc_t *pd, struct backend *be, enum pass pass, const struct gemm *g,
                       dnnl_primitive_desc_t hint, struct err *e)
{
    enum dtype type = pass == PASS_WEIGHTS ? DTYPE_F32 : g->type;
    dnnl_memory_desc_t x = md_flat(g->N, g->C, g->type), y = md_flat(g->N, g->K, g->type), bias = md_bias(g->K);
    dnnl_memory_desc_t w = md_gemm_weights(g->K, g->C, type);
    dnnl_inner_product_desc_t d;
    struct choice how = {.op = &d, .act = ACT_NONE, .hint = hint, .reference_ok = true};
    int rc = desc_gemm(&d, prop_of(pass), &x, &w, g->bias ? &bias : NULL, &y, e);
    return rc < 0 ? rc : pd_choose(pd, be, &how, e);
}

int kernel_gemm(struct kernel **out, struct backend *be, enum pass pass, int N, int C, int K, bool bias,
                enum dtype type, struct err *e)
{
    struct kernel *k = start(be);
    struct gemm g = {.N = N, .C = C, .K = K, .bias = bias, .type = type};
    int rc = 0;
    if (pass != PASS_FORWARD)
        rc = gemm_choose(&k->hint, be, PASS_FORWARD, &g, NULL, e);
    if (rc == 0)
        rc = gemm_choose(&k->pd, be, pass, &g, k->hint, e);
    rc = finish(out, k, pass, rc, e);
    if (rc == 0 && bias && pass != PASS_DATA)
        takes_bias(k, pass);
    return rc;
}

static int pool_choose(dnnl_primitive_desc_t *pd, struct backend *be, enum pass pass, enum pooling kind,
                       const struct window *win, const struct layout *x, const struct layout *y,
                       dnnl_primitive_desc_t hint, struct err *e)
{
    dnnl_memory_desc_t xd = md_layout(x), yd = md_layout(y);
    dnnl_pooling_v2_desc_t d;
    struct choice how = {.op = &d, .act = ACT_NONE, .hint = hint, .reference_ok = true};
    int rc = desc_pool(&d, prop_of(pass), kind, win, &xd, &yd, e);
    return rc < 0 ? rc : pd_choose(pd, be, &how, e);
}

int kernel_pool(struct kernel **out, struct backend *be, enum pass pass, enum pooling kind,
                const struct window *win, const struct layout *x, const struct layout *y, struct err *e)
{
    struct kernel *k = start(be);
    int rc = 0;
    if (pass == PASS_WEIGHTS)
        BUG("a pool has no weights");
    if (pass == PASS_DATA) /* chosen as the forward kernel is, so that both mean the same by TENSOR_WORK */
        rc = pool_choose(&k->hint, be, PASS_FORWARD, kind, win, x, y, NULL, e);
    if (rc == 0)
        rc = pool_choose(&k->pd, be, pass, kind, win, x, y, k->hint, e);
    rc = finish(out, k, pass, rc, e);
    if (rc == 0)
        takes(k, TENSOR_WORK, DNNL_ARG_WORKSPACE, dnnl_query_workspace_md);
    return rc;
}

int kernel_reorder(struct kernel **out, struct backend *be, const struct layout *x, const struct layout *y,
                   struct err *e)
{
    struct kernel *k = start(be);
    dnnl_memory_desc_t xd = md_layout(x), yd = md_layout(y);
    return finish(out, k, PASS_FORWARD, pd_reorder(&k->pd, be, &xd, &yd, e), e);
}

int kernel_pack(struct kernel **out, struct backend *be, const struct kernel *of, bool to_plain, struct err *e)
{
    struct kernel *k = start(be);
    const dnnl_memory_desc_t *own = of->of[TENSOR_W].md;
    if (!own)
        BUG("%s has no weights", kernel_name(of));
    dnnl_memory_desc_t plain = md_plain(own);
    int rc = pd_reorder(&k->pd, be, to_plain ? own : &plain, to_plain ? &plain : own, e);
    return finish(out, k, PASS_FORWARD, rc, e);
}

/* ---- what it is ---- */

size_t kernel_bytes(const struct kernel *k, enum tensor t)
{
    return k->of[t].md ? dnnl_memory_desc_get_size(k->of[t].md) : 0;
}

const char *kernel_name(const struct kernel *k)
{
    return pd_name(k->pd);
}

/* ---- calls ---- */

int kernel_call_new(struct kernel_call **out, const struct kernel *k, void *const at[TENSORS], struct err *e)
{
    struct kernel_call *c = xcalloc(1, sizeof *c);
    c->kernel = k;
    int rc = dnnl_check(dnnl_stream_create(&c->stream, k->engine, dnnl_stream_default_flags), "make a stream", e);
    for (int t = 0; rc == 0 && t < TENSORS; t++) {
        if (!k->of[t].md)
            continue;
        dnnl_memory_t *mem = &c->args[c->n].memory;
        rc = dnnl_check(dnnl_memory_create(mem, k->of[t].md, k->engine, at[t]), "bind a tensor", e);
        if (rc == 0)
            c->args[c->n++].arg = k->of[t].arg;
    }
    if (rc < 0) {
        kernel_call_free(c);
        return rc;
    }
    *out = c;
    return 0;
}

void kernel_call_free(struct kernel_call *c)
{
    if (!c)
        return;
    for (int i = 0; i < c->n; i++)
        dnnl_memory_destroy(c->args[i].memory);
    if (c->stream)
        dnnl_stream_destroy(c->stream);
    free(c);
}

int kernel_call_run(const struct kernel_call *c, struct err *e)
{
    int rc = dnnl_check(dnnl_primitive_execute(c->kernel->primitive, c->stream, c->n, c->args), "run a kernel", e);
    return rc < 0 ? rc : dnnl_check(dnnl_stream_wait(c->stream), "wait for a kernel", e);
}
