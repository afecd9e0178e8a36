#include "worker/compress/gram.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"

#define CHUNK_FLOATS ((size_t)48 << 20) /* patches held at once, all layers together */
#define BATCH        20                 /* images of a forward pass */

void gram_list_release(struct gram_list *l)
{
    for (int i = 0; i < l->n; i++) {
        mem_free(l->of[i].cov);
        mem_free(l->of[i].mean);
    }
    free(l->of);
    *l = (struct gram_list){0};
}

const struct gram *gram_find(const struct gram_list *l, int node)
{
    for (int i = 0; i < l->n; i++)
        if (l->of[i].node == node)
            return &l->of[i];
    return NULL;
}

static int columns(const struct graph *g, int i)
{
    const struct node *n = &g->nodes[i];
    int C = g->nodes[n->in[0]].C;
    return n->op == OP_CONV ? C / n->u.conv.groups * n->u.conv.win.R * n->u.conv.win.S : C;
}

static bool wanted(const struct graph *g, const struct groups *gs, int i)
{
    const struct node *n = &g->nodes[i];
    if (n->op != OP_CONV && n->op != OP_GEMM)
        return false;
    const struct node *in = &g->nodes[n->in[0]];
    if (n->op == OP_CONV && n->u.conv.groups > 1 && n->u.conv.groups == in->C)
        return false;
    if (columns(g, i) > GRAM_MOST)
        return false;
    for (int c = 0; c < in->C; c++)
        if (gs->group[gs->classes[n->in[0]][c]] >= 0)
            return true;
    return false;
}

int gram_list_new(struct gram_list *l, const struct graph *g, const struct groups *gs, struct err *e)
{
    *l = (struct gram_list){.of = xcalloc((size_t)g->n, sizeof(*l->of))};
    for (int i = 0; i < g->n; i++) {
        if (!wanted(g, gs, i))
            continue;
        const struct node *n = &g->nodes[i];
        struct gram *gr = &l->of[l->n++];
        gr->node = i;
        gr->groups = n->op == OP_CONV ? n->u.conv.groups : 1;
        gr->n = columns(g, i);
        size_t cols = (size_t)gr->n * (size_t)gr->groups;
        gr->cov = mem_zalloc(cols, (size_t)gr->n * sizeof(float));
        gr->mean = mem_zalloc(cols, sizeof(float));
        if (!gr->cov || !gr->mean) {
            int rc =
                err_set(e, ERR_NOMEM, "no memory for the Gram matrix of \"%s\" (%d by %d)", n->name, gr->n, gr->n);
            gram_list_release(l);
            return rc;
        }
    }
    return 0;
}

/* One layer's patches of the present chunk. */
struct patches {
    int per_image; /* rows an image gives */
    float *x;      /* (groups, chunk images * per_image, n) */
    double *sum;   /* (groups, n), over all chunks */
};

struct measuring {
    struct gram_list *grams;
    const struct graph *g;
    const struct scored_set *set;
    struct engine *eng;
    struct engine_run **run; /* one a thread */
    float **input, **value;  /* one a thread: a batch of images; a tapped value */
    float *logits;           /* (threads, BATCH, K): not looked at */
    struct patches *patches; /* one a layer */
    uint64_t seed;
    int first, images, chunk; /* of the present chunk: first image, how many; images a full chunk has */
};

/* One patch (C/groups * R * S values of conv group `cg`) around output position (p, q) of image x (C,H,W); outside
 * is zero. */
static void gather(const struct node *conv, const struct node *in, const float *x, int cg, int p, int q, float *row)
{
    const struct window *w = &conv->u.conv.win;
    int C = in->C / conv->u.conv.groups, top = p * w->stride_h - w->pad_t, left = q * w->stride_w - w->pad_l;
    for (int c = 0; c < C; c++) {
        const float *x_c = x + (size_t)(cg * C + c) * (size_t)in->H * (size_t)in->W;
        for (int r = 0; r < w->R; r++)
            for (int s = 0; s < w->S; s++) {
                int h = top + r * w->dil_h, v = left + s * w->dil_w;
                bool inside = h >= 0 && h < in->H && v >= 0 && v < in->W;
                *row++ = inside ? x_c[(size_t)h * (size_t)in->W + (size_t)v] : 0;
            }
    }
}

