/*
 * ddpg - the policy that learns: the agent of AMC (He et al., 2018) as one of the kinds.
 *
 * START_RANDOM searches as AMC does: the action is the fraction that a group keeps, decided group after group
 * behind the wall; warm-up episodes draw it evenly, later ones draw around the actor with a truncated normal, sigma
 * 0.5 * 0.95^(episodes since).
 *
 * START_SENSITIVITY searches where good vectors are. Its action is the residual to the sensitivity allocation (1/2:
 * none). The first episode of each budget is that allocation. Later ones vary the best vector observed so far under
 * the budget, many times over, and the critic picks one as soon as it has learnt from a batch; after the warm-up
 * it's the actor that is varied in every second round.
 *
 * Learning, in both: each step of an episode gets the final reward, discount 1. Transitions hold what was executed
 * (recomputed from the vector, so that a recalled candidate teaches as much as a fresh one; replay.h says how).
 * Rewards have a moving baseline subtracted, one for each budget, as in AMC; besides, they're divided by their
 * spread under the budget and by the number of steps, which keeps Q near one whatever the reward's unit. Updates,
 * one a step (64 at most), start with the first full batch and not with the end of the warm-up: the lookahead would
 * leave the first acting episodes with an untrained actor.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/policy/agent.h"
#include "coordinator/policy/features.h"
#include "coordinator/policy/kind.h"
#include "coordinator/policy/noise.h"
#include "coordinator/policy/replay.h"
#include "coordinator/policy/sensitivity.h"
#include "coordinator/policy/variation.h"
#include "coordinator/policy/wall.h"

#define SIGMA_RANDOM   0.5
#define SIGMA_RESIDUAL 0.1
#define SIGMA_DECAY    0.95
#define SIGMA_LEAST    0.02 /* of the residual: drawing the same vector again is no use */
#define PULL           0.5 /* towards the sensitivity allocation: an action added to all groups alike means nothing */
#define BASELINE_ALPHA 0.5
#define MOST_UPDATES   64  /* an episode: keeps policy_observe short */
#define REPLAY_STEPS   100 /* episodes' worth of transitions, as AMC has it */
#define REPLAY_LEAST   2000
#define REPLAY_MOST    20000
#define DRAWS          32 /* vectors that the critic picks from */

/* What is known under one budget. */
struct standing {
    int n;           /* episodes observed */
    double mean, m2; /* of their rewards (Welford) */
    double baseline;
    bool based;  /* the baseline has been set */
    double best; /* the largest reward */
};

struct ddpg {
    const struct frame *f;
    int T;          /* steps: groups that can be cut */
    bool residual;  /* START_SENSITIVITY */
    int *sensitive; /* (n_budgets, groups) */
    struct features features;
    struct agent *agent;
    struct replay replay;
    struct standing *standing; /* (n_budgets) */
    int *best;          /* (n_budgets, groups): the vector of standing.best, at first the sensitivity allocation */
    struct batch batch; /* room for one */
    float *s;           /* room for one vector's states (T,S), */
    float *a, *lo, *hi, *q; /* actions and values (T) */
};

static const int *row(const struct ddpg *d, const int *vectors, int budget)
{
    return vectors + (size_t)budget * (size_t)d->f->n;
}

/* The action that asks for a fraction is the fraction itself, or, in residuals, what it's more than the sensitivity
 * allocation, plus 1/2. */
static double offset(const struct ddpg *d, int budget, int group)
{
    return d->residual ? 0.5 - (double)row(d, d->sensitive, budget)[group] / d->f->s->limits->most[group] : 0;
}

static void destroy(void *self)
{
    struct ddpg *d = self;
    features_release(&d->features);
    agent_free(d->agent);
    replay_release(&d->replay);
    batch_release(&d->batch);
    free(d->sensitive);
    free(d->best);
    free(d->standing);
    free(d->s);
    free(d->a);
    free(d->lo);
    free(d->hi);
    free(d->q);
    free(d);
}

