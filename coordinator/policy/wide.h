/*
 * wide - WIDE before a function that loops over many floats: it's compiled for wide vectors too, and the loader
 * picks what the CPU has. ISO C's mode keeps products and sums unfused, so element-wise loops give the same numbers
 * on all of them.
 */
#ifndef COORDINATOR_POLICY_WIDE_H
#define COORDINATOR_POLICY_WIDE_H

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

#endif
