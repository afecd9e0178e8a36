#include "worker/compress/work.h"

int stage_report(void *stage, int done, int total)
{
    const struct stage *s = stage;
    struct err ignored; /* the step says that it was cancelled */
    if (!s->cw->progress)
        return 0;
    return s->cw->progress(s->cw->arg, s->name, (uint64_t)done, (uint64_t)total, &ignored);
}
