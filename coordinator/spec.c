#include "coordinator/spec.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/spec_tree.h"

/* Each take_* reads one value into *out when its key is there; what is absent keeps its default. */
static int take_int(const char *key, const char *text, long long lo, long long hi, long long *out, struct err *e)
{
    char *end;
    if (!text)
        return 0;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (!*text || *end || isspace((unsigned char)*text))
        return err_set(e, ERR_INVALID, "spec: %s \"%.80s\": must be a whole number", key, text);
    if ((errno || x < lo || x > hi) && lo == hi)
        return err_set(e, ERR_INVALID, "spec: %s %.80s: must be %lld", key, text, lo);
    if (errno || x < lo || x > hi)
        return err_set(e, ERR_INVALID, "spec: %s %.80s: must be %lld to %lld", key, text, lo, hi);
    *out = x;
    return 0;
}

static int take_small(const char *key, const char *text, int lo, int hi, int *out, struct err *e)
{
    long long x = *out;
    int rc = take_int(key, text, lo, hi, &x, e);
    *out = (int)x;
    return rc;
}

/* lo < x <= hi */
static int take_number(const char *key, const char *text, double lo, double hi, double *out, struct err *e)
{
    char *end;
    if (!text)
        return 0;
    double x = strtod(text, &end);
    if (!*text || *end || isspace((unsigned char)*text) || !isfinite(x) || strpbrk(text, "xX"))
        return err_set(e, ERR_INVALID, "spec: %s \"%.80s\": must be a number", key, text);
    if (!(x > lo && x <= hi))
        return err_set(e, ERR_INVALID, "spec: %s %g: must be over %g and at most %g", key, x, lo, hi);
    *out = x;
    return 0;
}

static int take_bool(const char *key, const char *text, bool *out, struct err *e)
{
    if (!text)
        return 0;
    *out = strcmp(text, "true") == 0;
    if (!*out && strcmp(text, "false") != 0)
        return err_set(e, ERR_INVALID, "spec: %s \"%.80s\": must be true or false", key, text);
    return 0;
}

static int not_one_of(const char *key, const char *text, const char *choices, struct err *e)
{
    return err_set(e, ERR_INVALID, "spec: %s \"%.80s\": must be one of %s", key, text, choices);
}

static int absent_yet(const char *key, const char *text, const char *what, const char *instead, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "spec: %s %.80s: %s isn't there yet in this version; %s", key, text, what,
                   instead);
}

static int take_name(const char *text, char out[RECIPE_NAME], struct err *e)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    if (!text || !*text)
        return err_set(e, ERR_INVALID, "spec: name is missing");
    size_t n = strlen(text);
    if (n >= RECIPE_NAME || strspn(text, letters) != n)
        return err_set(e, ERR_INVALID,
                       "spec: name \"%.80s\": must be at most %d letters, digits, \".\", \"_\" or \"-\"", text,
                       RECIPE_NAME - 1);
    memcpy(out, text, n + 1);
    return 0;
}

static int take_data(const struct spec_tree *t, struct spec *s, struct err *e)
{
    if (!t->data.kind)
        return err_set(e, ERR_INVALID, "spec: data.kind is missing");
    if (strcmp(t->data.kind, "images") == 0)
        return absent_yet("data.kind", t->data.kind, "reading picture files",
                          "use cifar10, cifar100, idx or synthetic", e);
    if (!data_kind_from_name(t->data.kind, &s->data))
        return not_one_of("data.kind", t->data.kind, "cifar10, cifar100, idx, synthetic", e);
    if (s->data == DATA_SYNTHETIC && t->data.path)
        return err_set(e, ERR_INVALID, "spec: data.path \"%.80s\": synthetic data has no files", t->data.path);
    if (s->data != DATA_SYNTHETIC && (!t->data.path || !*t->data.path))
        return err_set(e, ERR_INVALID, "spec: data.path is missing");
    s->data_path = t->data.path ? xstrdup(t->data.path) : NULL;
    return 0;
}

