#include "worker/engine/compile.h"

#include <stdlib.h>

#include "common/base/mem.h"

struct kind {
    int (*compile)(struct compile *c, int unit, struct err *e);
    bool passes_layout; /* its inputs had better come in the layout that its own readers want */
};

static const struct kind kinds[OP_COUNT] = {
    [OP_CONV] = {conv_compile, false},
    [OP_BN] = {norm_compile, true},
    [OP_RELU] = {norm_compile, true},
    [OP_CLIP] = {norm_compile, true},
    [OP_MAXPOOL] = {pool_compile, true},
    [OP_AVGPOOL] = {pool_compile, true},
    [OP_GLOBALPOOL] = {globalpool_compile, false},
    [OP_ADD] = {norm_compile, true},
    [OP_MUL] = {mul_compile, true},
    [OP_SIGMOID] = {norm_compile, true},
    [OP_TANH] = {norm_compile, true},
    [OP_HARDSIGMOID] = {norm_compile, true},
    [OP_HARDSWISH] = {norm_compile, true},
    [OP_LEAKYRELU] = {norm_compile, true},
    [OP_ELU] = {norm_compile, true},
    [OP_PRELU] = {norm_compile, true},
    [OP_LRN] = {lrn_compile, false},
    [OP_SHUFFLE] = {shuffle_compile, true},
    [OP_CONCAT] = {concat_compile, true},
    [OP_PAD] = {slice_compile, true},
    [OP_SLICE] = {slice_compile, true},
    [OP_FLATTEN] = {flatten_compile, false},
    [OP_UNFLATTEN] = {flatten_compile, false},
    [OP_GEMM] = {gemm_compile, false},
    [OP_SOFTMAX] = {softmax_compile, false},
};

int compile_step(struct compile *c, struct step *s, struct err *e)
{
    if (c->n_steps == c->cap) {
        int cap = c->cap ? 2 * c->cap : 64;
        struct step *more = mem_alloc((size_t)cap, sizeof *more);
        if (!more) {
            step_release(s);
            return err_set(e, ERR_NOMEM, "no memory for %d steps", cap);
        }
        for (int i = 0; i < c->n_steps; i++)
            more[i] = c->steps[i];
        mem_free(c->steps);
        c->steps = more;
        c->cap = cap;
    }
    const int bufs[] = {s->x, s->r, s->y};
    for (size_t i = 0; i < sizeof bufs / sizeof *bufs; i++)
        if (bufs[i] >= 0)
            plan_use(&c->plan, bufs[i], c->n_steps);
    s->name = xstrdup(c->g->nodes[s->node].name);
    c->steps[c->n_steps++] = *s;
    return 0;
}

int compile_copy(struct compile *c, int node, const struct form *from, const struct form *to, struct err *e)
{
    struct step s = {.kind = STEP_PRIM, .node = node, .x = from->buf, .r = BUF_NONE, .y = to->buf};
    int rc = prim_reorder(&s.prim, c->be, &from->l, &to->l, e);
    return rc < 0 ? rc : compile_step(c, &s, e);
}

struct layout compile_layout(const struct compile *c, int node, int lanes)
{
    struct layout l = layout_of(&c->g->nodes[node], c->batch, lanes);
    l.type = c->type;
    return l;
}

int compile_buffer(struct compile *c, const struct layout *l, struct form *out, struct err *e)
{
    int buf = plan_add(&c->plan, layout_bytes(l), e);
    if (buf < 0)
        return buf;
    *out = (struct form){.l = *l, .buf = buf};
    return 0;
}

const struct form *compile_form(const struct compile *c, int node)
{
    if (c->values[node].n_forms == 0)
        BUG("node %d is read before it is made", node);
    return &c->values[node].forms[0];
}

static void own(struct compile *c, int node, const struct form *f)
{
    struct value *v = &c->values[node];
    v->forms[v->n_forms++] = *f;
    if (f->buf >= 0)
        c->plan.of[f->buf].owners++;
}

int compile_read(struct compile *c, int node, int lanes, enum dtype type, struct form *out, struct err *e)
{
    const struct form *made = compile_form(c, node);
    struct value *v = &c->values[node];
    struct layout want = made->l;
    want.lanes = lanes;
    want.type = type;
    for (int i = 0; i < v->n_forms; i++) {
        if (layout_same(&v->forms[i].l, &want)) {
            *out = v->forms[i];
            return 0;
        }
    }
    int rc = compile_buffer(c, &want, out, e);
    if (rc == 0)
        rc = compile_copy(c, node, made, out, e);
    if (rc == 0 && v->n_forms < VALUE_FORMS)
        own(c, node, out);
    return rc;
}

bool compile_last(const struct compile *c, int node, const struct form *f)
{
    return c->values[node].left == 1 && f->buf >= 0 && c->plan.of[f->buf].owners == 1;
}

int compile_give(struct compile *c, int node, const struct form *f, struct err *e)
{
    struct form own_copy = *f;
    int rc = 0;
    if (c->values[node].tapped && f->buf == BUF_X) { /* the caller's images may be gone when the tap is read */
        rc = compile_buffer(c, &f->l, &own_copy, e);
        if (rc == 0)
            rc = compile_copy(c, node, f, &own_copy, e);
    }
    if (rc == 0)
        own(c, node, &own_copy);
    if (rc == 0 && c->values[node].tapped)
        plan_keep(&c->plan, own_copy.buf);
    return rc;
}

