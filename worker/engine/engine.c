#include "worker/engine/engine.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "worker/engine/compile.h"

struct tap {
    int node;
    struct form form;
    struct prim *plain; /* reorder to (N,C,H,W), NULL when it is that already */
};

struct engine {
    int batch;
    struct backend *be;
    struct step *steps;
    int n_steps;
    struct plan plan;
    struct tap *taps;
    int n_taps;
    size_t moments; /* floats of all norms */
    int widest;     /* channels of the widest, padding included */
    size_t scratch; /* bytes of the neediest prim */
};

struct engine_run {
    struct engine *eng;
    char *arena;
    float *moments;
    double *sums;
    void *scratch;
    struct bound **calls; /* (n_steps), NULL where the step has no prim */
    struct bound **taps;  /* (n_taps) likewise */
};

/* ---- compiling ---- */

static void need_scratch(struct engine *eng, const struct prim *p)
{
    if (p && prim_scratch(p) > eng->scratch)
        eng->scratch = prim_scratch(p);
}

static int make_taps(struct engine *eng, const struct compile *c, const int *taps, int n_taps, struct err *e)
{
    eng->taps = mem_zalloc((size_t)n_taps + 1, sizeof *eng->taps);
    if (!eng->taps)
        return err_set(e, ERR_NOMEM, "no memory for %d taps", n_taps);
    for (int i = 0; i < n_taps; i++) {
        struct tap *t = &eng->taps[eng->n_taps++];
        t->node = taps[i];
        t->form = *compile_form(c, taps[i]);
        struct layout plain = t->form.l;
        plain.lanes = 1;
        plain.type = DTYPE_F32;
        int rc = layout_same(&plain, &t->form.l) ? 0 : prim_reorder(&t->plain, eng->be, &t->form.l, &plain, e);
        if (rc < 0)
            return rc;
        need_scratch(eng, t->plain);
    }
    return 0;
}

/* Moves what a run needs out of the compiler's hands. */
static void take_over(struct engine *eng, struct compile *c)
{
    eng->be = c->be;
    eng->steps = c->steps;
    eng->n_steps = c->n_steps;
    eng->plan = c->plan;
    eng->moments = c->moments;
    eng->widest = c->widest;
    for (int i = 0; i < eng->n_steps; i++)
        need_scratch(eng, eng->steps[i].prim);
    c->be = NULL;
    c->steps = NULL;
    c->n_steps = 0;
    c->plan = (struct plan){0};
}

int engine_new(struct engine **out, const struct graph *g, const struct weights *w, int batch,
               enum engine_mode mode, enum dtype type, const int *taps, int n_taps, struct err *e)
{
    struct compile c = {0};
    struct engine *eng = xcalloc(1, sizeof *eng);
    int threads = dnnl_one_thread();
    if (batch < 1)
        BUG("batch %d", batch);
    eng->batch = batch;
    int rc = compile_graph(&c, g, w, batch, mode, type, taps, n_taps, e);
    if (rc == 0) {
        take_over(eng, &c);
        rc = make_taps(eng, &c, taps, n_taps, e);
    }
    compile_release(&c);
    dnnl_threads_restore(threads);
    if (rc < 0) {
        engine_free(eng);
        return err_wrap(e, "could not compile \"%s\"", g->name ? g->name : "");
    }
    *out = eng;
    return 0;
}

void engine_free(struct engine *eng)
{
    if (!eng)
        return;
    for (int i = 0; i < eng->n_steps; i++)
        step_release(&eng->steps[i]);
    for (int i = 0; i < eng->n_taps; i++)
        prim_free(eng->taps[i].plain);
    mem_free(eng->steps);
    mem_free(eng->taps);
    plan_release(&eng->plan);
    backend_free(eng->be);
    free(eng);
}

int engine_batch(const struct engine *eng)
{
    return eng->batch;
}

size_t engine_bytes(const struct engine *eng)
{
    size_t n = sizeof *eng + (size_t)eng->n_steps * sizeof *eng->steps;
    for (int i = 0; i < eng->n_steps; i++) {
        const struct step *s = &eng->steps[i];
        n += s->prim ? prim_bytes(s->prim) : (size_t)s->map.padded * MAP_ARRAYS * sizeof(float);
    }
    return n;
}

static size_t sums_doubles(const struct engine *eng)
{
    return 2 * (size_t)eng->widest;
}

size_t engine_run_bytes(const struct engine *eng)
{
    return eng->plan.bytes + eng->moments * sizeof(float) + sums_doubles(eng) * sizeof(double) + eng->scratch;
}

/* ---- runs ---- */

static void *at(const struct engine_run *run, int buf)
{
    return buf >= 0 ? run->arena + run->eng->plan.of[buf].offset : NULL;
}

/* The caller's buffers aren't known yet: any address of the right size will do until the first pass binds them. */
static int make_calls(struct engine_run *run, struct err *e)
{
    const struct engine *eng = run->eng;
    int rc = 0;
    for (int i = 0; rc == 0 && i < eng->n_steps; i++) {
        const struct step *s = &eng->steps[i];
        if (s->kind == STEP_PRIM)
            rc = bound_new(&run->calls[i], s->prim, at(run, s->x), at(run, s->y), run->scratch, e);
    }
    for (int i = 0; rc == 0 && i < eng->n_taps; i++) {
        const struct tap *t = &eng->taps[i];
        if (t->plain)
            rc = bound_new(&run->taps[i], t->plain, at(run, t->form.buf), NULL, run->scratch, e);
    }
    return rc;
}

