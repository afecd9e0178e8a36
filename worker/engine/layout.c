#include "worker/engine/layout.h"

struct layout layout_of(const struct node *node, int N, int lanes)
{
    return (struct layout){.N = N, .C = node->C, .H = node->H, .W = node->W, .lanes = lanes};
}

int layout_panels(const struct layout *l)
{
    return (l->C + l->lanes - 1) / l->lanes;
}

size_t layout_floats(const struct layout *l)
{
    return layout_panel(l, l->N, 0);
}

size_t dtype_bytes(enum dtype type)
{
    return type == DTYPE_BF16 ? 2 : 4;
}

size_t layout_bytes(const struct layout *l)
{
    return layout_floats(l) * dtype_bytes(l->type);
}

size_t layout_panel(const struct layout *l, int n, int p)
{
    return ((size_t)n * (size_t)layout_panels(l) + (size_t)p) * (size_t)l->H * (size_t)l->W * (size_t)l->lanes;
}

bool layout_same(const struct layout *a, const struct layout *b)
{
    if (a->type != b->type)
        return false;
    if (a->lanes == b->lanes)
        return true;
    return a->H == 1 && a->W == 1 && layout_floats(a) == layout_floats(b);
}
