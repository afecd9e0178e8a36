/*
 * rng - every random draw comes from (seed, purpose, index): the same triple gives the same stream on every machine.
 * xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64.
 */
#ifndef COMMON_BASE_RNG_H
#define COMMON_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t s[4];
};

/* purpose: a short constant text such as "split" or "noise"; index: the episode, or 0. */
void rng_init(struct rng *r, uint64_t seed, const char *purpose, uint64_t index);

uint64_t rng_u64(struct rng *r);
double rng_uniform(struct rng *r);               /* [0, 1), 53 bits */
uint64_t rng_below(struct rng *r, uint64_t n);   /* 0 ... n-1 without bias; n > 0 */
double rng_normal(struct rng *r);                /* mean 0, sd 1 (polar method) */
void rng_shuffle(struct rng *r, int *x, size_t n);

#endif
