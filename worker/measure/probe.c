#include "worker/measure/probe.h"

#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "worker/measure/latency.h"

#define RUNS_LEAST 7
#define RUNS_MOST  60
#define MOST_NS    (5 * NS_PER_MS)
#define NEIGHBOUR  16 /* channels before and after */

bool probe_of(const struct graph *g, const struct unit *u, struct probe *p)
{
    const struct node *d = &g->nodes[u->head];
    if (d->op != OP_CONV && d->op != OP_GEMM)
        return false;
    int in = unit_input(g, u, 0);
    const struct node *x = &g->nodes[in];
    *p = (struct probe){0};
    p->gemm = d->op == OP_GEMM;
    p->first = in == 0;
    p->act = act_any(u->act);
    p->C = x->C;
    p->K = d->C;
    p->H = x->H;
    p->W = x->W;
    p->groups = 1;
    if (p->gemm)
        return true;
    p->groups = d->u.conv.groups;
    p->depthwise = p->groups > 1 && p->groups == x->C;
    p->win = d->u.conv.win;
    if (u->lead >= 0) {
        const struct node *pad = &g->nodes[u->lead];
        p->win.pad_t += pad->u.pad.top;
        p->win.pad_l += pad->u.pad.left;
        p->win.pad_b += pad->u.pad.bottom;
        p->win.pad_r += pad->u.pad.right;
    }
    return true;
}

bool probe_same(const struct probe *a, const struct probe *b)
{
    const struct window *v = &a->win, *w = &b->win;
    return a->gemm == b->gemm && a->first == b->first && a->depthwise == b->depthwise && a->act == b->act &&
           a->C == b->C && a->K == b->K && a->H == b->H && a->W == b->W && a->groups == b->groups &&
           a->in_fixed == b->in_fixed && a->out_fixed == b->out_fixed && v->R == w->R && v->S == w->S &&
           v->stride_h == w->stride_h && v->stride_w == w->stride_w && v->dil_h == w->dil_h &&
           v->dil_w == w->dil_w && v->pad_t == w->pad_t && v->pad_l == w->pad_l && v->pad_b == w->pad_b &&
           v->pad_r == w->pad_r;
}

static int add(struct graph *g, struct node *proto, const char *name, int in, struct err *e)
{
    char text[16];
    snprintf(text, sizeof text, "%s", name);
    proto->name = text;
    if (in >= 0) {
        proto->n_in = 1;
        proto->in = &in;
    }
    return graph_add(g, proto, e);
}

static int add_point(struct graph *g, const char *name, int in, int K, struct err *e)
{
    struct node d = {.op = OP_CONV, .C = K};
    d.u.conv.win = (struct window){.R = 1, .S = 1, .stride_h = 1, .stride_w = 1, .dil_h = 1, .dil_w = 1};
    d.u.conv.groups = 1;
    d.u.conv.bias = true;
    return add(g, &d, name, in, e);
}

static int add_layer(const struct probe *p, struct graph *g, int in, int C, int K, struct err *e)
{
    struct node d = {.op = p->gemm ? OP_GEMM : OP_CONV, .C = K};
    if (p->gemm) {
        d.u.gemm.bias = true;
    } else {
        d.u.conv.win = p->win;
        d.u.conv.groups = p->depthwise ? C : p->groups;
        d.u.conv.bias = true;
    }
    int at = add(g, &d, "layer", in, e);
    if (at < 0 || !p->act)
        return at;
    struct node act = {.op = OP_RELU};
    return add(g, &act, "act", at, e);
}

/* in -> [before] -> layer -> [act] -> [after] */
static int build(const struct probe *p, int C, int K, struct graph *g, struct err *e)
{
    bool alone = p->gemm || p->first;
    struct node in = {.op = OP_INPUT, .C = alone ? C : NEIGHBOUR, .H = p->H, .W = p->W, .flat = p->gemm};
    graph_init(g);
    int at = add(g, &in, "in", -1, e);
    if (at >= 0 && !alone)
        at = add_point(g, "before", at, C, e);
    if (at >= 0)
        at = add_layer(p, g, at, C, K, e);
    if (at >= 0 && !p->gemm)
        at = add_point(g, "after", at, NEIGHBOUR, e);
    g->output = at;
    return at < 0 ? at : 0;
}

static int fill(const struct graph *g, struct weights *w, struct err *e)
{
    int rc = weights_new(w, g, e);
    for (int i = 0; rc == 0 && i < g->n; i++)
        for (size_t k = 0; k < w->of[i].n_w; k++)
            w->of[i].w[k] = k % 2 ? 0.01F : -0.01F;
    return rc;
}

/* The layer's own step, or one that brings its input into another layout. */
static bool counts(const struct probe *p, const struct engine_step *s)
{
    if (strcmp(s->node, p->act ? "act" : "layer") == 0)
        return s->conv || p->gemm;
    return !s->conv && strcmp(s->node, p->gemm || p->first ? "in" : "before") == 0;
}

static int time_runs(const struct probe *p, struct engine *eng, struct engine_run *run, const float *x, float *y,
                     int64_t *steps, double *ns, struct err *e)
{
    double figure[RUNS_MOST];
    int n = 0, rc = 0;
    int64_t begin = clock_mono_ns();
    for (int i = -2; rc == 0 && i < RUNS_MOST; i++) { /* two to warm up */
        memset(steps, 0, (size_t)engine_steps(eng) * sizeof *steps);
        rc = engine_forward_timed(run, x, y, steps, e);
        if (i < 0)
            continue;
        figure[n] = 0;
        for (int s = 0; s < engine_steps(eng); s++) {
            struct engine_step step = engine_step(eng, s);
            if (counts(p, &step))
                figure[n] += (double)steps[s];
        }
        n++;
        if (n >= RUNS_LEAST && clock_mono_ns() - begin > MOST_NS)
            break;
    }
    if (rc == 0)
        *ns = measure_quantile(figure, n, 0.25);
    return rc;
}

int probe_time(const struct probe *p, int in, int out, int batch, enum dtype type, double *ns, struct err *e)
{
    struct model m = {0};
    struct engine *eng = NULL;
    struct engine_run *run = NULL;
    float *x = NULL, *y = NULL;
    int64_t *steps = NULL;
    int rc = build(p, in, out, &m.graph, e);
    if (rc == 0)
        rc = fill(&m.graph, &m.weights, e);
    if (rc == 0)
        rc = measure_images(&m.graph, batch, &x, e);
    if (rc == 0)
        rc = engine_new(&eng, &m.graph, &m.weights, batch, ENGINE_INFER, type, NULL, 0, e);
    if (rc == 0)
        rc = engine_run_new(&run, eng, e);
    if (rc == 0) {
        const struct node *o = &m.graph.nodes[m.graph.output];
        y = mem_alloc((size_t)batch * (size_t)o->C * (size_t)o->H * (size_t)o->W, sizeof *y);
        steps = mem_alloc((size_t)engine_steps(eng) + 1, sizeof *steps);
        rc = y && steps ? time_runs(p, eng, run, x, y, steps, ns, e)
                        : err_set(e, ERR_NOMEM, "no memory to time a layer");
    }
    engine_run_free(run);
    engine_free(eng);
    mem_free(steps);
    mem_free(x);
    mem_free(y);
    model_release(&m);
    return rc < 0 ? err_wrap(e, "timing %s of %d to %d channels", p->gemm ? "a Gemm" : "a convolution", in, out)
                  : 0;
}
