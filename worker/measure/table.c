#include "worker/measure/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/model/action.h"
#include "worker/compress/cut.h"
#include "worker/measure/probe.h"

#define POINTS     12 /* of a grid's side: the regular ones */
#define CANDIDATES 16 /* measured end to end: half to fit, half to check */
#define RUNS_LEAST 20
#define RUNS_MOST  200
#define RUNS_NS    (2 * NS_PER_S)

struct survey {
    const struct model *m;
    const struct groups *gs;
    const struct measuring *how;
    struct units units;
    struct probe *probes; /* (n_probes) distinct ones */
    int n_probes;
    int *unit_probe; /* (units.n) index or -1 */
    struct latency *t;
    int done, total; /* points */
};

int table_candidate(const struct model *m, const struct groups *gs, const int *keep, struct model *out,
                    struct err *e)
{
    int **order = xcalloc((size_t)gs->n + 1, sizeof *order);
    bool *live = xcalloc((size_t)gs->n_classes + 1, sizeof *live);
    for (int k = 0; k < gs->n; k++) {
        order[k] = xcalloc((size_t)gs->of[k].n, sizeof **order);
        for (int i = 0; i < gs->of[k].n; i++)
            order[k][i] = i;
    }
    cut_live(gs, keep, order, live);
    int rc = cut(m, gs, live, out, e);
    for (int k = 0; k < gs->n; k++)
        free(order[k]);
    free(order);
    free(live);
    return rc;
}

/* ---- what there is to be measured ---- */

/* Whether no action changes the number of the value's channels. */
static bool is_fixed(const struct survey *s, int node, const int *least)
{
    return groups_width(s->gs, &s->m->graph, node, least) == s->m->graph.nodes[node].C;
}

static int find_probes(struct survey *s, struct err *e)
{
    const struct graph *g = &s->m->graph;
    bool *tapped = xcalloc((size_t)g->n, sizeof *tapped);
    int *least = xcalloc((size_t)s->gs->n + 1, sizeof *least),
        rc = units_find(&s->units, g, ENGINE_INFER, tapped, e);
    free(tapped);
    for (int k = 0; k < s->gs->n; k++)
        least[k] = 1;
    s->probes = xcalloc((size_t)s->units.n + 1, sizeof *s->probes);
    s->unit_probe = xcalloc((size_t)s->units.n + 1, sizeof *s->unit_probe);
    for (int u = 0; rc == 0 && u < s->units.n; u++) {
        struct probe p;
        s->unit_probe[u] = -1;
        if (!probe_of(g, &s->units.of[u], &p))
            continue;
        p.in_fixed = is_fixed(s, unit_input(g, &s->units.of[u], 0), least);
        p.out_fixed = is_fixed(s, s->units.of[u].head, least);
        int i = 0;
        while (i < s->n_probes && !probe_same(&s->probes[i], &p))
            i++;
        if (i == s->n_probes)
            s->probes[s->n_probes++] = p;
        s->unit_probe[u] = i;
    }
    free(least);
    return rc;
}

/* Regular widths, a few more under the first, and the dense one. `multiple`: of what they must be. */
static void lay_axis(struct latency_axis *x, int dense, int multiple, bool fixed)
{
    *x = (struct latency_axis){.n = 1, .at = {dense}, .pitch = 1};
    for (int a = 0; a < LATENCY_ALIGNS; a++)
        x->factor[a] = 1;
    if (fixed || dense <= multiple)
        return;
    int pitch = multiple;
    while (dense / pitch > POINTS)
        pitch *= 2;
    x->n = 0;
    x->pitch = multiple == 1 ? pitch : 1; /* of grouped convolutions no odd widths are measured */
    for (int few = pitch / 4; few < pitch && pitch > 8 * multiple; few *= 2)
        if (few % multiple == 0)
            x->at[x->n++] = few;
    for (int w = pitch; w < dense; w += pitch)
        x->at[x->n++] = w;
    x->at[x->n++] = dense;
}

