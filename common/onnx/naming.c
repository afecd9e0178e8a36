#include "common/onnx/naming.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* A parameter that the source has a name for. */
struct claim {
    const char *name;
    int node, which; /* NAME_* */
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_value(const struct naming *s, const char *name)
{
    return bsearch(&name, s->values, (size_t)s->g->n, sizeof *s->values, by_name);
}

/* By name; of one name the earliest node's first. */
static int by_claim(const void *a, const void *b)
{
    const struct claim *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : x->node != y->node ? x->node - y->node : x->which - y->which;
}

/* The first claim on a name, which has it; NULL: nothing is called so. */
static const struct claim *owner_of(const struct naming *s, const char *name)
{
    int low = 0, high = s->n_claims;
    while (low < high) {
        int middle = low + (high - low) / 2;
        if (strcmp(s->claims[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < s->n_claims && strcmp(s->claims[low].name, name) == 0 ? &s->claims[low] : NULL;
}

/* A parameter's *n numbers; NULL: the node has none such. */
static const float *param_of(const struct naming *s, int i, int which, size_t *n)
{
    const struct node *d = &s->g->nodes[i];
    bool without = (d->op == OP_CONV && !d->u.conv.bias) || (d->op == OP_GEMM && !d->u.gemm.bias);
    const float *of = params_of(&s->w->of[i], which, n);
    return which == NAME_B && without ? NULL : of;
}

/* The names of the source that weights would have; those of values are out of the question. */
static void collect_claims(struct naming *s)
{
    size_t n;
    s->claims = xcalloc((size_t)s->g->n * NAME_COUNT, sizeof *s->claims);
    for (int i = 0; i < s->g->n; i++)
        for (int which = 0; which < NAME_COUNT; which++) {
            const char *name = s->g->nodes[i].names[which];
            if (name && !is_value(s, name) && param_of(s, i, which, &n))
                s->claims[s->n_claims++] = (struct claim){.name = name, .node = i, .which = which};
        }
    qsort(s->claims, (size_t)s->n_claims, sizeof *s->claims, by_claim);
}

void naming_init(struct naming *s, const struct graph *g, const struct weights *w)
{
    *s = (struct naming){.g = g, .w = w};
    s->values = xcalloc((size_t)g->n, sizeof *s->values);
    for (int i = 0; i < g->n; i++)
        s->values[i] = g->nodes[i].name;
    qsort(s->values, (size_t)g->n, sizeof *s->values, by_name);
    collect_claims(s);
}

void naming_release(struct naming *s)
{
    free(s->values);
    free(s->claims);
    *s = (struct naming){0};
}

const char *naming_between(const struct naming *s, struct build *b, const struct node *d, const char *what)
{
    const char *name = build_text(b, "%s.%s", d->name, what);
    while (is_value(s, name) || owner_of(s, name))
        name = build_text(b, "%s_", name);
    return name; /* two can't meet: after the value's name comes a dot, and underscores only at the end */
}

static bool same_floats(const float *a, const float *b, size_t n)
{
    return a && b && memcmp(a, b, n * sizeof *a) == 0;
}

/* The dimensions a parameter is written with. */
static int rank_of(const struct node *d, int which)
{
    if (which != NAME_W || d->op == OP_BN)
        return 1;
    return d->op == OP_CONV ? 4 : d->op == OP_GEMM ? 2 : d->flat ? 1 : 3;
}

/*
 * The node with which a parameter is written: i itself, or the first that has it under the same name, or that the node
 * shares it with, as long as they have the same numbers. A conv's or gemm's weight is only ever shared: under one name, it
 * would become so when the file is read.
 */
static struct claim writer_of(const struct naming *s, int i, int which)
{
    const struct node *d = &s->g->nodes[i];
    const struct claim *owner = d->names[which] ? owner_of(s, d->names[which]) : NULL;
    struct claim as = {.node = i, .which = which};
    size_t n, m;
    const float *own = param_of(s, i, which, &n), *other;
    bool matrix = which == NAME_W && (d->op == OP_CONV || d->op == OP_GEMM);
    if (owner && !matrix && rank_of(&s->g->nodes[owner->node], owner->which) == rank_of(d, which)) {
        other = param_of(s, owner->node, owner->which, &m);
        if (n == m && same_floats(own, other, n))
            return *owner;
    }
    other = d->shares ? param_of(s, d->shares, which, &m) : NULL;
    return other && same_floats(own, other, n) ? writer_of(s, d->shares, which) : as;
}

static const char *what_of(enum op op, int which)
{
    static const char *const whats[NAME_COUNT] = {"weight", "bias", "mean", "var"};
    if (which != NAME_W)
        return whats[which];
    return op == OP_BN ? "scale" : op == OP_PRELU ? "slope" : whats[NAME_W];
}

const char *naming_param(const struct naming *s, struct build *b, int i, int which, bool *here)
{
    struct claim as = writer_of(s, i, which);
    const struct node *d = &s->g->nodes[as.node];
    const char *name = d->names[as.which];
    const struct claim *owner = name ? owner_of(s, name) : NULL;
    *here = as.node == i && as.which == which;
    if (owner && owner->node == as.node && owner->which == as.which)
        return name;
    return naming_between(s, b, d, what_of(d->op, as.which));
}
