#include "worker/train/teacher.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/engine/engine.h"

#define KEEP_BYTES ((size_t)1 << 30) /* logits that would take more are computed anew each time */

/* What one thread works with: `batch` images of the engine's. */
struct seat {
    struct engine_run *run;
    float *x, *y;
};

struct teacher {
    struct pool *pool;
    int batch, K;
    size_t image; /* floats */
    struct engine *engine;
    int engine_batch;
    struct seat *seats;
    int n_seats;
    float *logits; /* (batch,K) */
    int *wanted;   /* (batch): places of the batch that must be computed */
    int n_wanted;
    int images;
    float *kept; /* (2,images,K): of each image and its mirror image; NULL where none are kept */
    bool *known; /* (2,images) */
};

/* The student's view of a batch that is being computed. */
struct job {
    struct teacher *t;
    const float *x;
};

static int check_shapes(const struct graph *g, const struct graph *student, struct err *e)
{
    const struct node *in = &g->nodes[0], *out = &g->nodes[g->output];
    const struct node *want_in = &student->nodes[0], *want_out = &student->nodes[student->output];
    if (in->C != want_in->C || in->H != want_in->H || in->W != want_in->W)
        return err_set(e, ERR_INVALID, "the teacher's input is %dx%dx%d, the student's %dx%dx%d", in->C, in->H,
                       in->W, want_in->C, want_in->H, want_in->W);
    if (out->C != want_out->C || out->H != 1 || out->W != 1)
        return err_set(e, ERR_INVALID, "the teacher's output is %dx%dx%d, the student has %d classes", out->C,
                       out->H, out->W, want_out->C);
    return 0;
}

/* Without the Softmax at the end, which nobody needs then. */
static int engine_start(struct teacher *t, const struct model *m, enum dtype type, struct err *e)
{
    struct graph g;
    int rc = graph_copy(&m->graph, &g, e);
    if (rc < 0)
        return rc;
    if (g.nodes[g.output].op == OP_SOFTMAX)
        g.output = g.nodes[g.output].in[0];
    int best = engine_best_batch(&g);
    t->engine_batch = best < t->batch ? best : t->batch;
    rc = engine_new(&t->engine, &g, &m->weights, t->engine_batch, ENGINE_INFER, type, NULL, 0, e);
    graph_release(&g);
    return rc;
}

