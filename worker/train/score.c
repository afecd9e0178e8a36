#include "worker/train/score.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"

/* What one thread works with. */
struct seat {
    struct engine_run *run;
    float *x; /* (B,C,H,W) */
    float *y; /* (B,K) */
};

/* What one batch came to. Every batch has a tally of its own, and they are summed in order: the same sum with any
 * threads. */
struct tally {
    int top1, top5;
    double loss;
};

struct scorer {
    const struct scored_set *set;
    const int *index; /* (set->n) */
    int B, K;
    bool probabilities; /* the network ends in a softmax */
    struct engine *engine;
    struct seat *seats;
    int n_seats;
    struct tally *tallies;
    int n_batches;
    atomic_int done; /* images */
    pthread_t caller;
    int (*progress)(void *arg, int done, int total);
    void *arg;
};

/*
 * Classes that come before the label's own: greater values, and equal ones of lower index.
 * y (K), all finite.
 */
static int rank_of(const float *y, int K, int label)
{
    int before = 0;
    for (int k = 0; k < K; k++)
        before += y[k] > y[label] || (y[k] == y[label] && k < label);
    return before;
}

static bool all_finite(const float *y, int K)
{
    for (int k = 0; k < K; k++)
        if (!isfinite(y[k]))
            return false;
    return true;
}

/* -log softmax(y)[label], by log-sum-exp around the largest. */
static double cross_entropy(const float *y, int K, int label)
{
    double top = y[0], sum = 0;
    for (int k = 1; k < K; k++)
        top = y[k] > top ? y[k] : top;
    for (int k = 0; k < K; k++)
        sum += exp(y[k] - top);
    return top - y[label] + log(sum);
}

/* A probability that underflowed counts as the smallest normal float, so that the mean stays a number. */
static double log_loss(float p)
{
    const double least = 0x1p-126;
    return -log(p > least ? p : least);
}

static int tally_batch(const struct scorer *s, const int *index, int n, const float *y, struct tally *t,
                       struct err *e)
{
    for (int i = 0; i < n; i++, y += s->K) {
        int label = dataset_label(s->set->data, index[i]);
        if (!all_finite(y, s->K))
            return err_set(e, ERR_INVALID, "the network's output for image %d is not finite", index[i]);
        int before = rank_of(y, s->K, label);
        t->top1 += before < 1;
        t->top5 += before < 5;
        t->loss += s->probabilities ? log_loss(y[label]) : cross_entropy(y, s->K, label);
    }
    return 0;
}

static int report(struct scorer *s, int n, struct err *e)
{
    int done = atomic_fetch_add(&s->done, n) + n;
    if (s->progress && pthread_equal(pthread_self(), s->caller) && s->progress(s->arg, done, s->set->n) < 0)
        return err_set(e, ERR_CANCELLED, "scoring was cancelled after %d of %d images", done, s->set->n);
    return 0;
}

static int score_batch(void *arg, int piece, int thread, struct err *e)
{
    struct scorer *s = arg;
    struct seat *seat = &s->seats[thread];
    const struct dataset *d = s->set->data;
    const int *index = s->index + (size_t)piece * (size_t)s->B;
    size_t image = (size_t)d->C * (size_t)d->H * (size_t)d->W;
    int n = s->set->n - piece * s->B;
    n = n < s->B ? n : s->B;
    if (n < s->B)
        memset(seat->x + (size_t)n * image, 0, (size_t)(s->B - n) * image * sizeof(float));
    int rc = dataset_fill(d, index, n, s->set->mean, s->set->std, seat->x, e);
    if (rc == 0)
        rc = engine_forward(seat->run, seat->x, seat->y, e);
    if (rc == 0)
        rc = tally_batch(s, index, n, seat->y, &s->tallies[piece], e);
    return rc < 0 ? rc : report(s, n, e);
}

