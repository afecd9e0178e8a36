#include "common/onnx/view.h"

#include <stdio.h>
#include <string.h>

static int size_of(const struct view *v, const struct node *x, enum factor f)
{
    switch (f) {
    case FACTOR_C:
        return x->C;
    case FACTOR_HI:
        return x->C / v->lo;
    case FACTOR_LO:
        return v->lo;
    case FACTOR_H:
        return x->H;
    case FACTOR_W:
        return x->W;
    default:
        return 1;
    }
}

static void put(struct view *v, enum factor f, int dim)
{
    v->of[v->n] = f;
    v->dim[v->n++] = dim;
}

/* Factors in their order and where they go, by layout. */
struct form {
    int rank;
    enum factor of[4];
};
static const struct form forms[] = {
    [LAYOUT_FLAT] = {2, {FACTOR_N, FACTOR_C}},
    [LAYOUT_IMAGE] = {4, {FACTOR_N, FACTOR_C, FACTOR_H, FACTOR_W}},
    [LAYOUT_LAST] = {4, {FACTOR_N, FACTOR_H, FACTOR_W, FACTOR_C}},
};

void view_init(struct view *v, const struct node *x, enum layout layout)
{
    const struct form *f = &forms[layout];
    *v = (struct view){.rank = f->rank};
    for (int k = 0; k < f->rank; k++)
        if (k == 0 || size_of(v, x, f->of[k]) > 1)
            put(v, f->of[k], k);
}

enum layout view_layout(const struct view *v)
{
    for (int l = LAYOUT_FLAT; l < LAYOUT_OTHER; l++) {
        bool fits = v->rank == forms[l].rank;
        for (int i = 0; i < v->n && fits; i++)
            fits = forms[l].of[v->dim[i]] == v->of[i];
        if (fits)
            return (enum layout)l;
    }
    return LAYOUT_OTHER;
}

bool view_same(const struct view *a, const struct view *b)
{
    bool same = a->rank == b->rank && a->n == b->n && a->lo == b->lo;
    for (int i = 0; i < a->n && same; i++)
        same = a->of[i] == b->of[i] && a->dim[i] == b->dim[i];
    return same;
}

void view_dims(const struct view *v, const struct node *x, int64_t *dims)
{
    for (int k = 0; k < v->rank; k++)
        dims[k] = 1;
    for (int i = 0; i < v->n; i++)
        dims[v->dim[i]] = v->of[i] == FACTOR_N ? -1 : dims[v->dim[i]] * size_of(v, x, v->of[i]);
}

enum factor view_at(const struct view *v, int dim)
{
    enum factor f = FACTOR_NONE;
    for (int i = 0; i < v->n; i++)
        if (v->dim[i] == dim)
            f = f == FACTOR_NONE ? v->of[i] : FACTOR_MANY;
    return f;
}

void view_transpose(struct view *v, const int *perm)
{
    struct view was = *v;
    v->n = 0;
    for (int k = 0; k < was.rank; k++)
        for (int i = 0; i < was.n; i++)
            if (was.dim[i] == perm[k])
                put(v, was.of[i], k);
}

/* Halves that stand together in their order are channels again. */
static void join_halves(struct view *v)
{
    for (int i = 0; i + 1 < v->n; i++) {
        if (v->of[i] != FACTOR_HI || v->of[i + 1] != FACTOR_LO)
            continue;
        v->of[i] = FACTOR_C;
        v->n--;
        memmove(&v->of[i + 1], &v->of[i + 2], (size_t)(v->n - i - 1) * sizeof *v->of);
        memmove(&v->dim[i + 1], &v->dim[i + 2], (size_t)(v->n - i - 1) * sizeof *v->dim);
        v->lo = 0;
    }
}

bool view_reshape(struct view *v, const struct node *x, int rank, const int64_t *dims)
{
    struct view from = *v;
    int at = 1;
    if (from.n == 0 || from.of[0] != FACTOR_N || from.dim[0] != 0 || (from.n > 1 && from.dim[1] == 0))
        return false;
    join_halves(&from);
    *v = (struct view){.rank = rank, .lo = from.lo};
    put(v, FACTOR_N, 0);
    for (int k = 1; k < rank; k++)
        for (int64_t need = dims[k]; need > 1;) {
            if (at == from.n)
                return false;
            int size = size_of(&from, x, from.of[at]);
            if (need % size == 0) {
                put(v, from.of[at++], k);
                need /= size;
            } else if (from.of[at] == FACTOR_C && size % need == 0) {
                put(v, FACTOR_HI, k);
                from.of[at] = FACTOR_LO;
                v->lo = from.lo = size / (int)need;
                need = 1;
            } else {
                return false;
            }
        }
    return at == from.n;
}

void view_squeeze(struct view *v, const bool *gone)
{
    int to[VIEW_MAX_RANK], rank = 0;
    for (int k = 0; k < v->rank; k++)
        to[k] = gone[k] ? -1 : rank++;
    for (int i = 0; i < v->n; i++)
        v->dim[i] = to[v->dim[i]];
    v->rank = rank;
}

void view_unsqueeze(struct view *v, const bool *added, int more)
{
    int to[VIEW_MAX_RANK], n = 0;
    for (int k = 0; k < v->rank + more; k++)
        if (!added[k])
            to[n++] = k;
    for (int i = 0; i < v->n; i++)
        v->dim[i] = to[v->dim[i]];
    v->rank += more;
}

bool view_shuffled(struct view *v, const struct node *x, int *groups)
{
    for (int i = 0; i + 1 < v->n; i++) {
        if (v->of[i] != FACTOR_LO || v->of[i + 1] != FACTOR_HI || v->dim[i] != v->dim[i + 1])
            continue;
        *groups = x->C / v->lo;
        v->of[i] = FACTOR_HI;
        v->of[i + 1] = FACTOR_LO;
        join_halves(v);
        return true;
    }
    return false;
}

bool view_flattened(const struct view *v, const struct node *x, bool *last)
{
    for (int l = 0; l < 2; l++) {
        struct view whole;
        view_init(&whole, x, l ? LAYOUT_LAST : LAYOUT_IMAGE);
        bool same = v->rank == 2 && v->n == whole.n;
        for (int i = 0; i < v->n && same; i++)
            same = v->of[i] == whole.of[i] && v->dim[i] == (i > 0);
        *last = l;
        if (same)
            return true;
    }
    return false;
}

void view_describe(const struct view *v, char out[96])
{
    static const char *const names[] = {
        [FACTOR_N] = "N",    [FACTOR_C] = "C", [FACTOR_HI] = "groups", [FACTOR_LO] = "C/groups",
        [FACTOR_H] = "H", [FACTOR_W] = "W"};
    int n = 0;
    for (int k = 0; k < v->rank; k++) {
        n += snprintf(out + n, 96 - (size_t)n, "%s", k ? "," : "(");
        int before = n;
        for (int i = 0; i < v->n; i++)
            if (v->dim[i] == k)
                n += snprintf(out + n, 96 - (size_t)n, "%s%s", n > before ? "*" : "", names[v->of[i]]);
        if (n == before)
            n += snprintf(out + n, 96 - (size_t)n, "1");
    }
    snprintf(out + n, 96 - (size_t)n, ")");
}
