#include "common/model/groups.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/model/classes.h"

/* How often a class occurs in a value. A class's list of these, by node, is what tells groups apart. */
struct use {
    int node, times;
};

struct finder {
    const struct graph *g;
    struct groups *gs;
    struct classes cs;
    int *start; /* (classes + 1): class c has uses[start[c]] ... uses[start[c + 1] - 1] */
    struct use *uses;
    int *model;  /* (groups, at most classes): a group's first class */
    int *count;  /* (groups, at most classes): its classes */
    int *slots;  /* hash table of groups by their first class's uses, -1 where empty */
    int n_slots; /* a power of two */
};

static void finder_release(struct finder *f)
{
    classes_release(&f->cs);
    mem_free(f->start);
    mem_free(f->uses);
    mem_free(f->model);
    mem_free(f->count);
    mem_free(f->slots);
}

/* Counts the values that hold each class, into f->start[class + 1]. */
static void count_uses(struct finder *f, int *last)
{
    for (int i = 0; i < f->g->n; i++)
        for (int k = 0; k < f->g->nodes[i].C; k++) {
            int c = f->cs.of[i][k];
            f->start[c + 1] += last[c] != i;
            last[c] = i;
        }
    for (int c = 0; c < f->cs.n; c++)
        f->start[c + 1] += f->start[c];
}

static void fill_uses(struct finder *f, int *end)
{
    memcpy(end, f->start, (size_t)f->cs.n * sizeof *end);
    for (int i = 0; i < f->g->n; i++)
        for (int k = 0; k < f->g->nodes[i].C; k++) {
            int c = f->cs.of[i][k];
            if (end[c] > f->start[c] && f->uses[end[c] - 1].node == i)
                f->uses[end[c] - 1].times++;
            else
                f->uses[end[c]++] = (struct use){i, 1};
        }
}

static int find_uses(struct finder *f, struct err *e)
{
    int n = f->cs.n, rc = 0;
    int *mark = mem_alloc((size_t)n, sizeof *mark);
    f->start = mem_zalloc((size_t)n + 1, sizeof *f->start);
    if (!mark || !f->start) {
        rc = err_set(e, ERR_NOMEM, "no memory for %d classes", n);
        goto out;
    }
    memset(mark, -1, (size_t)n * sizeof *mark);
    count_uses(f, mark);
    f->uses = mem_alloc((size_t)f->start[n], sizeof *f->uses);
    if (!f->uses)
        rc = err_set(e, ERR_NOMEM, "no memory for %d uses of %d classes", f->start[n], n);
    else
        fill_uses(f, mark);
out:
    mem_free(mark);
    return rc;
}

static bool same_uses(const struct finder *f, int a, int b)
{
    int n = f->start[a + 1] - f->start[a];
    return n == f->start[b + 1] - f->start[b] &&
           memcmp(&f->uses[f->start[a]], &f->uses[f->start[b]], (size_t)n * sizeof *f->uses) == 0;
}

/* The slot that holds the group to which class c belongs, or the empty one where that group would be. */
static int *slot_of(const struct finder *f, int c)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a, by numbers */
    for (int u = f->start[c]; u < f->start[c + 1]; u++) {
        h = (h ^ (uint64_t)f->uses[u].node) * UINT64_C(0x100000001b3);
        h = (h ^ (uint64_t)f->uses[u].times) * UINT64_C(0x100000001b3);
    }
    int at = (int)((h ^ h >> 32) & (uint64_t)(f->n_slots - 1));
    while (f->slots[at] >= 0 && !same_uses(f, f->model[f->slots[at]], c))
        at = (at + 1) & (f->n_slots - 1);
    return &f->slots[at];
}

/* Gives class c its group, a new one if need be, and its rank there. */
static void assign(struct finder *f, int c)
{
    struct groups *gs = f->gs;
    int *slot = slot_of(f, c);
    if (*slot < 0) {
        f->model[gs->n] = c;
        f->count[gs->n] = 0;
        *slot = gs->n++;
    }
    gs->group[c] = *slot;
    gs->rank[c] = f->count[*slot]++;
}

/* Classes in the order of the convs and gemms that produce them make groups in that order too. */
static int assign_all(struct finder *f, struct err *e)
{
    struct groups *gs = f->gs;
    size_t n = (size_t)f->cs.n;
    for (f->n_slots = 16; (size_t)f->n_slots < 2 * n;)
        f->n_slots *= 2;
    gs->group = mem_alloc(n, sizeof *gs->group);
    gs->rank = mem_alloc(n, sizeof *gs->rank);
    f->model = mem_alloc(n, sizeof *f->model);
    f->count = mem_alloc(n, sizeof *f->count);
    f->slots = mem_alloc((size_t)f->n_slots, sizeof *f->slots);
    if (!gs->group || !gs->rank || !f->model || !f->count || !f->slots)
        return err_set(e, ERR_NOMEM, "no memory for the groups of %zu classes", n);
    memset(gs->group, -1, n * sizeof *gs->group);
    memset(gs->rank, -1, n * sizeof *gs->rank);
    memset(f->slots, -1, (size_t)f->n_slots * sizeof *f->slots);
    for (int i = 0; i < f->g->n; i++)
        if (f->g->nodes[i].op == OP_CONV || f->g->nodes[i].op == OP_GEMM)
            for (int k = 0; k < f->g->nodes[i].C; k++) {
                int c = f->cs.of[i][k];
                if (f->cs.fixed[c] == FIXED_NOT && gs->group[c] < 0)
                    assign(f, c);
            }
    return 0;
}

