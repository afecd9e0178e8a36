/*
 * bf16 - the upper half of an fp32: conversions, and loops' access to arrays of either type. Computation is in
 * fp32; a value is rounded to nearest even when it is stored.
 *
 * element_load and element_store want a constant `type`, so that a loop in an always-inlined body becomes two plain
 * loops, one a type.
 */
#ifndef WORKER_ENGINE_BF16_H
#define WORKER_ENGINE_BF16_H

#include <stdint.h>
#include <string.h>

#include "worker/engine/layout.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

ALWAYS_INLINE float bf16_value(uint16_t half)
{
    uint32_t bits = (uint32_t)half << 16;
    float v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

ALWAYS_INLINE uint16_t bf16_of(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1), quiet = bits | 0x400000;
    return (uint16_t)((v != v ? quiet : rounded) >> 16); /* rounding might carry a NaN to 0 */
}

ALWAYS_INLINE float element_load(const void *p, size_t i, enum dtype type)
{
    return type == DTYPE_BF16 ? bf16_value(((const uint16_t *)p)[i]) : ((const float *)p)[i];
}

ALWAYS_INLINE void element_store(void *p, size_t i, float v, enum dtype type)
{
    if (type == DTYPE_BF16)
        ((uint16_t *)p)[i] = bf16_of(v);
    else
        ((float *)p)[i] = v;
}

#endif
