#include "coordinator/policy/replay.h"

#include <string.h>

#include "common/base/mem.h"

int replay_init(struct replay *p, int S, int cap, struct err *e)
{
    size_t c = (size_t)cap, s = (size_t)S;
    *p = (struct replay){.S = S, .cap = cap};
    p->s = mem_zalloc(c, s * sizeof *p->s);
    p->s2 = mem_zalloc(c, s * sizeof *p->s2);
    p->lo = mem_zalloc(c, sizeof *p->lo);
    p->hi = mem_zalloc(c, sizeof *p->hi);
    p->r = mem_zalloc(c, sizeof *p->r);
    p->budget = mem_zalloc(c, sizeof *p->budget);
    p->end = mem_zalloc(c, sizeof *p->end);
    if (p->s && p->s2 && p->lo && p->hi && p->r && p->budget && p->end)
        return 0;
    replay_release(p);
    return err_set(e, ERR_NOMEM, "could not get memory to remember %d transitions", cap);
}

void replay_release(struct replay *p)
{
    mem_free(p->s);
    mem_free(p->s2);
    mem_free(p->lo);
    mem_free(p->hi);
    mem_free(p->r);
    mem_free(p->budget);
    mem_free(p->end);
    *p = (struct replay){0};
}

void replay_add(struct replay *p, const struct transition *t)
{
    size_t i = (size_t)p->next, S = (size_t)p->S;
    memcpy(p->s + i * S, t->s, S * sizeof *p->s);
    if (t->end)
        memset(p->s2 + i * S, 0, S * sizeof *p->s2);
    else
        memcpy(p->s2 + i * S, t->s2, S * sizeof *p->s2);
    p->lo[i] = t->lo;
    p->hi[i] = t->hi;
    p->r[i] = t->r;
    p->budget[i] = t->budget;
    p->end[i] = t->end;
    p->next = (p->next + 1) % p->cap;
    p->n += p->n < p->cap;
}

void replay_draw(const struct replay *p, struct rng *r, int *at, int n)
{
    for (int i = 0; i < n; i++)
        at[i] = (int)rng_below(r, (uint64_t)p->n);
}

void replay_save(const struct replay *p, struct writer *w)
{
    size_t n = (size_t)p->n, S = (size_t)p->S;
    write_u64(w, (uint64_t)p->cap);
    write_u32(w, (uint32_t)p->n);
    write_u32(w, (uint32_t)p->next);
    write_floats(w, p->s, n * S);
    write_floats(w, p->s2, n * S);
    write_floats(w, p->lo, n);
    write_floats(w, p->hi, n);
    write_floats(w, p->r, n);
    write_ints(w, p->budget, n);
    for (size_t i = 0; i < n; i++)
        write_u32(w, p->end[i]);
}

void replay_restore(struct replay *p, int n_budgets, struct reader *r)
{
    read_same(r, (uint64_t)p->cap, "room for transitions");
    p->n = (int)read_within(r, (uint32_t)p->cap, "number of transitions");
    p->next = (int)read_within(r, (uint32_t)p->cap - 1, "next transition");
    size_t n = (size_t)p->n, S = (size_t)p->S;
    read_floats(r, p->s, n * S);
    read_floats(r, p->s2, n * S);
    read_floats(r, p->lo, n);
    read_floats(r, p->hi, n);
    read_floats(r, p->r, n);
    for (size_t i = 0; i < n; i++)
        p->budget[i] = (int)read_within(r, (uint32_t)n_budgets - 1, "budget of a transition");
    for (size_t i = 0; i < n; i++)
        p->end[i] = read_within(r, 1, "end of a transition") != 0;
}