static int create(void **self, const struct frame *f, struct err *e)
{
    const struct setting *s = f->s;
    size_t T = (size_t)f->n_cut, n_vectors = (size_t)s->n_budgets * (size_t)f->n;
    struct ddpg *d = xcalloc(1, sizeof *d);
    *d = (struct ddpg){.f = f, .T = f->n_cut, .residual = s->start == START_SENSITIVITY};
    d->standing = xcalloc((size_t)s->n_budgets, sizeof *d->standing);
    d->sensitive = xcalloc(n_vectors, sizeof *d->sensitive);
    d->best = xcalloc(n_vectors, sizeof *d->best);
    for (int b = 0; b < s->n_budgets; b++)
        sensitivity_allocate(f, b, d->sensitive + (size_t)b * (size_t)f->n);
    memcpy(d->best, d->sensitive, n_vectors * sizeof *d->best);
    features_init(&d->features, f, d->sensitive);
    d->s = xcalloc(T * FEATURES, sizeof *d->s);
    d->a = xcalloc(T, sizeof *d->a);
    d->lo = xcalloc(T, sizeof *d->lo);
    d->hi = xcalloc(T, sizeof *d->hi);
    d->q = xcalloc(T, sizeof *d->q);
    batch_init(&d->batch, FEATURES);
    struct rng r;
    rng_init(&r, s->seed, "weights", 0);
    d->agent = agent_new(FEATURES, d->residual ? PULL : 0, &r);

    int cap = REPLAY_STEPS * d->T;
    cap = cap < REPLAY_LEAST ? REPLAY_LEAST : cap > REPLAY_MOST ? REPLAY_MOST : cap;
    int rc = replay_init(&d->replay, FEATURES, cap, e);
    if (rc < 0) {
        destroy(d);
        return rc;
    }
    *self = d;
    return 0;
}

/* What the agent does at step t, on top of noise; sigma < 0: anything. */
static double act(struct ddpg *d, int budget, int t, double sigma, struct rng *r, const struct bill *b)
{
    float mu;
    if (sigma < 0)
        return rng_uniform(r);
    features_at(&d->features, budget, t, b, d->s);
    agent_act(d->agent, &mu, d->s, 1);
    return noise_truncated(r, (double)mu, sigma, 0, 1);
}

/* AMC's episode: group after group, behind the wall. */
static void act_walled(struct ddpg *d, int budget, double sigma, struct rng *r, struct bill *b)
{
    struct wall w = {.limits = d->f->s->limits, .most = d->f->s->budgets[budget].most};
    wall_begin(&w, b);
    for (int t = 0; t < d->T; t++)
        wall_act(&w, b, d->f->cut[t], act(d, budget, t, sigma, r, b));
}

/*
 * The same for residuals. They start near a vector that spends the budget, where the wall would make the last
 * groups pay for all the noise of the earlier ones; so all decide freely, and then the same fraction is added to
 * all or taken from all.
 */
static void act_residual(struct ddpg *d, int budget, double sigma, struct rng *r, struct bill *b)
{
    const struct limits *l = d->f->s->limits;
    double *want = xcalloc((size_t)d->T, sizeof *want), fits = -1, over = 1;
    bill_set(b, l->least);
    for (int t = 0; t < d->T; t++) {
        int g = d->f->cut[t];
        want[t] = act(d, budget, t, sigma, r, b) - offset(d, budget, g);
        bill_move(b, g, limits_round(l, g, want[t]));
    }
    for (int i = 0; i < 16; i++) {
        double mid = (fits + over) / 2;
        for (int t = 0; t < d->T; t++)
            bill_move(b, d->f->cut[t], limits_round(l, d->f->cut[t], want[t] + mid));
        *(b->cost <= d->f->s->budgets[budget].most ? &fits : &over) = mid;
    }
    for (int t = 0; t < d->T; t++)
        bill_move(b, d->f->cut[t], limits_round(l, d->f->cut[t], want[t] + fits));
    variation_settle(d->f, budget, b, NULL, FIT_SENSITIVE, r);
    free(want);
}

/*
 * The states on the way to a vector, d->s, and the actions that end in its numbers: those that round to them, [lo,
 * hi] and, in d->a, the one that names the number itself. Where a number is the largest that the wall allows, all
 * larger actions end there too.
 */
