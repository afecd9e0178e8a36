#include "worker/engine/fuse.h"

#include <stdlib.h>

#include "common/base/mem.h"

struct fuse {
    const struct graph *g;
    enum engine_mode mode;
    const bool *tapped;
    bool *needed; /* the output, a tap or a BN's statistics depend on it */
    bool *taken;  /* already in a unit */
    int *readers; /* needed nodes that read it; +1 for the output, +1 for a tap */
    int *reader;  /* one of them */
};

static void mark_needed(struct fuse *f)
{
    const struct graph *g = f->g;
    f->readers[g->output]++;
    for (int i = g->n - 1; i >= 0; i--) {
        if (i == g->output || f->tapped[i] || (f->mode == ENGINE_BATCH && g->nodes[i].op == OP_BN))
            f->needed[i] = true;
        if (f->tapped[i])
            f->readers[i]++;
        if (!f->needed[i])
            continue;
        for (int k = 0; k < g->nodes[i].n_in; k++) {
            int from = g->nodes[i].in[k];
            f->needed[from] = true;
            f->readers[from]++;
            f->reader[from] = i;
        }
    }
}

/* The only reader of a value that nobody else wants to see, or -1. */
static int sole_reader(const struct fuse *f, int i)
{
    return f->readers[i] == 1 && i != f->g->output && !f->tapped[i] ? f->reader[i] : -1;
}

static bool sums(enum op op)
{
    return op == OP_CONV || op == OP_GEMM || op == OP_BN;
}

static bool clamps(enum op op)
{
    return op == OP_RELU || op == OP_CLIP;
}

/* An Add belongs to the later of its operands that can take it: that one's input is still in the cache. */
static bool take_add(const struct fuse *f, struct unit *u, int add)
{
    const int *in = f->g->nodes[add].in;
    int other = in[0] == u->tail ? in[1] : in[0];
    if (!sums(f->g->nodes[u->head].op) || u->add >= 0)
        return false;
    if (other > u->tail && sums(f->g->nodes[other].op) && sole_reader(f, other) == add)
        return false;
    u->add = other;
    return true;
}

/* Bounds within bounds are bounds. */
static struct act narrow(struct act a, float lo, float hi)
{
    return (struct act){.lo = fminf(fmaxf(a.lo, lo), hi), .hi = fminf(fmaxf(a.hi, lo), hi)};
}

/* The curve that an operator is, if it is one. */
static bool curve_of(const struct node *n, struct act *a)
{
    *a = ACT_NONE;
    a->alpha = n->u.act.alpha;
    a->beta = n->u.act.beta;
    switch (n->op) {
    case OP_SIGMOID:
        a->curve = CURVE_SIGMOID;
        return true;
    case OP_TANH:
        a->curve = CURVE_TANH;
        return true;
    case OP_HARDSIGMOID:
        a->curve = CURVE_HARDSIGMOID;
        return true;
    case OP_HARDSWISH:
        *a = (struct act){-INFINITY, INFINITY, CURVE_HARDSWISH, 1.0F / 6, 0.5F};
        return true;
    case OP_LEAKYRELU:
        a->curve = CURVE_SLOPE;
        return true;
    case OP_ELU:
        a->curve = CURVE_ELU;
        return true;
    case OP_PRELU:
        a->curve = CURVE_SLOPES;
        return true;
    default:
        return false;
    }
}

/* Whether the unit's step can do this curve after what it does. */
static bool suits(const struct fuse *f, const struct unit *u, struct act a)
{
    enum op head = f->g->nodes[u->head].op;
    if (act_any(u->act))
        return false;
    if (head == OP_CONV || head == OP_GEMM)
        return a.curve != CURVE_SLOPES && (a.curve != CURVE_HARDSWISH || act_usual_hardswish(a));
    return sums(head) || head == OP_ADD;
}

/* Relu and Clip within each other; a clamp after a curve would be another step for oneDNN. */
static bool take_clamp(const struct fuse *f, struct unit *u, const struct node *n)
{
    enum op head = f->g->nodes[u->head].op;
    if ((!sums(head) && head != OP_ADD && !clamps(head)) || u->act.curve != CURVE_NONE)
        return false;
    u->act = n->op == OP_RELU ? narrow(u->act, 0, INFINITY) : narrow(u->act, n->u.clip.lo, n->u.clip.hi);
    return true;
}

static bool take_curve(const struct fuse *f, struct unit *u, int next)
{
    struct act a;
    if (!curve_of(&f->g->nodes[next], &a) || !suits(f, u, a))
        return false;
    u->act = a;
    u->slopes = a.curve == CURVE_SLOPES ? next : -1;
    return true;
}

/* x * Sigmoid(x), x * HardSigmoid(x): the Mul, if `gate` is such a node that nobody else reads; else -1. */
static int swish_of(const struct fuse *f, int gate, struct act *a)
{
    const struct node *n = &f->g->nodes[gate];
    int mul = sole_reader(f, gate);
    if (mul < 0 || f->g->nodes[mul].op != OP_MUL || (n->op != OP_SIGMOID && n->op != OP_HARDSIGMOID))
        return -1;
    const int *in = f->g->nodes[mul].in;
    if (in[0] + in[1] != n->in[0] + gate) /* one is the gate itself */
        return -1;
    curve_of(n, a);
    a->curve = n->op == OP_SIGMOID ? CURVE_SWISH : CURVE_HARDSWISH;
    return mul;
}

/* The Mul of a swish of the unit's value, which that alone reads, in two places. */
static int take_swish(struct fuse *f, struct unit *u)
{
    struct act a;
    int i = u->tail, gate = f->reader[i]; /* the earlier of two readers */
    if (f->readers[i] != 2 || i == f->g->output || f->tapped[i])
        return -1;
    int mul = swish_of(f, gate, &a);
    if (mul < 0 || !suits(f, u, a))
        return -1;
    u->act = a;
    f->taken[gate] = true;
    return mul;
}

