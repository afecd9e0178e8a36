/* search: the same proposals whatever the order of the results and wherever a restart falls, finalists, and what is
 * refused. */
#include <check.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/onnx/save.h"
#include "coordinator/search.h"
#include "tests/unit/nets.h"

#define EPISODES  40
#define LOOKAHEAD 6

static struct buf onnx; /* a small plain net */

static void setup(void)
{
    struct model m = {0};
    struct err e;
    graph_init(&m.graph);
    int x = net_input(&m.graph, 3, 8, 8);
    x = net_op(&m.graph, OP_RELU, net_conv(&m.graph, x, 16, 3, 1, 1));
    x = net_op(&m.graph, OP_RELU, net_conv(&m.graph, x, 32, 3, 2, 1));
    x = net_op(&m.graph, OP_RELU, net_conv(&m.graph, x, 24, 3, 1, 1));
    x = net_conv(&m.graph, x, 10, 1, 1, 1);
    m.graph.output = x;
    ck_assert_int_eq(weights_new(&m.weights, &m.graph, &e), 0);
    ck_assert_msg(onnx_save(&m, NULL, 0, &onnx, &e) == 0, "%s", e.text);
    model_release(&m);
}

static void teardown(void)
{
    buf_release(&onnx);
}

static const char *spec_of(const char *policy, int top, const char *more)
{
    static char yaml[1024];
    snprintf(yaml, sizeof(yaml),
             "spec_version: 1\nname: t\nmodel: m.onnx\ndata: {kind: synthetic}\nsplit: {reward: 1000}\n"
             "budgets: {flops: [0.4, 0.7]}\nsearch: {policy: %s, episodes: %d, warmup: 10, lookahead: %d}\n"
             "cut: {round_to: 2}\nfinish: {top: %d}\n%s",
             policy, EPISODES, LOOKAHEAD, top, more);
    return yaml;
}

static int try_new(const char *yaml, struct search **s, struct err *e)
{
    struct recipe r = {.reward = 1000, .data = DATA_SYNTHETIC};
    return search_new(s, yaml, strlen(yaml), &r, onnx.p, onnx.n, e);
}

static void give_profile(struct search *s)
{
    struct msg_result r = {.reward = {.n = 1000, .top1 = 900, .top5 = 990}, .has_blob = true};
    struct err e;
    r.n_groups = (uint32_t)s->groups.n;
    r.n_curve = xcalloc(r.n_groups, sizeof(*r.n_curve));
    for (int g = 0; g < s->groups.n; g++)
        r.n_points += r.n_curve[g] = (uint32_t)s->groups.of[g].n + 1;
    r.curve = xcalloc(r.n_points, sizeof(*r.curve));
    for (uint32_t g = 0, at = 0; g < r.n_groups; g++)
        for (uint32_t k = 0; k < r.n_curve[g]; k++)
            r.curve[at++] = (float)(r.n_curve[g] - 1 - k) / (float)r.n_curve[g];
    ck_assert_msg(search_check_profile(s, &r, &e) == 0, "%s", e.text);
    ck_assert_msg(search_set_profile(s, &r, &e) == 0, "%s", e.text);
    r.n_curve[0]++;
    ck_assert_int_eq(search_check_profile(s, &r, &e), ERR_INVALID);
    r.n_groups--;
    ck_assert_int_eq(search_check_profile(s, &r, &e), ERR_INVALID);
    free(r.n_curve);
    free(r.curve);
}

static struct search *begin(const char *policy)
{
    struct search *s;
    struct err e;
    ck_assert_msg(try_new(spec_of(policy, 1, ""), &s, &e) == 0, "%s", e.text);
    search_set_id(s, 7);
    give_profile(s);
    return s;
}

/* As an evaluation would: the same score for the same channels; every ninth episode can't be evaluated. */
static void finish(struct search *s, struct candidate *c)
{
    int sum = 0;
    for (int g = 0; g < c->n_keep; g++)
        sum += c->keep[g] * (g + 3);
    c->reward = (struct metrics){.n = 1000, .top1 = sum % 1000, .top5 = 1000};
    task_move(&c->evaluate, TASK_READY);
    task_move(&c->evaluate, TASK_LEASED);
    task_move(&c->evaluate, TASK_RECORDING);
    task_move(&c->evaluate, c->episode % 9 == 8 ? TASK_PARKED : TASK_DONE);
    search_count(s, c);
}

