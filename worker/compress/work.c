#include "worker/compress/work.h"

#include <stdlib.h>

#include "common/base/mem.h"

#define TAPPED_FLOATS ((size_t)32 << 20)

int stage_report(void *stage, int done, int total)
{
    const struct stage *s = stage;
    struct err ignored; /* the step says that it was cancelled */
    if (!s->cw->progress)
        return 0;
    return s->cw->progress(s->cw->arg, s->name, (uint64_t)done, (uint64_t)total, &ignored);
}

int compress_batch(const struct graph *g, const int *taps, int n)
{
    bool *tapped = xcalloc((size_t)g->n, sizeof *tapped);
    size_t floats = 1;
    for (int i = 0; i < n; i++) {
        const struct node *d = &g->nodes[taps[i]];
        if (!tapped[taps[i]])
            floats += (size_t)d->C * (size_t)d->H * (size_t)d->W;
        tapped[taps[i]] = true;
    }
    free(tapped);
    size_t batch = TAPPED_FLOATS / floats;
    return batch < 1 ? 1 : batch > COMPRESS_BATCH ? COMPRESS_BATCH : (int)batch;
}
