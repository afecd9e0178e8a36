/*
 * adam - Kingma and Ba, 2015, algorithm 1, in the form that PyTorch computes:
 *   m = b1 m + (1 - b1) g     v = b2 v + (1 - b2) g^2
 *   p = p - rate / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 * with b1 0.9, b2 0.999, eps 1e-8.
 */
#ifndef COORDINATOR_POLICY_ADAM_H
#define COORDINATOR_POLICY_ADAM_H

#include <stddef.h>
#include <stdint.h>

struct adam {
    size_t n;
    double rate;
    uint64_t t;   /* steps taken */
    float *m, *v; /* (n) */
};

void adam_init(struct adam *a, size_t n, double rate);
void adam_release(struct adam *a);

/* One step on p (n) along the gradient g (n); target (n) then follows p: target += tau (p - target). One pass over
 * all of them, which is what the time goes into. */
void adam_step(struct adam *a, float *p, const float *g, float *target, float tau);

#endif