static void lay_grid(struct latency_shape *s, const struct probe *p)
{
    int multiple = p->depthwise ? 1 : p->groups;
    lay_axis(&s->in, p->C, multiple, p->in_fixed || p->depthwise);
    lay_axis(&s->out, p->K, multiple, p->out_fixed);
}

/* ---- grids ---- */

static int tell(struct survey *s, struct err *e)
{
    const struct measuring *h = s->how;
    return h->progress ? h->progress(h->arg, "table", (uint64_t)s->done, (uint64_t)s->total, e) : 0;
}

static int time_point(struct survey *s, const struct probe *p, int in, int out, double *ns, struct err *e)
{
    int rc = tell(s, e);
    s->done++;
    return rc < 0 ? rc : probe_time(p, p->depthwise ? out : in, out, s->how->batch, s->how->type, ns, e);
}

static int fill_grid(struct survey *s, const struct probe *p, struct latency_shape *x, struct err *e)
{
    x->ns = mem_zalloc((size_t)x->in.n * (size_t)x->out.n, sizeof *x->ns);
    if (!x->ns)
        return err_set(e, ERR_NOMEM, "no memory for a grid of times");
    for (int k = 0; k < x->out.n; k++) {
        for (int c = 0; c < x->in.n; c++) {
            double ns;
            int rc = time_point(s, p, x->in.at[c], x->out.at[k], &ns, e);
            if (rc < 0)
                return rc;
            x->ns[k * x->in.n + c] = (float)ns;
        }
    }
    return 0;
}

#define ODD_PLACES 2

/* A width near part * dense whose greatest power of two is `align`. */
static int odd_width(int dense, int align, double part)
{
    int w = (int)(part * dense) / (2 * align) * 2 * align + align;
    return w < dense ? w : w - 2 * align;
}

/* What widths between the regular ones take over what the grid says of them. */
static int fill_factors(struct survey *s, const struct probe *p, struct latency_shape *x, bool of_in, struct err *e)
{
    static const double parts[ODD_PLACES] = {0.45, 0.8};
    struct latency_axis *axis = of_in ? &x->in : &x->out;
    for (int a = 0; a < LATENCY_ALIGNS && axis->n > 1 && 1 << a < axis->pitch; a++) {
        double sum = 0;
        for (int i = 0; i < ODD_PLACES; i++) {
            double ns, grid;
            int w = odd_width(axis->at[axis->n - 1], 1 << a, parts[i]);
            int in = of_in ? w : p->C, out = of_in ? p->K : w, rc = time_point(s, p, in, out, &ns, e);
            if (rc < 0)
                return rc;
            axis->factor[a] = 1;
            grid = latency_at(x, in, out);
            sum += grid > 0 ? ns / grid : 1;
        }
        axis->factor[a] = (float)(sum / ODD_PLACES);
    }
    return 0;
}

static int odd_points(const struct latency_axis *x)
{
    int n = 0;
    for (int a = 0; a < LATENCY_ALIGNS && x->n > 1 && 1 << a < x->pitch; a++)
        n += ODD_PLACES;
    return n;
}

static int measure_shapes(struct survey *s, struct err *e)
{
    int rc = 0;
    for (int i = 0; i < s->n_probes; i++) {
        struct latency_shape *x = &s->t->shapes[i];
        lay_grid(x, &s->probes[i]);
        s->total += x->in.n * x->out.n + odd_points(&x->in) + odd_points(&x->out);
    }
    for (int i = 0; rc == 0 && i < s->n_probes; i++) {
        struct latency_shape *x = &s->t->shapes[i];
        rc = fill_grid(s, &s->probes[i], x, e);
        if (rc == 0)
            rc = fill_factors(s, &s->probes[i], x, false, e);
        if (rc == 0)
            rc = fill_factors(s, &s->probes[i], x, true, e);
    }
    return rc;
}

