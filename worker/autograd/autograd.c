#include "worker/autograd/autograd.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "worker/autograd/tape.h"

/* Numbers in a part's largest value: small enough that some of them stay near the core, large enough that a
 * kernel's call is worth its while (Winograd's most of all: half the size costs 8% of a ResNet-56's fp32 step). */
#define PART_NUMBERS ((int64_t)768 << 10)
#define MOST_PARTS   16

struct autograd {
    struct program program;
    struct pool *pool;
    bool *trained; /* (nodes) the output depends on its weights */
    int nodes;
    bool forward_done;
    int64_t total_ns;
};

/* Images in a part: a divisor of the batch; of those that make 2 ... MOST_PARTS parts, the one nearest below the
 * size that is aimed at, or the smallest. */
static int images_of(const struct graph *g, int batch)
{
    int64_t largest = 1;
    int best = batch;
    for (int i = 0; i < g->n; i++) {
        int64_t numbers = (int64_t)g->nodes[i].C * g->nodes[i].H * g->nodes[i].W;
        largest = numbers > largest ? numbers : largest;
    }
    for (int parts = 2; parts <= MOST_PARTS && parts <= batch; parts++) {
        if (batch % parts)
            continue;
        if (best == batch || best * largest > PART_NUMBERS)
            best = batch / parts;
    }
    return best;
}

static void note_trained(struct autograd *ag)
{
    const struct program *p = &ag->program;
    ag->trained = xcalloc((size_t)ag->nodes, sizeof *ag->trained);
    for (int i = 0; i < p->n_norms; i++)
        ag->trained[p->norms[i]->node] = true;
    for (int i = 0; i < p->n_params; i++)
        ag->trained[p->params[i]->node] = true;
    for (int i = 0; i < p->n_slopes; i++)
        ag->trained[p->slopes[i]->node] = true;
}

int autograd_new(struct autograd **out, const struct graph *g, int batch, enum dtype type, struct pool *pool,
                 struct err *e)
{
    if (batch < 1)
        return err_set(e, ERR_INVALID, "a batch of %d images can't be trained on", batch);
    struct autograd *ag = xcalloc(1, sizeof *ag);
    int threads = dnnl_one_thread();
    struct program *p = &ag->program;
    ag->pool = pool;
    ag->nodes = g->n;
    p->batch = batch;
    p->images = images_of(g, batch);
    p->parts = batch / p->images;
    int rc = backend_new(&p->be, e);
    if (rc == 0)
        rc = backend_require(p->be, type, e);
    if (rc == 0)
        rc = tape_record(p, g, type, e);
    if (rc == 0)
        rc = program_finish(p, pool, e);
    dnnl_threads_restore(threads);
    if (rc < 0) {
        autograd_free(ag);
        return rc;
    }
    note_trained(ag);
    *out = ag;
    return 0;
}

void autograd_free(struct autograd *ag)
{
    if (!ag)
        return;
    program_release(&ag->program);
    free(ag->trained);
    free(ag);
}

int autograd_parts(const struct autograd *ag)
{
    return ag->program.parts;
}

size_t autograd_bytes(const struct autograd *ag)
{
    return program_bytes(&ag->program);
}

/* ---- weights ---- */

struct transfer {
    struct autograd *ag;
    const struct weights *from;
    struct weights *to;
};

static int load_piece(void *arg, int piece, int thread, struct err *e)
{
    const struct transfer *t = arg;
    struct param *p = t->ag->program.params[piece];
    (void)thread;
    return param_load(p, &t->from->of[p->node], e);
}

static int collect_piece(void *arg, int piece, int thread, struct err *e)
{
    const struct transfer *t = arg;
    struct param *p = t->ag->program.params[piece];
    (void)thread;
    return param_collect(p, &t->to->of[p->node], e);
}

int autograd_load(struct autograd *ag, const struct weights *w, struct err *e)
{
    struct transfer t = {.ag = ag, .from = w};
    int64_t begin = clock_mono_ns();
    for (int i = 0; i < ag->program.n_norms; i++) {
        struct norm *n = ag->program.norms[i];
        const struct params *p = &w->of[n->node];
        memcpy(n->scale, p->w, p->n_w * sizeof *p->w);
        if (p->b)
            memcpy(n->shift, p->b, p->n_b * sizeof *p->b);
    }
    for (int i = 0; i < ag->program.n_slopes; i++) {
        struct slopes *s = ag->program.slopes[i];
        memcpy(s->slope, w->of[s->node].w, (size_t)s->C * sizeof *s->slope);
    }
    int rc = pool_run(ag->pool, ag->program.n_params, load_piece, &t, e);
    ag->total_ns += clock_mono_ns() - begin;
    ag->forward_done = false;
    return rc;
}

/* ---- passes ---- */

int autograd_forward(struct autograd *ag, const float *x, float *logits, struct err *e)
{
    struct program_io io = {.x = x, .logits = logits};
    int64_t begin = clock_mono_ns();
    int rc = program_run(&ag->program, 0, ag->program.forward, &io, e);
    ag->total_ns += clock_mono_ns() - begin;
    ag->forward_done = rc == 0;
    return rc;
}

static void collect_norm(const struct norm *n, struct params *grad)
{
    size_t bytes = (size_t)n->flat.C * sizeof(float);
    memcpy(grad->w, n->d_scale, bytes);
    if (grad->b)
        memcpy(grad->b, n->d_shift, bytes);
    memcpy(grad->mean, n->batch_mean, bytes);
    memcpy(grad->var, n->batch_var, bytes);
}

/* Nothing comes to weights that the output doesn't depend on; running statistics of such a BN go to 0 and 1. */
static void clear_untrained(const struct autograd *ag, struct weights *grad)
{
    for (int i = 0; i < ag->nodes; i++) {
        struct params *p = &grad->of[i];
        if (ag->trained[i] || !p->w)
            continue;
        memset(p->w, 0, p->n_w * sizeof *p->w);
        if (p->b)
            memset(p->b, 0, p->n_b * sizeof *p->b);
        for (size_t c = 0; p->mean && c < p->n_b; c++) {
            p->mean[c] = 0;
            p->var[c] = 1;
        }
    }
}

int autograd_backward(struct autograd *ag, const float *dlogits, struct weights *grad, struct err *e)
{
    struct program *p = &ag->program;
    struct program_io io = {.dlogits = dlogits};
    struct transfer t = {.ag = ag, .to = grad};
    int64_t begin = clock_mono_ns();
    if (!ag->forward_done)
        return err_set(e, ERR_STATE, "a backward pass needs a forward pass before it");
    int rc = program_run(p, p->forward, p->n, &io, e);
    if (rc == 0)
        rc = pool_run(ag->pool, p->n_params, collect_piece, &t, e);
    for (int i = 0; rc == 0 && i < p->n_norms; i++)
        collect_norm(p->norms[i], &grad->of[p->norms[i]->node]);
    for (int i = 0; rc == 0 && i < p->n_slopes; i++) {
        slopes_join(p->slopes[i]);
        memcpy(grad->of[p->slopes[i]->node].w, p->slopes[i]->grad, (size_t)p->slopes[i]->C * sizeof(float));
    }
    clear_untrained(ag, grad);
    ag->total_ns += clock_mono_ns() - begin;
    ag->forward_done = false;
    return rc;
}

void autograd_timing(struct autograd *ag, bool on, int64_t *total_ns, int64_t *conv_ns)
{
    ag->program.timing = on;
    *total_ns = ag->total_ns * team_size(ag->program.team);
    *conv_ns = program_conv_ns(&ag->program);
    ag->total_ns = 0;
}
