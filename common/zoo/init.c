#include "common/zoo/init.h"

#include <math.h>

#include "common/base/rng.h"

static void init_conv(const struct node *d, struct params *p, struct rng *r)
{
    const struct window *win = &d->u.conv.win;
    double fan_out = (double)(d->C / d->u.conv.groups) * win->R * win->S, sd = sqrt(2 / fan_out);
    for (size_t k = 0; k < p->n_w; k++)
        p->w[k] = (float)(sd * rng_normal(r));
}

static void init_gemm(const struct node *d, struct params *p, struct rng *r)
{
    double most = 1 / sqrt((double)(p->n_w / (size_t)d->C));
    for (size_t k = 0; k < p->n_w; k++)
        p->w[k] = (float)(most * (2 * rng_uniform(r) - 1));
    for (size_t k = 0; p->b && k < p->n_b; k++)
        p->b[k] = (float)(most * (2 * rng_uniform(r) - 1));
}

void init_weights(const struct graph *g, struct weights *w, uint64_t seed)
{
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        struct params *p = &w->of[i];
        struct rng r;
        rng_init(&r, seed, "init", (uint64_t)i);
        if (d->op == OP_CONV)
            init_conv(d, p, &r);
        else if (d->op == OP_GEMM)
            init_gemm(d, p, &r);
        else if (d->op == OP_BN)
            for (size_t c = 0; c < p->n_w; c++)
                p->w[c] = p->var[c] = 1;
    }
}