static bool is_tied(const struct finder *f, int c)
{
    for (int u = f->start[c]; u < f->start[c + 1]; u++)
        if (f->g->nodes[f->uses[u].node].op == OP_ADD)
            return true;
    return false;
}

/* Lists the classes of each group; all lists lie in one block, the first group's. */
static int list_members(struct finder *f, struct err *e)
{
    struct groups *gs = f->gs;
    size_t n = (size_t)f->cs.n;
    int *members = mem_alloc(n, sizeof *members);
    gs->of = mem_zalloc((size_t)gs->n, sizeof *gs->of);
    if (!members || !gs->of || gs->n == 0) {
        mem_free(members);
        return gs->n == 0 ? 0 : err_set(e, ERR_NOMEM, "no memory for %d groups of %zu classes", gs->n, n);
    }
    for (int k = 0; k < gs->n; k++) {
        int c = f->model[k];
        gs->of[k] = (struct channel_group){f->count[k], members, f->cs.first[c], is_tied(f, c)};
        members += f->count[k];
    }
    for (size_t c = 0; c < n; c++)
        if (gs->group[c] >= 0)
            gs->of[gs->group[c]].classes[gs->rank[c]] = (int)c;
    return 0;
}

/* Whether node i's value has the same channels as its input's, so that they share their shares. */
static bool passes_on(const struct node *d)
{
    switch (d->op) {
    case OP_BN:
    case OP_MAXPOOL:
    case OP_AVGPOOL:
    case OP_GLOBALPOOL:
    case OP_ADD:
    case OP_MUL:
    case OP_LRN:
    case OP_UNFLATTEN:
    case OP_SOFTMAX:
        return true;
    default:
        return op_elementwise(d->op);
    }
}

/* Adds up node i's channels by group into w, and w's shares at `at`; `times` is (groups) zeros, and is again
 * afterwards. */
static void measure(const struct finder *f, int i, struct width *w, struct share *at, int *times)
{
    const struct groups *gs = f->gs;
    *w = (struct width){.of = at};
    for (int k = 0; k < f->g->nodes[i].C; k++) {
        int group = gs->group[f->cs.of[i][k]];
        if (group < 0)
            w->fixed++;
        else if (times[group]++ == 0)
            at[w->n++].group = group;
    }
    for (int s = 0; s < w->n; s++) {
        int group = at[s].group;
        if (times[group] % gs->of[group].n != 0)
            BUG("node %d holds %d of group %d, which has %d classes", i, times[group], group, gs->of[group].n);
        at[s].times = times[group] / gs->of[group].n;
        times[group] = 0;
    }
}

/* How many shares all values have together: each group counts once for each value that holds it. */
static size_t count_shares(const struct finder *f)
{
    size_t n = 0;
    for (int k = 0; k < f->gs->n; k++)
        n += (size_t)(f->start[f->model[k] + 1] - f->start[f->model[k]]);
    return n;
}

static int find_widths(struct finder *f, struct err *e)
{
    struct groups *gs = f->gs;
    int n = f->g->n;
    int *times = mem_zalloc((size_t)gs->n, sizeof *times);
    gs->widths = mem_alloc((size_t)n, sizeof *gs->widths);
    gs->shares = mem_alloc(count_shares(f), sizeof *gs->shares);
    if (!times || !gs->widths || !gs->shares) {
        mem_free(times);
        return err_set(e, ERR_NOMEM, "no memory for the widths of %d values", n);
    }
    struct share *at = gs->shares;
    for (int i = 0; i < n; i++)
        if (passes_on(&f->g->nodes[i])) {
            gs->widths[i] = gs->widths[f->g->nodes[i].in[0]];
        } else {
            measure(f, i, &gs->widths[i], at, times);
            at += gs->widths[i].n;
        }
    mem_free(times);
    return 0;
}

int groups_find(const struct graph *g, struct groups *out, struct err *e)
{
    *out = (struct groups){0};
    struct finder f = {.g = g, .gs = out};
    int rc = classes_find(g, &f.cs, e);
    if (rc == 0)
        rc = find_uses(&f, e);
    if (rc == 0)
        rc = assign_all(&f, e);
    if (rc == 0)
        rc = list_members(&f, e);
    if (rc == 0)
        rc = find_widths(&f, e);
    out->n_nodes = g->n;
    out->n_classes = f.cs.n;
    out->classes = f.cs.of;
    out->fixed = f.cs.fixed;
    f.cs.of = NULL;
    f.cs.fixed = NULL;
    finder_release(&f);
    if (rc < 0)
        groups_release(out);
    return rc;
}

void groups_release(struct groups *gs)
{
    if (gs->classes)
        mem_free(gs->classes[0]);
    mem_free(gs->classes);
    if (gs->of && gs->n > 0)
        mem_free(gs->of[0].classes);
    mem_free(gs->of);
    mem_free(gs->group);
    mem_free(gs->rank);
    mem_free(gs->fixed);
    mem_free(gs->widths);
    mem_free(gs->shares);
    *gs = (struct groups){0};
}

int groups_kept(const struct groups *gs, const struct graph *g, int node, const bool *live, int *kept)
{
    int n = 0;
    for (int c = 0; c < g->nodes[node].C; c++)
        if (live[gs->classes[node][c]])
            kept[n++] = c;
    return n;
}

int groups_width(const struct groups *gs, const struct graph *g, int node, const int *keep)
{
    if (!keep)
        return g->nodes[node].C;
    const struct width *w = &gs->widths[node];
    int n = w->fixed;
    for (int s = 0; s < w->n; s++)
        n += w->of[s].times * keep[w->of[s].group];
    return n;
}
