/*
 * Time of one DDPG update on a batch that is there: critic step, actor step, both soft updates; 300-300, batch 64,
 * 10 state features, 1 action. Prints the best of several rounds in microseconds and the kernels that OpenBLAS
 * chose.
 */
#include <cblas.h>
#include <stdio.h>

#include "common/base/clock.h"
#include "coordinator/policy/agent.h"

enum { S = 10, ROUNDS = 10, UPDATES = 50 };

static void fill(struct batch *b, struct rng *r)
{
    for (int n = 0; n < AGENT_BATCH; n++) {
        for (int i = 0; i < S; i++) {
            b->s[n * S + i] = (float)rng_uniform(r);
            b->s2[n * S + i] = (float)rng_uniform(r);
        }
        b->a[n] = (float)rng_uniform(r);
        b->r[n] = (float)rng_normal(r);
        b->going[n] = n % 10 != 0;
    }
}

int main(void)
{
    struct rng r;
    struct batch b;
    rng_init(&r, 1, "bench", 0);
    struct agent *a = agent_new(S, 0, &r);
    batch_init(&b, S);
    fill(&b, &r);
    int64_t best = INT64_MAX;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t start = clock_mono_ns();
        for (int k = 0; k < UPDATES; k++)
            agent_update(a, &b);
        int64_t ns = (clock_mono_ns() - start) / UPDATES;
        best = ns < best ? ns : best;
    }
    printf("%.1f %s\n", (double)best / 1e3, openblas_get_corename());
    batch_release(&b);
    agent_free(a);
    return 0;
}
