/*
 * What works on each element alone: BN that isn't folded, Add and activations, in one pass where they follow each
 * other; Mul; and LRN.
 */
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/engine/compile.h"

/* INFER: the running statistics are constants. */
static void set_running(struct step *s, const struct node *n, const struct params *p)
{
    memcpy(s->map.m, p->mean, (size_t)n->C * sizeof *p->mean);
    for (int k = 0; k < n->C; k++)
        s->map.a[k] = (float)((double)p->w[k] / sqrt((double)p->var[k] + (double)n->u.bn.eps));
}

/* BATCH: mean and scale wait for the batch's statistics. */
static int set_batch(struct step *s, struct compile *c, int bn, struct err *e)
{
    const struct node *n = &c->g->nodes[bn];
    size_t padded = (size_t)s->map.padded;
    s->kind = STEP_NORM;
    s->norm.bn = bn;
    s->norm.eps = n->u.bn.eps;
    s->norm.at = c->moments;
    s->norm.scale = mem_zalloc(padded, sizeof *s->norm.scale);
    if (!s->norm.scale)
        return err_set(e, ERR_NOMEM, "no memory for %zu channels", padded);
    memcpy(s->norm.scale, c->w->of[bn].w, (size_t)n->C * sizeof *s->norm.scale);
    c->moments += 3 * padded;
    if (s->map.padded > c->widest)
        c->widest = s->map.padded;
    return 0;
}

static int set_bn(struct step *s, struct compile *c, int bn, struct err *e)
{
    const struct params *p = &c->w->of[bn];
    if (p->b)
        memcpy(s->map.b, p->b, (size_t)c->g->nodes[bn].C * sizeof *p->b);
    if (c->mode == ENGINE_BATCH)
        return set_batch(s, c, bn, e);
    set_running(s, &c->g->nodes[bn], p);
    return 0;
}

/* A curve that a scale, a shift and a clamp are takes the fast way. */
static void straighten(struct step *s, int C)
{
    struct map *m = &s->map;
    for (int k = 0; k < C && m->act.curve == CURVE_HARDSIGMOID; k++) {
        m->a[k] = m->act.alpha;
        m->b[k] = m->act.beta;
        m->lo[k] = 0;
        m->hi[k] = 1;
    }
    m->act.curve = m->act.curve == CURVE_HARDSIGMOID ? CURVE_NONE : m->act.curve;
}

static void set_act(struct step *s, const struct compile *c, const struct unit *u)
{
    const struct node *head = &c->g->nodes[u->head];
    if (u->slopes >= 0)
        memcpy(s->map.slope, c->w->of[u->slopes].w, (size_t)head->C * sizeof *s->map.slope);
    if (op_elementwise(head->op))
        straighten(s, head->C);
}

/* Over one of the operands if nobody else needs it. */
static int place(struct compile *c, int x, const struct form *fx, int r, const struct form *fr, struct form *y,
                 struct err *e)
{
    *y = *fx;
    if (compile_last(c, x, fx))
        return 0;
    if (r >= 0 && compile_last(c, r, fr)) {
        y->buf = fr->buf;
        return 0;
    }
    return compile_buffer(c, &fx->l, y, e);
}

int norm_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *head = &c->g->nodes[u->head];
    int x = head->in[0], r = head->op == OP_ADD ? head->in[1] : u->add;
    struct step s = {.kind = STEP_MAP, .node = u->tail, .r = BUF_NONE};
    struct form fx = *compile_form(c, x), fr = {0}, y;
    int rc = 0;
    if (r >= 0)
        rc = compile_read(c, r, fx.l.lanes, fx.l.type, &fr, e);
    if (rc == 0)
        rc = place(c, x, &fx, r, &fr, &y, e);
    if (rc == 0)
        rc = map_new(&s.map, &fx.l, u->act, e);
    if (rc == 0)
        set_act(&s, c, u);
    if (rc == 0 && head->op == OP_BN)
        rc = set_bn(&s, c, u->head, e);
    if (rc < 0) {
        step_release(&s);
        return rc;
    }
    s.l = fx.l;
    s.x = fx.buf;
    s.r = r >= 0 ? fr.buf : BUF_NONE;
    s.y = y.buf;
    rc = compile_step(c, &s, e);
    return rc < 0 ? rc : compile_give(c, u->tail, &y, e);
}

/* A gate, one number a channel and image, comes as plain fp32. */
int mul_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *head = &c->g->nodes[u->head], *second = &c->g->nodes[head->in[1]];
    struct step s = {.kind = STEP_MUL, .node = u->tail};
    struct form x = *compile_form(c, head->in[0]), r, y;
    bool gate = second->H != head->H || second->W != head->W;
    int rc = compile_read(c, head->in[1], gate ? 1 : x.l.lanes, gate ? DTYPE_F32 : x.l.type, &r, e);
    if (rc == 0)
        rc = place(c, head->in[0], &x, gate ? -1 : head->in[1], &r, &y, e);
    if (rc < 0)
        return rc;
    s.l = x.l;
    s.gate = gate;
    s.x = x.buf;
    s.r = r.buf;
    s.y = y.buf;
    rc = compile_step(c, &s, e);
    return rc < 0 ? rc : compile_give(c, u->tail, &y, e);
}

int lrn_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *n = &c->g->nodes[u->head];
    struct form x, y;
    int rc = compile_read(c, n->in[0], n->C, compile_form(c, n->in[0])->l.type, &x, e);
    if (rc == 0)
        rc = compile_buffer(c, &x.l, &y, e);
    if (rc < 0)
        return rc;
    struct step s = {.kind = STEP_LRN, .node = u->tail, .l = x.l, .x = x.buf, .r = BUF_NONE, .y = y.buf};
    s.lrn = (struct lrn){n->u.lrn.size, n->u.lrn.alpha, n->u.lrn.beta, n->u.lrn.bias};
    rc = compile_step(c, &s, e);
    return rc < 0 ? rc : compile_give(c, u->tail, &y, e);
}
