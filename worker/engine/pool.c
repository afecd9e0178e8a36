#include "worker/engine/pool.h"

#include <cblas.h>
#include <omp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

struct worker {
    struct pool *pool;
    int index;
    pthread_t thread;
};

/* All that changes is under `lock`. A round is one pool_run. */
struct pool {
    int threads;
    struct worker *workers; /* (threads - 1): the caller is thread 0 */
    pthread_mutex_t lock;
    pthread_cond_t begin, end;
    bool stop;
    unsigned round;
    int busy; /* threads that are in the present round, the caller apart */
    int pieces, next;
    int (*fn)(void *arg, int piece, int thread, struct err *e);
    void *arg;
    int failed; /* lowest piece that failed, or `pieces` */
    int rc;     /* its error */
    struct err err;
};

/*
 * Pieces are begun in order, so when piece k has failed all before it have been begun, and nothing after it need
 * be: the lowest failure is known when all threads are done.
 */
static void work(struct pool *p, int thread)
{
    struct err e;
    pthread_mutex_lock(&p->lock);
    while (p->next < p->pieces && p->failed == p->pieces) {
        int piece = p->next++;
        pthread_mutex_unlock(&p->lock);
        int rc = p->fn(p->arg, piece, thread, &e);
        pthread_mutex_lock(&p->lock);
        if (rc < 0 && piece < p->failed) {
            p->failed = piece;
            p->rc = rc;
            p->err = e;
        }
    }
    pthread_mutex_unlock(&p->lock);
}

static void *serve(void *arg)
{
    struct worker *w = arg;
    struct pool *p = w->pool;
    unsigned seen = 0;
    omp_set_num_threads(1);
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (!p->stop && p->round == seen)
            pthread_cond_wait(&p->begin, &p->lock);
        if (p->stop)
            break;
        seen = p->round;
        pthread_mutex_unlock(&p->lock);
        work(p, w->index);
        pthread_mutex_lock(&p->lock);
        if (--p->busy == 0)
            pthread_cond_signal(&p->end);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int pool_new(struct pool **out, int threads, struct err *e)
{
    if (threads < 1 || threads > 1024)
        return err_set(e, ERR_INVALID, "a pool of %d threads isn't between 1 and 1024", threads);
    struct pool *p = xcalloc(1, sizeof *p);
    p->threads = 1;
    p->workers = xcalloc((size_t)threads, sizeof *p->workers);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->begin, NULL);
    pthread_cond_init(&p->end, NULL);
    omp_set_num_threads(1);      /* counts for this thread alone; each of ours says it again */
    openblas_set_num_threads(1); /* counts for the process */
    for (int i = 1; i < threads; i++) {
        struct worker *w = &p->workers[i - 1];
        *w = (struct worker){.pool = p, .index = i};
        int failure = pthread_create(&w->thread, NULL, serve, w);
        if (failure) {
            pool_free(p);
            return err_set(e, ERR_NOMEM, "could not start thread %d of %d: %s", i + 1, threads, strerror(failure));
        }
        p->threads++;
    }
    *out = p;
    return 0;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->threads - 1; i++)
        pthread_join(p->workers[i].thread, NULL);
    pthread_cond_destroy(&p->end);
    pthread_cond_destroy(&p->begin);
    pthread_mutex_destroy(&p->lock);
    free(p->workers);
    free(p);
}

int pool_threads(const struct pool *p)
{
    return p->threads;
}

int pool_run(struct pool *p, int pieces, int (*fn)(void *arg, int piece, int thread, struct err *e), void *arg,
             struct err *e)
{
    pthread_mutex_lock(&p->lock);
    p->pieces = p->failed = pieces;
    p->next = 0;
    p->fn = fn;
    p->arg = arg;
    p->busy = p->threads - 1;
    p->round++;
    pthread_cond_broadcast(&p->begin);
    pthread_mutex_unlock(&p->lock);
    work(p, 0);
    pthread_mutex_lock(&p->lock);
    while (p->busy > 0)
        pthread_cond_wait(&p->end, &p->lock);
    int rc = 0;
    if (p->failed < pieces) {
        *e = p->err;
        rc = p->rc;
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}