static struct candidate *propose(struct search *s)
{
    struct candidate *c;
    struct err e;
    ck_assert_msg(search_propose(s, &c, &e) == 0, "%s", e.text);
    return c;
}

/* `open` candidates are under way at once and end in the order that `seed` draws. */
static void go_on(struct search *s, int until, int open, uint64_t seed)
{
    struct candidate *under_way[EPISODES];
    int n = 0;
    struct rng r;
    rng_init(&r, seed, "order", 0);
    for (int i = 0; i < s->proposed; i++)
        if (!candidate_over(s->candidates[i]))
            under_way[n++] = s->candidates[i];
    while (s->proposed < until || n > 0) {
        if (s->proposed < until && n < open && search_may_propose(s)) {
            under_way[n++] = propose(s);
            continue;
        }
        ck_assert_int_gt(n, 0);
        int i = (int)rng_below(&r, (uint64_t)n);
        finish(s, under_way[i]);
        under_way[i] = under_way[--n];
    }
}

static void same(const struct search *a, const struct search *b)
{
    ck_assert_int_eq(a->proposed, b->proposed);
    for (int i = 0; i < a->proposed; i++)
        ck_assert_mem_eq(a->candidates[i]->keep, b->candidates[i]->keep, (size_t)a->groups.n * sizeof(int));
}

static const char *const policies[] = {"ddpg", "random", "uniform", "sensitivity"};

START_TEST(any_order_of_results)
{
    struct search *one = begin(policies[_i]), *many = begin(policies[_i]);
    go_on(one, EPISODES, 1, 1);
    go_on(many, EPISODES, LOOKAHEAD, 2);
    ck_assert_int_eq(one->over, EPISODES);
    ck_assert_int_eq(one->scored, EPISODES - 4);
    same(one, many);
    search_free(one);
    search_free(many);
}
END_TEST

START_TEST(waits_for_the_right_result)
{
    struct search *s = begin("random");
    for (int i = 0; i < LOOKAHEAD; i++) {
        ck_assert_int_eq(search_awaits(s), -1);
        propose(s);
    }
    ck_assert_int_eq(search_awaits(s), 0);
    ck_assert(!search_may_propose(s));
    finish(s, s->candidates[1]);
    ck_assert(!search_may_propose(s));
    finish(s, s->candidates[0]);
    ck_assert(search_may_propose(s));
    propose(s);
    ck_assert_int_eq(s->observed, 1); /* and not 2, although that result is there */
    ck_assert_int_eq(search_awaits(s), -1);
    search_free(s);
}
END_TEST

/* Restarts after every episode in turn: with a snapshot, with an old one, with one from the future, without. */
static struct search *restart(const struct search *old, const char *policy, const struct buf *snapshot)
{
    struct search *s = begin(policy);
    struct err e;
    for (int i = 0; i < old->proposed; i++) {
        const struct candidate *c = old->candidates[i];
        struct candidate_row row;
        search_row_of(old, c, &row);
        row.reward = c->reward;
        row.has_result = c->evaluate.state == TASK_DONE;
        row.failed = c->evaluate.state == TASK_PARKED;
        row.attempts = 1;
        ck_assert_msg(search_take_candidate(s, &row, 99, &e) == 0, "%s", e.text);
        ck_assert_int_eq(s->candidates[i]->evaluate.state, candidate_over(c) ? c->evaluate.state : TASK_LEASED);
    }
    ck_assert_msg(search_take_policy(s, snapshot ? snapshot->p : NULL, snapshot ? snapshot->n : 0, &e) == 0, "%s",
                  e.text);
    return s;
}