/* ---- the dense network, step by step ---- */

static int node_by_name(const struct graph *g, const char *name)
{
    for (int i = 0; i < g->n; i++)
        if (strcmp(g->nodes[i].name, name) == 0)
            return i;
    return 0;
}

/* A step's time belongs to the head of its unit when it is the layer itself, else to the value that it makes. */
static int owner(const struct survey *s, const struct engine_step *step, int *probe)
{
    int tail = node_by_name(&s->m->graph, step->node);
    *probe = -1;
    for (int u = 0; u < s->units.n; u++) {
        if (s->units.of[u].tail != tail || s->unit_probe[u] < 0)
            continue;
        if (step->conv || s->probes[s->unit_probe[u]].gemm) {
            *probe = s->unit_probe[u];
            return s->units.of[u].head;
        }
    }
    return tail;
}

/* figures (steps, RUNS_MOST): n of each step. */
static int time_dense(const struct measuring *how, struct engine *eng, struct engine_run *run, const float *x,
                      float *y, int64_t *ns, double *figures, int *n, struct err *e)
{
    int steps = engine_steps(eng), rc = 0;
    int64_t begin = clock_mono_ns();
    for (int i = -2; rc == 0 && i < RUNS_MOST; i++) {
        memset(ns, 0, (size_t)steps * sizeof *ns);
        rc = engine_forward_timed(run, x, y, ns, e);
        if (rc == 0 && how->progress)
            rc = how->progress(how->arg, "dense", (uint64_t)(i + 2), RUNS_MOST + 2, e);
        if (i < 0)
            continue;
        for (int s = 0; s < steps; s++)
            figures[(size_t)s * RUNS_MOST + (size_t)i] = (double)ns[s];
        *n = i + 1;
        if (*n >= RUNS_LEAST && clock_mono_ns() - begin > RUNS_NS)
            break;
    }
    return rc;
}

static void share_out(struct survey *s, const struct engine *eng, double *figures, int n)
{
    for (int i = 0; i < engine_steps(eng); i++) {
        struct engine_step step = engine_step(eng, i);
        int probe, node = owner(s, &step, &probe);
        s->t->base[node] += (float)measure_quantile(figures + (size_t)i * RUNS_MOST, n, 0.25);
        if (probe >= 0)
            s->t->shape[node] = probe;
    }
}

static int measure_dense(struct survey *s, struct err *e)
{
    const struct measuring *how = s->how;
    const struct graph *g = &s->m->graph;
    const struct node *o = &g->nodes[g->output];
    struct engine *eng = NULL;
    struct engine_run *run = NULL;
    float *x = NULL, *y = NULL;
    int64_t *ns = NULL;
    double *figures = NULL;
    int n = 0, rc = measure_images(g, how->batch, &x, e);
    if (rc == 0)
        rc = engine_new(&eng, g, &s->m->weights, how->batch, ENGINE_INFER, how->type, NULL, 0, e);
    if (rc == 0)
        rc = engine_run_new(&run, eng, e);
    if (rc == 0) {
        size_t steps = (size_t)engine_steps(eng);
        y = mem_alloc((size_t)how->batch * (size_t)o->C * (size_t)o->H * (size_t)o->W, sizeof *y);
        ns = mem_alloc(steps + 1, sizeof *ns);
        figures = mem_alloc(steps * RUNS_MOST + 1, sizeof *figures);
        rc = y && ns && figures ? time_dense(how, eng, run, x, y, ns, figures, &n, e)
                                : err_set(e, ERR_NOMEM, "no memory to time the dense network");
    }
    if (rc == 0)
        share_out(s, eng, figures, n);
    engine_run_free(run);
    engine_free(eng);
    mem_free(figures);
    mem_free(ns);
    mem_free(x);
    mem_free(y);
    return rc;
}

/* ---- candidates, end to end ---- */

