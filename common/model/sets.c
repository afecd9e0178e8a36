#include "common/model/sets.h"

#include <stddef.h>

#include "common/base/mem.h"

int sets_init(struct sets *s, int n, struct err *e)
{
    s->n = n;
    s->up = mem_alloc((size_t)n, sizeof *s->up);
    s->size = mem_alloc((size_t)n, sizeof *s->size);
    if (!s->up || !s->size) {
        sets_release(s);
        return err_set(e, ERR_NOMEM, "no memory for %d sets", n);
    }
    for (int x = 0; x < n; x++) {
        s->up[x] = x;
        s->size[x] = 1;
    }
    return 0;
}

void sets_release(struct sets *s)
{
    mem_free(s->up);
    mem_free(s->size);
    *s = (struct sets){0};
}

int sets_find(struct sets *s, int x)
{
    while (s->up[x] != x)
        x = s->up[x] = s->up[s->up[x]];
    return x;
}

void sets_join(struct sets *s, int x, int y)
{
    x = sets_find(s, x);
    y = sets_find(s, y);
    if (x == y)
        return;
    if (s->size[x] < s->size[y]) {
        int t = x;
        x = y;
        y = t;
    }
    s->up[y] = x;
    s->size[x] += s->size[y];
}
