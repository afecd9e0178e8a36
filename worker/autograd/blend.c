#include "worker/autograd/blend.h"

#include <math.h>

static bool activates(enum op op)
{
    return op == OP_RELU || op == OP_CLIP;
}

bool blend_begins(enum op op)
{
    return activates(op) || op == OP_BN || op == OP_ADD;
}

static void add_operand(const struct graph *g, int value, bool through_bn, struct blend *b)
{
    b->bn[b->n] = through_bn ? value : -1;
    b->x[b->n++] = through_bn ? g->nodes[value].in[0] : value;
}

static void swap_operands(struct blend *b)
{
    int x = b->x[0], bn = b->bn[0];
    b->x[0] = b->x[1];
    b->bn[0] = b->bn[1];
    b->x[1] = x;
    b->bn[1] = bn;
}

void blend_of(const struct graph *g, const int *reads, int tail, struct blend *b)
{
    const struct node *n = &g->nodes[tail];
    int head = tail;
    *b = (struct blend){.tail = tail, .lo = -INFINITY, .hi = INFINITY, .bn = {-1, -1}};
    if (activates(n->op)) {
        b->lo = n->op == OP_CLIP ? n->u.clip.lo : 0;
        b->hi = n->op == OP_CLIP ? n->u.clip.hi : INFINITY;
        head = n->in[0];
        n = &g->nodes[head];
        if (reads[head] > 1 || (n->op != OP_BN && n->op != OP_ADD)) {
            add_operand(g, head, false, b);
            return;
        }
    }
    if (n->op == OP_BN) {
        add_operand(g, head, true, b);
        return;
    }
    for (int k = 0; k < 2; k++)
        add_operand(g, n->in[k], g->nodes[n->in[k]].op == OP_BN && reads[n->in[k]] == 1, b);
    if (b->bn[0] < 0 && b->bn[1] >= 0)
        swap_operands(b);
}

bool blend_clamps(const struct blend *b)
{
    return isfinite(b->lo) || isfinite(b->hi);
}

void blend_inner(const struct graph *g, const int *reads, const bool *live, bool *inner)
{
    for (int i = g->n - 1; i >= 0; i--) {
        struct blend b;
        if (!live[i] || inner[i] || !blend_begins(g->nodes[i].op))
            continue;
        blend_of(g, reads, i, &b);
        for (int k = 0; k < b.n; k++)
            if (b.bn[k] >= 0 && b.bn[k] != i)
                inner[b.bn[k]] = true;
        int before = g->nodes[i].in[0];
        if (activates(g->nodes[i].op) && b.x[0] != before)
            inner[before] = true;
    }
}
