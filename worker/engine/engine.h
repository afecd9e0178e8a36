/*
 * engine - graph + weights -> numbers, for a fixed batch size, on oneDNN (hidden behind engine/dnnl.{h,c}).
 *
 * An engine is compiled once (primitives, weights in the kernels' own layouts, a plan of where each activation
 * lives) and is then read-only: several threads run it side by side, each with an engine_run of its own that holds
 * activations and scratch. Primitives are made for one thread; parallelism is over batches (see pool.h), so numbers
 * are the same with any number of threads. A forward pass allocates nothing (oneDNN itself keeps the argument table
 * of each primitive on the heap while it runs).
 *
 * N batch, C,H,W as in graph.h. Images and taps are plain (N,C,H,W) fp32 at the edges; blocked layouts in between.
 *
 * BF16: activations and the kernels' weights are bf16, channels last; sums, biases, norms, means over pixels and
 * what a Gemm gives (the logits) are fp32. ERR_UNSUPPORTED on a CPU without such kernels.
 */
#ifndef WORKER_ENGINE_ENGINE_H
#define WORKER_ENGINE_ENGINE_H

#include "common/model/weights.h"
#include "worker/engine/layout.h"

enum engine_mode {
    ENGINE_INFER, /* BN folded into the conv before it, ReLU/Clip and residual sums fused as post-ops */
    ENGINE_BATCH  /* every BN normalises with the statistics of the batch (biased variance) and reports them */
};

struct engine;
struct engine_run;

/*
 * taps: nodes whose values can be read after a forward pass (they are kept apart from what is reused). In INFER
 * mode a tapped value is what the graph says at that node: fusion stops there. The graph and weights are only read
 * here and may go afterwards.
 */
MUST_CHECK int engine_new(struct engine **eng, const struct graph *g, const struct weights *w, int batch,
                          enum engine_mode mode, enum dtype type, const int *taps, int n_taps, struct err *e);
void engine_free(struct engine *eng);
int engine_batch(const struct engine *eng);
size_t engine_bytes(const struct engine *eng);     /* weights and primitives' own memory */
size_t engine_run_bytes(const struct engine *eng); /* activations and scratch of one run */

MUST_CHECK int engine_run_new(struct engine_run **run, struct engine *eng, struct err *e);
void engine_run_free(struct engine_run *run);

/* y (N,K) = network(x), x (N,C,H,W), all N = engine_batch images. */
MUST_CHECK int engine_forward(struct engine_run *run, const float *x, float *y, struct err *e);

/* The value of tapped node `node` from the last forward pass, copied as plain (N,C,H,W). */
MUST_CHECK int engine_tap(struct engine_run *run, int node, float *out, struct err *e);

/* BATCH mode: mean and biased variance (C) of OP_BN node `node`'s input in the last forward pass; borrowed until
 * the next one. */
void engine_stats(const struct engine_run *run, int node, const float **mean, const float **var);

/* A batch size that suits the caches for INFER (activations of one run stay near the core). */
int engine_best_batch(const struct graph *g);

/*
 * Where the time goes: a forward pass is engine_steps steps, one after the other.
 */
struct engine_step {
    const char *node;   /* whose value it makes, borrowed */
    const char *kernel; /* what runs, borrowed */
    bool conv;          /* a convolution primitive of oneDNN */
};
int engine_steps(const struct engine *eng);
struct engine_step engine_step(const struct engine *eng, int i);

/* As engine_forward, and adds each step's nanoseconds to ns (engine_steps). */
MUST_CHECK int engine_forward_timed(struct engine_run *run, const float *x, float *y, int64_t *ns, struct err *e);

/* "oneDNN 2.6.3 avx512_core_amx" or the like, static text. */
const char *engine_describe(void);

#endif
