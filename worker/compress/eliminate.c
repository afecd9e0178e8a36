#include "worker/compress/eliminate.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/compress/scale.h"
#include "worker/compress/solve.h"

/* One layer (one conv group of it) that reads the group's channels. n columns, K outputs. */
struct reader {
    int n, K;
    double *H;   /* (n,n): inverse of the ridged covariance of the columns that are left */
    double *W;   /* (n,K): weights that make the best of them */
    double base; /* square root of the layer's output variance tr(W'GW) */
    int *first;  /* (classes + 1): where a class's columns begin in `cols` */
    int *cols;
};

static void reader_release(struct reader *r)
{
    mem_free(r->H);
    mem_free(r->W);
    free(r->first);
    free(r->cols);
}

/* Columns of each class of the group among those of conv group cg: `area` for each of its channels. */
static void find_columns(struct reader *r, const struct graph *g, const struct groups *gs, int group, int node,
                         int cg, int area)
{
    const int in = g->nodes[node].in[0], C = r->n / area, *class = gs->classes[in] + (size_t)cg * (size_t)C;
    int size = gs->of[group].n;
    r->first = xcalloc((size_t)size + 2, sizeof(int));
    r->cols = xcalloc((size_t)r->n, sizeof(int));
    for (int c = 0; c < C; c++)
        if (gs->group[class[c]] == group)
            r->first[gs->rank[class[c]] + 2] += area;
    for (int k = 0; k < size; k++)
        r->first[k + 2] += r->first[k + 1];
    for (int c = 0; c < C; c++)
        if (gs->group[class[c]] == group)
            for (int a = 0; a < area; a++)
                r->cols[r->first[gs->rank[class[c]] + 1]++] = c * area + a;
}

/* H = (G + lambda I)^-1, W and base from the dense weights (K rows of n) and the factors of their outputs (K). */
static int fill(struct reader *r, const float *cov, const float *w, const double *scale, struct err *e)
{
    size_t n = (size_t)r->n, K = (size_t)r->K;
    double trace = 0;
    for (size_t i = 0; i < n; i++)
        trace += cov[i * n + i];
    double *GW = mem_alloc(n * K, sizeof(double));
    if (!GW)
        return err_set(e, ERR_NOMEM, "no memory to eliminate channels of a layer with %d columns", r->n);
    for (size_t i = 0; i < n * n; i++)
        r->H[i] = cov[i];
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < K; k++)
            r->W[i * K + k] = scale[k] * w[k * n + i];
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, r->n, r->K, r->n, 1, r->H, r->n, r->W, r->K, 0, GW,
                r->K);
    double variance = cblas_ddot((int)(n * K), r->W, 1, GW, 1);
    r->base = variance > 0 ? sqrt(variance) : 0;
    mem_free(GW);
    for (size_t i = 0; i < n; i++)
        r->H[i * n + i] += GRAM_RIDGE * trace / (double)n + 1e-12;
    return solve_invert(r->H, r->n, e);
}

static int reader_new(struct reader *r, const struct model *m, const struct groups *gs, int group,
                      const struct gram *gr, int cg, struct err *e)
{
    const struct node *n = &m->graph.nodes[gr->node];
    int area = n->op == OP_CONV ? n->u.conv.win.R * n->u.conv.win.S : 1;
    size_t cols = (size_t)gr->n;
    r->n = gr->n;
    r->K = n->C / gr->groups;
    find_columns(r, &m->graph, gs, group, gr->node, cg, area);
    r->H = mem_alloc(cols * cols, sizeof(double));
    r->W = mem_alloc(cols * (size_t)r->K, sizeof(double));
    if (!r->H || !r->W)
        return err_set(e, ERR_NOMEM, "no memory to eliminate channels that \"%s\" reads", n->name);
    double *scale = xcalloc((size_t)n->C, sizeof(double));
    output_scale(m, gr->node, scale);
    int rc = fill(r, gr->cov + (size_t)cg * cols * cols,
                  m->weights.of[gr->node].w + (size_t)cg * (size_t)r->K * cols, scale + cg * r->K, e);
    free(scale);
    return rc;
}

