#include "worker/compress/gram.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "worker/compress/work.h"

#define CHUNK_FLOATS ((size_t)48 << 20) /* patches held at once, all layers together */

/* One layer's patches of the present chunk. */
struct patches {
    int per_image; /* rows an image gives */
    float *x;      /* (groups, chunk images * per_image, n) */
    double *sum;   /* (groups, n), over all chunks, of what lies above the pivot */
};

struct measuring {
    struct gram_list *grams;
    const struct graph *g;
    const struct scored_set *set;
    struct engine *eng;
    struct engine_run **run; /* one a thread */
    float **input, **value;  /* one a thread: a batch of images; a tapped value */
    float **logits;          /* likewise; nobody looks at them */
    struct patches *patches; /* one a layer */
    int batch;               /* images of a forward pass */
    uint64_t seed;
    int first, images, chunk; /* of the present chunk: first image, how many; images a full chunk has */
};

static size_t floats_of(const struct node *n)
{
    return (size_t)n->C * (size_t)n->H * (size_t)n->W;
}

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
    int at = piece * ms->batch, n = ms->images - at < ms->batch ? ms->images - at : ms->batch, index[COMPRESS_BATCH];
    const struct graph *g = ms->g;
    struct rng rng[COMPRESS_BATCH];
    for (int b = 0; b < ms->batch; b++) { /* a short batch is filled up with its last image */
        int image = ms->first + at + (b < n ? b : n - 1);
        index[b] = ms->set->index ? ms->set->index[image] : image;
        rng_init(&rng[b], ms->seed, "gram", (uint64_t)image);
    }
    int rc = dataset_fill(ms->set->data, index, ms->batch, ms->set->mean, ms->set->std, ms->input[thread], e);
    if (rc == 0)
        rc = engine_forward(ms->run[thread], ms->input[thread], ms->logits[thread], e);
    for (int i = 0, tapped = -1; rc == 0 && i < ms->grams->n; i++) {
        int in = g->nodes[ms->grams->of[i].node].in[0];
        if (in != tapped && (rc = engine_tap(ms->run[thread], in, ms->value[thread], e)) < 0)
            break;
        tapped = in;
        for (int b = 0; b < n; b++)
            collect(ms, i, ms->value[thread] + (size_t)b * floats_of(&g->nodes[in]), at + b, &rng[b]);
    }
    return rc;
}

/* The first batch's column means, which everything is measured from: sums of squares of numbers far from 0 would
 * lose the variance. */
static void find_pivot(const float *x, size_t rows, size_t n, float *pivot)
{
    for (size_t c = 0; c < n; c++) {
        double sum = 0;
        for (size_t r = 0; r < rows; r++)
            sum += (double)x[r * n + c];
        pivot[c] = (float)(sum / (double)rows);
    }
}

static void centre(float *restrict x, size_t rows, size_t n, const float *restrict pivot, double *restrict sum)
{
    for (size_t r = 0; r < rows; r++, x += n) {
#pragma omp simd
        for (size_t c = 0; c < n; c++) {
            x[c] -= pivot[c];
            sum[c] += (double)x[c];
        }
    }
}

/* Adds the chunk's patches of one layer to its sums, batch by batch: how large a chunk is makes no difference. */
static int add_chunk(void *arg, int i, int thread, struct err *e)
{
    struct measuring *ms = arg;
    struct gram *gr = &ms->grams->of[i];
    struct patches *pt = &ms->patches[i];
    size_t per = (size_t)pt->per_image, n = (size_t)gr->n, stride = (size_t)ms->chunk * per * n;
    for (int at = 0; at < ms->images; at += ms->batch) {
        size_t rows = (size_t)(ms->images - at < ms->batch ? ms->images - at : ms->batch) * per;
        for (int cg = 0; cg < gr->groups; cg++) {
            size_t first = (size_t)cg * n;
            float *x = pt->x + (size_t)cg * stride + (size_t)at * per * n;
            if (ms->first == 0 && at == 0)
                find_pivot(x, rows, n, gr->mean + first);
            centre(x, rows, n, gr->mean + first, pt->sum + first);
            cblas_ssyrk(CblasRowMajor, CblasUpper, CblasTrans, gr->n, (int)rows, 1, x, gr->n, 1,
                        gr->cov + first * n, gr->n);
        }
    }
    (void)thread;
    (void)e;
    return 0;
}

/* Sums about the pivot (in gr->mean) to mean and covariance, both triangles. */
static void finish(struct gram *gr, double *sum, double rows)
{
    size_t n = (size_t)gr->n;
    for (int cg = 0; cg < gr->groups; cg++) {
        float *cov = gr->cov + (size_t)cg * n * n, *mean = gr->mean + (size_t)cg * n;
        double *off = sum + (size_t)cg * n; /* mean less pivot */
        for (size_t i = 0; i < n; i++) {
            off[i] /= rows;
            mean[i] = (float)((double)mean[i] + off[i]);
        }
        for (size_t i = 0; i < n; i++)
            for (size_t j = i; j < n; j++)
                cov[i * n + j] = cov[j * n + i] = (float)((double)cov[i * n + j] / rows - off[i] * off[j]);
    }
}

static void find_batch(struct measuring *ms)
{
    int n = ms->grams->n, *taps = xcalloc((size_t)n, sizeof(int));
    for (int i = 0; i < n; i++)
        taps[i] = ms->g->nodes[ms->grams->of[i].node].in[0];
    ms->batch = compress_batch(ms->g, taps, n);
    free(taps);
}

