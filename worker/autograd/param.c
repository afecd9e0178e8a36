#include "worker/autograd/param.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/wide.h"

#define LINE 64 /* bytes: what the kernels want addresses aligned to */

static size_t aligned(size_t bytes)
{
    return (bytes + LINE - 1) / LINE * LINE;
}

static int lend(struct param *p, void **out, size_t count, size_t bytes, struct err *e)
{
    *out = mem_zalloc(count, bytes ? bytes : LINE);
    if (!*out)
        return err_set(e, ERR_NOMEM, "no memory for %zu times %zu bytes of weights", count, bytes);
    p->bytes += count * bytes;
    return 0;
}

/* The k-th of the packs, between `plain` and `at`. */
static int make_pack(struct param *p, struct backend *be, int k, const struct kernel *of, void *at, struct err *e)
{
    bool to_plain = k == 2;
    void *where[TENSORS] = {NULL};
    int rc = kernel_pack(&p->packs[k], be, of, to_plain, e);
    size_t scratch = rc < 0 ? 0 : kernel_bytes(p->packs[k], TENSOR_SCRATCH);
    if (rc == 0 && scratch)
        rc = lend(p, &p->scratch[k], 1, scratch, e);
    where[TENSOR_X] = to_plain ? at : p->plain;
    where[TENSOR_Y] = to_plain ? p->plain : at;
    where[TENSOR_SCRATCH] = p->scratch[k];
    return rc < 0 ? rc : kernel_call_new(&p->calls[k], p->packs[k], where, e);
}

static int lend_all(struct param *p, struct err *e)
{
    size_t parts = (size_t)p->parts;
    p->dw_bytes = aligned(kernel_bytes(p->weights, TENSOR_W));
    p->db_floats = aligned(p->n_b * sizeof(float)) / sizeof(float);
    int rc = lend(p, (void **)&p->plain, p->n_w, sizeof(float), e);
    if (rc == 0)
        rc = lend(p, &p->w[0], 1, kernel_bytes(p->forward, TENSOR_W), e);
    if (rc == 0 && p->data)
        rc = lend(p, &p->w[1], 1, kernel_bytes(p->data, TENSOR_W), e);
    if (rc == 0)
        rc = lend(p, &p->dw, parts, p->dw_bytes, e);
    if (rc == 0 && p->n_b)
        rc = lend(p, (void **)&p->bias, p->n_b, sizeof(float), e);
    if (rc == 0 && p->n_b)
        rc = lend(p, (void **)&p->db, parts, p->db_floats * sizeof(float), e);
    return rc;
}

int param_new(struct param **out, struct backend *be, int node, const struct params *shape, int parts,
              struct kernel *forward, struct kernel *data, struct kernel *weights, struct err *e)
{
    struct param *p = xcalloc(1, sizeof *p);
    *p = (struct param){.node = node, .parts = parts, .n_w = shape->n_w, .n_b = shape->n_b};
    p->forward = forward;
    p->data = data;
    p->weights = weights;
    int rc = lend_all(p, e);
    if (rc == 0)
        rc = make_pack(p, be, 0, forward, p->w[0], e);
    if (rc == 0 && data)
        rc = make_pack(p, be, 1, data, p->w[1], e);
    if (rc == 0)
        rc = make_pack(p, be, 2, weights, p->dw, e);
    if (rc < 0) {
        param_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void param_free(struct param *p)
{
    if (!p)
        return;
    for (int k = 0; k < 3; k++) {
        kernel_call_free(p->calls[k]);
        kernel_free(p->packs[k]);
        mem_free(p->scratch[k]);
    }
    kernel_free(p->forward);
    kernel_free(p->data);
    kernel_free(p->weights);
    mem_free(p->w[0]);
    mem_free(p->w[1]);
    mem_free(p->dw);
    mem_free(p->bias);
    mem_free(p->db);
    mem_free(p->plain);
    free(p);
}

int param_load(struct param *p, const struct params *from, struct err *e)
{
    int rc = 0;
    memcpy(p->plain, from->w, p->n_w * sizeof *p->plain);
    if (p->n_b)
        memcpy(p->bias, from->b, p->n_b * sizeof *p->bias);
    for (int k = 0; rc == 0 && k < 2; k++)
        if (p->calls[k])
            rc = kernel_call_run(p->calls[k], e);
    return rc;
}

WIDE static void add_up(float *to, const float *from, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        to[i] += from[i];
}

int param_collect(struct param *p, struct params *grad, struct err *e)
{
    size_t dw_floats = p->dw_bytes / sizeof(float);
    float *dw = p->dw;
    for (size_t i = 1; i < (size_t)p->parts; i++)
        add_up(dw, dw + i * dw_floats, dw_floats);
    int rc = kernel_call_run(p->calls[2], e);
    if (rc < 0)
        return rc;
    memcpy(grad->w, p->plain, p->n_w * sizeof *p->plain);
    for (size_t i = 1; p->n_b && i < (size_t)p->parts; i++)
        add_up(p->db, p->db + i * p->db_floats, p->n_b);
    if (p->n_b)
        memcpy(grad->b, p->db, p->n_b * sizeof *p->db);
    return 0;
}
