#include "coordinator/policy/agent.h"

#include <cblas.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/policy/adam.h"
#include "coordinator/policy/network.h"
#include "common/base/wide.h"

#define RATE_ACTOR  1e-4
#define RATE_CRITIC 1e-3
#define TAU         0.01f

struct agent {
    int S;
    float pull;
    struct network actor, critic, actor_target, critic_target;
    struct adam actor_adam, critic_adam;
    struct trace actor_trace, critic_trace;
    float *grad;             /* (parameters of the critic, the larger one) */
    float *sa;               /* (N,S+1): what the critic reads */
    float *y, *q, *act, *dy; /* (N) */
};

static float *floats(size_t a, size_t b)
{
    float *p = mem_zalloc(a * b, sizeof *p);
    if (!p)
        BUG("no memory for %zu x %zu floats", a, b);
    return p;
}

void batch_init(struct batch *b, int S)
{
    size_t s = (size_t)S;
    *b = (struct batch){.s = floats(AGENT_BATCH, s), .s2 = floats(AGENT_BATCH, s)};
    b->a = floats(AGENT_BATCH, 1);
    b->r = floats(AGENT_BATCH, 1);
    b->going = floats(AGENT_BATCH, 1);
}

void batch_release(struct batch *b)
{
    mem_free(b->s);
    mem_free(b->s2);
    mem_free(b->a);
    mem_free(b->r);
    mem_free(b->going);
    *b = (struct batch){0};
}

struct agent *agent_new(int S, double pull, struct rng *r)
{
    openblas_set_num_threads(
        1); /* the sums of two threads differ from those of one, and are slower at these sizes */
    struct agent *a = xcalloc(1, sizeof *a);
    a->S = S;
    a->pull = (float)pull;
    network_init(&a->actor, S, AGENT_HIDDEN);
    network_init(&a->actor_target, S, AGENT_HIDDEN);
    network_init(&a->critic, S + 1, AGENT_HIDDEN);
    network_init(&a->critic_target, S + 1, AGENT_HIDDEN);
    network_draw(&a->actor, r);
    network_draw(&a->critic, r);
    memcpy(a->actor_target.p, a->actor.p, a->actor.n * sizeof *a->actor.p);
    memcpy(a->critic_target.p, a->critic.p, a->critic.n * sizeof *a->critic.p);
    adam_init(&a->actor_adam, a->actor.n, RATE_ACTOR);
    adam_init(&a->critic_adam, a->critic.n, RATE_CRITIC);
    trace_init(&a->actor_trace, AGENT_BATCH, S, AGENT_HIDDEN);
    trace_init(&a->critic_trace, AGENT_BATCH, S + 1, AGENT_HIDDEN);
    a->grad = floats(a->critic.n, 1);
    a->sa = floats(AGENT_BATCH, (size_t)S + 1);
    a->y = floats(AGENT_BATCH, 1);
    a->q = floats(AGENT_BATCH, 1);
    a->act = floats(AGENT_BATCH, 1);
    a->dy = floats(AGENT_BATCH, 1);
    return a;
}

void agent_free(struct agent *a)
{
    if (!a)
        return;
    network_release(&a->actor);
    network_release(&a->actor_target);
    network_release(&a->critic);
    network_release(&a->critic_target);
    adam_release(&a->actor_adam);
    adam_release(&a->critic_adam);
    trace_release(&a->actor_trace);
    trace_release(&a->critic_trace);
    mem_free(a->grad);
    mem_free(a->sa);
    mem_free(a->y);
    mem_free(a->q);
    mem_free(a->act);
    mem_free(a->dy);
    free(a);
}

static void actor_forward(struct agent *a, const struct network *net, float *act, const float *s, int N)
{
    network_forward(net, act, s, N, &a->actor_trace);
    for (int n = 0; n < N; n++)
        act[n] = 1 / (1 + expf(-act[n]));
}

/* What the critic reads: states and actions side by side. */
static void join(struct agent *a, const float *s, const float *act, int N)
{
    size_t S = (size_t)a->S;
    for (int n = 0; n < N; n++) {
        float *sa_n = a->sa + (size_t)n * (S + 1);
        memcpy(sa_n, s + (size_t)n * S, S * sizeof *s);
        sa_n[S] = act[n];
    }
}

