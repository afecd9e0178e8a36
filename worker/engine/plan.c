#include "worker/engine/plan.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>

#include "common/base/mem.h"

#define ALIGN 64 /* a cache line */

int plan_add(struct plan *p, size_t bytes, struct err *e)
{
    if (bytes > SIZE_MAX / 2)
        return err_set(e, ERR_LIMIT, "an activation of %zu bytes is too large", bytes);
    if (p->n == p->cap) {
        p->cap = p->cap ? 2 * p->cap : 64;
        p->of = xrealloc(p->of, (size_t)p->cap * sizeof *p->of);
    }
    bytes = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    p->of[p->n] = (struct buffer){.bytes = bytes, .first = INT_MAX, .last = -1};
    return p->n++;
}

void plan_use(struct plan *p, int buffer, int step)
{
    struct buffer *b = &p->of[buffer];
    if (step < b->first)
        b->first = step;
    if (step > b->last)
        b->last = step;
}

void plan_keep(struct plan *p, int buffer)
{
    p->of[buffer].last = INT_MAX;
}

static int by_size(const void *a, const void *b)
{
    const struct buffer *x = *(struct buffer *const *)a, *y = *(struct buffer *const *)b;
    if (x->bytes != y->bytes)
        return x->bytes < y->bytes ? 1 : -1;
    return (x > y) - (x < y);
}

static bool live_together(const struct buffer *a, const struct buffer *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* The lowest offset where `b` meets none of the n buffers in `placed`, which are sorted by offset. */
static size_t lowest_gap(const struct buffer *b, struct buffer *const *placed, int n)
{
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        if (!live_together(b, placed[i]))
            continue;
        if (placed[i]->offset >= at + b->bytes)
            break;
        if (placed[i]->offset + placed[i]->bytes > at)
            at = placed[i]->offset + placed[i]->bytes;
    }
    return at;
}

static void insert_by_offset(struct buffer **placed, int n, struct buffer *b)
{
    int i = n;
    for (; i > 0 && placed[i - 1]->offset > b->offset; i--)
        placed[i] = placed[i - 1];
    placed[i] = b;
}

int plan_place(struct plan *p, struct err *e)
{
    struct buffer **order = xmalloc(((size_t)p->n * 2 + 1) * sizeof *order), **placed = order + p->n;
    int rc = 0;
    for (int i = 0; i < p->n; i++)
        order[i] = &p->of[i];
    qsort(order, (size_t)p->n, sizeof *order, by_size); /* the large ones first: little is wasted */
    p->bytes = 0;
    for (int i = 0; i < p->n; i++) {
        struct buffer *b = order[i];
        b->offset = lowest_gap(b, placed, i);
        insert_by_offset(placed, i, b);
        if (b->offset + b->bytes > p->bytes)
            p->bytes = b->offset + b->bytes;
        if (p->bytes > SIZE_MAX / 4) {
            rc = err_set(e, ERR_LIMIT, "activations of more than %zu bytes are too large", p->bytes);
            break;
        }
    }
    free(order);
    return rc;
}

void plan_release(struct plan *p)
{
    free(p->of);
    *p = (struct plan){0};
}