static int check_set(const struct graph *g, const struct scored_set *set, struct err *e)
{
    const struct dataset *d = set->data;
    const struct node *in = &g->nodes[0], *out = &g->nodes[g->output];
    if (set->n <= 0)
        return err_set(e, ERR_INVALID, "no images to score");
    if (in->C != d->C || in->H != d->H || in->W != d->W)
        return err_set(e, ERR_INVALID, "the network's input is %dx%dx%d, the images are %dx%dx%d", in->C, in->H,
                       in->W, d->C, d->H, d->W);
    if (out->H != 1 || out->W != 1)
        return err_set(e, ERR_INVALID, "the network's output is %dx%dx%d, expected one number a class", out->C,
                       out->H, out->W);
    if (out->C < d->n_classes)
        return err_set(e, ERR_INVALID, "the network's output has %d classes, the data set %d", out->C,
                       d->n_classes);
    return 0;
}

static int seat_init(struct seat *seat, const struct scorer *s, struct err *e)
{
    const struct dataset *d = s->set->data;
    seat->x = mem_alloc((size_t)s->B * (size_t)d->C, (size_t)d->H * (size_t)d->W * sizeof(float));
    seat->y = mem_alloc((size_t)s->B, (size_t)s->K * sizeof(float));
    if (!seat->x || !seat->y)
        return err_set(e, ERR_NOMEM, "no memory for a batch of %d images", s->B);
    return engine_run_new(&seat->run, s->engine, e);
}

static int scorer_init(struct scorer *s, const struct graph *g, const struct weights *w, enum dtype type,
                       int threads, struct err *e)
{
    s->B = engine_best_batch(g);
    s->K = g->nodes[g->output].C;
    s->probabilities = g->nodes[g->output].op == OP_SOFTMAX;
    s->caller = pthread_self();
    s->n_batches = (s->set->n - 1) / s->B + 1;
    s->tallies = mem_zalloc((size_t)s->n_batches, sizeof(*s->tallies));
    s->seats = mem_zalloc((size_t)threads, sizeof(*s->seats));
    if (!s->tallies || !s->seats)
        return err_set(e, ERR_NOMEM, "no memory to score %d images", s->set->n);
    s->n_seats = threads;
    int rc = engine_new(&s->engine, g, w, s->B, ENGINE_INFER, type, NULL, 0, e);
    for (int i = 0; i < threads && rc == 0; i++)
        rc = seat_init(&s->seats[i], s, e);
    return rc;
}

static void scorer_release(struct scorer *s)
{
    for (int i = 0; i < s->n_seats; i++) {
        engine_run_free(s->seats[i].run);
        mem_free(s->seats[i].x);
        mem_free(s->seats[i].y);
    }
    mem_free(s->seats);
    mem_free(s->tallies);
    engine_free(s->engine);
}

static void sum_up(const struct scorer *s, int64_t ns, struct score *out)
{
    *out = (struct score){.n = s->set->n};
    for (int i = 0; i < s->n_batches; i++) {
        out->top1 += s->tallies[i].top1;
        out->top5 += s->tallies[i].top5;
        out->loss += s->tallies[i].loss;
    }
    out->loss /= out->n;
    out->images_s = ns > 0 ? out->n * (double)NS_PER_S / (double)ns : 0;
}

int score_model(struct pool *pool, const struct graph *g, const struct weights *w, enum dtype type,
                const struct scored_set *set, int (*progress)(void *arg, int done, int total), void *arg,
                struct score *out, struct err *e)
{
    struct scorer s = {.set = set, .index = set->index, .progress = progress, .arg = arg};
    int *all = NULL;
    int rc = check_set(g, set, e);
    if (rc < 0)
        return rc;
    if (!set->index) {
        s.index = all = mem_alloc((size_t)set->n, sizeof(*all));
        if (!all)
            return err_set(e, ERR_NOMEM, "no memory to score %d images", set->n);
        for (int i = 0; i < set->n; i++)
            all[i] = i;
    }
    rc = scorer_init(&s, g, w, type, pool_threads(pool), e);
    if (rc == 0) {
        int64_t start_ns = clock_mono_ns();
        rc = pool_run(pool, s.n_batches, score_batch, &s, e);
        sum_up(&s, clock_mono_ns() - start_ns, out);
    }
    scorer_release(&s);
    mem_free(all);
    return rc;
}
