#include "worker/engine/dnnl.h"

#include <dnnl.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct backend {
    dnnl_engine_t engine;
    dnnl_stream_t stream; /* for packing weights */
    bool wide;
};

struct prim {
    dnnl_engine_t engine; /* borrowed from the backend */
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t primitive;
    dnnl_memory_t w, b;
    float *w_data, *b_data;
    size_t bytes;
    const dnnl_memory_desc_t *x, *y, *scratch; /* borrowed from pd */
};

struct bound {
    const struct prim *prim;
    dnnl_stream_t stream;
    dnnl_memory_t x, y, scratch;
    dnnl_exec_arg_t args[5];
    int n;
};

static int check(dnnl_status_t s, const char *what, struct err *e)
{
    if (s == dnnl_success)
        return 0;
    enum err_code code = s == dnnl_out_of_memory   ? ERR_NOMEM
                         : s == dnnl_unimplemented ? ERR_UNSUPPORTED
                                                   : ERR_INVALID;
    return err_set(e, code, "oneDNN could not %s (status %d)", what, (int)s);
}

int dnnl_one_thread(void)
{
    int was = omp_get_max_threads();
    if (was != 1)
        omp_set_num_threads(1);
    return was;
}

void dnnl_threads_restore(int threads)
{
    if (threads != 1)
        omp_set_num_threads(threads);
}

