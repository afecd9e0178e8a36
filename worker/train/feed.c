/*
 * A ring of slots between one thread that fills them and one that reads them. The reader has at most one slot, the
 * one that it was given last; all others are the filler's to work ahead in.
 */
#include "worker/train/feed.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/base/rng.h"

#define SLOTS  3
#define WAIT_S 600 /* a batch takes milliseconds */

struct slot {
    float *x;
    int *labels, *images;
    bool *flipped;
};

struct feed {
    /* fixed */
    struct scored_set set;
    struct augment augment;
    int batch, per_epoch;
    uint64_t seed;
    size_t image; /* floats */
    pthread_t thread;
    bool started;
    struct pool *pool; /* of picture files' decoding; NULL: the thread does it alone */
    struct slot slots[SLOTS];
    /* the thread's own */
    int epoch, step;
    int *order; /* (set.n) of this epoch */
    /* under `lock` */
    pthread_mutex_t lock;
    pthread_cond_t filled, freed;
    int ready; /* slots filled and not let go, the reader's included */
    int read;  /* the reader's slot, or the next one for it */
    bool held; /* the reader has it */
    bool stop;
    int failure; /* 0, or why there are no more batches */
    struct err failed;
};

static void shuffle(struct feed *f)
{
    struct rng r;
    rng_init(&r, f->seed, "shuffle", (uint64_t)f->epoch);
    for (int i = 0; i < f->set.n; i++)
        f->order[i] = i;
    rng_shuffle(&r, f->order, (size_t)f->set.n);
}

struct filling {
    const struct feed *f;
    struct slot *s;
};

static int fill_one(void *arg, int i, int thread, struct err *e)
{
    const struct filling *fill = arg;
    const struct feed *f = fill->f;
    const struct scored_set *set = &f->set;
    struct slot *s = fill->s;
    int at = f->step * f->batch + i, image = f->order[at], index = set->index ? set->index[image] : image;
    (void)thread;
    s->images[i] = image;
    s->labels[i] = dataset_label(set->data, index);
    return augment_image(&f->augment, set->data, index, set->mean, set->std, f->seed, f->epoch, at,
                         s->x + (size_t)i * f->image, &s->flipped[i], e);
}

static int fill(const struct feed *f, struct slot *s, struct err *e)
{
    struct filling filling = {f, s};
    int rc = 0;
    if (f->pool)
        return pool_run(f->pool, f->batch, fill_one, &filling, e);
    for (int i = 0; i < f->batch && rc == 0; i++)
        rc = fill_one(&filling, i, 0, e);
    return rc;
}

static void advance(struct feed *f)
{
    if (++f->step < f->per_epoch)
        return;
    f->step = 0;
    f->epoch++;
    shuffle(f);
}

/* Waits for a slot to fill; false when there is nothing more to do. */
static bool slot_wait(struct feed *f)
{
    pthread_mutex_lock(&f->lock);
    while (!f->stop && f->ready == SLOTS)
        pthread_cond_wait(&f->freed, &f->lock);
    bool go_on = !f->stop;
    pthread_mutex_unlock(&f->lock);
    return go_on;
}

static void *serve(void *arg)
{
    struct feed *f = arg;
    shuffle(f);
    int rc = 0;
    for (int next = 0; rc == 0 && slot_wait(f); next = (next + 1) % SLOTS) {
        struct err e;
        rc = fill(f, &f->slots[next], &e);
        pthread_mutex_lock(&f->lock);
        if (rc < 0) {
            f->failure = rc;
            f->failed = e;
        } else {
            f->ready++;
        }
        pthread_cond_signal(&f->filled);
        pthread_mutex_unlock(&f->lock);
        advance(f);
    }
    return NULL;
}

