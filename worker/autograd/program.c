#include "worker/autograd/program.h"

#include <stdlib.h>
#include <sys/mman.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "worker/autograd/spread.h"
#include "worker/engine/bf16.h"
#include "worker/engine/gate.h"
#include "worker/engine/shuffle.h"

#define HUGE_PAGE ((size_t)2 << 20)

/* What a thread of the team has for itself. */
struct lent {
    struct norm_lent norm;
    void *scratch;   /* for kernels */
    int64_t conv_ns; /* since it was last asked for */
};

/* ---- building ---- */

struct deed *program_add(struct program *p, enum deed_kind kind, int node)
{
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 256;
        p->deeds = xrealloc(p->deeds, (size_t)p->cap * sizeof *p->deeds);
    }
    struct deed *d = &p->deeds[p->n++];
    *d = (struct deed){.kind = kind, .node = node, .out = BUFFER_NONE};
    for (int i = 0; i < ELEM_INPUTS; i++)
        d->in[i] = BUFFER_NONE;
    return d;
}

void program_uses(struct program *p, const struct deed *d)
{
    int step = (int)(d - p->deeds);
    for (int i = 0; i < ELEM_INPUTS; i++)
        if (d->in[i] >= 0)
            plan_use(&p->plan, d->in[i], step);
    if (d->out >= 0)
        plan_use(&p->plan, d->out, step);
}

static char *address(const struct program *p, int part, int buffer)
{
    if (buffer < 0)
        return NULL;
    return p->arena + (size_t)part * p->arena_bytes + p->plan.of[buffer].offset;
}

/* Parts are dealt in ranges; the first that belongs to a rank. */
static int first_part(const struct program *p, int rank)
{
    return (int)((int64_t)p->parts * rank / team_size(p->team));
}

static int lend_scratch(struct program *p, struct err *e)
{
    size_t scratch = 64, threads = (size_t)team_size(p->team);
    for (int i = 0; i < p->n; i++) {
        const struct kernel *k = p->deeds[i].prim.kernel;
        if (k && kernel_bytes(k, TENSOR_SCRATCH) > scratch)
            scratch = kernel_bytes(k, TENSOR_SCRATCH);
    }
    p->lent = xcalloc(threads, sizeof *p->lent);
    for (size_t t = 0; t < threads; t++) {
        struct lent *l = &p->lent[t];
        l->scratch = mem_zalloc(1, scratch);
        l->norm.floats = mem_zalloc(p->widest + 1, 3 * sizeof(float));
        l->norm.doubles = mem_zalloc(p->widest + p->most_channels + 1, 2 * sizeof(double));
        if (!l->scratch || !l->norm.floats || !l->norm.doubles)
            return err_set(e, ERR_NOMEM, "no memory for %zu bytes of scratch", scratch);
    }
    return 0;
}