int backend_new(struct backend **be, struct err *e)
{
    struct backend *b = xcalloc(1, sizeof *b);
    int rc = check(dnnl_engine_create(&b->engine, dnnl_cpu, 0), "open the CPU", e);
    if (rc == 0)
        rc = check(dnnl_stream_create(&b->stream, b->engine, dnnl_stream_default_flags), "make a stream", e);
    if (rc < 0) {
        backend_free(b);
        return rc;
    }
    b->wide = (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core;
    *be = b;
    return 0;
}

void backend_free(struct backend *be)
{
    if (!be)
        return;
    if (be->stream)
        dnnl_stream_destroy(be->stream);
    if (be->engine)
        dnnl_engine_destroy(be->engine);
    free(be);
}

int backend_lanes(const struct backend *be)
{
    return be->wide ? 16 : 8;
}

bool backend_wide(const struct backend *be)
{
    return be->wide;
}

struct isa {
    dnnl_cpu_isa_t isa;
    const char *text;
};

#define ISA_TEXT(name, text)                                                                                       \
    {                                                                                                              \
        name, "oneDNN " DNNL_VERSION_TEXT " " text                                                                 \
    }
#define DNNL_QUOTE_(x) #x
#define DNNL_QUOTE(x)  DNNL_QUOTE_(x)
#define DNNL_VERSION_TEXT                                                                                          \
    DNNL_QUOTE(DNNL_VERSION_MAJOR) "." DNNL_QUOTE(DNNL_VERSION_MINOR) "." DNNL_QUOTE(DNNL_VERSION_PATCH)

const char *backend_text(void)
{
    static const struct isa known[] = {
        ISA_TEXT(dnnl_cpu_isa_avx512_core_amx, "avx512_core_amx"),
        ISA_TEXT(dnnl_cpu_isa_avx512_core_bf16, "avx512_core_bf16"),
        ISA_TEXT(dnnl_cpu_isa_avx512_core_vnni, "avx512_core_vnni"),
        ISA_TEXT(dnnl_cpu_isa_avx512_core, "avx512_core"),
        ISA_TEXT(dnnl_cpu_isa_avx2_vnni, "avx2_vnni"),
        ISA_TEXT(dnnl_cpu_isa_avx2, "avx2"),
        ISA_TEXT(dnnl_cpu_isa_avx, "avx"),
    };
    dnnl_cpu_isa_t isa = dnnl_get_effective_cpu_isa();
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (isa == known[i].isa)
            return known[i].text;
    return "oneDNN " DNNL_VERSION_TEXT;
}

/* ---- memory descriptors ---- */

static dnnl_memory_desc_t describe_4d(int N, int C, int H, int W, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t md;
    if (dnnl_memory_desc_init_by_tag(&md, 4, (dnnl_dims_t){N, C, H, W}, dnnl_f32, tag) != dnnl_success)
        BUG("no descriptor for %dx%dx%dx%d", N, C, H, W);
    return md;
}

static dnnl_memory_desc_t describe_2d(int N, int C, dnnl_format_tag_t tag)
{
    dnnl_memory_desc_t md;
    if (dnnl_memory_desc_init_by_tag(&md, 2, (dnnl_dims_t){N, C}, dnnl_f32, tag) != dnnl_success)
        BUG("no descriptor for %dx%d", N, C);
    return md;
}

static dnnl_memory_desc_t describe_1d(int C)
{
    dnnl_memory_desc_t md;
    if (dnnl_memory_desc_init_by_tag(&md, 1, (dnnl_dims_t){C}, dnnl_f32, dnnl_x) != dnnl_success)
        BUG("no descriptor for %d", C);
    return md;
}

static dnnl_format_tag_t tag_of(enum order order, int lanes)
{
    switch (order) {
    case ORDER_PLAIN:
        return dnnl_nchw;
    case ORDER_LAST:
        return dnnl_nhwc;
    case ORDER_BLOCKED:
        return lanes == 16 ? dnnl_nChw16c : dnnl_nChw8c;
    case ORDER_ANY:
        break;
    }
    return dnnl_format_tag_any;
}

static dnnl_memory_desc_t describe(const struct layout *l)
{
    enum order order = l->lanes == 1 ? ORDER_PLAIN : l->lanes == l->C ? ORDER_LAST : ORDER_BLOCKED;
    return describe_4d(l->N, l->C, l->H, l->W, tag_of(order, l->lanes));
}

/* Into *l's lanes; false for an order that we don't know. */
static bool recognise(const dnnl_memory_desc_t *md, struct layout *l)
{
    const int lanes[] = {1, l->C, 8, 16};
    for (size_t i = 0; i < sizeof lanes / sizeof *lanes; i++) {
        l->lanes = lanes[i];
        if (lanes[i] == 8 || lanes[i] == 16) {
            dnnl_memory_desc_t want = describe_4d(l->N, l->C, l->H, l->W, tag_of(ORDER_BLOCKED, lanes[i]));
            if (dnnl_memory_desc_equal(&want, md))
                return true;
        }
        dnnl_memory_desc_t want = describe(l);
        if (dnnl_memory_desc_equal(&want, md))
            return true;
    }
    return false;
}

/* ---- prims ---- */

static const dnnl_memory_desc_t *md_of(const struct prim *p, dnnl_query_t what)
{
    return dnnl_primitive_desc_query_md(p->pd, what, 0);
}

const char *prim_kernel(const struct prim *p)
{
    const char *text = NULL;
    if (dnnl_primitive_desc_query(p->pd, dnnl_query_impl_info_str, 0, &text) != dnnl_success || !text)
        return "unknown";
    return text;
}

/* Post-ops and the caller's scratch; the attribute is the caller's. */
static int attributes(dnnl_primitive_attr_t *attr, bool sum, struct act act, struct err *e)
{
    dnnl_post_ops_t ops = NULL;
    int rc = check(dnnl_primitive_attr_create(attr), "make attributes", e);
    if (rc < 0)
        return rc;
    rc =
        check(dnnl_primitive_attr_set_scratchpad_mode(*attr, dnnl_scratchpad_mode_user), "set the scratch mode", e);
    if (rc == 0)
        rc = check(dnnl_post_ops_create(&ops), "make post-ops", e);
    if (rc == 0 && sum)
        rc = check(dnnl_post_ops_append_sum(ops, 1), "append a sum", e);
    if (rc == 0 && act_relu(act))
        rc = check(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_relu, 0, 0), "append a ReLU", e);
    else if (rc == 0 && act_any(act))
        rc = check(dnnl_post_ops_append_eltwise(ops, 1, dnnl_eltwise_clip, act.lo, act.hi), "append a clip", e);
    if (rc == 0)
        rc = check(dnnl_primitive_attr_set_post_ops(*attr, ops), "set post-ops", e);
    if (ops)
        dnnl_post_ops_destroy(ops);
    return rc;
}