START_TEST(restart_anywhere)
{
    const char *policy = policies[_i % 2]; /* the two that draw */
    int how = _i / 2;                      /* 0: no snapshot, 1: an old one, 2: the latest, 3: one too new */
    struct search *whole = begin(policy), *s = begin(policy), *again;
    struct buf old = {0};
    go_on(whole, EPISODES, 1, 1);
    for (int until = 5; until < EPISODES; until += 7) {
        go_on(s, until, 3, (uint64_t)until);
        if (how == 2 || (how == 1 && until == 12)) {
            buf_clear(&old);
            policy_save(s->policy, &old);
        } else if (how == 3) {
            buf_clear(&old);
            policy_save(whole->policy, &old);
        }
        again = restart(s, policy, old.n > 0 ? &old : NULL);
        search_free(s);
        s = again;
    }
    go_on(s, EPISODES, 2, 3);
    same(whole, s);
    buf_release(&old);
    search_free(whole);
    search_free(s);
}
END_TEST

START_TEST(gap_in_the_record)
{
    struct search *old = begin("random"), *s = begin("random");
    struct candidate_row row;
    struct err e;
    go_on(old, 3, 1, 1);
    search_row_of(old, old->candidates[1], &row);
    ck_assert_int_eq(search_take_candidate(s, &row, 0, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "episode 1 is on record where 0 of 40 should be");
    search_free(old);
    search_free(s);
}
END_TEST

/* Those that are to be timed take so much of the dense network's time. Returns how many there were. */
static int time_chosen(struct search *s, double ratio, double spread)
{
    int n = 0;
    search_choose_finalists(s);
    for (int i = 0; i < s->proposed; i++) {
        struct candidate *c = s->candidates[i];
        struct task_id id = {TASK_TIME, 7, i, 0};
        ck_assert_ptr_eq(search_task(s, &id), c->timed ? &c->timing : NULL);
        if (!c->timed || c->timing.state != TASK_NEW)
            continue;
        task_move(&c->timing, TASK_DONE);
        c->ratio = ratio;
        c->spread = spread;
        n++;
    }
    return n;
}

static void add_scored(struct search *s, int top1, int64_t latency)
{
    int i = s->proposed;
    struct cost cost = {.of = {[COST_LATENCY] = latency}};
    struct candidate *c = candidate_new(7, i, 0, s->limits.most, s->groups.n, &cost, &s->lists);
    s->candidates[s->proposed++] = c;
    c->reward = (struct metrics){.n = 1000, .top1 = top1};
    task_move(&c->evaluate, TASK_DONE);
}

/* Too slow by the clock: the next one of the front takes the place; none is fast enough: the fastest of those tried. */
START_TEST(slow_finalists)
{
    struct search *s;
    struct err e;
    ck_assert_msg(try_new(spec_of("random", 1, ""), &s, &e) == 0, "%s", e.text);
    s->spec.n_budgets = 1;
    s->budgets[0] = (struct budget){COST_LATENCY, 0.5, 1000};
    for (int i = 0; i < 20; i++)
        add_scored(s, 900 - i, 900 - i);
    ck_assert_int_eq(time_chosen(s, 0.6, 0.05), 1);
    ck_assert_int_eq(time_chosen(s, 0.54, 0.05), 1); /* within the spread */
    ck_assert_int_eq(search_choose_finalists(s), 0);
    for (int i = 0; i < s->proposed; i++)
        ck_assert_int_eq(s->candidates[i]->finalist, i == 1);
    s->candidates[1]->ratio = 0.7;
    for (int i = 2; i < SEARCH_TRIES; i++)
        ck_assert_int_eq(time_chosen(s, i == 5 ? 0.58 : 0.8, 0.01), 1);
    ck_assert_int_eq(search_choose_finalists(s), 0); /* enough tried */
    for (int i = 0; i < s->proposed; i++)
        ck_assert_int_eq(s->candidates[i]->finalist, i == 5);
    search_free(s);
}
END_TEST

/* A latency budget waits for a table; the rounding and what the budget comes to follow from it. */
START_TEST(table_decides)
{
    struct search *s;
    struct err e;
    struct latency t;
    struct buf bytes = {0};
    ck_assert_msg(try_new(spec_of("random", 1, "latency: {batch: 8}\n"), &s, &e) == 0, "%s", e.text);
    ck_assert(s->wants_table && !s->has_table && s->dense_cost.of[COST_LATENCY] == 0);
    ck_assert_int_eq(latency_new(&t, s->graph.n, 0, &e), 0);
    for (int i = 0; i < s->graph.n; i++)
        t.base[i] = 1000;
    t.batch = t.threads = 1;
    latency_encode(&t, &bytes);
    ck_assert_int_eq(search_check_table(s, bytes.p, bytes.n, &e), 0);
    ck_assert_int_eq(search_check_table(s, bytes.p, bytes.n - 1, &e), ERR_INVALID);
    s->spec.round_auto = true;
    s->budgets[0].kind = s->spec.budgets[0].kind = COST_LATENCY;
    ck_assert_msg(search_set_table(s, bytes.p, bytes.n, &e) == 0, "%s", e.text);
    ck_assert_int_eq(s->dense_cost.of[COST_LATENCY], 1000 * (int64_t)s->graph.n);
    ck_assert_int_eq(s->budgets[0].most, (int64_t)(s->budgets[0].frac * 1000 * s->graph.n));
    for (int g = 0; g < s->groups.n; g++)
        ck_assert_int_eq(s->limits.step[g], 1); /* time goes with the channels: every number pays */
    ck_assert_ptr_null(s->policy); /* the profile is still wanted */
    latency_release(&t);
    buf_clear(&bytes);
    ck_assert_int_eq(latency_new(&t, s->graph.n + 1, 0, &e), 0);
    t.base[0] = t.batch = t.threads = 1;
    latency_encode(&t, &bytes);
    ck_assert_int_eq(search_check_table(s, bytes.p, bytes.n, &e), ERR_INVALID);
    latency_release(&t);
    buf_release(&bytes);
    search_free(s);
}
END_TEST

/* Candidates made by hand: top1, flops (of 1000), budget; who is chosen with top 1 and with top 2. */
START_TEST(finalists)
{
    static const struct {
        int top1, flops;
        const char *chosen; /* for top = 1, 2 */
    } rows[] = {
        {900, 650, "12"}, /* best under 0.7 */
        {900, 680, ""},   /* as good and dearer */
        {880, 390, "12"}, /* best under 0.4, and second best under 0.7 */
        {850, 300, "2"},  /* second best under 0.4 */
        {850, 300, ""},   /* the same again */
        {840, 350, ""},   /* beaten */
        {700, 100, ""},   /* on the front, but third */
    };
    const int n = (int)(sizeof(rows) / sizeof(rows[0]));
    struct search *s;
    struct err e;
    ck_assert_msg(try_new(spec_of("random", _i, ""), &s, &e) == 0, "%s", e.text);
    s->budgets[0].most = 400;
    s->budgets[1].most = 700;
    for (int i = 0; i < n; i++) {
        struct cost cost = {.of = {[COST_FLOPS] = rows[i].flops, [COST_PARAMS] = 1000 - rows[i].flops}};
        struct candidate *c = candidate_new(7, i, i % 2, s->limits.most, s->groups.n, &cost, &s->lists);
        s->candidates[s->proposed++] = c;
        c->reward = (struct metrics){.n = 1000, .top1 = rows[i].top1};
        task_move(&c->evaluate, TASK_DONE);
    }
    time_chosen(s, 0, 0);
    ck_assert_int_eq(search_choose_finalists(s), 0);
    int chosen = 0;
    for (int i = 0; i < n; i++)
        chosen += s->candidates[i]->finalist;
    for (int i = 0; i < n; i++) {
        bool wanted = strchr(rows[i].chosen, '0' + _i) != NULL;
        ck_assert_msg(s->candidates[i]->finalist == wanted, "row %d", i);
        chosen -= wanted;
        struct task_id id = {TASK_FINAL, 7, i, 0};
        ck_assert_ptr_eq(search_task(s, &id), wanted ? &s->candidates[i]->final : NULL);
    }
    ck_assert_int_eq(chosen, 0);
    search_free(s);
}
END_TEST

START_TEST(refused)
{
    static const struct {
        const char *more, *text;
    } cases[] = {
        {"normalize: {mean: [1], std: [1]}\n", "normalize has 1 channels, the model's input \"n0\" has 3"},
        {"nonsense: 1\n", "nonsense"},
    };
    struct search *s;
    struct err e;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct spec spec;
        struct recipe r = {.reward = 1000};
        const char *yaml = spec_of("random", 1, cases[i].more);
        if (spec_parse(yaml, strlen(yaml), &spec, &e) == 0) {
            spec_recipe(&spec, &r);
            spec_release(&spec);
        }
        ck_assert_int_lt(search_new(&s, yaml, strlen(yaml), &r, onnx.p, onnx.n, &e), 0);
        ck_assert_msg(strstr(e.text, cases[i].text) != NULL, "%s", e.text);
        ck_assert_ptr_null(s);
    }
    onnx.n /= 2;
    ck_assert_int_lt(try_new(spec_of("random", 1, ""), &s, &e), 0);
    ck_assert_msg(strncmp(e.text, "model: ", 7) == 0, "%s", e.text);
}
END_TEST