/* One read of a value is over. */
static void let_go(struct compile *c, int node)
{
    struct value *v = &c->values[node];
    if (--v->left > 0)
        return;
    for (int i = 0; i < v->n_forms; i++)
        if (v->forms[i].buf >= 0)
            c->plan.of[v->forms[i].buf].owners--;
}

static int compile_unit(struct compile *c, int unit, struct err *e)
{
    const struct unit *u = &c->units.of[unit];
    const struct node *head = &c->g->nodes[u->head];
    if (!kinds[head->op].compile)
        BUG("no steps for %s", op_name(head->op));
    int rc = kinds[head->op].compile(c, unit, e);
    if (rc < 0)
        return err_wrap(e, "%s \"%s\"", op_name(head->op), head->label && *head->label ? head->label : head->name);
    for (int k = 0; k < head->n_in; k++)
        let_go(c, unit_input(c->g, u, k));
    if (u->add >= 0)
        let_go(c, u->add);
    return 0;
}

/* From the last unit to the first: who would like its input blocked. */
static void wish(struct compile *c)
{
    for (int k = c->units.n - 1; k >= 0; k--) {
        const struct unit *u = &c->units.of[k];
        const struct node *head = &c->g->nodes[u->head];
        bool out = c->values[u->tail].wish_blocked;
        if (head->op == OP_CONV)
            c->winograd[k] = conv_wants_winograd(c, u);
        if (u->add >= 0)
            c->values[u->add].wish_blocked |= out || c->winograd[k];
        for (int i = 0; i < head->n_in; i++)
            c->values[unit_input(c->g, u, i)].wish_blocked |=
                c->winograd[k] || (out && kinds[head->op].passes_layout);
    }
}

static int prepare(struct compile *c, const bool *tapped, struct err *e)
{
    int rc = backend_new(&c->be, e);
    if (rc == 0)
        rc = backend_require(c->be, c->type, e);
    if (rc == 0)
        rc = units_find(&c->units, c->g, c->mode, tapped, e);
    if (rc < 0)
        return rc;
    c->values = mem_zalloc((size_t)c->g->n, sizeof *c->values);
    c->winograd = mem_zalloc((size_t)c->units.n + 1, sizeof *c->winograd);
    if (!c->values || !c->winograd)
        return err_set(e, ERR_NOMEM, "no memory for %d values", c->g->n);
    for (int i = 0; i < c->g->n; i++) {
        c->values[i].left = c->units.reads[i];
        c->values[i].tapped = tapped[i];
    }
    wish(c);
    return 0;
}

/* The caller's images: as they are, or channels last in the engine's type. */
static int begin(struct compile *c, struct err *e)
{
    struct form x = {.l = layout_of(&c->g->nodes[0], c->batch, 1), .buf = BUF_X}, y;
    if (c->type == DTYPE_F32)
        return compile_give(c, 0, &x, e);
    struct layout l = compile_layout(c, 0, x.l.C);
    int rc = compile_buffer(c, &l, &y, e);
    if (rc == 0)
        rc = compile_copy(c, 0, &x, &y, e);
    return rc < 0 ? rc : compile_give(c, 0, &y, e);
}

/* The result, plain fp32, to the caller. */
static int finish(struct compile *c, struct err *e)
{
    const struct form *f = compile_form(c, c->g->output);
    struct form y = {.l = f->l, .buf = BUF_Y};
    y.l.lanes = 1;
    y.l.type = DTYPE_F32;
    int rc = compile_copy(c, c->g->output, f, &y, e);
    return rc < 0 ? rc : plan_place(&c->plan, e);
}

int compile_graph(struct compile *c, const struct graph *g, const struct weights *w, int batch,
                  enum engine_mode mode, enum dtype type, const int *taps, int n_taps, struct err *e)
{
    *c = (struct compile){.g = g, .w = w, .mode = mode, .type = type, .batch = batch};
    bool *tapped = mem_zalloc((size_t)g->n, sizeof *tapped);
    if (!tapped)
        return err_set(e, ERR_NOMEM, "no memory for %d nodes", g->n);
    for (int i = 0; i < n_taps; i++) {
        if (taps[i] < 0 || taps[i] >= g->n)
            BUG("tap of node %d of %d", taps[i], g->n);
        tapped[taps[i]] = true;
    }
    int rc = prepare(c, tapped, e);
    if (rc == 0)
        rc = begin(c, e);
    for (int k = 0; rc == 0 && k < c->units.n; k++)
        rc = compile_unit(c, k, e);
    if (rc == 0)
        rc = finish(c, e);
    mem_free(tapped);
    return rc;
}

void compile_release(struct compile *c)
{
    for (int i = 0; i < c->n_steps; i++)
        step_release(&c->steps[i]);
    mem_free(c->steps);
    plan_release(&c->plan);
    units_release(&c->units);
    mem_free(c->winograd);
    mem_free(c->values);
    backend_free(c->be);
    *c = (struct compile){0};
}
