#include "worker/engine/curve.h"

#include <stdint.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/wide.h"
#include "worker/engine/bf16.h"

/*
 * exp(v) = 2^k exp(r), r in [-ln 2 / 2, ln 2 / 2]: k by rounding, ln 2 in two parts so that r keeps its digits, exp(r) by its
 * series. Everything is arithmetic, so that loops become vectors.
 */
ALWAYS_INLINE float exp_of(float v)
{
    const float round = 12582912; /* 1.5 * 2^23: adding it leaves no room for a fraction */
    v = v < -87.3F ? -87.3F : v;
    v = v > 88 ? 88 : v;
    float shifted = v * 1.44269504F + round, k = shifted - round, r = (v - k * 0.693145752F) - k * 1.42860682e-6F, s;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits + 127) << 23; /* the lowest bits of `shifted` are k */
    memcpy(&s, &bits, sizeof s);
    float p = 1.0F / 720 + r * (1.0F / 5040);
    p = 1.0F / 120 + r * p;
    p = 1.0F / 24 + r * p;
    p = 1.0F / 6 + r * p;
    p = 0.5F + r * p;
    return s * (1 + (r + r * r * p));
}

ALWAYS_INLINE float unit(float v)
{
    v = v < 0 ? 0 : v;
    return v > 1 ? 1 : v;
}

ALWAYS_INLINE float sigmoid_of(float v)
{
    return 1 / (1 + exp_of(-v));
}

ALWAYS_INLINE float tanh_of(float v)
{
    float size = v < 0 ? -v : v, e = exp_of(-2 * size), t = (1 - e) / (1 + e);
    float small = size - size * size * size * (1.0F / 3); /* where 1 - e would cancel */
    t = size < 0.02F ? small : t;
    return v < 0 ? -t : t;
}

ALWAYS_INLINE float value(enum curve c, float alpha, float beta, float v)
{
    switch (c) {
    case CURVE_SLOPE:
    case CURVE_SLOPES:
        return v < 0 ? alpha * v : v;
    case CURVE_ELU:
        return v < 0 ? alpha * (exp_of(v) - 1) : v;
    case CURVE_SIGMOID:
        return sigmoid_of(v);
    case CURVE_TANH:
        return tanh_of(v);
    case CURVE_HARDSIGMOID:
        return unit(alpha * v + beta);
    case CURVE_SWISH:
        return v * sigmoid_of(v);
    case CURVE_HARDSWISH:
        return v * unit(alpha * v + beta);
    default:
        return v;
    }
}

ALWAYS_INLINE float derivative(enum curve c, float alpha, float beta, float v)
{
    float u = alpha * v + beta, s;
    switch (c) {
    case CURVE_SLOPE:
    case CURVE_SLOPES:
        return v > 0 ? 1 : alpha;
    case CURVE_ELU:
        return v > 0 ? 1 : alpha * exp_of(v);
    case CURVE_SIGMOID:
        s = sigmoid_of(v);
        return s * (1 - s);
    case CURVE_TANH:
        s = tanh_of(v);
        return 1 - s * s;
    case CURVE_HARDSIGMOID:
        return ((u > 0) & (u < 1)) ? alpha : 0;
    case CURVE_SWISH:
        s = sigmoid_of(v);
        return s * (1 + v * (1 - s));
    case CURVE_HARDSWISH:
        return ((u > 0) & (u < 1)) ? u + alpha * v : u > 0 ? 1 : 0;
    default:
        return 1;
    }
}

#define LOOPS(name, c)                                                                                             \
    WIDE static void name##_value(float alpha, float beta, float *v, size_t n)                                     \
    {                                                                                                              \
        _Pragma("omp simd") for (size_t i = 0; i < n; i++) v[i] = value(c, alpha, beta, v[i]);                     \
    }                                                                                                              \
    WIDE static void name##_slope(float alpha, float beta, const float *v, float *d, size_t n)                     \
    {                                                                                                              \
        _Pragma("omp simd") for (size_t i = 0; i < n; i++) d[i] = derivative(c, alpha, beta, v[i]);                \
    }

LOOPS(slope, CURVE_SLOPE)
LOOPS(elu, CURVE_ELU)
LOOPS(sigmoid, CURVE_SIGMOID)
LOOPS(tanh, CURVE_TANH)
LOOPS(hardsigmoid, CURVE_HARDSIGMOID)
LOOPS(swish, CURVE_SWISH)
LOOPS(hardswish, CURVE_HARDSWISH)

WIDE static void slopes_value(const float *slope, float *v, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        v[i] = value(CURVE_SLOPES, slope[i], 0, v[i]);
}

WIDE static void slopes_slope(const float *slope, const float *v, float *d, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        d[i] = derivative(CURVE_SLOPES, slope[i], 0, v[i]);
}

WIDE void curve_exp(float *v, size_t n)
{
#pragma omp simd
    for (size_t i = 0; i < n; i++)
        v[i] = exp_of(v[i]);
}

struct loops {
    void (*value)(float alpha, float beta, float *v, size_t n);
    void (*slope)(float alpha, float beta, const float *v, float *d, size_t n);
};

static const struct loops loops[CURVES] = {
    [CURVE_SLOPE] = {slope_value, slope_slope},
    [CURVE_ELU] = {elu_value, elu_slope},
    [CURVE_SIGMOID] = {sigmoid_value, sigmoid_slope},
    [CURVE_TANH] = {tanh_value, tanh_slope},
    [CURVE_HARDSIGMOID] = {hardsigmoid_value, hardsigmoid_slope},
    [CURVE_SWISH] = {swish_value, swish_slope},
    [CURVE_HARDSWISH] = {hardswish_value, hardswish_slope},
};

void curve_run(struct act act, const float *slope, float *v, size_t n)
{
    if (act.curve == CURVE_SLOPES)
        slopes_value(slope, v, n);
    else if (act.curve != CURVE_NONE)
        loops[act.curve].value(act.alpha, act.beta, v, n);
}

void curve_slope(struct act act, const float *slope, const float *v, float *d, size_t n)
{
    if (act.curve == CURVE_NONE)
        BUG("the derivative of no curve");
    if (act.curve == CURVE_SLOPES)
        slopes_slope(slope, v, d, n);
    else
        loops[act.curve].slope(act.alpha, act.beta, v, d, n);
}
