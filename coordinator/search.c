#include "coordinator/search.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "proto/text.h"

/* The coordinator computes with the structure alone: the weights go at once. */
static int load_graph(struct search *s, const void *onnx, size_t n, struct err *e)
{
    struct model m;
    int rc = onnx_load(onnx, n, &m, e);
    if (rc < 0)
        return err_wrap(e, "model");
    weights_release(&m.weights);
    s->graph = m.graph;
    const struct node *in = &s->graph.nodes[0];
    if (s->recipe.n_channels > 0 && s->recipe.n_channels != in->C)
        return err_set(e, ERR_INVALID, "normalize has %d channels, the model's input \"%s\" has %d",
                       s->recipe.n_channels, in->name, in->C);
    return 0;
}

static int check_decisions(const struct search *s, struct err *e)
{
    if (s->limits.n == 0)
        return err_set(e, ERR_INVALID, "model has nothing that can be cut");
    if (s->limits.n > PROTO_MAX_GROUPS)
        return err_set(e, ERR_LIMIT, "model has %d groups, more than %d", s->limits.n, PROTO_MAX_GROUPS);
    return 0;
}

/* What is decided on. */
static int find_decisions(struct search *s, struct err *e)
{
    if (s->spec.cut == CUT_FINE) {
        fine_find(&s->fine, &s->graph);
        fine_limits(&s->fine, s->spec.keep_min, &s->limits);
        return check_decisions(s, e);
    }
    int rc = groups_find(&s->graph, &s->groups, e);
    if (rc < 0)
        return rc;
    limits_new(&s->limits, &s->groups, s->spec.keep_min, s->spec.round_auto ? 1 : s->spec.round_to,
               s->spec.inner_only);
    return check_decisions(s, e);
}

/* Room for the curves, all zero until there is a profile. */
static int make_curves(struct search *s, struct err *e)
{
    size_t points = 0;
    for (int g = 0; g < s->limits.n; g++)
        points += (size_t)s->limits.most[g] + 1;
    if (points > PROTO_MAX_CURVE)
        return err_set(e, ERR_LIMIT, "model has %zu points on its sensitivity curves, more than %d", points,
                       PROTO_MAX_CURVE);
    s->points = mem_zalloc(points, sizeof(*s->points));
    s->curve = mem_zalloc((size_t)s->limits.n, sizeof(*s->curve));
    if (!s->points || !s->curve)
        return err_set(e, ERR_NOMEM, "no memory for %zu points of sensitivity curves", points);
    float *p = s->points;
    for (int g = 0; g < s->limits.n; g++) {
        s->curve[g] = p;
        p += s->limits.most[g] + 1;
    }
    return 0;
}

static void set_budgets(struct search *s)
{
    const struct spec *spec = &s->spec;
    setting_cost(&s->setting, NULL, &s->dense_cost);
    for (int i = 0; i < spec->n_budgets; i++) {
        struct budget *b = &s->budgets[i];
        b->kind = spec->budgets[i].kind;
        b->frac = spec->budgets[i].frac;
        b->most = (int64_t)floor(b->frac * (double)s->dense_cost.of[b->kind]);
    }
}

static void make_setting(struct search *s)
{
    const struct spec *spec = &s->spec;
    s->setting = (struct setting){
        .graph = &s->graph,
        .groups = spec->cut == CUT_FINE ? NULL : &s->groups,
        .fine = spec->cut == CUT_FINE ? &s->fine : NULL,
        .limits = &s->limits,
        .curve = s->curve,
        .budgets = s->budgets,
        .n_budgets = spec->n_budgets,
        .seed = spec->seed,
        .episodes = spec->episodes,
        .warmup = spec->warmup,
        .lookahead = spec->lookahead,
        .kind = spec->policy,
        .start = spec->start,
        .reward = spec->objective,
    };
    set_budgets(s);
}

/* Can the budgets be met? What one of latency comes to is known when there is a table. */
static int try_budgets(const struct search *s, struct err *e)
{
    struct budget known[SPEC_MAX_BUDGETS];
    struct setting setting = s->setting;
    struct policy *trial = NULL;
    setting.budgets = known;
    setting.n_budgets = 0;
    for (int i = 0; i < s->spec.n_budgets; i++)
        if (s->budgets[i].kind != COST_LATENCY)
            known[setting.n_budgets++] = s->budgets[i];
    if (setting.n_budgets == 0)
        return 0;
    int rc = policy_new(&trial, &setting, e);
    if (rc == 0)
        policy_free(trial);
    return rc;
}