static void retrace(struct ddpg *d, int budget, const int *keep)
{
    const struct limits *l = d->f->s->limits;
    struct wall w = {.limits = l, .most = d->f->s->budgets[budget].most};
    struct bill b;
    bill_init(&b, frame_price(d->f, budget));
    wall_begin(&w, &b);
    for (int t = 0; t < d->T; t++) {
        int g = d->f->cut[t], k = keep[g], most = l->most[g], down = limits_down(l, g, k), up = limits_up(l, g, k);
        double off = offset(d, budget, g), lo = (k + down) / 2.0 / most + off, hi = (k + up) / 2.0 / most + off;
        if (!d->residual && wall_reach(&w, &b, g, most) == k)
            hi = 1;
        features_at(&d->features, budget, t, &b, d->s + (size_t)t * FEATURES);
        d->a[t] = (float)fmin(fmax((double)k / most + off, 0), 1);
        d->lo[t] = down == k ? 0 : (float)fmin(fmax(lo, 0), 1);
        d->hi[t] = up == k ? 1 : (float)fmin(fmax(hi, 0), 1);
        bill_move(&b, g, k);
    }
    bill_release(&b);
}

/* What the critic expects of a vector: Q at step t sums T - t rewards, and each of them is the vector's. */
static double judge(struct ddpg *d, int budget, const int *keep)
{
    double sum = 0;
    retrace(d, budget, keep);
    agent_value(d->agent, d->q, d->s, d->a, d->T);
    for (int t = 0; t < d->T; t++)
        sum += (double)d->q[t] / (d->T - t);
    return sum;
}

/* The vector that the critic likes most among fresh ones around the actor, or around the best vector so far where
 * sigma is 0. */
static void pick(struct ddpg *d, int episode, double sigma, double widen, struct rng *r, int *keep)
{
    int budget = frame_budget(d->f, episode);
    double best = -INFINITY;
    int *draw = xcalloc((size_t)d->f->n, sizeof *draw);
    struct bill b;
    bill_init(&b, frame_price(d->f, budget));
    for (int i = 0; i < DRAWS; i++) {
        if (sigma > 0) {
            act_residual(d, budget, sigma, r, &b);
            memcpy(draw, b.keep, (size_t)d->f->n * sizeof *draw);
        } else {
            variation_draw(d->f, budget, row(d, d->best, budget), widen, FIT_SENSITIVE, r, draw);
        }
        double value = frame_seen(d->f, episode, draw) ? -INFINITY : judge(d, budget, draw);
        if (i == 0 || value > best) {
            best = value;
            memcpy(keep, draw, (size_t)d->f->n * sizeof *keep);
        }
    }
    bill_release(&b);
    free(draw);
}

static void propose_residual(struct ddpg *d, int episode, double widen, struct rng *r, int *keep)
{
    const struct setting *s = d->f->s;
    int budget = frame_budget(d->f, episode);
    if (episode < s->n_budgets || d->T == 0) {
        memcpy(keep, row(d, d->sensitive, budget), (size_t)d->f->n * sizeof *keep);
    } else if (d->replay.n < AGENT_BATCH) {
        variation_draw(d->f, budget, row(d, d->best, budget), widen, FIT_SENSITIVE, r, keep);
    } else {
        double sigma = widen * noise_decayed(SIGMA_RESIDUAL, SIGMA_DECAY, episode - s->warmup);
        bool acting = episode >= s->warmup && episode / s->n_budgets % 2 == 0;
        pick(d, episode, acting ? fmax(sigma, SIGMA_LEAST) : 0, widen, r, keep);
    }
}

static void propose(void *self, int episode, int attempt, struct rng *r, int *keep)
{
    struct ddpg *d = self;
    const struct setting *s = d->f->s;
    double widen = 1 + 0.25 * attempt;
    if (d->residual) {
        propose_residual(d, episode, widen, r, keep);
        return;
    }
    struct bill b;
    bill_init(&b, frame_price(d->f, frame_budget(d->f, episode)));
    double sigma = widen * noise_decayed(SIGMA_RANDOM, SIGMA_DECAY, episode - s->warmup);
    act_walled(d, frame_budget(d->f, episode), episode < s->warmup ? -1 : sigma, r, &b);
    memcpy(keep, b.keep, (size_t)d->f->n * sizeof *keep);
    bill_release(&b);
}

/* The standard deviation of a budget's rewards; 1 before there is one. */
static double spread(const struct standing *b)
{
    double sd = b->n > 1 ? sqrt(b->m2 / (b->n - 1)) : 0;
    return sd > 0 ? sd : 1;
}

/* The moving average of the batches' mean reward (AMC's code), one for each budget. */
static void move_baselines(struct ddpg *d, const int *at)
{
    for (int k = 0; k < d->f->s->n_budgets; k++) {
        struct standing *b = &d->standing[k];
        double sum = 0;
        int n = 0;
        for (int i = 0; i < AGENT_BATCH; i++)
            if (d->replay.budget[at[i]] == k) {
                sum += (double)d->replay.r[at[i]];
                n++;
            }
        if (n == 0)
            continue;
        b->baseline = b->based ? b->baseline + BASELINE_ALPHA * (sum / n - b->baseline) : sum / n;
        b->based = true;
    }
}

