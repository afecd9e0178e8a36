/*
 * Convolutions: which kernel, in which layouts, and what is folded into the weights.
 */
#include "common/base/mem.h"
#include "worker/engine/compile.h"
#include "worker/engine/fold.h"

static struct conv_spec describe(const struct compile *c, const struct unit *u)
{
    const struct node *n = &c->g->nodes[u->head], *x = &c->g->nodes[unit_input(c->g, u, 0)];
    struct conv_spec s = {
        .N = c->batch,
        .C = x->C,
        .H = x->H,
        .W = x->W,
        .K = n->C,
        .P = n->H,
        .Q = n->W,
        .groups = n->u.conv.groups,
        .win = n->u.conv.win,
        .type = c->type,
        .sum = u->add >= 0,
        .act = u->act,
    };
    if (u->lead >= 0) {
        const struct node *pad = &c->g->nodes[u->lead];
        s.win.pad_t += pad->u.pad.top;
        s.win.pad_l += pad->u.pad.left;
        s.win.pad_b += pad->u.pad.bottom;
        s.win.pad_r += pad->u.pad.right;
    }
    return s;
}

/* What share of a size is of use when it is rounded up to whole pieces. */
static double filled(int size, int piece)
{
    return (double)size / (double)((size + piece - 1) / piece * piece);
}

/*
 * Winograd's F(4x4, 3x3) needs a quarter of the multiplications, and loses the gain to its transforms where
 * channels are few or where whole vectors and tiles hold much padding. The speeds are effective ones, relative to
 * the direct kernels' on whole vectors, as measured on an AVX-512 machine at 32x32 to 8x8 pixels.
 */
static bool winograd_pays(const struct conv_spec *s)
{
    const double speed[] = {0, 0.85, 1.25, 1.5, 1.7}; /* by vectors of channels on the narrower side */
    int vectors = ((s->C < s->K ? s->C : s->K) + 15) / 16;
    double waste = filled(s->C, 16) * filled(s->P, 4) * filled(s->Q, 4);
    return speed[vectors < 4 ? vectors : 4] * waste >= 1; /* both kernels pad K alike */
}

bool conv_wants_winograd(const struct compile *c, const struct unit *u)
{
    struct conv_spec s = describe(c, u);
    const struct window *w = &s.win;
    if (c->type != DTYPE_F32 || !backend_wide(c->be) || s.groups != 1 || w->R != 3 || w->S != 3 ||
        w->stride_h != 1 || w->stride_w != 1 || w->dil_h != 1 || w->dil_w != 1 || !winograd_pays(&s))
        return false;
    s.winograd = true;
    s.x = s.y = ORDER_BLOCKED;
    return conv_spec_exists(c->be, &s);
}

struct orders {
    enum order x, y;
};

/* fp32: the input's own order saves a reorder. */
static struct orders prefer(const struct compile *c, const struct unit *u, const struct conv_spec *s)
{
    const struct layout *x = &compile_form(c, unit_input(c->g, u, 0))->l;
    int lanes = backend_lanes(c->be);
    bool whole = s->C % lanes == 0 && s->K % lanes == 0;
    bool same = x->C == lanes && s->K == lanes; /* blocked and channels last are one */
    if (!backend_wide(c->be))
        return (struct orders){ORDER_ANY, ORDER_ANY};
    if (x->lanes == 1 && s->C < lanes && s->K % lanes == 0)
        return (struct orders){ORDER_PLAIN, ORDER_BLOCKED};
    if (x->lanes == lanes && whole && !same && (x->C != lanes || c->values[u->tail].wish_blocked))
        return (struct orders){ORDER_BLOCKED, ORDER_BLOCKED};
    return (struct orders){ORDER_LAST, ORDER_LAST};
}

/* Layouts to try for a direct kernel, the best first. The tile kernels of bf16 know channels last alone. */
static int orders_for(const struct compile *c, const struct unit *u, const struct conv_spec *s, struct orders *try)
{
    int n = 0;
    if (c->type == DTYPE_F32)
        try[n++] = prefer(c, u, s);
    try[n++] = (struct orders){ORDER_LAST, ORDER_LAST};
    try[n++] = (struct orders){ORDER_BLOCKED, ORDER_BLOCKED};
    try[n++] = (struct orders){ORDER_ANY, ORDER_ANY};
    return n;
}

static int make_prim(struct compile *c, int unit, struct conv_spec *s, const float *w, const float *b,
                     struct prim **p, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    if (c->winograd[unit]) {
        s->winograd = true;
        s->x = s->y = ORDER_BLOCKED;
        return prim_conv(p, c->be, s, w, b, e);
    }
    struct orders try[4];
    int n = orders_for(c, u, s, try), rc = ERR_UNSUPPORTED;
    for (int i = 0; i < 2 * n && rc == ERR_UNSUPPORTED; i++) {
        s->x = try[i % n].x;
        s->y = try[i % n].y;
        s->reference_ok = i >= n;
        rc = prim_conv(p, c->be, s, w, b, e);
    }
    return rc;
}

int conv_compile(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    struct conv_spec spec = describe(c, u);
    struct step s = {.kind = STEP_PRIM, .node = u->tail, .conv = true, .r = BUF_NONE};
    struct folded f = {0};
    struct form x, y;
    int rc = folded_new(&f, c->g, c->w, u, e);
    if (rc == 0)
        rc = make_prim(c, unit, &spec, f.w, f.b, &s.prim, e);
    if (rc == 0)
        rc = compile_read(c, unit_input(c->g, u, 0), spec.x_is.lanes, c->type, &x, e);
    if (rc == 0)
        rc = u->add >= 0 ? sum_into(c, u->add, &spec.y_is, &y, e) : compile_buffer(c, &spec.y_is, &y, e);
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
