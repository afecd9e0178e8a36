#include "worker/autograd/team.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "common/base/mem.h"

#define SPINS     4000 /* some tens of microseconds: most waits are shorter */
#define LONGEST_S 600  /* the slowest layer of a part takes seconds */

struct team {
    struct pool *pool;
    int size;
    atomic_uint round;
    atomic_int arrived;
    atomic_bool failed;
    pthread_mutex_t lock; /* of what follows, and of waiting for round and failed */
    pthread_cond_t turned;
    int rc;
    struct err err;
    int (*fn)(void *arg, int rank, struct err *e);
    void *arg;
};

int team_new(struct team **out, struct pool *pool, int most, struct err *e)
{
    struct team *t = xcalloc(1, sizeof *t);
    pthread_condattr_t attr;
    (void)e;
    t->pool = pool;
    t->size = pool_threads(pool) < most ? pool_threads(pool) : most;
    pthread_mutex_init(&t->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&t->turned, &attr);
    pthread_condattr_destroy(&attr);
    *out = t;
    return 0;
}

void team_free(struct team *t)
{
    if (!t)
        return;
    pthread_cond_destroy(&t->turned);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int team_size(const struct team *t)
{
    return t->size;
}

static void fail(struct team *t, int rc, const struct err *e)
{
    pthread_mutex_lock(&t->lock);
    if (!atomic_load(&t->failed)) {
        t->rc = rc;
        t->err = *e;
        atomic_store(&t->failed, true);
    }
    pthread_cond_broadcast(&t->turned);
    pthread_mutex_unlock(&t->lock);
}

/* A piece is a rank: whoever takes it stays with it until it ends. */
static int member(void *arg, int piece, int thread, struct err *e)
{
    struct team *t = arg;
    (void)thread;
    int rc = t->fn(t->arg, piece, e);
    if (rc < 0)
        fail(t, rc, e);
    return rc;
}

int team_run(struct team *t, int (*fn)(void *arg, int rank, struct err *e), void *arg, struct err *e)
{
    t->fn = fn;
    t->arg = arg;
    atomic_store(&t->arrived, 0);
    atomic_store(&t->failed, false);
    int rc = pool_run(t->pool, t->size, member, t, e);
    if (rc < 0) {
        *e = t->err;
        rc = t->rc;
    }
    return rc;
}

static bool over(struct team *t, unsigned round)
{
    return atomic_load(&t->round) != round || atomic_load(&t->failed);
}

/* The last one in; the lock makes sure that nobody goes to sleep between its look and the signal. */
static void turn(struct team *t)
{
    atomic_store(&t->arrived, 0);
    pthread_mutex_lock(&t->lock);
    atomic_fetch_add(&t->round, 1);
    pthread_cond_broadcast(&t->turned);
    pthread_mutex_unlock(&t->lock);
}

static int wait_for(struct team *t, unsigned round, struct err *e)
{
    struct timespec until;
    int rc = 0;
    for (int i = 0; i < SPINS; i++) {
        if (over(t, round))
            return 0;
#ifdef __x86_64__
        __builtin_ia32_pause();
#endif
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += LONGEST_S;
    pthread_mutex_lock(&t->lock);
    while (!over(t, round) && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&t->turned, &t->lock, &until);
    pthread_mutex_unlock(&t->lock);
    if (rc == ETIMEDOUT && !over(t, round))
        return err_set(e, ERR_TIMEOUT, "a thread of %d didn't come to the barrier within %d s", t->size, LONGEST_S);
    return 0;
}

int team_meet(struct team *t, void (*once)(void *arg), void *arg, struct err *e)
{
    unsigned round = atomic_load(&t->round);
    if (atomic_fetch_add(&t->arrived, 1) + 1 == t->size) {
        once(arg);
        turn(t);
        return 0;
    }
    int rc = wait_for(t, round, e);
    if (rc == 0 && atomic_load(&t->round) == round)
        return err_set(e, ERR_CANCELLED, "another thread failed");
    return rc;
}
