#include "coordinator/policy/price.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* What probing one node needs. */
struct probe {
    const struct graph *g;
    const struct groups *gs;
    const struct limits *l;
    enum cost_kind kind;
    int node;
    int *keep;      /* (groups) as dense between two questions */
    bool *out, *in; /* (groups): groups that can be cut in the node's value, in its inputs */
    int *list;      /* (groups): those in either, n of them */
    int n;
};

static int64_t cost_now(const struct probe *p)
{
    struct cost c;
    cost_node(p->g, p->gs, p->node, p->keep, &c);
    return c.of[p->kind];
}

/* The node's cost with one class less of group a, and of group b where it isn't -1. */
static int64_t cost_without(const struct probe *p, int a, int b)
{
    p->keep[a]--;
    if (b >= 0)
        p->keep[b]--;
    int64_t c = cost_now(p);
    p->keep[a]++;
    if (b >= 0)
        p->keep[b]++;
    return c;
}

static void mark(struct probe *p, int value, bool *seen)
{
    for (int c = 0; c < p->g->nodes[value].C; c++) {
        int k = p->gs->group[p->gs->classes[value][c]];
        if (k < 0 || p->l->least[k] == p->l->most[k] || seen[k])
            continue;
        if (!p->out[k] && !p->in[k])
            p->list[p->n++] = k;
        seen[k] = true;
    }
}

/* Whether the node's cost can hold a product of the two groups' numbers. */
static bool multiplied(const struct probe *p, int a, int b)
{
    enum op op = p->g->nodes[p->node].op;
    if (op != OP_CONV && op != OP_GEMM)
        return false;
    if (a == b && p->l->most[a] - p->l->least[a] < 2)
        return false; /* two choices: a line goes through both, and keeping none can't be asked for */
    return (p->out[a] && p->in[b]) || (p->out[b] && p->in[a]);
}

static void probe_node(struct probe *p, int node, struct price *out)
{
    const struct node *nd = &p->g->nodes[node];
    p->node = node;
    p->n = 0;
    mark(p, node, p->out);
    for (int i = 0; i < nd->n_in; i++)
        mark(p, nd->in[i], p->in);

    int64_t dense = cost_now(p);
    out->dense += dense;
    for (int i = 0; i < p->n && dense > 0; i++) {
        int a = p->list[i];
        int64_t less_a = cost_without(p, a, -1);
        out->first[a] += less_a - dense;
        for (int j = 0; j <= i; j++) {
            int b = p->list[j];
            if (!multiplied(p, a, b))
                continue;
            int64_t d = cost_without(p, a, b) - less_a - cost_without(p, b, -1) + dense;
            out->second[(size_t)a * (size_t)out->n + (size_t)b] += d;
            if (a != b)
                out->second[(size_t)b * (size_t)out->n + (size_t)a] += d;
        }
    }
    for (int i = 0; i < p->n; i++)
        p->out[p->list[i]] = p->in[p->list[i]] = false;
}

int price_init(struct price *p, const struct graph *g, const struct groups *gs, const struct limits *l,
               enum cost_kind kind, const struct latency *table, struct err *e)
{
    size_t n = (size_t)l->n;
    *p = (struct price){.n = l->n, .most = l->most};
    if (kind == COST_LATENCY) {
        p->timed = true;
        p->dense = latency_total(table, g, gs, NULL);
        toll_init(&p->toll, table, g, gs);
        return 0;
    }
    p->first = mem_zalloc(n, sizeof *p->first);
    p->second = mem_zalloc(n * n, sizeof *p->second);
    if (!p->first || !p->second) {
        price_release(p);
        return err_set(e, ERR_NOMEM, "could not get memory for the costs of %d groups", l->n);
    }
    struct probe pr = {.g = g, .gs = gs, .l = l, .kind = kind};
    pr.keep = xcalloc(n, sizeof *pr.keep);
    pr.list = xcalloc(n, sizeof *pr.list);
    pr.out = xcalloc(n, sizeof *pr.out);
    pr.in = xcalloc(n, sizeof *pr.in);
    for (size_t i = 0; i < n; i++)
        pr.keep[i] = l->most[i];
    for (int i = 0; i < g->n; i++)
        probe_node(&pr, i, p);
    free(pr.keep);
    free(pr.list);
    free(pr.out);
    free(pr.in);
    return 0;
}

