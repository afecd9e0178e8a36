/*
 * half - reading and writing numbers that are fp32 or bf16. A loop whose `type` is a constant is compiled for that
 * type alone and vectorised.
 */
#ifndef WORKER_AUTOGRAD_HALF_H
#define WORKER_AUTOGRAD_HALF_H

#include <stdint.h>
#include <string.h>

#include "worker/engine/layout.h"

static inline float half_get(const void *p, size_t i, enum dtype type)
{
    float v;
    if (type == DTYPE_F32)
        return ((const float *)p)[i];
    uint32_t bits = (uint32_t)((const uint16_t *)p)[i] << 16;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* Rounds to nearest even; a NaN stays one. */
static inline void half_put(void *p, size_t i, float v, enum dtype type)
{
    uint32_t bits;
    if (type == DTYPE_F32) {
        ((float *)p)[i] = v;
        return;
    }
    memcpy(&bits, &v, sizeof bits);
    uint32_t rounded = bits + 0x7fff + (bits >> 16 & 1);
    bits = v != v ? bits | 0x400000 : rounded;
    ((uint16_t *)p)[i] = (uint16_t)(bits >> 16);
}

#endif
