#include "worker/autograd/region.h"

static struct stride whole(int n, int to)
{
    return (struct stride){.from = 0, .from_step = 1, .to = to, .to_step = 1, .n = n};
}

static struct stride part(struct span s)
{
    return (struct stride){s.begin, s.step, 0, 1, (s.end - s.begin + s.step - 1) / s.step};
}

struct box region_box(const struct graph *g, const struct node *n, int k, const struct layout *x,
                      const struct layout *y)
{
    struct box b = {.x = *x, .y = *y, .clear = n->op == OP_PAD || (k == 0 && y->C % y->lanes != 0)};
    int c = 0;
    if (n->op == OP_SLICE) {
        b.c = part(n->u.slice.c);
        b.h = part(n->u.slice.h);
        b.w = part(n->u.slice.w);
        return b;
    }
    for (int i = 0; n->op == OP_CONCAT && i < k; i++)
        c += g->nodes[n->in[i]].C;
    b.c = whole(x->C, n->op == OP_PAD ? n->u.pad.front : c);
    b.h = whole(x->H, n->op == OP_PAD ? n->u.pad.top : 0);
    b.w = whole(x->W, n->op == OP_PAD ? n->u.pad.left : 0);
    return b;
}

static struct stride turned(struct stride s)
{
    return (struct stride){s.to, s.to_step, s.from, s.from_step, s.n};
}

struct box region_back(const struct graph *g, const struct node *n, int k, const struct layout *x,
                       const struct layout *y)
{
    struct box b = region_box(g, n, k, x, y);
    return (struct box){.x = *y,
                        .y = *x,
                        .c = turned(b.c),
                        .h = turned(b.h),
                        .w = turned(b.w),
                        .clear = n->op == OP_SLICE || x->C % x->lanes != 0};
}

struct layout region_plain(const struct layout *l)
{
    struct layout plain = *l;
    plain.lanes = 1;
    plain.type = DTYPE_F32;
    return plain;
}

struct layout region_flat(const struct node *n, const struct layout *x, const struct layout *y)
{
    struct layout flat = region_plain(x);
    if (n->op == OP_UNFLATTEN)
        return *y;
    if (n->u.flatten.last)
        flat.lanes = flat.C;
    return flat;
}

struct lrn region_lrn(const struct node *n)
{
    return (struct lrn){n->u.lrn.size, n->u.lrn.alpha, n->u.lrn.beta, n->u.lrn.bias};
}

enum pooling region_pooling(const struct node *n)
{
    if (n->op == OP_MAXPOOL)
        return POOL_MAX;
    return n->u.pool.count_pad ? POOL_MEAN_PADDED : POOL_MEAN;
}