static const char training[] = "spec_version: 1\nname: t\nmodel: m.onnx\ndata: {kind: synthetic}\n"
                               "train: {epochs: 7, batch: 64}\n";

/* One task, no groups, no policy; the spec says how, the recipe's hashes who teaches. */
START_TEST(a_training)
{
    struct search *s;
    struct err e;
    struct recipe r = {.data = DATA_SYNTHETIC};
    r.finish.distill.other = true;
    r.finish.distill.teacher = hash_of("teacher", 7);
    ck_assert_msg(search_new(&s, training, strlen(training), &r, onnx.p, onnx.n, &e) == 0, "%s", e.text);
    search_set_id(s, 9);
    ck_assert(s->state == SEARCH_RUNNING && s->recipe.finish.epochs == 7 && s->recipe.finish.batch == 64);
    ck_assert(s->recipe.finish.distill.other &&
              hash_equal(&s->recipe.finish.distill.teacher, &r.finish.distill.teacher));
    struct task_id train = {TASK_TRAIN, 9, -1, 1}, profile = {TASK_PROFILE, 9, -1, 1},
                   first = {TASK_FINAL, 9, 0, 1};
    ck_assert_ptr_eq(search_task(s, &train), &s->training);
    ck_assert(s->training.id.kind == TASK_TRAIN && s->training.id.search == 9 && s->training.id.episode == -1);
    ck_assert_ptr_null(search_task(s, &profile));
    ck_assert_ptr_null(search_task(s, &first));
    ck_assert(!search_may_propose(s) && search_awaits(s) == -1);
    search_free(s);
    s = begin("random");
    ck_assert_ptr_null(search_task(s, &train));
    search_free(s);
}
END_TEST

