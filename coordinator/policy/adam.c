#include "coordinator/policy/adam.h"

#include <math.h>

#include "common/base/mem.h"
#include "common/base/wide.h"

void adam_init(struct adam *a, size_t n, double rate)
{
    *a = (struct adam){.n = n, .rate = rate};
    a->m = mem_zalloc(n, sizeof *a->m);
    a->v = mem_zalloc(n, sizeof *a->v);
    if (!a->m || !a->v)
        BUG("no memory for the moments of %zu parameters", n);
}

void adam_release(struct adam *a)
{
    mem_free(a->m);
    mem_free(a->v);
    *a = (struct adam){0};
}

WIDE void adam_step(struct adam *a, float *restrict p, const float *restrict g, float *restrict target, float tau)
{
    a->t++;
    double bias1 = 1 - pow(0.9, (double)a->t), bias2 = 1 - pow(0.999, (double)a->t);
    const float step = (float)(a->rate / bias1), root = (float)(1 / sqrt(bias2));
    const float b1 = 0.9f, b2 = 0.999f, c1 = (float)(1 - 0.9), c2 = (float)(1 - 0.999), eps = 1e-8f;
    float *restrict m = a->m, *restrict v = a->v;
#pragma omp simd
    for (size_t i = 0; i < a->n; i++) {
        m[i] = b1 * m[i] + c1 * g[i];
        v[i] = b2 * v[i] + c2 * g[i] * g[i];
        p[i] -= step * m[i] / (sqrtf(v[i]) * root + eps);
        target[i] += tau * (p[i] - target[i]);
    }
}
