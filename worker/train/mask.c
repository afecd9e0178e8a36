#include "worker/train/mask.h"

#include <stdlib.h>

#include "common/base/mem.h"

void mask_release(struct mask *k)
{
    for (int i = 0; i < k->n; i++)
        mem_free(k->zero[i]);
    free(k->node);
    free(k->zero);
    *k = (struct mask){0};
}

static bool any_zero(const struct params *p)
{
    for (size_t i = 0; i < p->n_w; i++)
        if (p->w[i] == 0)
            return true;
    return false;
}

int mask_new(struct mask *k, const struct model *m, struct err *e)
{
    *k = (struct mask){.n = 0};
    k->node = xcalloc((size_t)m->graph.n, sizeof(*k->node));
    k->zero = xcalloc((size_t)m->graph.n, sizeof(*k->zero));
    for (int i = 0; i < m->graph.n; i++) {
        const struct params *p = &m->weights.of[i];
        if ((m->graph.nodes[i].op != OP_CONV && m->graph.nodes[i].op != OP_GEMM) || !any_zero(p))
            continue;
        uint8_t *zero = mem_alloc(p->n_w, 1);
        if (!zero) {
            int rc = err_set(e, ERR_NOMEM, "no memory for the mask of \"%s\"", m->graph.nodes[i].name);
            mask_release(k);
            return rc;
        }
        for (size_t j = 0; j < p->n_w; j++)
            zero[j] = p->w[j] == 0;
        k->node[k->n] = i;
        k->zero[k->n++] = zero;
    }
    return 0;
}

struct applying {
    const struct mask *k;
    struct weights *w, *velocity;
};

static int apply_layer(void *arg, int i, int thread, struct err *e)
{
    const struct applying *a = arg;
    const uint8_t *zero = a->k->zero[i];
    struct params *p = &a->w->of[a->k->node[i]];
    float *w = p->w, *v = a->velocity->of[a->k->node[i]].w;
    (void)thread;
    (void)e;
    for (size_t j = 0; j < p->n_w; j++) {
        w[j] = zero[j] ? 0 : w[j];
        v[j] = zero[j] ? 0 : v[j];
    }
    return 0;
}

int mask_apply(const struct mask *k, struct weights *w, struct weights *velocity, struct pool *pool, struct err *e)
{
    struct applying a = {k, w, velocity};
    return k->n > 0 ? pool_run(pool, k->n, apply_layer, &a, e) : 0;
}