static bool slow_kernel(const char *name)
{
    return strstr(name, "ref") || strstr(name, "gemm:");
}

/* The first kernel in oneDNN's order that will do. */
static int choose(struct prim *p, const_dnnl_op_desc_t op, dnnl_primitive_attr_t attr, bool reference_ok,
                  bool (*skip)(const void *arg, const char *kernel), const void *arg, struct err *e)
{
    dnnl_primitive_desc_iterator_t it = NULL;
    dnnl_status_t s = dnnl_primitive_desc_iterator_create(&it, op, attr, p->engine, NULL);
    while (s == dnnl_success) {
        p->pd = dnnl_primitive_desc_iterator_fetch(it);
        if (!p->pd) {
            s = dnnl_out_of_memory;
            break;
        }
        const char *name = prim_kernel(p);
        if ((reference_ok || !slow_kernel(name)) && !(skip && skip(arg, name)))
            break;
        dnnl_primitive_desc_destroy(p->pd);
        p->pd = NULL;
        s = dnnl_primitive_desc_iterator_next(it);
        if (s == dnnl_iterator_ends)
            s = dnnl_unimplemented;
    }
    if (it)
        dnnl_primitive_desc_iterator_destroy(it);
    return check(s, "find a kernel", e);
}

/* Puts plain weights into the kernel's order. */
static int pack(struct prim *p, struct backend *be, const float *from, const dnnl_memory_desc_t *plain,
                const dnnl_memory_desc_t *want, float **data, dnnl_memory_t *mem, struct err *e)
{
    dnnl_memory_t src = NULL;
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t reorder = NULL;
    size_t bytes = dnnl_memory_desc_get_size(want);
    int rc;
    *data = mem_zalloc(bytes, 1);
    if (!*data)
        return err_set(e, ERR_NOMEM, "no memory for %zu bytes of weights", bytes);
    p->bytes += bytes;
    if ((rc = check(dnnl_memory_create(mem, want, be->engine, *data), "bind weights", e)) < 0)
        return rc;
    rc = check(dnnl_memory_create(&src, plain, be->engine, (void *)(uintptr_t)from), "bind plain weights", e);
    if (rc == 0)
        rc = check(dnnl_reorder_primitive_desc_create(&pd, plain, be->engine, want, be->engine, NULL),
                   "pack weights", e);
    if (rc == 0)
        rc = check(dnnl_primitive_create(&reorder, pd), "pack weights", e);
    if (rc == 0) {
        dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, src}, {DNNL_ARG_TO, *mem}};
        rc = check(dnnl_primitive_execute(reorder, be->stream, 2, args), "pack weights", e);
    }
    if (reorder)
        dnnl_primitive_destroy(reorder);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    if (src)
        dnnl_memory_destroy(src);
    return rc;
}

static struct prim *prim_start(struct backend *be)
{
    struct prim *p = xcalloc(1, sizeof *p);
    p->engine = be->engine;
    return p;
}

/* The primitive itself, once pd is chosen; frees the prim when something failed. */
static int prim_finish(struct prim **out, struct prim *p, int rc, struct err *e)
{
    if (rc == 0)
        rc = check(dnnl_primitive_create(&p->primitive, p->pd), "make a primitive", e);
    if (rc < 0) {
        prim_free(p);
        return rc;
    }
    p->x = md_of(p, dnnl_query_src_md);
    p->y = md_of(p, dnnl_query_dst_md);
    p->scratch = md_of(p, dnnl_query_scratchpad_md);
    *out = p;
    return 0;
}

