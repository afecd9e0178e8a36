/*
 * wide - WIDE before a function that loops over many floats: it is compiled once more for the wider vectors, and
 * the loader picks what the CPU has. ISO C's mode keeps products and sums unfused, so element-wise loops give the
 * same numbers on all of them.
 */
#ifndef COMMON_BASE_WIDE_H
#define COMMON_BASE_WIDE_H

/* ThreadSanitizer isn't up yet when the choice is made. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && (!defined(__clang__) || __clang_major__ >= 14)
#define WIDE __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define WIDE
#endif

#endif