static int class_columns(const struct reader *r, int k, const int **cols)
{
    *cols = r->cols + r->first[k];
    return r->first[k + 1] - r->first[k];
}

/* H_BB into bb (b,b), and `rhs` (b, K or K + n) = W_B or [W_B H_B:]. */
static void take_block(const struct reader *r, const int *cols, int b, double *bb, double *rhs, bool with_H)
{
    size_t n = (size_t)r->n, K = (size_t)r->K, width = with_H ? K + n : K;
    for (int i = 0; i < b; i++) {
        const double *H_i = r->H + (size_t)cols[i] * n;
        for (int j = 0; j < b; j++)
            bb[i * b + j] = H_i[cols[j]];
        memcpy(rhs + (size_t)i * width, r->W + (size_t)cols[i] * K, K * sizeof(double));
        if (with_H)
            memcpy(rhs + (size_t)i * width + K, H_i, n * sizeof(double));
    }
}

/* Lower Cholesky factor in place, row-major; the blocks are small. False when a pivot isn't positive. */
static bool cholesky(double *a, int n)
{
    for (int j = 0; j < n; j++) {
        double d = a[j * n + j];
        for (int k = 0; k < j; k++)
            d -= a[j * n + k] * a[j * n + k];
        if (!(d > 0))
            return false;
        a[j * n + j] = d = sqrt(d);
        for (int i = j + 1; i < n; i++) {
            double s = a[i * n + j];
            for (int k = 0; k < j; k++)
                s -= a[i * n + k] * a[j * n + k];
            a[i * n + j] = s / d;
        }
    }
    return true;
}

/* tr(W_B' H_BB^-1 W_B) / base: what leaving class k out adds to the layer's relative error. scratch: b * (b + K).
 */
static double price(const struct reader *r, int k, double *scratch)
{
    const int *cols;
    int b = class_columns(r, k, &cols);
    if (b == 0 || !(r->base > 0))
        return 0;
    double *bb = scratch, *y = scratch + (size_t)b * (size_t)b;
    take_block(r, cols, b, bb, y, false);
    if (!cholesky(bb, b))
        return 0; /* columns that are zero in effect */
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, b, r->K, 1, bb, b, y, r->K);
    return cblas_ddot(b * r->K, y, 1, y, 1) / r->base;
}

/* Leaves class k out: W and H of what is left. scratch: b * (b + K + 2n). */
static void leave_out(struct reader *r, int k, double *scratch)
{
    const int *cols;
    int b = class_columns(r, k, &cols), width = r->K + r->n;
    if (b == 0)
        return;
    double *bb = scratch, *t = bb + (size_t)b * (size_t)b, *h = t + (size_t)b * (size_t)width; /* h: H_B: (b,n) */
    take_block(r, cols, b, bb, t, true);
    if (!cholesky(bb, b))
        return;
    for (int i = 0; i < b; i++)
        memcpy(h + (size_t)i * (size_t)r->n, t + (size_t)i * (size_t)width + r->K, (size_t)r->n * sizeof(double));
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, b, width, 1, bb, b, t, width);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, b, width, 1, bb, b, t, width);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, r->n, r->K, b, -1, h, r->n, t, width, 1, r->W, r->K);
    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, r->n, r->n, b, -1, h, r->n, t + r->K, width, 1, r->H,
                r->n);
}

/* Sum over the layers that produce class k's channels of their filters' L1 norm relative to the layer's mean
 * filter. */
static void filter_norms(const struct model *m, const struct groups *gs, int group, double *norm)
{
    const struct graph *g = &m->graph;
    for (int i = 0; i < g->n; i++) {
        const struct params *p = &m->weights.of[i];
        if (g->nodes[i].op != OP_CONV && g->nodes[i].op != OP_GEMM)
            continue;
        size_t K = (size_t)g->nodes[i].C, row = p->n_w / K;
        double all = cblas_sasum((int)p->n_w, p->w, 1);
        for (size_t k = 0; all > 0 && k < K; k++) {
            int class = gs->classes[i][k];
            if (gs->group[class] == group)
                norm[gs->rank[class]] += cblas_sasum((int)row, p->w + k * row, 1) * (double)K / all;
        }
    }
}

