#include "tests/trainer/tape.h"

#include <string.h>

#include "common/base/mem.h"
#include "tests/trainer/layers.h"

/* What a layer kind does at node i. */
struct layer {
    bool (*trainable)(const struct graph *g, const struct node *d);
    void (*forward)(struct tape *t, int i, const struct params *w, bool batch);
    void (*backward)(struct tape *t, int i, const struct params *w, struct params *dw);
};

static size_t floats_of(const struct tape *t, int i)
{
    const struct node *d = &t->g->nodes[i];
    return (size_t)d->C * (size_t)t->N * (size_t)d->H * (size_t)d->W;
}

static int per_channel(const struct tape *t, int i)
{
    return t->N * t->g->nodes[i].H * t->g->nodes[i].W;
}

static bool always(const struct graph *g, const struct node *d)
{
    (void)g;
    (void)d;
    return true;
}

static struct conv conv_of(const struct graph *g, const struct node *d, int N)
{
    const struct node *x = &g->nodes[d->in[0]];
    return (struct conv){d->u.conv.win, N, x->C, x->H, x->W, d->C, d->H, d->W};
}

static bool conv_trainable(const struct graph *g, const struct node *d)
{
    (void)g;
    const struct window *v = &d->u.conv.win;
    return d->u.conv.groups == 1 && !d->u.conv.bias && v->dil_h == 1 && v->dil_w == 1;
}

static void conv_go(struct tape *t, int i, const struct params *w, bool batch)
{
    (void)batch;
    const struct node *d = &t->g->nodes[i];
    struct conv c = conv_of(t->g, d, t->N);
    conv_forward(&c, w->w, t->value[d->in[0]], t->value[i], t->scratch);
}

static void conv_back(struct tape *t, int i, const struct params *w, struct params *dw)
{
    const struct node *d = &t->g->nodes[i];
    struct conv c = conv_of(t->g, d, t->N);
    int x = d->in[0];
    conv_backward(&c, w->w, t->value[x], t->grad[i], dw->w, t->grad[x], t->scratch);
}

static void bn_go(struct tape *t, int i, const struct params *w, bool batch)
{
    const struct node *d = &t->g->nodes[i];
    const float *x = t->value[d->in[0]];
    int M = per_channel(t, i);
    if (batch)
        bn_measure(d->C, M, x, t->mean[i], t->var[i]);
    bn_forward(d->C, M, d->u.bn.eps, batch ? t->mean[i] : w->mean, batch ? t->var[i] : w->var, w->w, w->b, x,
               t->value[i]);
}

static void bn_back(struct tape *t, int i, const struct params *w, struct params *dw)
{
    const struct node *d = &t->g->nodes[i];
    int x = d->in[0];
    bn_backward(d->C, per_channel(t, i), d->u.bn.eps, t->mean[i], t->var[i], w->w, t->value[x], t->grad[i], dw->w,
                dw->b, t->grad[x]);
}

static void relu_go(struct tape *t, int i, const struct params *w, bool batch)
{
    (void)w;
    (void)batch;
    relu_forward(floats_of(t, i), t->value[t->g->nodes[i].in[0]], t->value[i]);
}

static void relu_back(struct tape *t, int i, const struct params *w, struct params *dw)
{
    (void)w;
    (void)dw;
    relu_backward(floats_of(t, i), t->value[i], t->grad[i], t->grad[t->g->nodes[i].in[0]]);
}

static bool add_trainable(const struct graph *g, const struct node *d)
{
    (void)g;
    return d->n_in == 2;
}

static void add_go(struct tape *t, int i, const struct params *w, bool batch)
{
    (void)w;
    (void)batch;
    const int *in = t->g->nodes[i].in;
    const float *a = t->value[in[0]], *b = t->value[in[1]];
    float *y = t->value[i];
    size_t n = floats_of(t, i);
#pragma omp simd
    for (size_t k = 0; k < n; k++)
        y[k] = a[k] + b[k];
}

static void add_back(struct tape *t, int i, const struct params *w, struct params *dw)
{
    (void)w;
    (void)dw;
    const float *dy = t->grad[i];
    size_t n = floats_of(t, i);
    for (int j = 0; j < 2; j++) {
        float *dx = t->grad[t->g->nodes[i].in[j]];
#pragma omp simd
        for (size_t k = 0; k < n; k++)
            dx[k] += dy[k];
    }
}

static void globalpool_go(struct tape *t, int i, const struct params *w, bool batch)
{
    (void)w;
    (void)batch;
    const struct node *d = &t->g->nodes[i], *x = &t->g->nodes[d->in[0]];
    mean_forward(d->C * t->N, x->H * x->W, t->value[d->in[0]], t->value[i]);
}

static void globalpool_back(struct tape *t, int i, const struct params *w, struct params *dw)
{
    (void)w;
    (void)dw;
    const struct node *d = &t->g->nodes[i], *x = &t->g->nodes[d->in[0]];
    mean_backward(d->C * t->N, x->H * x->W, t->grad[i], t->grad[d->in[0]]);
}

/* Of one pixel: larger pictures would have to change places, because values are channel-major. */
static bool flatten_trainable(const struct graph *g, const struct node *d)
{
    return g->nodes[d->in[0]].H == 1 && g->nodes[d->in[0]].W == 1;
}