static int prepare_search(struct search *s, struct err *e)
{
    int rc;
    if ((rc = find_decisions(s, e)) < 0 || (rc = make_curves(s, e)) < 0)
        return rc;
    make_setting(s);
    if ((rc = try_budgets(s, e)) < 0)
        return rc;
    s->wants_table = spec_wants_table(&s->spec);
    s->candidates = xcalloc((size_t)s->spec.episodes, sizeof(*s->candidates));
    task_init(&s->profiling, TASK_PROFILE, 0, -1, &s->lists);
    task_init(&s->measuring, TASK_MEASURE, 0, -1, &s->lists);
    return 0;
}

static int prepare_training(struct search *s, struct err *e)
{
    const struct training *t = &s->recipe.finish;
    bool any = false;
    for (int i = 0; i < s->graph.n; i++)
        any = any || op_has_params(s->graph.nodes[i].op);
    if (!any)
        return err_set(e, ERR_INVALID, "model has nothing that can be trained");
    if (t->distill.kind != DISTILL_NONE && !t->distill.other)
        return err_set(e, ERR_INVALID,
                       "training distils with %s, but has no teacher: distill.teacher must name one",
                       distill_kind_name(t->distill.kind));
    task_init(&s->training, TASK_TRAIN, 0, -1, &s->lists);
    s->state = s->paused_from = SEARCH_RUNNING;
    return 0;
}

/* Who teaches is known by a hash, which a spec doesn't know. */
static void take_training(struct training *to, const struct training *from)
{
    bool other = to->distill.other;
    struct hash teacher = to->distill.teacher;
    *to = *from;
    to->distill.other = other;
    to->distill.teacher = teacher;
}

void search_complete(const struct spec *spec, struct recipe *r)
{
    r->cut = spec->cut;
    take_training(&r->finetune, &spec->finetune);
    take_training(&r->finish, &spec->finish);
    r->resize = spec->resize;
    r->offset = spec->offset;
}

