/*
 * precision - what a recipe's precision is to the engine.
 */
#ifndef WORKER_TRAIN_PRECISION_H
#define WORKER_TRAIN_PRECISION_H

#include "proto/training.h"
#include "worker/engine/layout.h"

static inline enum dtype precision_dtype(enum precision p)
{
    return p == PRECISION_BF16 ? DTYPE_BF16 : DTYPE_F32;
}

#endif
