#include "coordinator/policy/policy.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/policy/kind.h"

#define MAGIC    UINT32_C(0x50505345) /* "ESPP" */
#define VERSION  1
#define ATTEMPTS 16 /* at a vector that isn't on record */

static const struct kind *const kinds[POLICY_KINDS] = {
    [POLICY_DDPG] = &kind_ddpg,
    [POLICY_RANDOM] = &kind_random,
    [POLICY_UNIFORM] = &kind_uniform,
    [POLICY_SENSITIVITY] = &kind_sensitivity,
};

struct policy {
    const struct kind *kind;
    void *self; /* the kind's own */
    struct frame frame;
    int observed; /* episodes */
};

void setting_cost(const struct setting *s, const int *keep, struct cost *out)
{
    if (s->fine)
        fine_cost(s->fine, keep, out);
    else
        latency_cost(s->latency, s->graph, s->groups, keep, out);
}

int policy_new(struct policy **out, const struct setting *s, struct err *e)
{
    struct policy *p = xcalloc(1, sizeof *p);
    p->kind = kinds[s->kind];
    int rc = frame_init(&p->frame, s, e);
    if (rc == 0)
        rc = p->kind->create(&p->self, &p->frame, e);
    if (rc < 0) {
        policy_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void policy_free(struct policy *p)
{
    if (!p)
        return;
    if (p->self)
        p->kind->destroy(p->self);
    if (p->frame.s)
        frame_release(&p->frame);
    free(p);
}

void policy_propose(struct policy *p, int episode, int *keep)
{
    const struct setting *s = p->frame.s;
    int known = episode < s->lookahead ? 0 : episode - s->lookahead + 1;
    if (p->observed != known)
        BUG("proposing episode %d knowing %d results, not %d", episode, p->observed, known);

    struct rng r;
    rng_init(&r, s->seed, "propose", (uint64_t)episode);
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        p->kind->propose(p->self, episode, attempt, &r, keep);
        if (!frame_seen(&p->frame, episode, keep))
            break;
    }
    if (!limits_legal(s->limits, keep) || !frame_fits(&p->frame, frame_budget(&p->frame, episode), keep))
        BUG("episode %d: %s proposed what the budget or the limits forbid", episode, policy_name(s->kind));
    frame_note(&p->frame, episode, keep);
}

void policy_recall(struct policy *p, int episode, const int *keep)
{
    frame_note(&p->frame, episode, keep);
}

static double reward_of(const struct setting *s, const int *keep, const struct outcome *o)
{
    struct cost c;
    setting_cost(s, keep, &c);
    bool sound = !o->failed && o->top1 >= 0 && o->top1 <= 1; /* false for NaN */
    return policy_reward(s->reward, sound ? o->top1 : 0, &c);
}

void policy_observe(struct policy *p, int episode, const int *keep, const struct outcome *o)
{
    if (episode != p->observed)
        BUG("observing episode %d after %d results", episode, p->observed);
    p->observed++;
    if (p->kind->observe)
        p->kind->observe(p->self, episode, keep, reward_of(p->frame.s, keep, o));
}

void policy_save(const struct policy *p, struct buf *out)
{
    struct writer w = {out};
    write_u32(&w, MAGIC);
    write_u32(&w, VERSION);
    write_u64(&w, p->frame.s->kind);
    write_u64(&w, p->frame.s->seed);
    write_u64(&w, (uint64_t)p->frame.n);
    write_u64(&w, (uint64_t)p->frame.s->n_budgets);
    write_u32(&w, (uint32_t)p->observed);
    if (p->kind->save)
        p->kind->save(p->self, &w);
}

int policy_restore(struct policy *p, const void *bytes, size_t n, int *observed, struct err *e)
{
    const struct setting *s = p->frame.s;
    struct reader r = {.p = bytes, .left = n};
    if (read_u32(&r) != MAGIC)
        reader_refuse(&r, "it isn't one");
    uint32_t version = read_u32(&r);
    if (version != VERSION)
        reader_refuse(&r, "it is of version %u, this program reads %d", version, VERSION);
    read_same(&r, s->kind, "kind of policy");
    read_same(&r, s->seed, "seed");
    read_same(&r, (uint64_t)p->frame.n, "number of groups");
    read_same(&r, (uint64_t)s->n_budgets, "number of budgets");
    uint32_t seen = read_within(&r, (uint32_t)s->episodes, "number of episodes");
    if (p->kind->restore)
        p->kind->restore(p->self, &r);
    if (reader_fine(&r) && r.left)
        reader_refuse(&r, "%zu bytes are left over", r.left);
    if (!reader_fine(&r))
        return err_set(e, ERR_INVALID, "could not read the policy's snapshot: %s", r.wrong);
    p->observed = (int)seen;
    *observed = p->observed;
    return 0;
}
