/*
 * What moves channels and pixels about without computing: Slice, Pad, Concat, channel shuffles, Flatten, Unflatten.
 */
#include "worker/engine/compile.h"

/* Lanes of a value that is copied together from one like `x`. */
static int lanes_like(const struct compile *c, int node, const struct layout *x)
{
    if (c->values[node].wish_blocked)
        return backend_lanes(c->be);
    if (x->lanes == 1 && x->C > 1)
        return 1;
    return x->lanes == x->C ? c->g->nodes[node].C : x->lanes;
}

static struct stretch all_of(int n, int to)
{
    return (struct stretch){.from = 0, .step = 1, .to = to, .n = n};
}

static struct stretch part(struct span s, int to)
{
    return (struct stretch){
        .from = s.begin, .step = s.step, .to = to, .n = (s.end - s.begin + s.step - 1) / s.step};
}

static bool has_padding(const struct layout *l)
{
    return l->C % l->lanes != 0;
}

/* A unit of Slice, Pad, or Slice and Pad. */
int slice_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *head = &c->g->nodes[u->head];
    const struct node *pad = head->op == OP_PAD ? head : u->pad >= 0 ? &c->g->nodes[u->pad] : NULL;
    int front = pad ? pad->u.pad.front : 0, top = pad ? pad->u.pad.top : 0, left = pad ? pad->u.pad.left : 0;
    struct form x = *compile_form(c, head->in[0]), y;
    struct layout l = layout_of(&c->g->nodes[u->tail], c->batch, lanes_like(c, u->tail, &x.l));
    l.type = x.l.type;
    int rc = compile_buffer(c, &l, &y, e);
    if (rc < 0)
        return rc;
    struct step s = {.kind = STEP_CROP, .node = u->tail, .x = x.buf, .r = BUF_NONE, .y = y.buf};
    s.crop = (struct crop){.x = x.l, .y = l, .clear = pad || has_padding(&l)};
    if (head->op == OP_SLICE) {
        s.crop.c = part(head->u.slice.c, front);
        s.crop.h = part(head->u.slice.h, top);
        s.crop.w = part(head->u.slice.w, left);
    } else {
        s.crop.c = all_of(x.l.C, front);
        s.crop.h = all_of(x.l.H, top);
        s.crop.w = all_of(x.l.W, left);
    }
    rc = compile_step(c, &s, e);
    return rc < 0 ? rc : compile_give(c, u->tail, &y, e);
}

int concat_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *n = &c->g->nodes[u->head];
    struct layout l = compile_layout(c, u->tail, lanes_like(c, u->tail, &compile_form(c, n->in[0])->l));
    struct form x, y;
    int rc = compile_buffer(c, &l, &y, e);
    for (int k = 0, to = 0; rc == 0 && k < n->n_in; k++) {
        rc = compile_read(c, n->in[k], compile_form(c, n->in[k])->l.lanes, c->type, &x, e);
        if (rc < 0)
            break;
        struct step s = {.kind = STEP_CROP, .node = u->tail, .x = x.buf, .r = BUF_NONE, .y = y.buf};
        s.crop = (struct crop){.x = x.l, .y = l, .clear = k == 0 && has_padding(&l)};
        s.crop.c = all_of(x.l.C, to);
        s.crop.h = all_of(x.l.H, 0);
        s.crop.w = all_of(x.l.W, 0);
        rc = compile_step(c, &s, e);
        to += x.l.C;
    }
    return rc < 0 ? rc : compile_give(c, u->tail, &y, e);
}

int shuffle_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *n = &c->g->nodes[u->head];
    struct form x = *compile_form(c, n->in[0]), y;
    int rc = compile_buffer(c, &x.l, &y, e);
    if (rc < 0)
        return rc;
    struct step s = {.kind = STEP_SHUFFLE, .node = u->tail, .x = x.buf, .r = BUF_NONE, .y = y.buf, .l = x.l};
    s.groups = n->u.shuffle.groups;
    rc = compile_step(c, &s, e);
    return rc < 0 ? rc : compile_give(c, u->tail, &y, e);
}

/* A plain value is flat already, one with channels last is so in the other order. */
int flatten_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *n = &c->g->nodes[u->head];
    const struct layout *l = &compile_form(c, n->in[0])->l;
    enum dtype type = l->type;
    struct form f;
    int rc = compile_read(c, n->in[0], n->op == OP_FLATTEN && n->u.flatten.last ? l->C : 1, type, &f, e);
    if (rc < 0)
        return rc;
    f.l = layout_of(&c->g->nodes[u->tail], c->batch, 1);
    f.l.type = type;
    return compile_give(c, u->tail, &f, e);
}