static int take_normalize(const struct spec_tree *t, struct spec *s, struct err *e)
{
    const struct text_list *mean = &t->normalize.mean, *std = &t->normalize.std;
    int rc = 0;
    if (mean->n != std->n)
        return err_set(e, ERR_INVALID, "spec: normalize has %u numbers for mean and %u for std", mean->n, std->n);
    if (mean->n > 4)
        return err_set(e, ERR_INVALID, "spec: normalize.mean has %u numbers: must be 1 to 4", mean->n);
    for (unsigned c = 0; rc == 0 && c < mean->n; c++) {
        rc = take_number("normalize.mean", mean->of[c], -1e6, 1e6, &s->mean[c], e);
        if (rc == 0)
            rc = take_number("normalize.std", std->of[c], 0, 1e6, &s->std[c], e);
    }
    s->n_channels = (int)mean->n;
    return rc;
}

static int take_budget_list(const char *key, enum cost_kind kind, const struct text_list *l, struct spec *s,
                            struct err *e)
{
    for (unsigned i = 0; i < l->n; i++) {
        if (s->n_budgets == SPEC_MAX_BUDGETS)
            return err_set(e, ERR_INVALID, "spec: budgets: at most %d in all", SPEC_MAX_BUDGETS);
        s->budgets[s->n_budgets].kind = kind;
        int rc = take_number(key, l->of[i], 0, 1, &s->budgets[s->n_budgets].frac, e);
        if (rc < 0)
            return rc;
        for (int j = 0; j < s->n_budgets; j++)
            if (s->budgets[j].kind == kind && s->budgets[j].frac == s->budgets[s->n_budgets].frac)
                return err_set(e, ERR_INVALID, "spec: %s %s: stands twice", key, l->of[i]);
        s->n_budgets++;
    }
    return 0;
}

static int take_budgets(const struct spec_tree *t, struct spec *s, struct err *e)
{
    if (t->budgets.latency.n > 0)
        return absent_yet("budgets.latency", t->budgets.latency.of[0], "a latency budget",
                          "use flops, params or bytes", e);
    int rc = take_budget_list("budgets.flops", COST_FLOPS, &t->budgets.flops, s, e);
    if (rc == 0)
        rc = take_budget_list("budgets.params", COST_PARAMS, &t->budgets.params, s, e);
    if (rc == 0)
        rc = take_budget_list("budgets.bytes", COST_BYTES, &t->budgets.bytes, s, e);
    if (rc == 0 && s->n_budgets == 0)
        rc = err_set(e, ERR_INVALID, "spec: budgets is missing: such as budgets: {flops: [0.5]}");
    return rc;
}

static int take_search(const struct spec_tree *t, struct spec *s, struct err *e)
{
    const char *start = t->search.start;
    if (t->search.policy && !policy_from_name(t->search.policy, &s->policy))
        return not_one_of("search.policy", t->search.policy, "ddpg, random, uniform, sensitivity", e);
    if (t->search.reward && !reward_from_name(t->search.reward, &s->objective))
        return not_one_of("search.reward", t->search.reward, "accuracy, error-flops, error-params", e);
    if (start && strcmp(start, "sensitivity") != 0 && strcmp(start, "random") != 0)
        return not_one_of("search.start", start, "sensitivity, random", e);
    s->start = start && strcmp(start, "random") == 0 ? START_RANDOM : START_SENSITIVITY;
    int rc = take_small("search.episodes", t->search.episodes, 1, 100000, &s->episodes, e);
    if (rc == 0)
        rc = take_small("search.warmup", t->search.warmup, 0, 100000, &s->warmup, e);
    if (rc == 0)
        rc = take_small("search.lookahead", t->search.lookahead, 1, 10000, &s->lookahead, e);
    return rc;
}

static int take_cut(const struct spec_tree *t, struct spec *s, struct err *e)
{
    const char *groups = t->cut.groups;
    if (groups && strcmp(groups, "all") != 0 && strcmp(groups, "inner") != 0)
        return not_one_of("cut.groups", groups, "all, inner", e);
    s->inner_only = groups && strcmp(groups, "inner") == 0;
    if (t->cut.round_to && strcmp(t->cut.round_to, "auto") == 0)
        return absent_yet("cut.round_to", "auto", "choosing the rounding", "use a number such as 8", e);
    if (t->cut.select && !select_kind_from_name(t->cut.select, &s->select))
        return not_one_of("cut.select", t->cut.select, "gram, l1", e);
    int rc = take_small("cut.round_to", t->cut.round_to, 1, 1024, &s->round_to, e);
    if (rc == 0)
        rc = take_number("cut.keep_min", t->cut.keep_min, 0, 1, &s->keep_min, e);
    if (rc == 0)
        rc = take_bool("cut.reconstruct", t->cut.reconstruct, &s->reconstruct, e);
    if (rc == 0)
        rc = take_bool("cut.recalibrate", t->cut.recalibrate, &s->recalibrate, e);
    return rc;
}