/* Patches of one image for layer i; x is the layer's input for that image, `at` the image's place in the chunk. */
static void collect(struct measuring *ms, int i, const float *x, int at, struct rng *rng)
{
    const struct gram *gr = &ms->grams->of[i];
    const struct node *n = &ms->g->nodes[gr->node], *in = &ms->g->nodes[n->in[0]];
    struct patches *pt = &ms->patches[i];
    size_t rows = (size_t)ms->chunk * (size_t)pt->per_image;
    for (int k = 0; k < pt->per_image; k++) {
        size_t row = (size_t)at * (size_t)pt->per_image + (size_t)k;
        if (n->op == OP_GEMM) {
            memcpy(pt->x + row * (size_t)gr->n, x, (size_t)gr->n * sizeof(float));
            continue;
        }
        int positions = n->H * n->W,
            pos = positions <= pt->per_image ? k : (int)rng_below(rng, (uint64_t)positions);
        for (int cg = 0; cg < gr->groups; cg++)
            gather(n, in, x, cg, pos / n->W, pos % n->W, pt->x + ((size_t)cg * rows + row) * (size_t)gr->n);
    }
}

/* Forward pass of one batch of the chunk, then its patches for every layer. */
static int run_batch(void *arg, int piece, int thread, struct err *e)
{
    struct measuring *ms = arg;
    int at = piece * BATCH, n = ms->images - at < BATCH ? ms->images - at : BATCH, index[BATCH];
    const struct graph *g = ms->g;
    struct rng rng[BATCH];
    for (int b = 0; b < BATCH; b++) { /* a short batch is filled up with its last image */
        int image = ms->first + at + (b < n ? b : n - 1);
        index[b] = ms->set->index ? ms->set->index[image] : image;
        rng_init(&rng[b], ms->seed, "gram", (uint64_t)image);
    }
    dataset_fill(ms->set->data, index, BATCH, ms->set->mean, ms->set->std, ms->input[thread]);
    float *y = ms->logits + (size_t)thread * BATCH * (size_t)g->nodes[g->output].C;
    int rc = engine_forward(ms->run[thread], ms->input[thread], y, e);
    for (int i = 0, tapped = -1; rc == 0 && i < ms->grams->n; i++) {
        int in = g->nodes[ms->grams->of[i].node].in[0];
        if (in != tapped && (rc = engine_tap(ms->run[thread], in, ms->value[thread], e)) < 0)
            break;
        tapped = in;
        size_t size = (size_t)g->nodes[in].C * (size_t)g->nodes[in].H * (size_t)g->nodes[in].W;
        for (int b = 0; b < n; b++)
            collect(ms, i, ms->value[thread] + (size_t)b * size, at + b, &rng[b]);
    }
    return rc;
}

/* Adds the chunk's patches of one layer to its sums. */
static int add_chunk(void *arg, int i, int thread, struct err *e)
{
    struct measuring *ms = arg;
    struct gram *gr = &ms->grams->of[i];
    struct patches *pt = &ms->patches[i];
    size_t stride = (size_t)ms->chunk * (size_t)pt->per_image, rows = (size_t)ms->images * (size_t)pt->per_image,
           n = (size_t)gr->n;
    for (int cg = 0; cg < gr->groups; cg++) {
        const float *x = pt->x + (size_t)cg * stride * n;
        cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, gr->n, (int)rows, 1, x, gr->n, 1,
                    gr->cov + (size_t)cg * n * n, gr->n);
        double *sum = pt->sum + (size_t)cg * n;
        for (size_t r = 0; r < rows; r++)
            for (size_t c = 0; c < n; c++)
                sum[c] += x[r * n + c];
    }
    (void)thread;
    (void)e;
    return 0;
}

/* Sums to mean and covariance, both triangles. */
static void finish(struct gram *gr, const double *sum, double rows)
{
    size_t n = (size_t)gr->n;
    for (int cg = 0; cg < gr->groups; cg++) {
        float *cov = gr->cov + (size_t)cg * n * n, *mean = gr->mean + (size_t)cg * n;
        for (size_t i = 0; i < n; i++)
            mean[i] = (float)(sum[(size_t)cg * n + i] / rows);
        for (size_t i = 0; i < n; i++)
            for (size_t j = i; j < n; j++)
                cov[i * n + j] = cov[j * n + i] =
                    (float)(cov[i * n + j] / rows - (double)mean[i] * (double)mean[j]);
    }
}

