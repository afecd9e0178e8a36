/* The policies behind policy.h: budgets, order, snapshots, refusals, and whether learning is worth anything. */
#include "tests/unit/toy.h"

#include "coordinator/policy/coder.h"
#include "coordinator/policy/replay.h"

struct start {
    enum policy_kind kind;
    enum policy_start start;
};
static const struct start starts[] = {{POLICY_RANDOM, START_RANDOM},
                                      {POLICY_UNIFORM, START_RANDOM},
                                      {POLICY_SENSITIVITY, START_RANDOM},
                                      {POLICY_DDPG, START_SENSITIVITY},
                                      {POLICY_DDPG, START_RANDOM}};
enum { STARTS = sizeof starts / sizeof *starts };

static struct policy *new_policy(const struct setting *s)
{
    struct policy *p;
    struct err e;
    if (policy_new(&p, s, &e) < 0)
        ck_abort_msg("%s", e.text);
    return p;
}

/* Candidates that have nothing to do with each other fail now and then, where a test wants that. */
static struct outcome outcome_of(const struct toy *t, const struct setting *s, int episode, const int *keep)
{
    return (struct outcome){.top1 = toy_top1(t, keep), .failed = s->episodes <= 60 && episode % 13 == 12};
}

/* A search as the coordinator drives it. keep (episodes, groups): what was proposed. */
static void drive(struct policy *p, const struct toy *t, const struct setting *s, int from, int observed, int *keep)
{
    size_t n = (size_t)t->groups.n;
    for (int e = from; e < s->episodes; e++) {
        for (; observed <= e - s->lookahead; observed++) {
            const int *k = keep + (size_t)observed * n;
            struct outcome o = outcome_of(t, s, observed, k);
            policy_observe(p, observed, k, &o);
        }
        policy_propose(p, e, keep + (size_t)e * n);
    }
}

/* Random graphs, limits, kinds of budget, kinds of policy: 120 settings of 30 proposals each. */
START_TEST(no_proposal_above_its_budget)
{
    int proposals = 0, spent = 0;
    for (int i = _i; i < 120; i += 4) {
        struct rng r;
        struct toy t;
        rng_init(&r, 21, "budgets", (uint64_t)i);
        toy_init(&t, &r, 1 + (int)rng_below(&r, 8), 0.05 + 0.2 * rng_uniform(&r), 1 << rng_below(&r, 4), 0.5);
        struct budget b[3];
        for (int k = 0; k < 3; k++) {
            enum cost_kind kind = (enum cost_kind)rng_below(&r, COST_KINDS);
            struct cost least, dense;
            latency_cost(&t.table, &t.graph, &t.groups, t.limits.least, &least);
            latency_cost(&t.table, &t.graph, &t.groups, NULL, &dense);
            double lo = (double)(least.of[kind] + 1) / (double)dense.of[kind];
            b[k] = toy_budget(&t, kind, fmin(1, lo + (1 - lo) * rng_uniform(&r) * 0.8));
        }
        struct setting s = toy_setting(&t, b, 1 + i % 3);
        s.episodes = 30;
        s.warmup = 12;
        s.lookahead = 1 + (int)rng_below(&r, 8);
        s.seed = (uint64_t)i;
        s.kind = starts[i / 4 % STARTS].kind;
        s.start = starts[i / 4 % STARTS].start;
        struct policy *p = new_policy(&s);
        int *keep = xcalloc((size_t)s.episodes * (size_t)t.groups.n, sizeof *keep);
        drive(p, &t, &s, 0, 0, keep);
        for (int e = 0; e < s.episodes; e++) {
            const struct budget *bg = &b[e % s.n_budgets];
            struct cost c;
            latency_cost(&t.table, &t.graph, &t.groups, keep + (size_t)e * (size_t)t.groups.n, &c);
            ck_assert_int_le(c.of[bg->kind], bg->most);
            ck_assert(limits_legal(&t.limits, keep + (size_t)e * (size_t)t.groups.n));
            proposals++;
            spent += (double)c.of[bg->kind] > 0.9 * (double)bg->most;
        }
        free(keep);
        policy_free(p);
        toy_release(&t);
    }
    ck_assert_int_eq(proposals, 30 * 30);
    ck_assert_int_gt(spent, proposals / 2);
}
END_TEST

struct world {
    struct toy toy;
    struct budget budgets[2];
    struct setting setting;
};

