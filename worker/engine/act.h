/*
 * act - what is done to each sum at the end of a step: a curve, then a clamp. ReLU is the clamp [0, inf], Clip its own
 * bounds, nothing [-inf, inf].
 */
#ifndef WORKER_ENGINE_ACT_H
#define WORKER_ENGINE_ACT_H

#include <math.h>
#include <stdbool.h>

enum curve {
    CURVE_NONE,
    CURVE_SLOPE,       /* v, or alpha * v where v < 0 */
    CURVE_SLOPES,      /* the same with a slope for each channel, which doesn't stand here */
    CURVE_ELU,         /* v, or alpha * (exp(v) - 1) where v < 0 */
    CURVE_SIGMOID,     /* 1 / (1 + exp(-v)) */
    CURVE_TANH,
    CURVE_HARDSIGMOID, /* clamp(alpha * v + beta, 0, 1) */
    CURVE_SWISH,       /* v / (1 + exp(-v)) */
    CURVE_HARDSWISH,   /* v * clamp(alpha * v + beta, 0, 1) */
    CURVES
};

struct act {
    float lo, hi;
    enum curve curve;
    float alpha, beta;
};

#define ACT_NONE ((struct act){.lo = -INFINITY, .hi = INFINITY})
#define ACT_RELU ((struct act){.lo = 0, .hi = INFINITY})

static inline bool act_clamps(struct act a)
{
    return a.lo > -INFINITY || a.hi < INFINITY;
}

static inline bool act_any(struct act a)
{
    return a.curve != CURVE_NONE || act_clamps(a);
}

static inline bool act_relu(struct act a)
{
    return a.lo == 0 && isinf(a.hi) && a.hi > 0;
}

/* HardSwish as it is defined: oneDNN knows no other. */
static inline bool act_usual_hardswish(struct act a)
{
    return a.curve == CURVE_HARDSWISH && fabsf(a.alpha - 1.0F / 6) < 1e-6F && a.beta == 0.5F;
}

#endif
