/*
 * Prims: primitives with their weights.
 */
#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/engine/dnnl_int.h"

struct prim *prim_start(struct backend *be)
{
    struct prim *p = xcalloc(1, sizeof *p);
    p->engine = be->engine;
    return p;
}

int prim_finish(struct prim **out, struct prim *p, int rc, struct err *e)
{
    if (rc == 0)
        rc = dnnl_check(dnnl_primitive_create(&p->primitive, p->pd), "make a primitive", e);
    if (rc < 0) {
        prim_free(p);
        return rc;
    }
    p->x = pd_md(p->pd, dnnl_query_src_md);
    p->y = pd_md(p->pd, dnnl_query_dst_md);
    p->scratch = pd_md(p->pd, dnnl_query_scratchpad_md);
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

const char *prim_kernel(const struct prim *p)
{
    return pd_name(p->pd);
}

size_t prim_bytes(const struct prim *p)
{
    return p->bytes;
}

size_t prim_scratch(const struct prim *p)
{
    return dnnl_memory_desc_get_size(p->scratch);
}

/* ---- packing ---- */

static int reorder(struct backend *be, dnnl_memory_t from, const dnnl_memory_desc_t *plain, dnnl_memory_t to,
                   const dnnl_memory_desc_t *want, struct err *e)
{
    dnnl_primitive_desc_t pd = NULL;
    dnnl_primitive_t p = NULL;
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}};
    int rc = dnnl_check(dnnl_reorder_primitive_desc_create(&pd, plain, be->engine, want, be->engine, NULL),
                        "pack weights", e);
    if (rc == 0)
        rc = dnnl_check(dnnl_primitive_create(&p, pd), "pack weights", e);
    if (rc == 0)
        rc = dnnl_check(dnnl_primitive_execute(p, be->stream, 2, args), "pack weights", e);
    if (p)
        dnnl_primitive_destroy(p);
    if (pd)
        dnnl_primitive_desc_destroy(pd);
    return rc;
}

static int pack(struct prim *p, struct backend *be, const float *from, const dnnl_memory_desc_t *plain,
                const dnnl_memory_desc_t *want, void **data, dnnl_memory_t *mem, struct err *e)
{
    dnnl_memory_t src = NULL;
    size_t bytes = dnnl_memory_desc_get_size(want);
    *data = mem_zalloc(bytes, 1);
    if (!*data)
        return err_set(e, ERR_NOMEM, "no memory for %zu bytes of weights", bytes);
    p->bytes += bytes;
    int rc = dnnl_check(dnnl_memory_create(mem, want, be->engine, *data), "bind weights", e);
    if (rc == 0)
        rc = dnnl_check(dnnl_memory_create(&src, plain, be->engine, (void *)(uintptr_t)from), "bind plain weights",
                        e);
    if (rc == 0)
        rc = reorder(be, src, plain, *mem, want, e);
    if (src)
        dnnl_memory_destroy(src);
    return rc;
}

int prim_pack(struct prim *p, struct backend *be, const float *w, const float *b, int K, struct err *e)
{
    const dnnl_memory_desc_t *want = pd_md(p->pd, dnnl_query_weights_md);
    dnnl_memory_desc_t plain = md_plain(want), bias = md_bias(K);
    int rc = pack(p, be, w, &plain, want, &p->w_data, &p->w, e);
    return rc < 0 ? rc : pack(p, be, b, &bias, &bias, &p->b_data, &p->b, e);
}

/* ---- kinds ---- */