/* How many rows an image gives to each layer, and how many images a chunk has. */
static void plan_chunk(struct measuring *ms, int threads)
{
    int per = (GRAM_ROWS + ms->set->n - 1) / ms->set->n;
    size_t floats = 0; /* of all layers' patches of one image */
    for (int i = 0; i < ms->grams->n; i++) {
        const struct gram *gr = &ms->grams->of[i];
        const struct node *n = &ms->g->nodes[gr->node];
        int positions = n->H * n->W;
        ms->patches[i].per_image = positions < per ? positions : per; /* gemm: its one */
        floats += (size_t)gr->n * (size_t)gr->groups * (size_t)ms->patches[i].per_image;
    }
    size_t batch = (size_t)ms->batch, batches = CHUNK_FLOATS / (floats * batch + 1),
           all = ((size_t)ms->set->n + batch - 1) / batch;
    batches = batches < (size_t)threads ? (size_t)threads : batches;
    ms->chunk = (int)(batches < all ? batches : all) * ms->batch;
}

static int patches_new(struct measuring *ms, struct err *e)
{
    for (int i = 0; i < ms->grams->n; i++) {
        struct patches *pt = &ms->patches[i];
        size_t cols = (size_t)ms->grams->of[i].n * (size_t)ms->grams->of[i].groups;
        pt->x = mem_alloc(cols * (size_t)pt->per_image, (size_t)ms->chunk * sizeof(float));
        pt->sum = mem_zalloc(cols, sizeof(double));
        if (!pt->x || !pt->sum)
            return err_set(e, ERR_NOMEM, "no memory for patches of %d images that \"%s\" reads", ms->chunk,
                           ms->g->nodes[ms->grams->of[i].node].name);
    }
    return 0;
}

static int runs_new(struct measuring *ms, const struct weights *w, int threads, struct err *e)
{
    const struct graph *g = ms->g;
    int n = ms->grams->n, *taps = xcalloc((size_t)n, sizeof(int));
    size_t largest = 0; /* tapped value */
    for (int i = 0; i < n; i++) {
        taps[i] = g->nodes[ms->grams->of[i].node].in[0];
        size_t size = floats_of(&g->nodes[taps[i]]);
        largest = size > largest ? size : largest;
    }
    int rc = engine_new(&ms->eng, g, w, ms->batch, ENGINE_INFER, DTYPE_F32, taps, n, e);
    free(taps);
    for (int t = 0; rc == 0 && t < threads; t++) {
        ms->input[t] = mem_alloc(floats_of(&g->nodes[0]), (size_t)ms->batch * sizeof(float));
        ms->value[t] = mem_alloc(largest, (size_t)ms->batch * sizeof(float));
        ms->logits[t] = mem_alloc(floats_of(&g->nodes[g->output]), (size_t)ms->batch * sizeof(float));
        rc = ms->input[t] && ms->value[t] && ms->logits[t]
                 ? engine_run_new(&ms->run[t], ms->eng, e)
                 : err_set(e, ERR_NOMEM, "no memory for a batch of %d images", ms->batch);
    }
    return rc;
}

static int measuring_new(struct measuring *ms, const struct weights *w, int threads, struct err *e)
{
    ms->patches = xcalloc((size_t)ms->grams->n, sizeof(*ms->patches));
    ms->run = xcalloc((size_t)threads, sizeof(*ms->run));
    ms->input = xcalloc((size_t)threads, sizeof(*ms->input));
    ms->value = xcalloc((size_t)threads, sizeof(*ms->value));
    ms->logits = xcalloc((size_t)threads, sizeof(*ms->logits));
    find_batch(ms);
    plan_chunk(ms, threads);
    int rc = patches_new(ms, e);
    return rc == 0 ? runs_new(ms, w, threads, e) : rc;
}

static void measuring_release(struct measuring *ms, int threads)
{
    for (int t = 0; t < threads; t++) {
        engine_run_free(ms->run[t]);
        mem_free(ms->input[t]);
        mem_free(ms->value[t]);
        mem_free(ms->logits[t]);
    }
    for (int i = 0; i < ms->grams->n; i++) {
        mem_free(ms->patches[i].x);
        mem_free(ms->patches[i].sum);
    }
    engine_free(ms->eng);
    free(ms->run);
    free(ms->input);
    free(ms->value);
    free(ms->logits);
    free(ms->patches);
}

int gram_measure(struct gram_list *l, struct pool *pool, const struct model *m, const struct scored_set *set,
                 uint64_t seed, int (*progress)(void *arg, int done, int total), void *arg, struct err *e)
{
    if (l->n == 0)
        return 0;
    if (set->n < 1)
        return err_set(e, ERR_INVALID, "no images to measure Gram matrices with");
    struct measuring ms = {.grams = l, .g = &m->graph, .set = set, .seed = seed};
    int rc = measuring_new(&ms, &m->weights, pool_threads(pool), e);
    for (; rc == 0 && ms.first < set->n; ms.first += ms.images) {
        ms.images = set->n - ms.first < ms.chunk ? set->n - ms.first : ms.chunk;
        rc = pool_run(pool, (ms.images + ms.batch - 1) / ms.batch, run_batch, &ms, e);
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
