/*
 * plan - where each activation lives. Buffers are live from the first step that touches them to the last; those
 * that are never live together may share bytes of one arena.
 */
#ifndef WORKER_ENGINE_PLAN_H
#define WORKER_ENGINE_PLAN_H

#include <stdbool.h>
#include <stddef.h>

#include "common/base/err.h"

struct buffer {
    size_t bytes;
    int first, last; /* steps, both included */
    int owners;      /* values that live in it; counted by the caller */
    size_t offset;   /* bytes from the arena's beginning, once placed; a multiple of 64 */
};

struct plan {
    struct buffer *of;
    int n, cap;
    size_t bytes; /* of the arena, once placed */
};

/* A new buffer; its index, or an error. */
MUST_CHECK int plan_add(struct plan *p, size_t bytes, struct err *e);
void plan_use(struct plan *p, int buffer, int step);
void plan_keep(struct plan *p, int buffer); /* to the end: nothing may reuse it */

/* Gives every buffer its offset. */
MUST_CHECK int plan_place(struct plan *p, struct err *e);
void plan_release(struct plan *p);

#endif