static void world_init(struct world *w, int seed, int blocks, const struct start *start)
{
    struct rng r;
    rng_init(&r, (uint64_t)seed, "world", 0);
    toy_init(&w->toy, &r, blocks, 0.1, 2, 0.7);
    w->budgets[0] = toy_budget(&w->toy, COST_FLOPS, 0.5);
    w->budgets[1] = toy_budget(&w->toy, COST_PARAMS, 0.6);
    w->setting = toy_setting(&w->toy, w->budgets, 2);
    w->setting.kind = start->kind;
    w->setting.start = start->start;
    w->setting.seed = (uint64_t)seed;
}

/* Stopping anywhere and going on from a snapshot and the record gives the same candidates and the same state. */
START_TEST(a_restart_changes_nothing)
{
    struct world w;
    struct err e;
    world_init(&w, 2, 4, &starts[_i]);
    size_t n = (size_t)w.toy.groups.n;
    const struct setting *s = &w.setting;
    int *keep = xcalloc((size_t)s->episodes * n, sizeof *keep),
        *again = xcalloc((size_t)s->episodes * n, sizeof *again);
    struct policy *p = new_policy(s);
    struct buf end = {0};
    drive(p, &w.toy, s, 0, 0, keep);
    policy_save(p, &end);
    policy_free(p);

    for (int stop = 0; stop < s->episodes; stop += 11) {
        int seen = stop < s->lookahead ? 0 : stop - s->lookahead + 1, told = seen * 2 / 3, observed;
        struct buf snapshot = {0}, end2 = {0};
        p = new_policy(s);
        for (int i = 0; i < stop; i++)
            policy_recall(p, i, keep + (size_t)i * n);
        for (int i = 0; i < told; i++) {
            struct outcome o = outcome_of(&w.toy, s, i, keep + (size_t)i * n);
            policy_observe(p, i, keep + (size_t)i * n, &o);
        }
        policy_save(p, &snapshot);
        policy_free(p);

        p = new_policy(s);
        ck_assert_int_eq(policy_restore(p, snapshot.p, snapshot.n, &observed, &e), 0);
        ck_assert_int_eq(observed, told);
        for (int i = 0; i < stop; i++)
            policy_recall(p, i, keep + (size_t)i * n);
        memcpy(again, keep, (size_t)stop * n * sizeof *keep);
        drive(p, &w.toy, s, stop, told, again);
        ck_assert(memcmp(keep, again, (size_t)s->episodes * n * sizeof *keep) == 0);
        policy_save(p, &end2);
        ck_assert(end.n == end2.n && memcmp(end.p, end2.p, end.n) == 0);
        policy_free(p);
        buf_release(&snapshot);
        buf_release(&end2);
    }
    buf_release(&end);
    free(keep);
    free(again);
    toy_release(&w.toy);
}
END_TEST

START_TEST(vectors_are_fresh_and_bases_come_first)
{
    struct world w;
    world_init(&w, 3, 6, &starts[_i]);
    size_t n = (size_t)w.toy.groups.n;
    const struct setting *s = &w.setting;
    int *keep = xcalloc((size_t)s->episodes * n, sizeof *keep), *base = xcalloc(n, sizeof *base);
    struct policy *p = new_policy(s);
    drive(p, &w.toy, s, 0, 0, keep);
    policy_free(p);
    for (int e = 2; e < s->episodes; e++)
        for (int i = e % 2; i < e; i += 2)
            ck_assert_msg(memcmp(keep + (size_t)e * n, keep + (size_t)i * n, n * sizeof *keep) != 0,
                          "%d is %d again", e, i);
    if (s->kind == POLICY_DDPG && s->start == START_SENSITIVITY) { /* it starts where sensitivity does */
        struct setting sensitive = *s;
        sensitive.kind = POLICY_SENSITIVITY;
        p = new_policy(&sensitive);
        for (int e = 0; e < 2; e++) {
            policy_propose(p, e, base);
            ck_assert(memcmp(keep + (size_t)e * n, base, n * sizeof *base) == 0);
        }
        policy_free(p);
    }
    free(base);
    free(keep);
    toy_release(&w.toy);
}
END_TEST

START_TEST(impossible_settings_are_refused)
{
    struct world w;
    struct policy *p;
    struct err e;
    world_init(&w, 4, 4, &starts[3]);
    w.budgets[1] = toy_budget(&w.toy, COST_PARAMS, 0.001);
    ck_assert_int_eq(policy_new(&p, &w.setting, &e), ERR_INVALID);
    const char *start = "budget params 0.001 can't be met: with every group at its least the network still has 0.0";
    ck_assert_msg(strncmp(e.text, start, strlen(start)) == 0, "%s", e.text);
    w.budgets[1] = toy_budget(&w.toy, COST_PARAMS, 0.5);
    w.toy.curve[0][1] = NAN;
    ck_assert_int_eq(policy_new(&p, &w.setting, &e), ERR_INVALID);
    ck_assert_msg(strstr(e.text, "is not a number") != NULL, "%s", e.text);
    w.setting.kind = POLICY_RANDOM; /* doesn't look at the curves */
    policy_free(new_policy(&w.setting));
    toy_release(&w.toy);
}
END_TEST

