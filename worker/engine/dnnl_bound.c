/*
 * Prims tied to the buffers of one run.
 */
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/engine/dnnl_int.h"

struct bound {
    const struct prim *prim;
    dnnl_stream_t stream;
    dnnl_memory_t x, y, scratch;
    dnnl_exec_arg_t args[5];
    int n;
};

static int bind(dnnl_memory_t *mem, const struct prim *p, const dnnl_memory_desc_t *md, void *at, struct err *e)
{
    return dnnl_check(dnnl_memory_create(mem, md, p->engine, at), "bind a buffer", e);
}

int bound_new(struct bound **out, const struct prim *p, const void *x, void *y, void *scratch, struct err *e)
{
    struct bound *c = xcalloc(1, sizeof *c);
    c->prim = p;
    int rc = dnnl_check(dnnl_stream_create(&c->stream, p->engine, dnnl_stream_default_flags), "make a stream", e);
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

int bound_bind(struct bound *c, const void *x, void *y, struct err *e)
{
    int rc = 0;
    if (x)
        rc = dnnl_check(dnnl_memory_set_data_handle(c->x, (void *)(uintptr_t)x), "bind x", e);
    if (rc == 0 && y)
        rc = dnnl_check(dnnl_memory_set_data_handle(c->y, y), "bind y", e);
    return rc;
}

int bound_run(const struct bound *c, struct err *e)
{
    return dnnl_check(dnnl_primitive_execute(c->prim->primitive, c->stream, c->n, c->args), "run a primitive", e);
}
