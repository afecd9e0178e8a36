/*
 * simd - SIMD_CLONES before a function compiles it once more for the wider vectors; the right one is picked when
 * the program starts.
 */
#ifndef WORKER_ENGINE_SIMD_H
#define WORKER_ENGINE_SIMD_H

/* ThreadSanitizer isn't up yet when the choice is made. */
#if defined(__x86_64__) && !defined(__SANITIZE_THREAD__) && (!defined(__clang__) || __clang_major__ >= 14)
#define SIMD_CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SIMD_CLONES
#endif

#endif