static void critic_forward(struct agent *a, const struct network *net, float *q, const float *s, const float *act,
                           int N)
{
    join(a, s, act, N);
    network_forward(net, q, a->sa, N, &a->critic_trace);
}

void agent_act(struct agent *a, float *act, const float *s, int N)
{
    for (int n = 0; n < N; n += AGENT_BATCH)
        actor_forward(a, &a->actor, act + n, s + (size_t)n * (size_t)a->S,
                      N - n < AGENT_BATCH ? N - n : AGENT_BATCH);
}

void agent_value(struct agent *a, float *q, const float *s, const float *act, int N)
{
    for (int n = 0; n < N; n += AGENT_BATCH)
        critic_forward(a, &a->critic, q + n, s + (size_t)n * (size_t)a->S, act + n,
                       N - n < AGENT_BATCH ? N - n : AGENT_BATCH);
}

/* Towards y = r + Q'(s', mu'(s')): the loss is the mean of (Q - y)^2. */
static double critic_step(struct agent *a, const struct batch *b)
{
    const int N = AGENT_BATCH;
    double loss = 0;
    actor_forward(a, &a->actor_target, a->act, b->s2, N);
    critic_forward(a, &a->critic_target, a->y, b->s2, a->act, N);
    critic_forward(a, &a->critic, a->q, b->s, b->a, N);
    for (int n = 0; n < N; n++) {
        float miss = a->q[n] - (b->r[n] + b->going[n] * a->y[n]);
        a->dy[n] = 2 * miss / N;
        loss += (double)miss * miss / N;
    }
    network_backward(&a->critic, a->grad, a->dy, a->sa, N, &a->critic_trace);
    adam_step(&a->critic_adam, a->critic.p, a->grad, a->critic_target.p, TAU);
    return loss;
}

/* Up the critic's slope at the actor's own actions: the loss is the mean of -Q(s, mu(s)) + pull (mu(s) - 1/2)^2. */
static void actor_step(struct agent *a, const struct batch *b)
{
    const int N = AGENT_BATCH;
    actor_forward(a, &a->actor, a->act, b->s, N);
    join(a, b->s, a->act, N);
    network_slope(&a->critic, a->q, a->sa, N, &a->critic_trace);
    for (int n = 0; n < N; n++) {
        float dl_da = (2 * a->pull * (a->act[n] - 0.5f) - a->q[n]) / N;
        a->dy[n] = dl_da * a->act[n] * (1 - a->act[n]); /* through the sigmoid */
    }
    network_backward(&a->actor, a->grad, a->dy, b->s, N, &a->actor_trace);
    adam_step(&a->actor_adam, a->actor.p, a->grad, a->actor_target.p, TAU);
}

double agent_update(struct agent *a, const struct batch *b)
{
    double loss = critic_step(a, b);
    actor_step(a, b);
    return loss;
}

static void save_adam(const struct adam *m, struct writer *w)
{
    write_u64(w, m->t);
    write_floats(w, m->m, m->n);
    write_floats(w, m->v, m->n);
}

static void restore_adam(struct adam *m, struct reader *r)
{
    m->t = read_u64(r);
    read_floats(r, m->m, m->n);
    read_floats(r, m->v, m->n);
}

void agent_save(const struct agent *a, struct writer *w)
{
    const struct network *nets[] = {&a->actor, &a->critic, &a->actor_target, &a->critic_target};
    write_u64(w, (uint64_t)a->S);
    for (int i = 0; i < 4; i++)
        write_floats(w, nets[i]->p, nets[i]->n);
    save_adam(&a->actor_adam, w);
    save_adam(&a->critic_adam, w);
}

void agent_restore(struct agent *a, struct reader *r)
{
    struct network *nets[] = {&a->actor, &a->critic, &a->actor_target, &a->critic_target};
    read_same(r, (uint64_t)a->S, "number of state features");
    for (int i = 0; i < 4; i++)
        read_floats(r, nets[i]->p, nets[i]->n);
    restore_adam(&a->actor_adam, r);
    restore_adam(&a->critic_adam, r);
}