int search_new(struct search **out, const char *yaml, size_t n_yaml, const struct recipe *recipe, const void *onnx,
               size_t n_onnx, struct err *e)
{
    *out = NULL;
    struct search *s = xcalloc(1, sizeof(*s));
    int rc = spec_parse(yaml, n_yaml, &s->spec, e);
    if (rc < 0) {
        free(s);
        return rc;
    }
    s->recipe = *recipe;
    search_complete(&s->spec, &s->recipe);
    if ((rc = load_graph(s, onnx, n_onnx, e)) == 0)
        rc = s->spec.training ? prepare_training(s, e) : prepare_search(s, e);
    if (rc < 0) {
        search_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

int search_check_teacher(const struct search *s, const void *onnx, size_t n, struct err *e)
{
    struct model m;
    int rc = onnx_load(onnx, n, &m, e);
    if (rc < 0)
        return err_wrap(e, "teacher");
    const struct node *in = &m.graph.nodes[0], *out = &m.graph.nodes[m.graph.output];
    const struct node *my_in = &s->graph.nodes[0], *my_out = &s->graph.nodes[s->graph.output];
    if (in->C != my_in->C || in->H != my_in->H || in->W != my_in->W)
        rc = err_set(e, ERR_INVALID, "teacher's input is %d x %d x %d, the model's %d x %d x %d", in->C, in->H,
                     in->W, my_in->C, my_in->H, my_in->W);
    else if (out->C != my_out->C)
        rc = err_set(e, ERR_INVALID, "teacher tells %d classes apart, the model %d", out->C, my_out->C);
    model_release(&m);
    return rc;
}

void search_free(struct search *s)
{
    if (!s)
        return;
    for (int i = 0; i < s->proposed; i++)
        candidate_free(s->candidates[i]);
    free(s->candidates);
    if (s->policy)
        policy_free(s->policy);
    mem_free(s->points);
    mem_free(s->curve);
    limits_release(&s->limits);
    latency_release(&s->table);
    groups_release(&s->groups);
    fine_release(&s->fine);
    graph_release(&s->graph);
    spec_release(&s->spec);
    free(s);
}

void search_set_id(struct search *s, int64_t id)
{
    s->id = id;
    s->profiling.id.search = id;
    s->measuring.id.search = id;
    s->training.id.search = id;
}

int search_check_profile(const struct search *s, const struct msg_result *r, struct err *e)
{
    if (!r->has_blob)
        return err_set(e, ERR_INVALID, "profile without its file");
    if (r->n_groups != (uint32_t)s->limits.n)
        return err_set(e, ERR_INVALID, "profile has %" PRIu32 " groups, the model has %d", r->n_groups,
                       s->limits.n);
    for (int g = 0; g < s->limits.n; g++)
        if (r->n_curve[g] != (uint32_t)s->limits.most[g] + 1)
            return err_set(e, ERR_INVALID, "profile's curve of group %d has %" PRIu32 " points, not %d", g,
                           r->n_curve[g], s->limits.most[g] + 1);
    return 0;
}

/* Once all that it looks at is there. */
static int make_policy(struct search *s, struct err *e)
{
    if (!s->has_profile || (s->wants_table && !s->has_table))
        return 0;
    return policy_new(&s->policy, &s->setting, e);
}

int search_set_profile(struct search *s, const struct msg_result *r, struct err *e)
{
    memcpy(s->points, r->curve, (size_t)r->n_points * sizeof(*s->points));
    s->profile = r->blob;
    s->dense = r->reward;
    s->has_profile = true;
    return make_policy(s, e);
}

int search_check_table(const struct search *s, const void *bytes, size_t n, struct err *e)
{
    struct latency t;
    int rc = latency_decode(bytes, n, &t, e);
    if (rc < 0)
        return rc;
    rc = latency_check(&t, &s->graph, e);
    latency_release(&t);
    return rc;
}

int search_set_table(struct search *s, const void *bytes, size_t n, struct err *e)
{
    int rc = latency_decode(bytes, n, &s->table, e);
    if (rc < 0)
        return rc;
    s->has_table = true;
    s->setting.latency = &s->table;
    set_budgets(s);
    for (int g = 0; s->spec.round_auto && g < s->groups.n; g++)
        limits_round_to(&s->limits, g, s->spec.keep_min, latency_round(&s->table, &s->graph, &s->groups, g));
    return make_policy(s, e);
}

int search_take_candidate(struct search *s, const struct candidate_row *r, int64_t lease_ns, struct err *e)
{
    if (r->episode != s->proposed || r->episode >= s->spec.episodes)
        return err_set(e, ERR_INVALID, "episode %d is on record where %d of %d should be", r->episode, s->proposed,
                       s->spec.episodes);
    if (r->n_keep != (uint32_t)s->limits.n || !limits_legal(&s->limits, r->keep) || r->budget < 0 ||
        r->budget >= s->spec.n_budgets)
        return err_set(e, ERR_INVALID, "episode %d on record doesn't fit the model", r->episode);
    struct candidate *c = candidate_from_row(r, &s->lists, lease_ns);
    s->candidates[s->proposed++] = c;
    if (candidate_over(c))
        search_count(s, c);
    return 0;
}

/* Episodes that the policy must have learnt from when it proposes episode e: no fewer, no more. */
static int needed(const struct search *s, int e)
{
    return e < s->spec.lookahead ? 0 : e - s->spec.lookahead + 1;
}

static void learn(struct search *s, int upto)
{
    for (; s->observed < upto; s->observed++) {
        const struct candidate *c = s->candidates[s->observed];
        if (!candidate_over(c))
            BUG("search %" PRId64 ": episode %d is to be learnt from before it is over", s->id, c->episode);
        struct outcome o = {.failed = !candidate_scored(c)};
        if (!o.failed)
            o.top1 = (double)c->reward.top1 / c->reward.n;
        policy_observe(s->policy, c->episode, c->keep, &o);
    }
}

/* True when the policy is now where the snapshot left it and hasn't seen too much. */
static bool restore(struct search *s, const void *snapshot, size_t n)
{
    struct err e;
    int observed = 0;
    if (policy_restore(s->policy, snapshot, n, &observed, &e) < 0) {
        log_warn("snapshot unusable", "search=%" PRId64 " error=\"%s\"", s->id, e.text);
        return false;
    }
    if (observed < 0 || observed > needed(s, s->proposed)) {
        log_warn("snapshot unusable", "search=%" PRId64 " observed=%d proposed=%d", s->id, observed, s->proposed);
        return false;
    }
    s->observed = observed;
    return true;
}

int search_take_policy(struct search *s, const void *snapshot, size_t n, struct err *e)
{
    if (snapshot && !restore(s, snapshot, n)) { /* slower, and as good: learn all of it again */
        policy_free(s->policy);
        s->policy = NULL;
        int rc = policy_new(&s->policy, &s->setting, e);
        if (rc < 0)
            return rc;
    }
    for (int i = 0; i < s->proposed; i++) {
        int upto = needed(s, i);
        if (upto > 0 && !candidate_over(s->candidates[upto - 1]))
            return err_set(e, ERR_INVALID, "episode %d is on record, but not the result of %d that it follows from",
                           i, upto - 1);
        learn(s, upto);
        policy_recall(s->policy, i, s->candidates[i]->keep);
    }
    return 0;
}

int search_awaits(const struct search *s)
{
    int n = needed(s, s->proposed);
    if (!s->policy || s->proposed >= s->spec.episodes || n == 0 || candidate_over(s->candidates[n - 1]))
        return -1;
    return n - 1;
}

bool search_may_propose(const struct search *s)
{
    return s->policy && s->proposed < s->spec.episodes && search_awaits(s) < 0;
}

int search_propose(struct search *s, struct candidate **out, struct err *e)
{
    int episode = s->proposed, b = episode % s->spec.n_budgets, rc = 0;
    const struct budget *budget = &s->budgets[b];
    int *keep = xcalloc((size_t)s->limits.n, sizeof(*keep));
    learn(s, needed(s, episode));
    policy_propose(s->policy, episode, keep);
    struct cost cost;
    setting_cost(&s->setting, keep, &cost);
    if (!limits_legal(&s->limits, keep))
        rc = err_set(e, ERR_STATE, "policy %s proposed illegal numbers for episode %d", policy_name(s->spec.policy),
                     episode);
    else if (cost.of[budget->kind] > budget->most)
        rc = err_set(e, ERR_STATE, "policy %s proposed %" PRId64 " %s for episode %d, above its budget of %" PRId64,
                     policy_name(s->spec.policy), cost.of[budget->kind], cost_name(budget->kind), episode,
                     budget->most);
    else {
        *out = candidate_new(s->id, episode, b, keep, s->limits.n, &cost, &s->lists);
        s->candidates[s->proposed++] = *out;
    }
    free(keep);
    return rc;
}

void search_row_of(const struct search *s, const struct candidate *c, struct candidate_row *r)
{
    *r = (struct candidate_row){
        .search = s->id,
        .episode = c->episode,
        .budget = c->budget,
        .budget_kind = s->budgets[c->budget].kind,
        .budget_frac = s->budgets[c->budget].frac,
        .n_keep = (uint32_t)c->n_keep,
        .keep = c->keep,
        .cost = c->cost,
        .dense = s->dense_cost,
        .attempts = c->evaluate.id.attempt,
    };
}

void search_count(struct search *s, const struct candidate *c)
{
    s->over++;
    s->scored += candidate_scored(c);
}

struct task *search_task(struct search *s, const struct task_id *id)
{
    if (id->kind == TASK_PROFILE)
        return s->spec.training ? NULL : &s->profiling;
    if (id->kind == TASK_MEASURE)
        return s->wants_table ? &s->measuring : NULL;
    if (id->kind == TASK_TRAIN)
        return s->spec.training ? &s->training : NULL;
    if (id->episode < 0 || id->episode >= s->proposed)
        return NULL;
    struct candidate *c = s->candidates[id->episode];
    if (id->kind == TASK_EVALUATE)
        return &c->evaluate;
    if (id->kind == TASK_TIME)
        return c->timed ? &c->timing : NULL;
    return id->kind == TASK_FINAL && c->finalist ? &c->final : NULL;
}

void search_about(const char *name, const struct candidate_row *r, struct msg_about *a)
{
    *a = (struct msg_about){.macs = r->cost.of[COST_FLOPS],
                            .params = r->cost.of[COST_PARAMS],
                            .dense_macs = r->dense.of[COST_FLOPS],
                            .dense_params = r->dense.of[COST_PARAMS]};
    text_copy(a->name, sizeof(a->name), name);
    snprintf(a->budget, sizeof(a->budget), "%s %g", cost_name(r->budget_kind), r->budget_frac);
}