int engine_run_new(struct engine_run **out, struct engine *eng, struct err *e)
{
    struct engine_run *run = xcalloc(1, sizeof *run);
    int threads = dnnl_one_thread();
    run->eng = eng;
    run->arena = mem_zalloc(eng->plan.bytes + 1, 1);
    run->moments = mem_zalloc(eng->moments + 1, sizeof *run->moments);
    run->sums = mem_zalloc(sums_doubles(eng) + 1, sizeof *run->sums);
    run->scratch = mem_zalloc(eng->scratch + 1, 1);
    run->calls = mem_zalloc((size_t)eng->n_steps + 1, sizeof *run->calls);
    run->taps = mem_zalloc((size_t)eng->n_taps + 1, sizeof *run->taps);
    int rc = 0;
    if (!run->arena || !run->moments || !run->sums || !run->scratch || !run->calls || !run->taps)
        rc = err_set(e, ERR_NOMEM, "no memory for %zu bytes of activations", engine_run_bytes(eng));
    if (rc == 0)
        rc = make_calls(run, e);
    dnnl_threads_restore(threads);
    if (rc < 0) {
        engine_run_free(run);
        return rc;
    }
    *out = run;
    return 0;
}

static void free_calls(struct bound **calls, int n)
{
    for (int i = 0; calls && i < n; i++)
        bound_free(calls[i]);
    mem_free(calls);
}

void engine_run_free(struct engine_run *run)
{
    if (!run)
        return;
    free_calls(run->calls, run->eng->n_steps);
    free_calls(run->taps, run->eng->n_taps);
    mem_free(run->arena);
    mem_free(run->moments);
    mem_free(run->sums);
    mem_free(run->scratch);
    free(run);
}

/* ---- forward ---- */

static int do_step(struct engine_run *run, int i, const float *x, float *y, struct err *e)
{
    const struct step *s = &run->eng->steps[i];
    const struct lent with = {.moments = run->moments, .sums = run->sums, .call = run->calls[i]};
    const void *from = s->x == BUF_X ? x : at(run, s->x), *second = s->r == BUF_X ? x : at(run, s->r);
    void *to = s->y == BUF_Y ? y : at(run, s->y);
    int rc = 0;
    if (with.call && (s->x == BUF_X || s->y == BUF_Y))
        rc = bound_bind(with.call, s->x == BUF_X ? x : NULL, s->y == BUF_Y ? y : NULL, e);
    return rc < 0 ? rc : step_run(s, &with, from, second, to, e);
}

static int forward(struct engine_run *run, const float *x, float *y, int64_t *ns, struct err *e)
{
    int threads = dnnl_one_thread(), rc = 0;
    for (int i = 0; rc == 0 && i < run->eng->n_steps; i++) {
        int64_t begin = ns ? clock_mono_ns() : 0;
        rc = do_step(run, i, x, y, e);
        if (ns)
            ns[i] += clock_mono_ns() - begin;
    }
    dnnl_threads_restore(threads);
    return rc;
}

int engine_forward(struct engine_run *run, const float *x, float *y, struct err *e)
{
    return forward(run, x, y, NULL, e);
}

int engine_forward_timed(struct engine_run *run, const float *x, float *y, int64_t *ns, struct err *e)
{
    return forward(run, x, y, ns, e);
}

int engine_tap(struct engine_run *run, int node, float *out, struct err *e)
{
    const struct engine *eng = run->eng;
    for (int i = 0; i < eng->n_taps; i++) {
        const struct tap *t = &eng->taps[i];
        if (t->node != node)
            continue;
        if (!t->plain) {
            memcpy(out, at(run, t->form.buf), layout_floats(&t->form.l) * sizeof *out);
            return 0;
        }
        int threads = dnnl_one_thread();
        int rc = bound_bind(run->taps[i], NULL, out, e);
        if (rc == 0)
            rc = bound_run(run->taps[i], e);
        dnnl_threads_restore(threads);
        return rc;
    }
    BUG("node %d isn't tapped", node);
}

void engine_stats(const struct engine_run *run, int node, const float **mean, const float **var)
{
    for (int i = 0; i < run->eng->n_steps; i++) {
        const struct step *s = &run->eng->steps[i];
        if (s->kind == STEP_NORM && s->norm.bn == node) {
            *mean = run->moments + s->norm.at;
            *var = *mean + s->map.padded;
            return;
        }
    }
    BUG("node %d has no statistics", node);
}

/* ---- about it ---- */

int engine_steps(const struct engine *eng)
{
    return eng->n_steps;
}

struct engine_step engine_step(const struct engine *eng, int i)
{
    static const char *const names[] = {
        [STEP_MAP] = "map", [STEP_NORM] = "norm", [STEP_CROP] = "crop",      [STEP_MEAN] = "mean",
        [STEP_MUL] = "mul", [STEP_LRN] = "lrn",   [STEP_SHUFFLE] = "shuffle"};
    const struct step *s = &eng->steps[i];
    return (struct engine_step){
        .node = s->name,
        .kernel = s->kind == STEP_PRIM ? prim_kernel(s->prim) : names[s->kind],
        .conv = s->conv,
    };
}

#define NEAR_BYTES (1 << 20) /* of a core's own cache: on any machine, so that a cluster's workers do alike */
#define MOST_BATCH 64

int engine_best_batch(const struct graph *g)
{
    size_t most = 1;
    for (int i = 0; i < g->n; i++) {
        const struct node *n = &g->nodes[i];
        size_t floats = (size_t)n->C * (size_t)n->H * (size_t)n->W;
        if (floats > most)
            most = floats;
    }
    /* Input and output of a step are in use at once. */
    size_t batch = NEAR_BYTES / (2 * most * sizeof(float));
    return batch < 1 ? 1 : batch > MOST_BATCH ? MOST_BATCH : (int)batch;
}

const char *engine_describe(void)
{
    return backend_text();
}