static bool take_bn(const struct fuse *f, struct unit *u, int bn)
{
    enum op head = f->g->nodes[u->head].op;
    if (f->mode != ENGINE_INFER || (head != OP_CONV && head != OP_GEMM) || u->add >= 0 || u->n_bn == FUSE_BNS)
        return false;
    u->bn[u->n_bn++] = bn;
    return true;
}

/* Whether the unit takes the node that reads its tail. */
static bool take(const struct fuse *f, struct unit *u, int next)
{
    const struct node *n = &f->g->nodes[next];
    if (clamps(n->op))
        return take_clamp(f, u, n);
    if (act_any(u->act) || u->pad >= 0)
        return false;
    if (op_elementwise(n->op))
        return take_curve(f, u, next);
    if (n->op == OP_BN)
        return take_bn(f, u, next);
    if (n->op == OP_ADD)
        return take_add(f, u, next);
    if (n->op == OP_PAD && f->g->nodes[u->head].op == OP_SLICE) {
        u->pad = next;
        return true;
    }
    return false;
}

/* The conv that can do this Pad's work, or -1. Kernels know padding that is narrower than they are. */
static int padded_conv(const struct fuse *f, int pad)
{
    const struct node *p = &f->g->nodes[pad];
    int conv = sole_reader(f, pad);
    if (p->op != OP_PAD || p->u.pad.front || p->u.pad.back || conv < 0 || f->g->nodes[conv].op != OP_CONV)
        return -1;
    const struct window *w = &f->g->nodes[conv].u.conv.win;
    int h = (w->R - 1) * w->dil_h, v = (w->S - 1) * w->dil_w;
    bool fits = p->u.pad.top + w->pad_t <= h && p->u.pad.bottom + w->pad_b <= h && p->u.pad.left + w->pad_l <= v &&
                p->u.pad.right + w->pad_r <= v;
    return fits ? conv : -1;
}

/* The head is an activation itself. */
static void begin_act(struct fuse *f, struct unit *u)
{
    const struct node *n = &f->g->nodes[u->head];
    if (clamps(n->op)) {
        take_clamp(f, u, n);
        return;
    }
    curve_of(n, &u->act);
    u->slopes = n->op == OP_PRELU ? u->head : -1;
    int mul = swish_of(f, u->head, &u->act);
    if (mul >= 0) {
        f->taken[mul] = true;
        u->tail = mul;
    }
}

static struct unit grow(struct fuse *f, int first)
{
    int conv = padded_conv(f, first), head = conv >= 0 ? conv : first;
    struct unit u = {.lead = conv >= 0 ? first : -1,
                     .head = head,
                     .tail = head,
                     .add = -1,
                     .pad = -1,
                     .slopes = -1,
                     .act = ACT_NONE};
    f->taken[first] = f->taken[head] = true;
    if (op_elementwise(f->g->nodes[head].op))
        begin_act(f, &u);
    for (;;) {
        int next = take_swish(f, &u);
        if (next < 0) {
            next = sole_reader(f, u.tail);
            if (next < 0 || !take(f, &u, next))
                return u;
        }
        f->taken[next] = true;
        u.tail = next;
    }
}

int unit_input(const struct graph *g, const struct unit *u, int k)
{
    return u->lead >= 0 ? g->nodes[u->lead].in[0] : g->nodes[u->head].in[k];
}

static int by_tail(const void *a, const void *b)
{
    const struct unit *x = a, *y = b;
    return (x->tail > y->tail) - (x->tail < y->tail);
}

static void count_reads(struct units *us, const struct graph *g, const bool *tapped)
{
    us->reads[g->output]++;
    for (int i = 0; i < g->n; i++)
        us->reads[i] += tapped[i];
    for (int k = 0; k < us->n; k++) {
        const struct unit *u = &us->of[k];
        for (int j = 0; j < g->nodes[u->head].n_in; j++)
            us->reads[unit_input(g, u, j)]++;
        if (u->add >= 0)
            us->reads[u->add]++;
    }
}

int units_find(struct units *us, const struct graph *g, enum engine_mode mode, const bool *tapped, struct err *e)
{
    struct fuse f = {.g = g, .mode = mode, .tapped = tapped};
    size_t n = (size_t)g->n;
    int rc = 0;
    f.needed = mem_zalloc(n, sizeof *f.needed);
    f.taken = mem_zalloc(n, sizeof *f.taken);
    f.readers = mem_zalloc(n, sizeof *f.readers);
    f.reader = mem_zalloc(n, sizeof *f.reader);
    us->n = 0;
    us->of = mem_zalloc(n, sizeof *us->of);
    us->reads = mem_zalloc(n, sizeof *us->reads);
    if (!f.needed || !f.taken || !f.readers || !f.reader || !us->of || !us->reads) {
        rc = err_set(e, ERR_NOMEM, "no memory to order %d nodes", g->n);
        units_release(us);
        goto out;
    }
    mark_needed(&f);
    for (int i = 1; i < g->n; i++)
        if (f.needed[i] && !f.taken[i])
            us->of[us->n++] = grow(&f, i);
    qsort(us->of, (size_t)us->n, sizeof *us->of, by_tail);
    count_reads(us, g, tapped);
out:
    mem_free(f.needed);
    mem_free(f.taken);
    mem_free(f.readers);
    mem_free(f.reader);
    return rc;
}

void units_release(struct units *us)
{
    mem_free(us->of);
    mem_free(us->reads);
    *us = (struct units){0};
}
