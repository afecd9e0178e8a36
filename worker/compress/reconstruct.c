#include "worker/compress/reconstruct.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/compress/solve.h"

struct reconstruction {
    struct model *out;
    const struct model *dense;
    const struct groups *gs;
    const bool *live;
    const struct gram_list *grams;
};

/* One conv group of one layer: S of n columns stay, K of its outputs. */
struct piece {
    const float *cov, *mean; /* (n,n), (n) */
    const float *w;          /* (all outputs of this conv group, n), dense */
    const int *S;
    int n, n_S;
    const int *rows; /* (K): which outputs stay, counted within the conv group */
    int K;
    float *w_out; /* (K, n_S) */
    float *shift; /* (K): w m - w_S m_S, what the output's mean loses */
};

static int solve_piece(struct piece *p, struct err *e)
{
    size_t n = (size_t)p->n, s = (size_t)p->n_S, K = (size_t)p->K;
    double trace = 0, *a = mem_alloc(s * s, sizeof(double)), *b = mem_alloc(s * K, sizeof(double));
    float *g = mem_alloc(s * n, sizeof(float)), *w = mem_alloc(K * n, sizeof(float)),
          *gw = mem_alloc(s * K, sizeof(float));
    int rc = 0;
    if (!a || !b || !g || !w || !gw) {
        rc = err_set(e, ERR_NOMEM, "no memory to reconstruct a layer of %d columns", p->n);
        goto out;
    }
    for (size_t i = 0; i < n; i++)
        trace += p->cov[i * n + i];
    for (size_t i = 0; i < s; i++) {
        memcpy(g + i * n, p->cov + (size_t)p->S[i] * n, n * sizeof(float));
        for (size_t j = 0; j < s; j++)
            a[i * s + j] = g[i * n + (size_t)p->S[j]];
        a[i * s + i] += GRAM_RIDGE * trace / (double)n + 1e-12;
    }
    for (size_t k = 0; k < K; k++)
        memcpy(w + k * n, p->w + (size_t)p->rows[k] * n, n * sizeof(float));
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, p->n_S, p->K, p->n, 1, g, p->n, w, p->n, 0, gw, p->K);
    for (size_t i = 0; i < s * K; i++)
        b[i] = gw[i];
    if ((rc = solve_spd(a, p->n_S, b, p->K, e)) < 0)
        goto out;
    for (size_t k = 0; k < K; k++) {
        double shift = 0;
        for (size_t i = 0; i < n; i++)
            shift += (double)w[k * n + i] * (double)p->mean[i];
        for (size_t i = 0; i < s; i++) {
            p->w_out[k * s + i] = (float)b[i * K + k];
            shift -= b[i * K + k] * (double)p->mean[p->S[i]];
        }
        p->shift[k] = (float)shift;
    }
out:
    mem_free(a);
    mem_free(b);
    mem_free(g);
    mem_free(w);
    mem_free(gw);
    return rc;
}

/* Keeps the layer's mean output: into its bias, or out of the running mean of the BN behind it. */
static int correct_mean(struct model *out, int node, const float *shift, struct err *e)
{
    struct params *p = &out->weights.of[node];
    int C = out->graph.nodes[node].C;
    struct node *n = &out->graph.nodes[node];
    for (int i = node + 1; i < out->graph.n; i++)
        if (out->graph.nodes[i].op == OP_BN && out->graph.nodes[i].in[0] == node) {
            for (int c = 0; c < C; c++)
                out->weights.of[i].mean[c] -= shift[c];
            return 0;
        }
    if (!p->b) {
        if (!(p->b = mem_zalloc((size_t)C, sizeof(float))))
            return err_set(e, ERR_NOMEM, "no memory for the bias of \"%s\"", n->name);
        p->n_b = (size_t)C;
        if (n->op == OP_CONV)
            n->u.conv.bias = true;
        else
            n->u.gemm.bias = true;
    }
    for (int c = 0; c < C; c++)
        p->b[c] += shift[c];
    return 0;
}

static int reconstruct_layer(void *arg, int index, int thread, struct err *e)
{
    struct reconstruction *rec = arg;
    const struct gram *gr = &rec->grams->of[index];
    const struct node *n = &rec->dense->graph.nodes[gr->node];
    int in = n->in[0], in_C = rec->dense->graph.nodes[in].C,
        area = n->op == OP_CONV ? n->u.conv.win.R * n->u.conv.win.S : 1;
    int *in_kept = xcalloc((size_t)in_C, sizeof(int)), *out_kept = xcalloc((size_t)n->C, sizeof(int));
    int n_in = groups_kept(rec->gs, &rec->dense->graph, in, rec->live, in_kept);
    int n_out = groups_kept(rec->gs, &rec->dense->graph, gr->node, rec->live, out_kept);
    int rc = 0, K = n_out / gr->groups, cols = n_in / gr->groups, rows_all = n->C / gr->groups;
    int *S = xcalloc((size_t)cols * (size_t)area, sizeof(int));
    float *shift = xcalloc((size_t)n_out, sizeof(float));
    struct params *out = &rec->out->weights.of[gr->node];
    (void)thread;
    for (int cg = 0; n_in < in_C && rc == 0 && cg < gr->groups; cg++) {
        for (int c = 0; c < cols; c++)
            for (int a = 0; a < area; a++)
                S[c * area + a] = (in_kept[cg * cols + c] - cg * (in_C / gr->groups)) * area + a;
        int *rows = out_kept + cg * K;
        for (int k = 0; k < K; k++)
            rows[k] -= cg * rows_all;
        struct piece p = {.cov = gr->cov + (size_t)cg * (size_t)gr->n * (size_t)gr->n,
                          .mean = gr->mean + (size_t)cg * (size_t)gr->n,
                          .w = rec->dense->weights.of[gr->node].w + (size_t)cg * (size_t)rows_all * (size_t)gr->n,
                          .S = S,
                          .n = gr->n,
                          .n_S = cols * area,
                          .rows = rows,
                          .K = K,
                          .w_out = out->w + (size_t)cg * (size_t)K * (size_t)(cols * area),
                          .shift = shift + cg * K};
        rc = solve_piece(&p, e);
    }
    if (n_in < in_C && rc == 0)
        rc = correct_mean(rec->out, gr->node, shift, e);
    if (rc < 0)
        err_wrap(e, "reconstructing \"%s\"", n->name);
    free(in_kept);
    free(out_kept);
    free(S);
    free(shift);
    return rc;
}

int reconstruct(struct model *out, const struct model *dense, const struct groups *gs, const bool *live,
                const struct gram_list *grams, struct pool *pool, struct err *e)
{
    struct reconstruction rec = {out, dense, gs, live, grams};
    return pool_run(pool, grams->n, reconstruct_layer, &rec, e);
}