void prim_free(struct prim *p)
{
    if (!p)
        return;
    if (p->primitive)
        dnnl_primitive_destroy(p->primitive);
    if (p->pd)
        dnnl_primitive_desc_destroy(p->pd);
    if (p->w)
        dnnl_memory_destroy(p->w);
    if (p->b)
        dnnl_memory_destroy(p->b);
    mem_free(p->w_data);
    mem_free(p->b_data);
    free(p);
}

size_t prim_bytes(const struct prim *p)
{
    return p->bytes;
}

size_t prim_scratch(const struct prim *p)
{
    return dnnl_memory_desc_get_size(p->scratch);
}

/* ---- conv ---- */

static dnnl_memory_desc_t conv_weights(const struct conv_spec *s, bool any)
{
    dnnl_memory_desc_t md;
    const struct window *w = &s->win;
    dnnl_dims_t grouped = {s->groups, s->K / s->groups, s->C / s->groups, w->R, w->S};
    dnnl_dims_t one = {s->K, s->C, w->R, w->S};
    bool g = s->groups > 1;
    dnnl_format_tag_t tag = any ? dnnl_format_tag_any : g ? dnnl_goihw : dnnl_oihw;
    if (dnnl_memory_desc_init_by_tag(&md, g ? 5 : 4, g ? grouped : one, dnnl_f32, tag) != dnnl_success)
        BUG("no descriptor for %dx%dx%dx%d weights", s->K, s->C, w->R, w->S);
    return md;
}

/*
 * Channels last, the batched-GEMM kernels are the fastest on whole vectors of channels. The older direct ones are
 * on odd widths, where they mask the tail (165 against 151 GFLOP/s measured at 37 channels), and on few channels,
 * unless rows are longer than the 28 pixels that they keep in registers (16 channels: 197 against 164 GFLOP/s on
 * 16x16 pixels, 152 against 169 on 32x32).
 */
static bool conv_skip(const void *arg, const char *kernel)
{
    const struct conv_spec *s = arg;
    if (strncmp(kernel, "brgconv:", 8) != 0)
        return false;
    return s->C % 16 != 0 || s->K % 16 != 0 || ((s->C <= 16 || s->K <= 16) && s->Q <= 28);
}

static int conv_choose(struct prim *p, struct backend *be, const struct conv_spec *s, struct err *e)
{
    int lanes = backend_lanes(be);
    const struct window *w = &s->win;
    dnnl_memory_desc_t x = describe_4d(s->N, s->C, s->H, s->W, tag_of(s->x, lanes));
    dnnl_memory_desc_t y = describe_4d(s->N, s->K, s->P, s->Q, tag_of(s->y, lanes));
    dnnl_memory_desc_t wd = conv_weights(s, true), bd = describe_1d(s->K);
    dnnl_convolution_desc_t d;
    dnnl_primitive_attr_t attr = NULL;
    int rc =
        check(dnnl_dilated_convolution_forward_desc_init(
                  &d, dnnl_forward_inference, s->winograd ? dnnl_convolution_winograd : dnnl_convolution_direct, &x,
                  &wd, &bd, &y, (dnnl_dims_t){w->stride_h, w->stride_w}, (dnnl_dims_t){w->dil_h - 1, w->dil_w - 1},
                  (dnnl_dims_t){w->pad_t, w->pad_l}, (dnnl_dims_t){w->pad_b, w->pad_r}),
              "describe a convolution", e);
    if (rc == 0)
        rc = attributes(&attr, s->sum, s->act, e);
    if (rc == 0) {
        rc = choose(p, &d, attr, false, conv_skip, s, e);
        if (rc == ERR_UNSUPPORTED) /* the kernel that was passed over may be the only one */
            rc = choose(p, &d, attr, s->reference_ok, NULL, NULL, e);
    }
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return rc;
}

