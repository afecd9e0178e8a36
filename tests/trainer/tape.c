#include "tests/trainer/tape.h"

#include <math.h>
#include <string.h>

#include "common/base/mem.h"

static size_t floats_of(const struct tape *t, int i)
{
    const struct node *d = &t->g->nodes[i];
    return (size_t)d->C * (size_t)t->N * (size_t)d->H * (size_t)d->W;
}

static int check_node(const struct graph *g, int i, struct err *e)
{
    const struct node *d = &g->nodes[i];
    const struct layer *l = &tape_layers[d->op];
    bool fine = l->forward && (!l->trainable || l->trainable(g, d));
    for (int j = 0; j < d->n_in; j++)
        fine =
            fine && (d->in[j] > 0 || d->op == OP_CONV); /* the input has no gradient, which a conv alone allows */
    return fine ? 0 : err_set(e, ERR_UNSUPPORTED, "%s \"%s\" can't be trained", op_name(d->op), d->name);
}

static size_t scratch_of(const struct graph *g, int N)
{
    size_t most = 0;
    for (int i = 1; i < g->n; i++) {
        size_t n = g->nodes[i].op == OP_CONV ? conv_scratch(g, i, N) : 0;
        most = n > most ? n : most;
    }
    return most;
}

static bool add_arrays(struct tape *t, int i)
{
    size_t n = floats_of(t, i), C = (size_t)t->g->nodes[i].C;
    bool bn = t->g->nodes[i].op == OP_BN;
    return (t->value[i] = mem_alloc(n, sizeof(float))) && (i == 0 || (t->grad[i] = mem_alloc(n, sizeof(float)))) &&
           (!bn || ((t->mean[i] = mem_alloc(C, sizeof(float))) && (t->var[i] = mem_alloc(C, sizeof(float)))));
}

static bool add_tables(struct tape *t)
{
    size_t n = (size_t)t->g->n;
    return (t->value = mem_zalloc(n, sizeof(float *))) && (t->grad = mem_zalloc(n, sizeof(float *))) &&
           (t->mean = mem_zalloc(n, sizeof(float *))) && (t->var = mem_zalloc(n, sizeof(float *))) &&
           (t->scratch = mem_alloc(scratch_of(t->g, t->N), sizeof(float)));
}

int tape_init(struct tape *t, const struct graph *g, int N, struct err *e)
{
    *t = (struct tape){.g = g, .N = N};
    for (int i = 1; i < g->n; i++)
        if (check_node(g, i, e) < 0)
            return e->code;
    bool whole = add_tables(t);
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

void tape_forward(struct tape *t, const struct weights *w)
{
    for (int i = 1; i < t->g->n; i++)
        tape_layers[t->g->nodes[i].op].forward(t, i, &w->of[i]);
}

double tape_loss(struct tape *t, const int *label, float scale, int *correct)
{
    const float *y = t->value[t->g->output];
    float *dy = t->grad[t->g->output];
    int K = t->g->nodes[t->g->output].C, N = t->N;
    double loss = 0;
    *correct = 0;
    for (int n = 0; n < N; n++, y++, dy++) {
        int best = 0;
        double sum = 0;
        for (int k = 1; k < K; k++)
            best = y[k * N] > y[best * N] ? k : best;
        double top = y[best * N];
        for (int k = 0; k < K; k++)
            sum += exp(y[k * N] - top);
        loss += log(sum) + top - y[label[n] * N];
        *correct += best == label[n];
        for (int k = 0; k < K; k++)
            dy[k * N] = scale * (float)(exp(y[k * N] - top) / sum - (k == label[n])) / (float)N;
    }
    return loss / N;
}

void tape_backward(struct tape *t, const struct weights *w, struct weights *dw)
{
    for (int i = 1; i < t->g->n; i++)
        if (i != t->g->output)
            memset(t->grad[i], 0, floats_of(t, i) * sizeof(float));
    for (int i = t->g->n - 1; i > 0; i--)
        tape_layers[t->g->nodes[i].op].backward(t, i, &w->of[i], &dw->of[i]);
}