START_TEST(bad_snapshots_are_refused)
{
    struct world w;
    struct err e;
    struct buf b = {0};
    int observed;
    world_init(&w, 5, 3, &starts[3]);
    struct policy *p = new_policy(&w.setting);
    policy_save(p, &b);
    ck_assert_int_eq(policy_restore(p, b.p, b.n, &observed, &e), 0);
    for (size_t n = 0; n < b.n; n += n < 60 ? 1 : b.n / 50)
        ck_assert_int_eq(policy_restore(p, b.p, n, &observed, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "could not read the policy's snapshot: it is cut short");
    b.p[4] = 9;
    ck_assert_int_eq(policy_restore(p, b.p, b.n, &observed, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "could not read the policy's snapshot: it is of version 9, this program reads 1");
    b.p[4] = 1;
    buf_append(&b, "x", 1);
    ck_assert_int_eq(policy_restore(p, b.p, b.n, &observed, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "could not read the policy's snapshot: 1 bytes are left over");
    w.setting.seed++;
    ck_assert_int_eq(policy_restore(p, b.p, b.n - 1, &observed, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "could not read the policy's snapshot: its seed is 5, not 6");
    policy_free(p);
    buf_release(&b);
    toy_release(&w.toy);
}
END_TEST

START_TEST(a_net_without_choice_stays_whole)
{
    for (int i = 0; i < STARTS; i++) {
        struct world w;
        world_init(&w, 6, 3, &starts[i]);
        size_t n = (size_t)w.toy.groups.n;
        memcpy(w.toy.limits.least, w.toy.limits.most, n * sizeof(int));
        w.budgets[0] = w.budgets[1] = toy_budget(&w.toy, COST_FLOPS, 1);
        w.setting.episodes = 12;
        int *keep = xcalloc(12 * n, sizeof *keep);
        struct policy *p = new_policy(&w.setting);
        drive(p, &w.toy, &w.setting, 0, 0, keep);
        for (int e = 0; e < 12; e++)
            ck_assert(memcmp(keep + (size_t)e * n, w.toy.limits.most, n * sizeof *keep) == 0);
        policy_free(p);
        free(keep);
        toy_release(&w.toy);
    }
}
END_TEST

START_TEST(names_and_rewards)
{
    enum policy_kind k;
    enum reward_kind r;
    for (int i = 0; i < POLICY_KINDS; i++)
        ck_assert(policy_from_name(policy_name((enum policy_kind)i), &k) && k == (enum policy_kind)i);
    for (int i = 0; i < REWARD_KINDS; i++)
        ck_assert(reward_from_name(reward_name((enum reward_kind)i), &r) && r == (enum reward_kind)i);
    ck_assert(!policy_from_name("ppo", &k) && !reward_from_name("", &r));
    ck_assert_str_eq(policy_name(POLICY_DDPG), "ddpg");
    ck_assert_str_eq(reward_name(REWARD_ERROR_FLOPS), "error-flops");
    const struct cost c = {{1000000, 2000, 8000}};
    ck_assert_double_eq(policy_reward(REWARD_ACCURACY, 0.75, &c), 0.75);
    ck_assert_double_eq_tol(policy_reward(REWARD_ERROR_FLOPS, 0.75, &c), -0.25 * log(1e6), 1e-12);
    ck_assert_double_eq_tol(policy_reward(REWARD_ERROR_PARAMS, 0.5, &c), -0.5 * log(2000), 1e-12);
}
END_TEST

START_TEST(replay_is_a_ring_of_whole_transitions)
{
    struct replay p;
    struct err e;
    struct rng r;
    rng_init(&r, 1, "ring", 0);
    ck_assert_int_eq(replay_init(&p, 2, 5, &e), 0);
    for (int i = 0; i < 13; i++) {
        float x[4] = {(float)i, (float)i + 0.5f, (float)i + 1, (float)i + 1.5f};
        struct transition t = {.s = x, .s2 = x + 2, .lo = (float)i, .hi = (float)i + 2, .r = (float)-i};
        t.budget = i % 3;
        t.end = i % 4 == 3;
        replay_add(&p, &t);
        ck_assert_int_eq(p.n, i < 5 ? i + 1 : 5);
    }
    for (int k = 0; k < 5; k++) { /* 8 ... 12 are there, each with what belongs to it */
        int i = (int)p.lo[k];
        ck_assert(p.hi[k] == (float)i + 2);
        ck_assert(i >= 8 && i <= 12 && i % 5 == k);
        ck_assert(p.s[2 * k] == (float)i && p.s[2 * k + 1] == (float)i + 0.5f && p.r[k] == (float)-i);
        ck_assert(p.budget[k] == i % 3 && p.end[k] == (i % 4 == 3));
        ck_assert(p.s2[2 * k] == (p.end[k] ? 0 : (float)i + 1) &&
                  p.s2[2 * k + 1] == (p.end[k] ? 0 : (float)i + 1.5f));
    }
    int at[500], count[5] = {0};
    replay_draw(&p, &r, at, 500);
    for (int i = 0; i < 500; i++)
        count[at[i]]++;
    for (int k = 0; k < 5; k++)
        ck_assert_int_gt(count[k], 60);
    replay_release(&p);
}
END_TEST

/* Accuracies of a search under one budget, without the noise of failures. */
struct found {
    double base; /* the first candidate */
    double best;
    double early; /* mean of the warm-up, its first quarter */
    double late;  /* mean of its last fifth */
};

static void search(const struct start *start, int seed, int episodes, struct found *f)
{
    struct world w;
    world_init(&w, seed, 9, start); /* 10 groups or more: with 5, any policy finds the best vector */
    w.setting.n_budgets = 1;
    w.setting.episodes = episodes;
    w.setting.warmup = episodes / 4;
    size_t n = (size_t)w.toy.groups.n;
    int *keep = xcalloc((size_t)episodes * n, sizeof *keep);
    struct policy *p = new_policy(&w.setting);
    drive(p, &w.toy, &w.setting, 0, 0, keep);
    double best = 0;
    for (int e = 0; e < episodes; e++) {
        double top1 = toy_top1(&w.toy, keep + (size_t)e * n);
        best = fmax(best, top1);
        f->base += e == 0 ? top1 : 0;
        f->early += e < w.setting.warmup ? top1 / w.setting.warmup : 0;
        f->late += e >= episodes - episodes / 5 ? top1 / (episodes / 5) : 0;
    }
    f->best += best;
    policy_free(p);
    free(keep);
    toy_release(&w.toy);
}

START_TEST(learning_beats_not_learning)
{
    enum { SEEDS = 3, EPISODES = 240, RANDOM = 0, UNIFORM = 1, SENSITIVITY = 2, DDPG = 3, AMC = 4 };
    struct found f[STARTS] = {{0}};
    static const char *const names[STARTS] = {"random", "uniform", "sensitivity", "ddpg", "ddpg from random"};
    for (int i = 0; i < STARTS; i++) {
        for (int seed = 1; seed <= SEEDS; seed++)
            search(&starts[i], seed, EPISODES, &f[i]);
        printf("%-16s first %.4f best %.4f warm-up %.4f last fifth %.4f\n", names[i], f[i].base / SEEDS,
               f[i].best / SEEDS, f[i].early / SEEDS, f[i].late / SEEDS);
    }
    fflush(stdout);
    ck_assert(f[DDPG].best > f[DDPG].base && f[DDPG].base == f[SENSITIVITY].base);
    ck_assert(f[DDPG].best > f[RANDOM].best && f[DDPG].best > f[UNIFORM].best &&
              f[DDPG].best > f[SENSITIVITY].best);
    ck_assert(f[DDPG].late > f[DDPG].early && f[DDPG].late > f[SENSITIVITY].late);
    ck_assert(f[AMC].late > f[AMC].early);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("policy");
    TCase *t = tcase_create("policy");
    tcase_set_timeout(t, 300);
    tcase_add_loop_test(t, no_proposal_above_its_budget, 0, 4);
    tcase_add_loop_test(t, a_restart_changes_nothing, 0, STARTS);
    tcase_add_loop_test(t, vectors_are_fresh_and_bases_come_first, 0, STARTS);
    tcase_add_test(t, impossible_settings_are_refused);
    tcase_add_test(t, bad_snapshots_are_refused);
    tcase_add_test(t, a_net_without_choice_stays_whole);
    tcase_add_test(t, names_and_rewards);
    tcase_add_test(t, replay_is_a_ring_of_whole_transitions);
    tcase_add_test(t, learning_beats_not_learning);
    suite_add_tcase(s, t);
    SRunner *run = srunner_create(s);
    srunner_run_all(run, CK_NORMAL);
    int bad = srunner_ntests_failed(run) > 0 || srunner_ntests_run(run) == 0;
    srunner_free(run);
    return bad;
}
