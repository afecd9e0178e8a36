/*
 * fuse - which nodes become one step. A unit begins with the node that does the work (head) and takes along what
 * follows it, as long as nobody else reads the value in between and it isn't tapped:
 *
 *   INFER   ([Pad] Conv | Gemm) BN* [Add] Act    BN [Add] Act    Add Act    Slice [Pad]    Act
 *   BATCH   ([Pad] Conv | Gemm) [Add] Act        likewise
 *
 *   Act = Relu | Clip, any number of them, or one of the curves: Sigmoid, Tanh, HardSigmoid, HardSwish, LeakyRelu, Elu,
 *         x * Sigmoid(x), x * HardSigmoid(x); PRelu, too, but not behind a Conv or Gemm
 *
 * Units are in the order of their tails, so whatever a unit reads has been computed. Nodes that neither the output
 * nor a tap depends on are in no unit, but for the BNs of BATCH mode, whose statistics may be asked for.
 */
#ifndef WORKER_ENGINE_FUSE_H
#define WORKER_ENGINE_FUSE_H

#include "worker/engine/act.h"
#include "worker/engine/engine.h"

#define FUSE_BNS 4

struct unit {
    int lead;       /* a Pad of pixels that becomes the conv's padding, or -1 */
    int head, tail; /* nodes; the unit gives the tail's value */
    int n_bn;
    int bn[FUSE_BNS]; /* folded into the head, in order */
    int add;          /* the Add's other operand, or -1 */
    int pad;          /* the Pad after a Slice, or -1 */
    int slopes;       /* the PRelu whose slopes are act's, or -1 */
    struct act act;
};

struct units {
    int n;
    struct unit *of; /* (n) */
    int *reads;      /* (nodes of the graph): units that read the node's value; +1 for the output, +1 for a tap */
};

/* tapped: one bool a node. */
MUST_CHECK int units_find(struct units *us, const struct graph *g, enum engine_mode mode, const bool *tapped,
                          struct err *e);
void units_release(struct units *us);

/* The node whose value the head reads as input k. */
int unit_input(const struct graph *g, const struct unit *u, int k);

#endif
