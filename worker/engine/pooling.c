/*
 * Pools keep their input's layout; the global one gives a plain fp32 value, since what follows is flat or tiny.
 */
#include "worker/engine/compile.h"

int pool_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *n = &c->g->nodes[u->head];
    struct form x = *compile_form(c, n->in[0]), y;
    struct layout l = layout_of(n, c->batch, x.l.lanes);
    struct step s = {.kind = STEP_PRIM, .node = u->tail, .x = x.buf, .r = BUF_NONE};
    l.type = x.l.type;
    enum pooling kind = n->op == OP_MAXPOOL ? POOL_MAX : n->u.pool.count_pad ? POOL_MEAN_PADDED : POOL_MEAN;
    int rc = prim_pool(&s.prim, c->be, kind, &n->u.pool.win, &x.l, &l, e);
    if (rc == 0)
        rc = compile_buffer(c, &l, &y, e);
    if (rc < 0) {
        step_release(&s);
        return rc;
    }
    s.y = y.buf;
    rc = compile_step(c, &s, e);
    return rc < 0 ? rc : compile_give(c, u->tail, &y, e);
}

int globalpool_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *n = &c->g->nodes[u->head];
    struct form x = *compile_form(c, n->in[0]), y;
    struct layout l = layout_of(n, c->batch, 1);
    int rc = compile_buffer(c, &l, &y, e);
    if (rc < 0)
        return rc;
    struct step s = {.kind = STEP_MEAN, .node = u->tail, .l = x.l, .x = x.buf, .r = BUF_NONE, .y = y.buf};
    rc = compile_step(c, &s, e);
    return rc < 0 ? rc : compile_give(c, u->tail, &y, e);
}