struct elimination {
    struct reader *readers;
    int n_readers, size;
    double *norm;    /* (size) */
    double *scratch; /* for the largest block of any reader */
};

static int find_readers(struct elimination *el, const struct model *m, const struct groups *gs, int group,
                        const struct gram_list *grams, struct err *e)
{
    size_t most = 1;
    int n = 0, rc = 0;
    for (int i = 0; i < grams->n; i++)
        n += grams->of[i].groups;
    el->readers = xcalloc((size_t)n, sizeof(*el->readers));
    for (int i = 0; rc == 0 && i < grams->n; i++) {
        const struct gram *gr = &grams->of[i];
        const struct node *in = &m->graph.nodes[m->graph.nodes[gr->node].in[0]];
        bool reads = false;
        for (int c = 0; c < in->C && !reads; c++)
            reads = gs->group[gs->classes[m->graph.nodes[gr->node].in[0]][c]] == group;
        for (int cg = 0; reads && rc == 0 && cg < gr->groups; cg++) {
            struct reader *r = &el->readers[el->n_readers++];
            rc = reader_new(r, m, gs, group, gr, cg, e);
            size_t b = 0;
            for (int k = 0; rc == 0 && k < el->size; k++)
                if ((size_t)(r->first[k + 1] - r->first[k]) > b)
                    b = (size_t)(r->first[k + 1] - r->first[k]);
            size_t need = b * (b + (size_t)r->K + 2 * (size_t)r->n);
            most = need > most ? need : most;
        }
    }
    if (rc == 0 && !(el->scratch = mem_alloc(most, sizeof(double))))
        rc = err_set(e, ERR_NOMEM, "no memory to eliminate channels");
    return rc;
}

/* The class to give up next and what that costs. */
static int cheapest(const struct elimination *el, const bool *gone, enum select_kind select, double *cost)
{
    int best = -1;
    double least = INFINITY;
    for (int k = 0; k < el->size; k++) {
        double at = 0;
        if (gone[k])
            continue;
        if (select == SELECT_L1 || el->n_readers == 0)
            at = el->norm[k];
        else
            for (int i = 0; i < el->n_readers; i++)
                at += price(&el->readers[i], k, el->scratch);
        if (best < 0 || at < least) {
            best = k;
            least = at;
        }
    }
    *cost = 0;
    for (int i = 0; i < el->n_readers; i++)
        *cost += price(&el->readers[i], best, el->scratch);
    if (el->n_readers == 0)
        *cost = el->norm[best] / el->size;
    return best;
}

int eliminate(const struct model *m, const struct groups *gs, int group, const struct gram_list *grams,
              enum select_kind select, int *order, float *curve, struct err *e)
{
    struct elimination el = {.size = gs->of[group].n};
    bool *gone = xcalloc((size_t)el.size, sizeof(bool));
    el.norm = xcalloc((size_t)el.size, sizeof(double));
    filter_norms(m, gs, group, el.norm);
    int rc = find_readers(&el, m, gs, group, grams, e);
    double error = 0, cost;
    curve[el.size] = 0;
    for (int left = el.size; rc == 0 && left > 0; left--) {
        int k = cheapest(&el, gone, select, &cost);
        gone[k] = true;
        order[left - 1] = k;
        error += cost;
        curve[left - 1] = (float)error;
        for (int i = 0; left > 1 && i < el.n_readers; i++)
            leave_out(&el.readers[i], k, el.scratch);
    }
    for (int i = 0; i < el.n_readers; i++)
        reader_release(&el.readers[i]);
    free(el.readers);
    mem_free(el.scratch);
    free(el.norm);
    free(gone);
    return rc;
}