int price_fine(struct price *p, const struct fine *f, const struct limits *l, enum cost_kind kind, struct err *e)
{
    struct cost dense;
    fine_cost(f, NULL, &dense);
    *p = (struct price){.n = l->n, .most = l->most, .dense = dense.of[kind]};
    p->table = mem_alloc((size_t)l->n, (FINE_MOST + 1) * sizeof *p->table);
    if (!p->table)
        return err_set(e, ERR_NOMEM, "could not get memory for the costs of %d layers", l->n);
    for (int i = 0; i < l->n; i++)
        for (int k = 0; k <= FINE_MOST; k++) {
            struct cost c;
            fine_layer_cost(f, i, k, &c);
            p->table[i * (FINE_MOST + 1) + k] = c.of[kind];
        }
    return 0;
}

void price_release(struct price *p)
{
    mem_free(p->table);
    mem_free(p->first);
    mem_free(p->second);
    toll_release(&p->toll);
    *p = (struct price){0};
}

void bill_init(struct bill *b, const struct price *p)
{
    *b = (struct bill){.price = p};
    b->keep = xcalloc((size_t)p->n, sizeof *b->keep);
    b->slope = xcalloc((size_t)p->n, sizeof *b->slope);
    if (p->timed)
        b->node = xcalloc((size_t)p->toll.g->n, sizeof *b->node);
    bill_set(b, p->most);
}

void bill_release(struct bill *b)
{
    free(b->keep);
    free(b->slope);
    free(b->node);
    *b = (struct bill){0};
}

static void set_timed(struct bill *b, const int *keep)
{
    const struct toll *t = &b->price->toll;
    memcpy(b->keep, keep, (size_t)b->price->n * sizeof *keep);
    b->cost = latency_fixed(t->table);
    for (int i = 0; i < t->g->n; i++) {
        b->node[i] = toll_of(t, i, keep);
        b->cost += b->node[i];
    }
}

/* Only lent a number for the time of the question. */
static int64_t change_timed(const struct bill *b, int group, int k)
{
    const struct toll *t = &b->price->toll;
    int was = b->keep[group];
    int64_t d = 0;
    b->keep[group] = k;
    for (int i = 0; i < t->n[group]; i++)
        d += toll_of(t, t->nodes[group][i], b->keep) - b->node[t->nodes[group][i]];
    b->keep[group] = was;
    return d;
}

static void move_timed(struct bill *b, int group, int k)
{
    const struct toll *t = &b->price->toll;
    b->keep[group] = k;
    for (int i = 0; i < t->n[group]; i++) {
        int64_t *ns = &b->node[t->nodes[group][i]];
        b->cost -= *ns;
        *ns = toll_of(t, t->nodes[group][i], b->keep);
        b->cost += *ns;
    }
}

void bill_set(struct bill *b, const int *keep)
{
    const struct price *p = b->price;
    if (p->timed) {
        set_timed(b, keep);
        return;
    }
    for (int g = 0; g < p->n; g++) {
        b->keep[g] = p->most[g];
        b->slope[g] = p->first ? p->first[g] : 0;
    }
    b->cost = p->dense;
    for (int g = 0; g < p->n; g++)
        bill_move(b, g, keep[g]);
}

int64_t bill_change(const struct bill *b, int group, int k)
{
    if (b->price->timed)
        return change_timed(b, group, k);
    if (b->price->table) {
        const int64_t *of = b->price->table + group * (FINE_MOST + 1);
        return of[k] - of[b->keep[group]];
    }
    int64_t d = b->keep[group] - k; /* so many fewer */
    int64_t second = b->price->second[(size_t)group * (size_t)b->price->n + (size_t)group];
    return d * b->slope[group] + second * (d * (d - 1) / 2);
}

void bill_move(struct bill *b, int group, int k)
{
    int64_t d = b->keep[group] - k;
    if (d == 0)
        return;
    if (b->price->timed) {
        move_timed(b, group, k);
        return;
    }
    b->cost += bill_change(b, group, k);
    const int64_t *second = b->price->second ? b->price->second + (size_t)group * (size_t)b->price->n : NULL;
    for (int h = 0; second && h < b->price->n; h++)
        b->slope[h] += second[h] * d;
    b->keep[group] = k;
}