bool conv_spec_exists(struct backend *be, const struct conv_spec *s)
{
    struct err e;
    struct prim *p = prim_start(be);
    int rc = conv_choose(p, be, s, &e);
    prim_free(p);
    return rc == 0;
}

int prim_conv(struct prim **out, struct backend *be, struct conv_spec *s, const float *w, const float *b,
              struct err *e)
{
    struct prim *p = prim_start(be);
    int rc = conv_choose(p, be, s, e);
    if (rc == 0) {
        s->x_is = (struct layout){s->N, s->C, s->H, s->W, 0, DTYPE_F32};
        s->y_is = (struct layout){s->N, s->K, s->P, s->Q, 0, DTYPE_F32};
        if (!recognise(md_of(p, dnnl_query_src_md), &s->x_is) || !recognise(md_of(p, dnnl_query_dst_md), &s->y_is))
            rc = err_set(e, ERR_UNSUPPORTED, "oneDNN's kernel %s wants a layout of its own", prim_kernel(p));
    }
    if (rc == 0) {
        dnnl_memory_desc_t plain = conv_weights(s, false), bias = describe_1d(s->K);
        rc = pack(p, be, w, &plain, md_of(p, dnnl_query_weights_md), &p->w_data, &p->w, e);
        if (rc == 0)
            rc = pack(p, be, b, &bias, &bias, &p->b_data, &p->b, e);
    }
    return prim_finish(out, p, rc, e);
}

/* ---- the other layers ---- */

int prim_gemm(struct prim **out, struct backend *be, int N, int C, int K, bool sum, struct act act, const float *w,
              const float *b, struct err *e)
{
    struct prim *p = prim_start(be);
    dnnl_memory_desc_t x = describe_2d(N, C, dnnl_nc), y = describe_2d(N, K, dnnl_nc), bd = describe_1d(K);
    dnnl_memory_desc_t any = describe_2d(K, C, dnnl_format_tag_any), plain = describe_2d(K, C, dnnl_oi);
    dnnl_inner_product_desc_t d;
    dnnl_primitive_attr_t attr = NULL;
    int rc = check(dnnl_inner_product_forward_desc_init(&d, dnnl_forward_inference, &x, &any, &bd, &y),
                   "describe an inner product", e);
    if (rc == 0)
        rc = attributes(&attr, sum, act, e);
    if (rc == 0)
        rc = choose(p, &d, attr, true, NULL, NULL, e);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    if (rc == 0)
        rc = pack(p, be, w, &plain, md_of(p, dnnl_query_weights_md), &p->w_data, &p->w, e);
    if (rc == 0)
        rc = pack(p, be, b, &bd, &bd, &p->b_data, &p->b, e);
    return prim_finish(out, p, rc, e);
}

int prim_pool(struct prim **out, struct backend *be, enum pooling kind, const struct window *win,
              const struct layout *x, const struct layout *y, struct err *e)
{
    static const dnnl_alg_kind_t algs[] = {
        [POOL_MAX] = dnnl_pooling_max,
        [POOL_MEAN] = dnnl_pooling_avg_exclude_padding,
        [POOL_MEAN_PADDED] = dnnl_pooling_avg_include_padding,
    };
    struct prim *p = prim_start(be);
    dnnl_memory_desc_t xd = describe(x), yd = describe(y);
    dnnl_pooling_v2_desc_t d;
    dnnl_primitive_attr_t attr = NULL;
    int rc =
        check(dnnl_pooling_v2_forward_desc_init(
                  &d, dnnl_forward_inference, algs[kind], &xd, &yd, (dnnl_dims_t){win->stride_h, win->stride_w},
                  (dnnl_dims_t){win->R, win->S}, (dnnl_dims_t){win->dil_h - 1, win->dil_w - 1},
                  (dnnl_dims_t){win->pad_t, win->pad_l}, (dnnl_dims_t){win->pad_b, win->pad_r}),
              "describe a pool", e);
    if (rc == 0)
        rc = attributes(&attr, false, ACT_NONE, e);
    if (rc == 0)
        rc = choose(p, &d, attr, true, NULL, NULL, e);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return prim_finish(out, p, rc, e);
}

