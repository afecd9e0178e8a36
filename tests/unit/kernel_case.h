/*
 * kernel_case - what tests of kernels share: arrays in any layout from plain numbers and back, a kernel run twice
 * on them, and the distance from what was expected.
 */
#ifndef TESTS_UNIT_KERNEL_CASE_H
#define TESTS_UNIT_KERNEL_CASE_H

#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/unit/types.h"
#include "worker/engine/bf16.h"
#include "worker/engine/kernel.h"

static inline void must(int rc, const struct err *e)
{
    ck_assert_msg(rc == 0, "%s", rc < 0 ? e->text : "");
}

/* A tensor of a kernel: plain fp32 numbers, and the same in the layout of the kernel. */
struct array {
    struct layout l;
    float *plain; /* (N,C,H,W) */
    void *data;
};

static inline size_t place_of(const struct layout *l, int n, int c, int p)
{
    return layout_panel(l, n, c / l->lanes) + (size_t)p * (size_t)l->lanes + (size_t)(c % l->lanes);
}

static inline float rounded(float v, enum dtype type)
{
    return type == DTYPE_BF16 ? bf16_value(bf16_of(v)) : v;
}

static inline size_t array_count(const struct layout *l)
{
    return (size_t)l->N * (size_t)l->C * (size_t)l->H * (size_t)l->W;
}

static inline struct array array_new(struct layout l)
{
    struct array a = {
        .l = l, .plain = xcalloc(array_count(&l), sizeof(float)), .data = mem_zalloc(layout_bytes(&l), 1)};
    ck_assert_ptr_nonnull(a.data);
    return a;
}

/* Normal numbers, rounded to what the type holds. */
static inline struct array array_draw(struct layout l, struct rng *r)
{
    struct array a = array_new(l);
    int pixels = l.H * l.W;
    size_t i = 0;
    for (int n = 0; n < l.N; n++)
        for (int c = 0; c < l.C; c++)
            for (int p = 0; p < pixels; p++, i++) {
                a.plain[i] = rounded((float)rng_normal(r), l.type);
                element_store(a.data, place_of(&l, n, c, p), a.plain[i], l.type);
            }
    return a;
}

/* From the kernel's layout into `plain`; what pads the channels must be zero. */
static inline void array_read(struct array *a)
{
    int pixels = a->l.H * a->l.W, padded = layout_panels(&a->l) * a->l.lanes;
    size_t i = 0;
    for (int n = 0; n < a->l.N; n++)
        for (int c = 0; c < padded; c++)
            for (int p = 0; p < pixels; p++) {
                float v = element_load(a->data, place_of(&a->l, n, c, p), a->l.type);
                if (c < a->l.C)
                    a->plain[i++] = v;
                else
                    ck_assert_msg(v == 0, "padding holds %g", (double)v);
            }
}

static inline void array_free(struct array *a)
{
    free(a->plain);
    mem_free(a->data);
}

/* Largest difference, as a share of the largest number expected. */
static inline double distance(const float *got, const double *want, size_t n)
{
    double off = 0, most = 1e-30;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)got[i] - want[i]);
        off = d > off || isnan(d) ? d : off;
        most = fmax(most, fabs(want[i]));
    }
    return off / most;
}

static inline void draw(float *p, size_t n, struct rng *r, enum dtype type)
{
    for (size_t i = 0; i < n; i++)
        p[i] = rounded((float)rng_normal(r), type);
}

static inline void *room(const struct kernel *k, enum tensor t)
{
    void *p = mem_zalloc(kernel_bytes(k, t) + 1, 1);
    ck_assert_ptr_nonnull(p);
    return p;
}

/* Twice with one call: results are overwritten, not added to. */
static inline void run_twice(const struct kernel *k, void *const at[TENSORS])
{
    struct err e;
    struct kernel_call *c;
    must(kernel_call_new(&c, k, at, &e), &e);
    must(kernel_call_run(c, &e), &e);
    must(kernel_call_run(c, &e), &e);
    kernel_call_free(c);
}

/* Plain fp32 weights to the order of k's TENSOR_W, or back. */
static inline void pack(struct backend *be, const struct kernel *k, bool to_plain, void *from, void *to)
{
    struct err e;
    struct kernel *reorder;
    must(kernel_pack(&reorder, be, k, to_plain, &e), &e);
    void *scratch = room(reorder, TENSOR_SCRATCH);
    run_twice(reorder, (void *[TENSORS]){[TENSOR_X] = from, [TENSOR_Y] = to, [TENSOR_SCRATCH] = scratch});
    mem_free(scratch);
    kernel_free(reorder);
}

#endif