static int slots_new(struct feed *f, struct err *e)
{
    size_t n = (size_t)f->batch;
    bool whole = (f->order = mem_alloc((size_t)f->set.n, sizeof(*f->order))) != NULL;
    for (int i = 0; i < SLOTS; i++) {
        struct slot *s = &f->slots[i];
        s->x = mem_alloc(n, f->image * sizeof(*s->x));
        s->labels = mem_alloc(n, sizeof(*s->labels));
        s->images = mem_alloc(n, sizeof(*s->images));
        s->flipped = mem_alloc(n, sizeof(*s->flipped));
        whole = whole && s->x && s->labels && s->images && s->flipped;
    }
    return whole ? 0 : err_set(e, ERR_NOMEM, "no memory for %d batches of %d images", SLOTS, f->batch);
}

static int start(struct feed *f, struct err *e)
{
    int failure = pthread_create(&f->thread, NULL, serve, f);
    if (failure)
        return err_set(e, ERR_NOMEM, "could not start the thread that feeds images: %s", strerror(failure));
    f->started = true;
    return 0;
}

int feed_new(struct feed **out, const struct scored_set *set, const struct augment *a, int batch, uint64_t seed,
             int epoch, int step, int threads, struct err *e)
{
    if (batch < 1 || set->n < batch)
        return err_set(e, ERR_INVALID, "a batch of %d is more than the %d images to train on", batch, set->n);
    struct feed *f = xcalloc(1, sizeof(*f));
    f->set = *set;
    f->augment = *a;
    f->batch = batch;
    f->per_epoch = set->n / batch;
    f->seed = seed;
    f->epoch = epoch + step / f->per_epoch;
    f->step = step % f->per_epoch;
    f->image = (size_t)set->data->C * (size_t)set->data->H * (size_t)set->data->W;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&f->filled, &attr);
    pthread_condattr_destroy(&attr);
    pthread_cond_init(&f->freed, NULL);
    pthread_mutex_init(&f->lock, NULL);
    int rc = slots_new(f, e);
    if (rc == 0 && set->data->pictures)
        rc = pool_new(&f->pool, threads, e);
    if (rc == 0)
        rc = start(f, e);
    if (rc < 0) {
        feed_free(f);
        return rc;
    }
    *out = f;
    return 0;
}

void feed_free(struct feed *f)
{
    if (!f)
        return;
    if (f->started) {
        pthread_mutex_lock(&f->lock);
        f->stop = true;
        pthread_cond_signal(&f->freed);
        pthread_mutex_unlock(&f->lock);
        pthread_join(f->thread, NULL);
    }
    pool_free(f->pool);
    pthread_mutex_destroy(&f->lock);
    pthread_cond_destroy(&f->filled);
    pthread_cond_destroy(&f->freed);
    for (int i = 0; i < SLOTS; i++) {
        mem_free(f->slots[i].x);
        mem_free(f->slots[i].labels);
        mem_free(f->slots[i].images);
        mem_free(f->slots[i].flipped);
    }
    mem_free(f->order);
    free(f);
}

static void let_go(struct feed *f)
{
    if (!f->held)
        return;
    f->held = false;
    f->read = (f->read + 1) % SLOTS;
    f->ready--;
    pthread_cond_signal(&f->freed);
}

int feed_next(struct feed *f, struct feed_batch *b, struct err *e)
{
    struct timespec until;
    int rc = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += WAIT_S;
    pthread_mutex_lock(&f->lock);
    let_go(f);
    while (f->ready == 0 && !f->failure && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&f->filled, &f->lock, &until);
    f->held = f->ready > 0;
    const struct slot *s = &f->slots[f->read];
    int failure = f->held ? 0 : f->failure;
    if (failure)
        *e = f->failed;
    pthread_mutex_unlock(&f->lock);
    if (failure)
        return failure;
    if (!f->held)
        return err_set(e, ERR_TIMEOUT, "no batch of images was ready within %d s", WAIT_S);
    *b = (struct feed_batch){.x = s->x, .labels = s->labels, .images = s->images, .flipped = s->flipped};
    return 0;
}
