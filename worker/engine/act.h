/*
 * act - the clamp at the end of a step: ReLU is [0, inf], Clip its own bounds, nothing [-inf, inf].
 */
#ifndef WORKER_ENGINE_ACT_H
#define WORKER_ENGINE_ACT_H

#include <math.h>
#include <stdbool.h>

struct act {
    float lo, hi;
};

#define ACT_NONE ((struct act){.lo = -INFINITY, .hi = INFINITY})
#define ACT_RELU ((struct act){.lo = 0, .hi = INFINITY})

static inline bool act_any(struct act a)
{
    return a.lo > -INFINITY || a.hi < INFINITY;
}

static inline bool act_relu(struct act a)
{
    return a.lo == 0 && isinf(a.hi) && a.hi > 0;
}

#endif