static int measuring_new(struct measuring *ms, struct pool *pool, const struct model *m, struct err *e)
{
    const struct graph *g = ms->g;
    int threads = pool_threads(pool), n = ms->grams->n, per = (GRAM_ROWS + ms->set->n - 1) / ms->set->n, *taps;
    size_t largest = 0, floats = 0; /* of a tapped value; of all layers' patches of one image */
    taps = xcalloc((size_t)n, sizeof(int));
    ms->patches = xcalloc((size_t)n, sizeof(*ms->patches));
    for (int i = 0; i < n; i++) {
        const struct gram *gr = &ms->grams->of[i];
        const struct node *node = &g->nodes[gr->node], *in = &g->nodes[node->in[0]];
        int positions = node->H * node->W;
        ms->patches[i].per_image = node->op == OP_GEMM ? 1 : positions < per ? positions : per;
        taps[i] = node->in[0];
        floats += (size_t)gr->n * (size_t)gr->groups * (size_t)ms->patches[i].per_image;
        size_t size = (size_t)in->C * (size_t)in->H * (size_t)in->W;
        largest = size > largest ? size : largest;
    }
    size_t batches = CHUNK_FLOATS / (floats * BATCH + 1), all = ((size_t)ms->set->n + BATCH - 1) / BATCH;
    batches = batches < (size_t)threads ? (size_t)threads : batches;
    ms->chunk = (int)(batches < all ? batches : all) * BATCH;
    bool whole = true;
    for (int i = 0; i < n; i++) {
        size_t cols = (size_t)ms->grams->of[i].n * (size_t)ms->grams->of[i].groups;
        ms->patches[i].x = mem_alloc(cols * (size_t)ms->patches[i].per_image, (size_t)ms->chunk * sizeof(float));
        ms->patches[i].sum = mem_zalloc(cols, sizeof(double));
        whole = whole && ms->patches[i].x && ms->patches[i].sum;
    }
    const struct node *in = &g->nodes[0];
    ms->run = xcalloc((size_t)threads, sizeof(*ms->run));
    ms->input = xcalloc((size_t)threads, sizeof(*ms->input));
    ms->value = xcalloc((size_t)threads, sizeof(*ms->value));
    ms->logits = mem_alloc((size_t)threads * BATCH, (size_t)g->nodes[g->output].C * sizeof(float));
    int rc = engine_new(&ms->eng, g, &m->weights, BATCH, ENGINE_INFER, taps, n, e);
    for (int t = 0; rc == 0 && t < threads; t++) {
        rc = engine_run_new(&ms->run[t], ms->eng, e);
        ms->input[t] = mem_alloc((size_t)BATCH * (size_t)in->C, (size_t)in->H * (size_t)in->W * sizeof(float));
        ms->value[t] = mem_alloc(largest * BATCH, sizeof(float));
        whole = whole && ms->input[t] && ms->value[t];
    }
    free(taps);
    if (rc == 0 && !(whole && ms->logits))
        rc = err_set(e, ERR_NOMEM, "no memory to measure Gram matrices of %d layers", n);
    return rc;
}

static void measuring_release(struct measuring *ms, int threads)
{
    for (int t = 0; t < threads; t++) {
        engine_run_free(ms->run[t]);
        mem_free(ms->input[t]);
        mem_free(ms->value[t]);
    }
    for (int i = 0; i < ms->grams->n; i++) {
        mem_free(ms->patches[i].x);
        mem_free(ms->patches[i].sum);
    }
    engine_free(ms->eng);
    mem_free(ms->logits);
    free(ms->run);
    free(ms->input);
    free(ms->value);
    free(ms->patches);
}

int gram_measure(struct gram_list *l, struct pool *pool, const struct model *m, const struct scored_set *set,
                 uint64_t seed, int (*progress)(void *arg, int done, int total), void *arg, struct err *e)
{
    if (l->n == 0)
        return 0;
    struct measuring ms = {.grams = l, .g = &m->graph, .set = set, .seed = seed};
    int rc = measuring_new(&ms, pool, m, e);
    for (; rc == 0 && ms.first < set->n; ms.first += ms.images) {
        ms.images = set->n - ms.first < ms.chunk ? set->n - ms.first : ms.chunk;
        rc = pool_run(pool, (ms.images + BATCH - 1) / BATCH, run_batch, &ms, e);
        if (rc == 0)
            rc = pool_run(pool, l->n, add_chunk, &ms, e);
        if (rc == 0 && progress && progress(arg, ms.first + ms.images, set->n) < 0)
            rc = err_set(e, ERR_CANCELLED, "cancelled");
    }
    for (int i = 0; rc == 0 && i < l->n; i++)
        finish(&l->of[i], ms.patches[i].sum, (double)set->n * ms.patches[i].per_image);
    measuring_release(&ms, pool_threads(pool));
    return rc;
}