START_TEST(nothing_to_train)
{
    struct search *s;
    struct err e;
    struct model m = {0};
    struct buf bare = {0};
    struct recipe r = {.data = DATA_SYNTHETIC};
    graph_init(&m.graph);
    m.graph.output = net_op(&m.graph, OP_RELU, net_input(&m.graph, 3, 8, 8));
    ck_assert_int_eq(weights_new(&m.weights, &m.graph, &e), 0);
    ck_assert_msg(onnx_save(&m, NULL, 0, &bare, &e) == 0, "%s", e.text);
    ck_assert_int_eq(search_new(&s, training, strlen(training), &r, bare.p, bare.n, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "model has nothing that can be trained");
    buf_release(&bare);
    model_release(&m);
    static const char taught[] = "spec_version: 1\nname: t\nmodel: m.onnx\ndata: {kind: synthetic}\n"
                                 "train: {epochs: 7, distill: {kind: mse, teacher: t.onnx}}\n";
    ck_assert_int_eq(search_new(&s, taught, strlen(taught), &r, onnx.p, onnx.n, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "training distils with mse, but has no teacher: distill.teacher must name one");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("search");
    TCase *c = tcase_create("search");
    tcase_set_timeout(c, 60);
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_loop_test(c, any_order_of_results, 0, 4);
    tcase_add_test(c, waits_for_the_right_result);
    tcase_add_loop_test(c, restart_anywhere, 0, 8);
    tcase_add_test(c, gap_in_the_record);
    tcase_add_loop_test(c, finalists, 1, 3);
    tcase_add_test(c, slow_finalists);
    tcase_add_test(c, table_decides);
    tcase_add_test(c, refused);
    tcase_add_test(c, a_training);
    tcase_add_test(c, nothing_to_train);
    suite_add_tcase(s, c);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int bad = srunner_ntests_failed(r) + (srunner_ntests_run(r) == 0);
    srunner_free(r);
    return bad ? EXIT_FAILURE : EXIT_SUCCESS;
}
