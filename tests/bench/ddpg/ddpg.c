/*
 * Time of one DDPG update, from drawing the batch to the soft updates: 300-300, batch 64, 10 state features, 1 action. Prints the best of several
 * rounds in microseconds and the kernels that OpenBLAS chose.
 */
#include <cblas.h>
#include <stdio.h>
#include <string.h>

#include "common/base/clock.h"
#include "coordinator/policy/agent.h"
#include "coordinator/policy/replay.h"

enum { S = 10, KEPT = 2000, ROUNDS = 10, UPDATES = 50 };

static void fill(struct replay *p, struct rng *r)
{
    for (int i = 0; i < KEPT; i++) {
        float s[2 * S];
        for (int k = 0; k < 2 * S; k++)
            s[k] = (float)rng_uniform(r);
        float a = (float)rng_uniform(r);
        struct transition t = {.s = s, .s2 = s + S, .lo = a, .hi = a, .r = (float)rng_normal(r), .end = i % 10 == 0};
        replay_add(p, &t);
    }
}

static void draw(const struct replay *p, struct rng *r, struct batch *b)
{
    int at[AGENT_BATCH];
    replay_draw(p, r, at, AGENT_BATCH);
    for (int n = 0; n < AGENT_BATCH; n++) {
        memcpy(b->s + n * S, p->s + at[n] * S, S * sizeof *p->s);
        memcpy(b->s2 + n * S, p->s2 + at[n] * S, S * sizeof *p->s2);
        b->a[n] = p->lo[at[n]];
        b->r[n] = p->r[at[n]];
        b->going[n] = !p->end[at[n]];
    }
}

int main(void)
{
    struct rng r;
    struct replay p;
    struct batch b;
    struct err e;
    rng_init(&r, 1, "bench", 0);
    struct agent *a = agent_new(S, 0, &r);
    batch_init(&b, S);
    if (replay_init(&p, S, KEPT, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return 1;
    }
    fill(&p, &r);
    int64_t best = INT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = clock_mono_ns();
        for (int k = 0; k < UPDATES; k++) {
            draw(&p, &r, &b);
            agent_update(a, &b);
        }
        int64_t ns = (clock_mono_ns() - start) / UPDATES;
        best = ns < best ? ns : best;
    }
    printf("%.1f %s\n", (double)best / 1e3, openblas_get_corename());
    replay_release(&p);
    batch_release(&b);
    agent_free(a);
    return 0;
}