static void flatten_go(struct tape *t, int i, const struct params *w, bool batch)
{
    (void)w;
    (void)batch;
    memcpy(t->value[i], t->value[t->g->nodes[i].in[0]], floats_of(t, i) * sizeof(float));
}

static void flatten_back(struct tape *t, int i, const struct params *w, struct params *dw)
{
    (void)w;
    (void)dw;
    float *dx = t->grad[t->g->nodes[i].in[0]];
    for (size_t k = 0; k < floats_of(t, i); k++)
        dx[k] += t->grad[i][k];
}

static bool gemm_trainable(const struct graph *g, const struct node *d)
{
    (void)g;
    return d->u.gemm.bias;
}

static void gemm_go(struct tape *t, int i, const struct params *w, bool batch)
{
    (void)batch;
    const struct node *d = &t->g->nodes[i];
    gemm_forward(d->C, t->g->nodes[d->in[0]].C, t->N, w->w, w->b, t->value[d->in[0]], t->value[i]);
}

static void gemm_back(struct tape *t, int i, const struct params *w, struct params *dw)
{
    const struct node *d = &t->g->nodes[i];
    int x = d->in[0];
    gemm_backward(d->C, t->g->nodes[x].C, t->N, w->w, t->value[x], t->grad[i], dw->w, dw->b, t->grad[x]);
}

static const struct layer layers[OP_COUNT] = {
    [OP_CONV] = {conv_trainable, conv_go, conv_back},
    [OP_BN] = {always, bn_go, bn_back},
    [OP_RELU] = {always, relu_go, relu_back},
    [OP_ADD] = {add_trainable, add_go, add_back},
    [OP_GLOBALPOOL] = {always, globalpool_go, globalpool_back},
    [OP_FLATTEN] = {flatten_trainable, flatten_go, flatten_back},
    [OP_GEMM] = {gemm_trainable, gemm_go, gemm_back},
};

static int check_node(const struct graph *g, int i, struct err *e)
{
    const struct node *d = &g->nodes[i];
    if (!layers[d->op].trainable || !layers[d->op].trainable(g, d))
        return err_set(e, ERR_UNSUPPORTED, "%s \"%s\" can't be trained", op_name(d->op), d->name);
    return 0;
}

/* Arrays of node i; false when memory is gone. */
static bool add_arrays(struct tape *t, int i)
{
    size_t n = floats_of(t, i);
    const struct node *d = &t->g->nodes[i];
    t->value[i] = mem_alloc(n, sizeof(float));
    if (i > 0)
        t->grad[i] = mem_alloc(n, sizeof(float));
    if (d->op == OP_BN) {
        t->mean[i] = mem_alloc((size_t)d->C, sizeof(float));
        t->var[i] = mem_alloc((size_t)d->C, sizeof(float));
    }
    return t->value[i] && (i == 0 || t->grad[i]) && (d->op != OP_BN || (t->mean[i] && t->var[i]));
}

static bool add_tables(struct tape *t)
{
    size_t n = (size_t)t->g->n;
    t->value = mem_zalloc(n, sizeof(float *));
    t->grad = mem_zalloc(n, sizeof(float *));
    t->mean = mem_zalloc(n, sizeof(float *));
    t->var = mem_zalloc(n, sizeof(float *));
    return t->value && t->grad && t->mean && t->var;
}

int tape_init(struct tape *t, const struct graph *g, int N, struct err *e)
{
    size_t scratch = 0;
    *t = (struct tape){.g = g, .N = N};
    for (int i = 1; i < g->n; i++) {
        int rc = check_node(g, i, e);
        if (rc < 0)
            return rc;
        if (g->nodes[i].op == OP_CONV) {
            struct conv c = conv_of(g, &g->nodes[i], N);
            scratch = conv_scratch(&c) > scratch ? conv_scratch(&c) : scratch;
        }
    }
    bool whole = add_tables(t) && (t->scratch = mem_alloc(scratch, sizeof(float)));
    for (int i = 0; i < g->n && whole; i++)
        whole = add_arrays(t, i);
    if (whole)
        return 0;
    tape_release(t);
    return err_set(e, ERR_NOMEM, "no memory to train on batches of %d", N);
}

static void free_arrays(float **of, int n)
{
    for (int i = 0; of && i < n; i++)
        mem_free(of[i]);
    mem_free(of);
}

void tape_release(struct tape *t)
{
    int n = t->g ? t->g->n : 0;
    free_arrays(t->value, n);
    free_arrays(t->grad, n);
    free_arrays(t->mean, n);
    free_arrays(t->var, n);
    mem_free(t->scratch);
    *t = (struct tape){0};
}

float *tape_input(struct tape *t)
{
    return t->value[0];
}

float *tape_output_grad(struct tape *t)
{
    return t->grad[t->g->output];
}

const float *tape_forward(struct tape *t, const struct weights *w, bool batch)
{
    for (int i = 1; i < t->g->n; i++)
        layers[t->g->nodes[i].op].forward(t, i, &w->of[i], batch);
    return t->value[t->g->output];
}

void tape_backward(struct tape *t, const struct weights *w, struct weights *dw)
{
    for (int i = 1; i < t->g->n; i++)
        if (i != t->g->output)
            memset(t->grad[i], 0, floats_of(t, i) * sizeof(float));
    for (int i = t->g->n - 1; i > 0; i--)
        layers[t->g->nodes[i].op].backward(t, i, &w->of[i], &dw->of[i]);
}
