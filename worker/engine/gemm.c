/*
 * The flat layers: Gemm and Softmax.
 */
#include "worker/engine/compile.h"
#include "worker/engine/fold.h"

int gemm_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *n = &c->g->nodes[u->head];
    struct layout l = layout_of(n, c->batch, 1); /* fp32: few numbers, and logits want all their digits */
    struct step s = {.kind = STEP_PRIM, .node = u->tail, .r = BUF_NONE};
    struct gemm_spec spec = {
        .N = c->batch, .C = c->g->nodes[n->in[0]].C, .K = n->C, .sum = u->add >= 0, .act = u->act, .type = c->type};
    struct folded f = {0};
    struct form x, y;
    int rc = folded_new(&f, c->g, c->w, u, e);
    if (rc == 0)
        rc = prim_gemm(&s.prim, c->be, &spec, f.w, f.b, e);
    if (rc == 0)
        rc = compile_read(c, n->in[0], 1, c->type, &x, e);
    if (rc == 0)
        rc = u->add >= 0 ? sum_into(c, u->add, &l, &y, e) : compile_buffer(c, &l, &y, e);
    folded_release(&f);
    if (rc < 0) {
        step_release(&s);
        return rc;
    }
    s.x = x.buf;
    s.y = y.buf;
    rc = compile_step(c, &s, e);
    return rc < 0 ? rc : compile_give(c, u->tail, &y, e);
}

int softmax_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *n = &c->g->nodes[u->head];
    struct layout l = layout_of(n, c->batch, 1);
    struct step s = {.kind = STEP_PRIM, .node = u->tail, .r = BUF_NONE};
    struct form x, y;
    int rc = compile_read(c, n->in[0], 1, DTYPE_F32, &x, e);
    if (rc == 0)
        rc = compile_buffer(c, &l, &y, e);
    if (rc == 0)
        rc = prim_softmax(&s.prim, c->be, &l, e);
    if (rc < 0)
        return rc;
    s.x = x.buf;
    s.y = y.buf;
    rc = compile_step(c, &s, e);
    return rc < 0 ? rc : compile_give(c, u->tail, &y, e);
}