static int bind_kernel(struct program *p, struct deed *d, struct err *e)
{
    d->prim.calls = xcalloc((size_t)p->parts, sizeof *d->prim.calls);
    for (int t = 0; t < team_size(p->team); t++) {
        for (int part = first_part(p, t); part < first_part(p, t + 1); part++) {
            void *at[TENSORS] = {NULL};
            at[TENSOR_X] = address(p, part, d->in[0]);
            at[TENSOR_Y] = address(p, part, d->in[1]);
            at[TENSOR_WORK] = address(p, part, d->in[2]);
            at[TENSOR_W] = d->prim.w ? (char *)d->prim.w + (size_t)part * d->prim.w_step : NULL;
            at[TENSOR_B] = d->prim.b ? (char *)d->prim.b + (size_t)part * d->prim.b_step : NULL;
            at[TENSOR_SCRATCH] = p->lent[t].scratch;
            int rc = kernel_call_new(&d->prim.calls[part], d->prim.kernel, at, e);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

/* Large pages: the arenas are gone through several times a pass, and small pages' table walks show. */
static int make_arena(struct program *p, struct err *e)
{
    size_t bytes, page = HUGE_PAGE;
    p->arena_bytes = p->plan.bytes + 64;
    if (!mem_mul(p->arena_bytes, (size_t)p->parts, &bytes) || !(p->arena = mem_alloc(1, bytes)))
        return err_set(e, ERR_NOMEM, "no memory for activations of %d images: %d times %zu bytes", p->batch,
                       p->parts, p->arena_bytes);
    char *from = p->arena + (page - (uintptr_t)p->arena % page) % page, *to = p->arena + bytes;
    if (to > from && (size_t)(to - from) >= page)
        madvise(from, (size_t)(to - from) / page * page, MADV_HUGEPAGE); /* advice; nothing depends on it */
    return 0;
}

static int make_plain(struct program *p, struct err *e)
{
    for (int v = 0; v < 2; v++) {
        p->plain[v] = mem_zalloc(p->widest + 1, sizeof(float));
        if (!p->plain[v])
            return err_set(e, ERR_NOMEM, "no memory for %zu channels", p->widest);
        for (size_t i = 0; i < p->widest; i++)
            p->plain[v][i] = (float)v;
    }
    return 0;
}

int program_finish(struct program *p, struct pool *pool, struct err *e)
{
    for (int i = 0; i < p->n; i++) {
        const struct deed *d = &p->deeds[i];
        bool elem = d->kind == DEED_ELEM || d->kind == DEED_STATS || d->kind == DEED_SUMS;
        size_t width = elem ? flat_width(&d->elem.flat) : 0;
        if (width > p->widest)
            p->widest = width;
        if (elem && (size_t)d->elem.flat.C > p->most_channels)
            p->most_channels = (size_t)d->elem.flat.C;
    }
    int rc = team_new(&p->team, pool, p->parts, e);
    if (rc == 0)
        rc = plan_place(&p->plan, e);
    if (rc == 0)
        rc = make_arena(p, e);
    if (rc == 0)
        rc = make_plain(p, e);
    if (rc == 0)
        rc = lend_scratch(p, e);
    for (int i = 0; rc == 0 && i < p->n; i++)
        if (p->deeds[i].kind == DEED_KERNEL)
            rc = bind_kernel(p, &p->deeds[i], e);
    return rc;
}

static void deed_release(struct deed *d, int parts)
{
    for (int i = 0; d->prim.calls && i < parts; i++)
        kernel_call_free(d->prim.calls[i]);
    free(d->prim.calls);
    kernel_free(d->prim.own);
    map_release(&d->curve.map);
    free(d->join.norms);
}

void program_release(struct program *p)
{
    for (int i = 0; i < p->n; i++)
        deed_release(&p->deeds[i], p->parts);
    free(p->deeds);
    for (int i = 0; i < p->n_norms; i++)
        norm_free(p->norms[i]);
    free(p->norms);
    for (int i = 0; i < p->n_params; i++)
        param_free(p->params[i]);
    free(p->params);
    for (int i = 0; i < p->n_slopes; i++)
        slopes_free(p->slopes[i]);
    free(p->slopes);
    for (int t = 0; p->lent && t < team_size(p->team); t++) {
        mem_free(p->lent[t].scratch);
        mem_free(p->lent[t].norm.floats);
        mem_free(p->lent[t].norm.doubles);
    }
    free(p->lent);
    mem_free(p->plain[0]);
    mem_free(p->plain[1]);
    mem_free(p->arena);
    plan_release(&p->plan);
    team_free(p->team);
    backend_free(p->be);
    *p = (struct program){0};
}

size_t program_bytes(const struct program *p)
{
    size_t bytes = (size_t)p->parts * p->arena_bytes;
    for (int i = 0; i < p->n_params; i++)
        bytes += p->params[i]->bytes;
    for (int i = 0; i < p->n_norms; i++)
        bytes += norm_bytes(p->norms[i]);
    return bytes;
}

/* ---- running ---- */

struct run {
    struct program *p;
    int from, to;
    const struct program_io *io;
};

static void *tensor(const struct run *r, int part, int buffer)
{
    const struct program *p = r->p;
    size_t x = layout_floats(&p->x), y = layout_floats(&p->y);
    switch (buffer) { /* the caller's are only read where they are const */
    case BUFFER_X:
        return (float *)(uintptr_t)r->io->x + (size_t)part * x;
    case BUFFER_LOGITS:
        return r->io->logits + (size_t)part * y;
    case BUFFER_DLOGITS:
        return (float *)(uintptr_t)r->io->dlogits + (size_t)part * y;
    default:
        return address(p, part, buffer);
    }
}

static void run_elem(const struct run *r, const struct deed *d, int part, struct lent *l)
{
    const struct program *p = r->p;
    const struct norm *n = d->elem.norm[0], *n2 = d->elem.norm[1];
    struct elem e = {.lo = d->elem.lo, .hi = d->elem.hi, .out = tensor(r, part, d->out)};
    for (int i = 0; i < ELEM_INPUTS; i++)
        e.in[i] = tensor(r, part, d->in[i]);
    if (d->kind == DEED_STATS) {
        norm_stats(d->elem.norm[0], part, e.in[0], &l->norm);
        return;
    }
    if (d->kind == DEED_SUMS) {
        norm_sums(d->elem.norm[0], part, d->elem.kind, &e, &l->norm);
        return;
    }
    e.a = n ? n->a : p->plain[1];
    e.b = n ? n->b : p->plain[0];
    e.a2 = n2 ? n2->a : p->plain[1];
    e.b2 = n2 ? n2->b : p->plain[0];
    if (n) {
        e.A = n->A;
        e.B = n->B;
        e.D = n->D;
    }
    elem_run(d->elem.kind, &d->elem.flat, &e);
}

static int run_kernel(const struct run *r, const struct deed *d, int part, struct lent *l, struct err *e)
{
    if (!r->p->timing || !d->prim.conv)
        return kernel_call_run(d->prim.calls[part], e);
    int64_t begin = clock_mono_ns();
    int rc = kernel_call_run(d->prim.calls[part], e);
    l->conv_ns += clock_mono_ns() - begin;
    return rc;
}

/* Activations with a curve, products, LRN, shuffles. */
static void run_other(const struct run *r, const struct deed *d, int part)
{
    const void *a = tensor(r, part, d->in[0]), *b = tensor(r, part, d->in[1]);
    void *out = tensor(r, part, d->out);
    switch (d->kind) {
    case DEED_CURVE:
        map_run(&d->curve.map, d->curve.map.m, d->curve.map.a, &d->lx, out, a, NULL);
        return;
    case DEED_CURVE_BACK:
        curve_back(d->curve.act, d->curve.slopes, part, &d->lx, out, a, b);
        return;
    case DEED_MUL:
        gate_multiply(&d->lx, out, a, b);
        return;
    case DEED_GATE:
        gate_run(&d->lx, out, a, b);
        return;
    case DEED_GATE_SUMS:
        gate_sums(&d->lx, out, a, b);
        return;
    case DEED_LRN:
        lrn_run(&d->lrn, &d->lx, out, a);
        return;
    case DEED_LRN_BACK:
        lrn_back(&d->lrn, &d->lx, out, a, b);
        return;
    case DEED_SHUFFLE:
        shuffle_run(&d->lx, d->shuffle.groups, d->shuffle.back, out, a);
        return;
    default:
        BUG("deed %d isn't a part's", (int)d->kind);
    }
}

static int run_deed(const struct run *r, const struct deed *d, int part, struct lent *l, struct err *e)
{
    switch (d->kind) {
    case DEED_KERNEL:
        return run_kernel(r, d, part, l, e);
    case DEED_ELEM:
    case DEED_STATS:
    case DEED_SUMS:
        run_elem(r, d, part, l);
        return 0;
    case DEED_BOX:
        box_run(&d->box, tensor(r, part, d->out), tensor(r, part, d->in[0]));
        return 0;
    case DEED_MEAN:
        spread_mean(&d->lx, tensor(r, part, d->in[0]), &d->ly, tensor(r, part, d->out));
        return 0;
    case DEED_SPREAD:
        spread_back(&d->lx, tensor(r, part, d->out), &d->ly, tensor(r, part, d->in[0]));
        return 0;
    default:
        run_other(r, d, part);
        return 0;
    }
}

struct joining {
    const struct deed *d;
    bool forward;
};

static void join(void *arg)
{
    struct joining *j = arg;
    for (int i = 0; i < j->d->join.n; i++) {
        if (j->forward)
            norm_join_stats(j->d->join.norms[i]);
        else
            norm_join_sums(j->d->join.norms[i]);
    }
}

/* Deeds from ... to-1 without a join, for each of the rank's parts; the part that was last is near, so it is first
 * the next time. */
static int run_stretch(const struct run *r, int rank, int from, int to, bool back, struct err *e)
{
    int first = first_part(r->p, rank), n = first_part(r->p, rank + 1) - first, rc = 0;
    for (int i = 0; i < n; i++) {
        int part = back ? first + n - 1 - i : first + i;
        for (int d = from; d < to; d++)
            if ((rc = run_deed(r, &r->p->deeds[d], part, &r->p->lent[rank], e)) < 0)
                return rc;
    }
    return 0;
}

static int run_rank(void *arg, int rank, struct err *e)
{
    const struct run *r = arg;
    bool back = false;
    for (int from = r->from; from < r->to; back = !back) {
        int to = from, rc;
        while (to < r->to && r->p->deeds[to].kind != DEED_JOIN)
            to++;
        if ((rc = run_stretch(r, rank, from, to, back, e)) < 0)
            return rc;
        from = to + 1;
        if (to == r->to)
            return 0;
        struct joining j = {.d = &r->p->deeds[to], .forward = to < r->p->forward};
        if ((rc = team_meet(r->p->team, join, &j, e)) < 0)
            return rc;
    }
    return 0;
}

int program_run(struct program *p, int from, int to, const struct program_io *io, struct err *e)
{
    struct run r = {.p = p, .from = from, .to = to, .io = io};
    return team_run(p->team, run_rank, &r, e);
}

int64_t program_conv_ns(struct program *p)
{
    int64_t sum = 0;
    for (int t = 0; t < team_size(p->team); t++) {
        sum += p->lent[t].conv_ns;
        p->lent[t].conv_ns = 0;
    }
    return sum;
}