/* Both are carved from the training set, without overlap. */
static int take_split(const struct spec_tree *t, struct spec *s, struct err *e)
{
    int rc = take_small("split.reward", t->split.reward, 1, 1000000, &s->reward, e);
    if (rc == 0)
        rc = take_small("split.calibrate", t->split.calibrate, 10, 1000000, &s->calibrate, e);
    int most = data_kind_images(s->data);
    if (rc == 0 && most > 0 && s->reward + s->calibrate > most)
        rc = err_set(e, ERR_INVALID, "spec: split.reward %d and split.calibrate %d: %s has %d training images",
                     s->reward, s->calibrate, data_kind_name(s->data), most);
    return rc;
}

/* Fine-tuning has its own release; its keys are known, but only "none" can be asked for. */
static int take_epochs(const char *key, const char *text, struct err *e)
{
    int epochs = 0, rc = take_small(key, text, 0, 100000, &epochs, e);
    if (rc == 0 && epochs > 0)
        rc = absent_yet(key, text, "fine-tuning", "use 0 or leave it out", e);
    return rc;
}

static int take_finish(const struct spec_tree *t, struct spec *s, struct err *e)
{
    int rc = take_epochs("finetune.epochs", t->finetune.epochs, e);
    if (rc == 0)
        rc = take_epochs("finish.epochs", t->finish.epochs, e);
    if (rc == 0 && t->finish.lr)
        rc = absent_yet("finish.lr", t->finish.lr, "fine-tuning", "leave it out", e);
    if (rc == 0 && (t->finish.distill.temperature || t->finish.distill.weight))
        rc = err_set(e, ERR_UNSUPPORTED,
                     "spec: finish.distill: fine-tuning isn't there yet in this version; leave it out");
    if (rc == 0)
        rc = take_small("finish.top", t->finish.top, 0, 100, &s->finish_top, e);
    return rc;
}

static int read_tree(const struct spec_tree *t, struct spec *s, struct err *e)
{
    long long version = 0, seed = 1;
    if (!t->spec_version)
        return err_set(e, ERR_INVALID, "spec: spec_version is missing: must be 1");
    int rc = take_int("spec_version", t->spec_version, 1, 1, &version, e);
    if (rc == 0)
        rc = take_name(t->name, s->name, e);
    if (rc == 0)
        rc = take_int("seed", t->seed, 0, INT64_MAX, &seed, e);
    s->seed = (uint64_t)seed;
    if (rc == 0 && (!t->model || !*t->model))
        rc = err_set(e, ERR_INVALID, "spec: model is missing");
    if (rc == 0)
        s->model = xstrdup(t->model);
    if (rc == 0)
        rc = take_data(t, s, e);
    if (rc == 0)
        rc = take_normalize(t, s, e);
    if (rc == 0)
        rc = take_split(t, s, e);
    if (rc == 0)
        rc = take_budgets(t, s, e);
    if (rc == 0)
        rc = take_search(t, s, e);
    if (rc == 0)
        rc = take_cut(t, s, e);
    if (rc == 0)
        rc = take_finish(t, s, e);
    return rc;
}

int spec_parse(const char *yaml, size_t n, struct spec *s, struct err *e)
{
    *s = (struct spec){.seed = 1,
                       .reward = 5000,
                       .calibrate = 2000,
                       .policy = POLICY_DDPG,
                       .start = START_SENSITIVITY,
                       .objective = REWARD_ACCURACY,
                       .episodes = 400,
                       .warmup = 100,
                       .lookahead = 32,
                       .round_to = 8,
                       .keep_min = 0.2,
                       .select = SELECT_GRAM,
                       .reconstruct = true,
                       .recalibrate = true,
                       .finish_top = 1};
    struct spec_tree *t = NULL;
    if (n > SPEC_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "spec: %zu bytes, at most %d are accepted", n, SPEC_MAX_BYTES);
    int rc = spec_tree_parse(yaml, n, &t, e);
    if (rc == 0)
        rc = read_tree(t, s, e);
    spec_tree_free(t);
    if (rc < 0)
        spec_release(s);
    return rc;
}

void spec_release(struct spec *s)
{
    free(s->model);
    free(s->data_path);
    *s = (struct spec){0};
}
