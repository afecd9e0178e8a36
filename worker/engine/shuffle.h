/*
 * shuffle - channels as (groups, C / groups) written as (C / groups, groups), in any layout.
 */
#ifndef WORKER_ENGINE_SHUFFLE_H
#define WORKER_ENGINE_SHUFFLE_H

#include "worker/engine/layout.h"

/* y channel j * groups + i = x channel i * (C / groups) + j, or with `back` the other way; y isn't x. */
void shuffle_run(const struct layout *l, int groups, bool back, void *y, const void *x);

#endif