static void learn(struct ddpg *d, struct rng *r)
{
    int at[AGENT_BATCH];
    const size_t S = FEATURES;
    const struct replay *m = &d->replay;
    replay_draw(m, r, at, AGENT_BATCH);
    move_baselines(d, at);
    for (int i = 0; i < AGENT_BATCH; i++) {
        size_t k = (size_t)at[i];
        const struct standing *b = &d->standing[m->budget[k]];
        memcpy(d->batch.s + (size_t)i * S, m->s + k * S, S * sizeof *m->s);
        memcpy(d->batch.s2 + (size_t)i * S, m->s2 + k * S, S * sizeof *m->s2);
        d->batch.a[i] = m->lo[k] + (m->hi[k] - m->lo[k]) * (float)rng_uniform(r);
        d->batch.r[i] = (float)(((double)m->r[k] - b->baseline) / spread(b) / d->T);
        d->batch.going[i] = !m->end[k];
    }
    agent_update(d->agent, &d->batch);
}

static void remember(struct ddpg *d, int budget, const int *keep, double reward)
{
    retrace(d, budget, keep);
    for (int t = 0; t < d->T; t++) {
        const float *s_t = d->s + (size_t)t * FEATURES;
        bool end = t == d->T - 1;
        struct transition x = {.s = s_t, .s2 = s_t + FEATURES, .lo = d->lo[t], .hi = d->hi[t]};
        x.r = (float)reward;
        x.budget = budget;
        x.end = end;
        replay_add(&d->replay, &x);
    }
}

static void observe(void *self, int episode, const int *keep, double reward)
{
    struct ddpg *d = self;
    int budget = frame_budget(d->f, episode);
    struct standing *b = &d->standing[budget];
    if (b->n == 0 || reward > b->best) {
        b->best = reward;
        memcpy(d->best + (size_t)budget * (size_t)d->f->n, keep, (size_t)d->f->n * sizeof *keep);
    }
    double off = reward - b->mean;
    b->n++;
    b->mean += off / b->n;
    b->m2 += off * (reward - b->mean);

    remember(d, budget, keep, reward);
    struct rng r;
    rng_init(&r, d->f->s->seed, "replay", (uint64_t)episode);
    int updates = d->T < MOST_UPDATES ? d->T : MOST_UPDATES;
    for (int i = 0; i < updates && d->replay.n >= AGENT_BATCH; i++)
        learn(d, &r);
}

static void save(const void *self, struct writer *w)
{
    const struct ddpg *d = self;
    agent_save(d->agent, w);
    replay_save(&d->replay, w);
    for (int k = 0; k < d->f->s->n_budgets; k++) {
        const struct standing *b = &d->standing[k];
        write_u32(w, (uint32_t)b->n);
        write_f64(w, b->mean);
        write_f64(w, b->m2);
        write_f64(w, b->baseline);
        write_u32(w, b->based);
        write_f64(w, b->best);
        write_ints(w, row(d, d->best, k), (size_t)d->f->n);
    }
}

static void restore(void *self, struct reader *r)
{
    struct ddpg *d = self;
    agent_restore(d->agent, r);
    replay_restore(&d->replay, d->f->s->n_budgets, r);
    for (int k = 0; k < d->f->s->n_budgets; k++) {
        struct standing *b = &d->standing[k];
        int *best = d->best + (size_t)k * (size_t)d->f->n;
        b->n = (int)read_within(r, (uint32_t)d->f->s->episodes, "number of episodes under a budget");
        b->mean = read_f64(r);
        b->m2 = read_f64(r);
        b->baseline = read_f64(r);
        b->based = read_within(r, 1, "baseline's flag") != 0;
        b->best = read_f64(r);
        read_ints(r, best, (size_t)d->f->n);
        if (reader_fine(r) && (!limits_legal(d->f->s->limits, best) || !frame_fits(d->f, k, best)))
            reader_refuse(r, "the best vector under budget %d isn't a legal one", k);
    }
}

const struct kind kind_ddpg = {
    .create = create, .destroy = destroy, .propose = propose, .observe = observe, .save = save, .restore = restore};