static int conv_choose(struct prim *p, struct backend *be, const struct conv_spec *s, struct err *e)
{
    int lanes = backend_lanes(be);
    dnnl_memory_desc_t x = md_image(s->N, s->C, s->H, s->W, s->type, s->x, lanes), bias = md_bias(s->K);
    dnnl_memory_desc_t y = md_image(s->N, s->K, s->P, s->Q, s->type, s->y, lanes);
    dnnl_memory_desc_t w = md_conv_weights(s->K, s->C, s->groups, &s->win, s->type);
    dnnl_convolution_desc_t d;
    struct choice how = {.op = &d, .sum = s->sum, .act = s->act, .reference_ok = s->reference_ok};
    struct conv_size size = {.C = s->C, .K = s->K, .Q = s->Q, .type = s->type};
    int rc = desc_conv(&d, dnnl_forward_inference, s->winograd, &s->win, &x, &w, &bias, &y, e);
    return rc < 0 ? rc : pd_choose_conv(&p->pd, be, how, &size, e);
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
        s->x_is = (struct layout){s->N, s->C, s->H, s->W, 0, s->type};
        s->y_is = (struct layout){s->N, s->K, s->P, s->Q, 0, s->type};
        if (!md_recognise(pd_md(p->pd, dnnl_query_src_md), &s->x_is) ||
            !md_recognise(pd_md(p->pd, dnnl_query_dst_md), &s->y_is))
            rc = err_set(e, ERR_UNSUPPORTED, "oneDNN's kernel %s wants a layout of its own", prim_kernel(p));
    }
    if (rc == 0)
        rc = prim_pack(p, be, w, b, s->K, e);
    return prim_finish(out, p, rc, e);
}

int prim_gemm(struct prim **out, struct backend *be, const struct gemm_spec *s, const float *w, const float *b,
              struct err *e)
{
    struct prim *p = prim_start(be);
    dnnl_memory_desc_t x = md_flat(s->N, s->C, s->type), y = md_flat(s->N, s->K, DTYPE_F32), bias = md_bias(s->K);
    dnnl_memory_desc_t any = md_gemm_weights(s->K, s->C, s->type);
    dnnl_inner_product_desc_t d;
    struct choice how = {.op = &d, .sum = s->sum, .act = s->act, .reference_ok = true};
    int rc = desc_gemm(&d, dnnl_forward_inference, &x, &any, &bias, &y, e);
    if (rc == 0)
        rc = pd_choose(&p->pd, be, &how, e);
    if (rc == 0)
        rc = prim_pack(p, be, w, b, s->K, e);
    return prim_finish(out, p, rc, e);
}

int prim_pool(struct prim **out, struct backend *be, enum pooling kind, const struct window *win,
              const struct layout *x, const struct layout *y, struct err *e)
{
    struct prim *p = prim_start(be);
    dnnl_memory_desc_t xd = md_layout(x), yd = md_layout(y);
    dnnl_pooling_v2_desc_t d;
    struct choice how = {.op = &d, .act = ACT_NONE, .reference_ok = true};
    int rc = desc_pool(&d, dnnl_forward_inference, kind, win, &xd, &yd, e);
    if (rc == 0)
        rc = pd_choose(&p->pd, be, &how, e);
    return prim_finish(out, p, rc, e);
}

int prim_softmax(struct prim **out, struct backend *be, const struct layout *x, struct err *e)
{
    struct prim *p = prim_start(be);
    dnnl_memory_desc_t xd = md_flat(x->N, x->C, x->type);
    dnnl_softmax_desc_t d;
    struct choice how = {.op = &d, .act = ACT_NONE, .reference_ok = true};
    int rc =
        dnnl_check(dnnl_softmax_forward_desc_init(&d, dnnl_forward_inference, &xd, 1), "describe a softmax", e);
    if (rc == 0)
        rc = pd_choose(&p->pd, be, &how, e);
    return prim_finish(out, p, rc, e);
}

int prim_reorder(struct prim **out, struct backend *be, const struct layout *x, const struct layout *y,
                 struct err *e)
{
    struct prim *p = prim_start(be);
    dnnl_memory_desc_t xd = md_layout(x), yd = md_layout(y);
    return prim_finish(out, p, pd_reorder(&p->pd, be, &xd, &yd, e), e);
}