static int seats_new(struct teacher *t, struct err *e)
{
    size_t n = (size_t)t->engine_batch;
    t->n_seats = pool_threads(t->pool);
    t->seats = xcalloc((size_t)t->n_seats, sizeof(*t->seats));
    for (int i = 0; i < t->n_seats; i++) {
        struct seat *s = &t->seats[i];
        s->x = mem_zalloc(n, t->image * sizeof(*s->x)); /* a short last piece has zeros or old images after it */
        s->y = mem_alloc(n, (size_t)t->K * sizeof(*s->y));
        if (!s->x || !s->y)
            return err_set(e, ERR_NOMEM, "no memory for a batch of %d images for the teacher", t->engine_batch);
        int rc = engine_run_new(&s->run, t->engine, e);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int keep_start(struct teacher *t, struct err *e)
{
    size_t n = 2 * (size_t)t->images, row = (size_t)t->K * sizeof(float);
    if (n > KEEP_BYTES / row)
        return 0;
    t->kept = mem_alloc(n, row);
    t->known = mem_zalloc(n, sizeof(*t->known));
    if (!t->kept || !t->known)
        return err_set(e, ERR_NOMEM, "no memory for the teacher's logits of %d images", t->images);
    return 0;
}

int teacher_new(struct teacher **out, const struct model *m, const struct graph *student, int batch, int images,
                const struct augment *a, enum dtype type, struct pool *pool, struct err *e)
{
    int rc = check_shapes(&m->graph, student, e);
    if (rc < 0)
        return rc;
    const struct node *in = &m->graph.nodes[0];
    struct teacher *t = xcalloc(1, sizeof(*t));
    t->pool = pool;
    t->batch = batch;
    t->K = m->graph.nodes[m->graph.output].C;
    t->image = (size_t)in->C * (size_t)in->H * (size_t)in->W;
    t->images = images;
    t->logits = mem_alloc((size_t)batch, (size_t)t->K * sizeof(*t->logits));
    t->wanted = mem_alloc((size_t)batch, sizeof(*t->wanted));
    rc = t->logits && t->wanted ? engine_start(t, m, type, e)
                                : err_set(e, ERR_NOMEM, "no memory for the teacher's logits of %d images", batch);
    if (rc == 0)
        rc = seats_new(t, e);
    if (rc == 0 && augment_few(a))
        rc = keep_start(t, e);
    if (rc < 0) {
        teacher_free(t);
        return rc;
    }
    *out = t;
    return 0;
}

void teacher_free(struct teacher *t)
{
    if (!t)
        return;
    for (int i = 0; i < t->n_seats; i++) {
        engine_run_free(t->seats[i].run);
        mem_free(t->seats[i].x);
        mem_free(t->seats[i].y);
    }
    free(t->seats);
    engine_free(t->engine);
    mem_free(t->logits);
    mem_free(t->wanted);
    mem_free(t->kept);
    mem_free(t->known);
    free(t);
}

static bool all_finite(const float *y, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (!isfinite(y[k]))
            return false;
    return true;
}

static int compute_piece(void *arg, int piece, int thread, struct err *e)
{
    struct job *j = arg;
    struct teacher *t = j->t;
    struct seat *s = &t->seats[thread];
    size_t K = (size_t)t->K;
    const int *wanted = t->wanted + (size_t)piece * (size_t)t->engine_batch;
    int n = t->n_wanted - piece * t->engine_batch;
    n = n < t->engine_batch ? n : t->engine_batch;
    for (int i = 0; i < n; i++)
        memcpy(s->x + (size_t)i * t->image, j->x + (size_t)wanted[i] * t->image, t->image * sizeof(*s->x));
    int rc = engine_forward(s->run, s->x, s->y, e);
    if (rc < 0)
        return rc;
    if (!all_finite(s->y, (size_t)n * K))
        return err_set(e, ERR_INVALID, "the teacher's logits are not finite");
    for (int i = 0; i < n; i++)
        memcpy(t->logits + (size_t)wanted[i] * K, s->y + (size_t)i * K, K * sizeof(*s->y));
    return 0;
}

/* Where the logits of the batch's image i are kept. */
static size_t place_of(const struct teacher *t, const struct feed_batch *b, int i)
{
    return (b->flipped[i] ? (size_t)t->images : 0) + (size_t)b->images[i];
}

static void want(struct teacher *t, const struct feed_batch *b)
{
    t->n_wanted = 0;
    for (int i = 0; i < t->batch; i++) {
        if (b->images[i] < 0 || b->images[i] >= t->images)
            BUG("image %d of %d", b->images[i], t->images);
        if (!t->kept || !t->known[place_of(t, b, i)])
            t->wanted[t->n_wanted++] = i;
    }
}

/* Between the batch's logits and those that are kept. */
static void keep(struct teacher *t, const struct feed_batch *b)
{
    size_t K = (size_t)t->K;
    for (int i = 0; i < t->n_wanted; i++) {
        size_t place = place_of(t, b, t->wanted[i]);
        memcpy(t->kept + place * K, t->logits + (size_t)t->wanted[i] * K, K * sizeof(float));
        t->known[place] = true;
    }
    for (int i = 0; i < t->batch; i++)
        memcpy(t->logits + (size_t)i * K, t->kept + place_of(t, b, i) * K, K * sizeof(float));
}

int teacher_logits(struct teacher *t, const struct feed_batch *b, const float **logits, struct err *e)
{
    struct job j = {t, b->x};
    want(t, b);
    int rc = pool_run(t->pool, (t->n_wanted + t->engine_batch - 1) / t->engine_batch, compute_piece, &j, e);
    if (rc < 0)
        return rc;
    if (t->kept)
        keep(t, b);
    *logits = t->logits;
    return 0;
}