int prim_softmax(struct prim **out, struct backend *be, const struct layout *x, struct err *e)
{
    struct prim *p = prim_start(be);
    dnnl_memory_desc_t xd = describe_2d(x->N, x->C, dnnl_nc);
    dnnl_softmax_desc_t d;
    dnnl_primitive_attr_t attr = NULL;
    int rc = check(dnnl_softmax_forward_desc_init(&d, dnnl_forward_inference, &xd, 1), "describe a softmax", e);
    if (rc == 0)
        rc = attributes(&attr, false, ACT_NONE, e);
    if (rc == 0)
        rc = choose(p, &d, attr, true, NULL, NULL, e);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return prim_finish(out, p, rc, e);
}

int prim_reorder(struct prim **out, struct backend *be, const struct layout *x, const struct layout *y,
                 struct err *e)
{
    struct prim *p = prim_start(be);
    dnnl_memory_desc_t xd = describe(x), yd = describe(y);
    dnnl_primitive_attr_t attr = NULL;
    int rc = attributes(&attr, false, ACT_NONE, e);
    if (rc == 0)
        rc = check(dnnl_reorder_primitive_desc_create(&p->pd, &xd, be->engine, &yd, be->engine, attr),
                   "reorder a value", e);
    if (attr)
        dnnl_primitive_attr_destroy(attr);
    return prim_finish(out, p, rc, e);
}

/* ---- calls ---- */

static int bind(dnnl_memory_t *mem, const struct prim *p, const dnnl_memory_desc_t *md, void *at, struct err *e)
{
    return check(dnnl_memory_create(mem, md, p->engine, at), "bind a buffer", e);
}

int bound_new(struct bound **out, const struct prim *p, const float *x, float *y, void *scratch, struct err *e)
{
    struct bound *c = xcalloc(1, sizeof *c);
    c->prim = p;
    int rc = check(dnnl_stream_create(&c->stream, p->engine, dnnl_stream_default_flags), "make a stream", e);
    if (rc == 0)
        rc = bind(&c->x, p, p->x, (void *)(uintptr_t)x, e);
    if (rc == 0)
        rc = bind(&c->y, p, p->y, y, e);
    if (rc == 0)
        rc = bind(&c->scratch, p, p->scratch, scratch, e);
    if (rc < 0) {
        bound_free(c);
        return rc;
    }
    c->args[c->n++] = (dnnl_exec_arg_t){DNNL_ARG_SRC, c->x};
    c->args[c->n++] = (dnnl_exec_arg_t){DNNL_ARG_DST, c->y};
    if (p->w)
        c->args[c->n++] = (dnnl_exec_arg_t){DNNL_ARG_WEIGHTS, p->w};
    if (p->b)
        c->args[c->n++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, p->b};
    if (prim_scratch(p) > 0)
        c->args[c->n++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, c->scratch};
    *out = c;
    return 0;
}

void bound_free(struct bound *c)
{
    if (!c)
        return;
    if (c->x)
        dnnl_memory_destroy(c->x);
    if (c->y)
        dnnl_memory_destroy(c->y);
    if (c->scratch)
        dnnl_memory_destroy(c->scratch);
    if (c->stream)
        dnnl_stream_destroy(c->stream);
    free(c);
}

int bound_bind(struct bound *c, const float *x, float *y, struct err *e)
{
    int rc = 0;
    if (x)
        rc = check(dnnl_memory_set_data_handle(c->x, (void *)(uintptr_t)x), "bind x", e);
    if (rc == 0 && y)
        rc = check(dnnl_memory_set_data_handle(c->y, y), "bind y", e);
    return rc;
}

int bound_run(const struct bound *c, struct err *e)
{
    return check(dnnl_primitive_execute(c->prim->primitive, c->stream, c->n, c->args), "run a primitive", e);
}
