#include "worker/engine/fold.h"

#include <math.h>
#include <string.h>

#include "common/base/mem.h"

static void fold_bn(struct folded *f, int K, size_t per_channel, const struct node *n, const struct params *p)
{
    for (int k = 0; k < K; k++) {
        double a = (double)p->w[k] / sqrt((double)p->var[k] + (double)n->u.bn.eps);
        float *w_k = f->w + (size_t)k * per_channel;
        for (size_t i = 0; i < per_channel; i++)
            w_k[i] = (float)((double)w_k[i] * a);
        f->b[k] = (float)(((double)f->b[k] - (double)p->mean[k]) * a + (p->b ? (double)p->b[k] : 0));
    }
}

int folded_new(struct folded *f, const struct graph *g, const struct weights *w, const struct unit *u,
               struct err *e)
{
    const struct params *p = &w->of[u->head];
    int K = g->nodes[u->head].C;
    size_t n_w = weights_count(g, u->head);
    f->w = mem_dup(p->w, n_w, sizeof *f->w);
    f->b = mem_zalloc((size_t)K, sizeof *f->b);
    if (!f->w || !f->b) {
        folded_release(f);
        return err_set(e, ERR_NOMEM, "no memory for %zu weights", n_w);
    }
    if (p->b)
        memcpy(f->b, p->b, (size_t)K * sizeof *f->b);
    for (int i = 0; i < u->n_bn; i++)
        fold_bn(f, K, n_w / (size_t)K, &g->nodes[u->bn[i]], &w->of[u->bn[i]]);
    return 0;
}

void folded_release(struct folded *f)
{
    mem_free(f->w);
    mem_free(f->b);
    *f = (struct folded){0};
}

int sum_into(struct compile *c, int node, const struct layout *l, struct form *out, struct err *e)
{
    struct form f;
    int rc = compile_read(c, node, l->lanes, l->type, &f, e);
    if (rc < 0)
        return rc;
    if (compile_last(c, node, &f)) {
        *out = (struct form){.l = *l, .buf = f.buf};
        return 0;
    }
    rc = compile_buffer(c, l, out, e);
    return rc < 0 ? rc : compile_copy(c, node, &f, out, e);
}