struct trial {
    double predicted, measured; /* ratios to the dense network */
};

/* From a quarter of each group to nearly all, in the steps that searches take; no two groups alike. */
static void draw(const struct limits *l, int i, int *keep)
{
    struct rng r;
    rng_init(&r, 1, "latency", (uint64_t)i);
    double level = 0.25 + 0.6 * i / (CANDIDATES - 1);
    for (int k = 0; k < l->n; k++)
        keep[k] = limits_round(l, k, level + 0.4 * (rng_uniform(&r) - 0.5));
}

static int try_candidate(struct survey *s, const int *keep, struct trial *out, double *dense_ns, struct err *e)
{
    const struct graph *g = &s->m->graph;
    struct model small = {0};
    struct measured got;
    int rc = table_candidate(s->m, s->gs, keep, &small, e);
    if (rc < 0)
        return rc;
    rc = measure_latency(s->m, &small, s->how, &got, e);
    model_release(&small);
    if (rc < 0)
        return rc;
    out->measured = got.ratio;
    out->predicted = (double)latency_total(s->t, g, s->gs, keep) / (double)latency_total(s->t, g, s->gs, NULL);
    *dense_ns = got.dense_ms * (double)NS_PER_MS;
    return 0;
}

/* ratio = predicted + lost * (1 - predicted), by least squares. */
static double fit(const struct trial *of)
{
    double up = 0, down = 0;
    for (int i = 0; i < CANDIDATES; i += 2) {
        double saved = 1 - of[i].predicted;
        up += (of[i].measured - of[i].predicted) * saved;
        down += saved * saved;
    }
    double lost = down > 0 ? up / down : 0;
    return lost < -0.5 ? -0.5 : lost > 0.9 ? 0.9 : lost;
}

static int measure_candidates(struct survey *s, struct err *e)
{
    struct trial of[CANDIDATES];
    double dense[CANDIDATES], error[CANDIDATES / 2];
    struct limits l;
    int *keep = xcalloc((size_t)s->gs->n + 1, sizeof *keep), rc = 0;
    limits_new(&l, s->gs, 0.15, 8, false);
    for (int i = 0; rc == 0 && i < CANDIDATES; i++) {
        draw(&l, i, keep);
        rc = try_candidate(s, keep, &of[i], &dense[i], e);
    }
    limits_release(&l);
    free(keep);
    if (rc < 0)
        return rc;
    struct latency *t = s->t;
    t->lost = fit(of);
    for (int i = 1; i < CANDIDATES; i += 2)
        error[i / 2] = fabs((of[i].predicted + t->lost * (1 - of[i].predicted)) / of[i].measured - 1);
    t->fitted = t->checked = CANDIDATES / 2;
    t->error_median = measure_quantile(error, CANDIDATES / 2, 0.5);
    t->error_worst = error[CANDIDATES / 2 - 1];
    t->dense_ns = measure_quantile(dense, CANDIDATES, 0.5);
    return 0;
}

int table_measure(const struct model *m, const struct groups *gs, const struct measuring *how, struct latency *t,
                  struct err *e)
{
    struct survey s = {.m = m, .gs = gs, .how = how, .t = t};
    int64_t begin = clock_mono_ns();
    *t = (struct latency){0};
    int rc = find_probes(&s, e);
    if (rc == 0)
        rc = latency_new(t, m->graph.n, s.n_probes, e);
    if (rc == 0)
        rc = measure_dense(&s, e);
    if (rc == 0)
        rc = measure_shapes(&s, e);
    if (rc == 0 && gs->n > 0)
        rc = measure_candidates(&s, e);
    t->batch = how->batch;
    t->threads = 1;
    t->seconds = (double)(clock_mono_ns() - begin) / (double)NS_PER_S;
    units_release(&s.units);
    free(s.probes);
    free(s.unit_probe);
    if (rc < 0)
        latency_release(t);
    return rc;
}
