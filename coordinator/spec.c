#include "coordinator/spec.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/pictures/index.h"
#include "common/zoo/zoo.h"
#include "coordinator/spec_training.h"
#include "coordinator/spec_value.h"
#include "proto/limits.h"

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

/* What only images have. */
static int take_images(const struct data_tree *t, struct spec *s, struct err *e)
{
    const char *odd = t->labels   ? "data.labels"
                      : t->resize ? "data.resize"
                      : t->offset ? "data.offset"
                      : t->size   ? "data.size"
                                  : NULL;
    if (odd && s->data != DATA_IMAGES)
        return err_set(e, ERR_INVALID, "spec: %s: only images take it, not %s", odd, data_kind_name(s->data));
    if (t->labels && (!picture_name_is_plain(t->labels) || strchr(t->labels, '/')))
        return err_set(e, ERR_INVALID, "spec: data.labels \"%.80s\": must be a plain file name", t->labels);
    s->data_labels = t->labels ? xstrdup(t->labels) : NULL;
    int rc = spec_take_small("data.resize", t->resize, 1, RECIPE_MAX_RESIZE, &s->resize, e);
    if (rc == 0)
        rc = spec_take_small("data.offset", t->offset, 0, RECIPE_MAX_OFFSET, &s->offset, e);
    if (rc == 0)
        rc = spec_take_small("data.size", t->size, 1, RECIPE_MAX_RESIZE, &s->size, e);
    return rc;
}

static int take_data(const struct data_tree *t, struct spec *s, struct err *e)
{
    if (!t || !t->kind)
        return err_set(e, ERR_INVALID, "spec: data.kind is missing");
    if (!data_kind_from_name(t->kind, &s->data))
        return spec_not_one_of("data.kind", t->kind, "cifar10, cifar100, idx, images, synthetic", e);
    if (s->data == DATA_SYNTHETIC && t->path)
        return err_set(e, ERR_INVALID, "spec: data.path \"%.80s\": synthetic data has no files", t->path);
    if (s->data != DATA_SYNTHETIC && (!t->path || !*t->path))
        return err_set(e, ERR_INVALID, "spec: data.path is missing");
    s->data_path = t->path ? xstrdup(t->path) : NULL;
    return take_images(t, s, e);
}

static int take_normalize(const struct normalize_tree *t, struct spec *s, struct err *e)
{
    int rc = 0;
    if (!t)
        return 0;
    const struct text_list *mean = &t->mean, *std = &t->std;
    if (mean->n != std->n)
        return err_set(e, ERR_INVALID, "spec: normalize has %u numbers for mean and %u for std", mean->n, std->n);
    if (mean->n > 4)
        return err_set(e, ERR_INVALID, "spec: normalize.mean has %u numbers: must be 1 to 4", mean->n);
    for (unsigned c = 0; rc == 0 && c < mean->n; c++) {
        rc = spec_take_over("normalize.mean", mean->of[c], -1e6, 1e6, &s->mean[c], e);
        if (rc == 0)
            rc = spec_take_over("normalize.std", std->of[c], 0, 1e6, &s->std[c], e);
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
        int rc = spec_take_over(key, l->of[i], 0, 1, &s->budgets[s->n_budgets].frac, e);
        if (rc < 0)
            return rc;
        for (int j = 0; j < s->n_budgets; j++)
            if (s->budgets[j].kind == kind && s->budgets[j].frac == s->budgets[s->n_budgets].frac)
                return err_set(e, ERR_INVALID, "spec: %s %s: stands twice", key, l->of[i]);
        s->n_budgets++;
    }
    return 0;
}

static int take_budgets(const struct budgets_tree *t, struct spec *s, struct err *e)
{
    static const struct budgets_tree none;
    if (!t)
        t = &none;
    int rc = take_budget_list("budgets.flops", COST_FLOPS, &t->flops, s, e);
    if (rc == 0)
        rc = take_budget_list("budgets.params", COST_PARAMS, &t->params, s, e);
    if (rc == 0)
        rc = take_budget_list("budgets.bytes", COST_BYTES, &t->bytes, s, e);
    if (rc == 0)
        rc = take_budget_list("budgets.latency", COST_LATENCY, &t->latency, s, e);
    if (rc == 0 && s->n_budgets == 0)
        rc = err_set(e, ERR_INVALID, "spec: budgets is missing: such as budgets: {flops: [0.5]}");
    return rc;
}

static int take_latency(const struct latency_tree *t, struct spec *s, struct err *e)
{
    s->latency = t != NULL;
    return t ? spec_take_small("latency.batch", t->batch, 1, PROTO_MAX_BATCH, &s->latency_batch, e) : 0;
}

bool spec_wants_table(const struct spec *s)
{
    bool wants = s->latency || s->round_auto;
    for (int i = 0; i < s->n_budgets; i++)
        wants = wants || s->budgets[i].kind == COST_LATENCY;
    return wants;
}

static int take_search(const struct search_tree *t, struct spec *s, struct err *e)
{
    if (!t)
        return 0;
    const char *start = t->start;
    if (t->policy && !policy_from_name(t->policy, &s->policy))
        return spec_not_one_of("search.policy", t->policy, "ddpg, random, uniform, sensitivity", e);
    if (t->reward && !reward_from_name(t->reward, &s->objective))
        return spec_not_one_of("search.reward", t->reward, "accuracy, error-flops, error-params", e);
    if (start && strcmp(start, "sensitivity") != 0 && strcmp(start, "random") != 0)
        return spec_not_one_of("search.start", start, "sensitivity, random", e);
    s->start = start && strcmp(start, "random") == 0 ? START_RANDOM : START_SENSITIVITY;
    int rc = spec_take_small("search.episodes", t->episodes, 1, 100000, &s->episodes, e);
    if (rc == 0)
        rc = spec_take_small("search.warmup", t->warmup, 0, 100000, &s->warmup, e);
    if (rc == 0)
        rc = spec_take_small("search.lookahead", t->lookahead, 1, 10000, &s->lookahead, e);
    return rc;
}

/* What makes no sense for single weights: they need no rounding, know no groups, and the largest stay. */
static int take_fine(const struct cut_tree *t, struct spec *s, struct err *e)
{
    const struct {
        const char *key, *value;
    } others[] = {{"groups", t->groups}, {"round_to", t->round_to}, {"select", t->select}};
    for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
        if (others[i].value)
            return err_set(e, ERR_INVALID, "spec: cut.%s \"%s\" has no place beside cut.kind \"fine\"", others[i].key,
                           others[i].value);
    for (int i = 0; i < s->n_budgets; i++)
        if (s->budgets[i].kind == COST_LATENCY)
            return err_set(e, ERR_INVALID, "spec: budgets.latency %g has no place beside cut.kind \"fine\": zeros in place save no time",
                           s->budgets[i].frac);
    s->keep_min = 0.05;
    s->reconstruct = false;
    int rc = spec_take_bool("cut.reconstruct", t->reconstruct, &s->reconstruct, e);
    if (rc == 0 && s->reconstruct)
        rc = err_set(e, ERR_INVALID, "spec: cut.reconstruct \"%s\": weights that stay aren't rebuilt with cut.kind \"fine\"",
                     t->reconstruct);
    return rc;
}

static int take_cut(const struct cut_tree *t, struct spec *s, struct err *e)
{
    if (!t)
        return 0;
    const char *groups = t->groups;
    int rc = 0;
    if (t->kind && !cut_kind_from_name(t->kind, &s->cut))
        return spec_not_one_of("cut.kind", t->kind, "channels, fine", e);
    if (s->cut == CUT_FINE && (rc = take_fine(t, s, e)) < 0)
        return rc;
    if (groups && strcmp(groups, "all") != 0 && strcmp(groups, "inner") != 0)
        return spec_not_one_of("cut.groups", groups, "all, inner", e);
    s->inner_only = groups && strcmp(groups, "inner") == 0;
    s->round_auto = t->round_to && strcmp(t->round_to, "auto") == 0;
    if (t->select && !select_kind_from_name(t->select, &s->select))
        return spec_not_one_of("cut.select", t->select, "gram, l1", e);
    rc = s->round_auto ? 0 : spec_take_small("cut.round_to", t->round_to, 1, 1024, &s->round_to, e);
    if (rc == 0)
        rc = spec_take_over("cut.keep_min", t->keep_min, 0, 1, &s->keep_min, e);
    if (rc == 0)
        rc = spec_take_bool("cut.reconstruct", t->reconstruct, &s->reconstruct, e);
    if (rc == 0)
        rc = spec_take_bool("cut.recalibrate", t->recalibrate, &s->recalibrate, e);
    return rc;
}

/* Zeros in place are computed with like other numbers. */
static int check_latency(const struct spec *s, struct err *e)
{
    if (s->cut != CUT_FINE || !spec_wants_table(s))
        return 0;
    return err_set(e, ERR_INVALID, "spec: %s has no place beside cut.kind \"fine\": single weights that are zero save no time",
                   s->latency ? "latency" : "budgets.latency");
}

/* Both are carved from the training set, without overlap. */
static int take_split(const struct split_tree *t, struct spec *s, struct err *e)
{
    int rc = 0;
    if (t)
        rc = spec_take_small("split.reward", t->reward, 1, 1000000, &s->reward, e);
    if (t && rc == 0)
        rc = spec_take_small("split.calibrate", t->calibrate, 10, 1000000, &s->calibrate, e);
    int most = data_kind_images(s->data);
    if (rc == 0 && most > 0 && s->reward + s->calibrate > most)
        rc = err_set(e, ERR_INVALID, "spec: split.reward %d and split.calibrate %d: %s has %d training images",
                     s->reward, s->calibrate, data_kind_name(s->data), most);
    return rc;
}

static int take_model(const struct spec_tree *t, struct spec *s, struct err *e)
{
    if (!t->model || !*t->model)
        return err_set(e, ERR_INVALID, "spec: model is missing");
    s->model = xstrdup(t->model);
    if (t->classes && !(t->train && zoo_knows(s->model)))
        return err_set(e, ERR_INVALID, "spec: classes %.80s: only a training of a network by name takes it: %s",
                       t->classes, zoo_names());
    return spec_take_small("classes", t->classes, 2, SPEC_MAX_CLASSES, &s->classes, e);
}

/* Images are cut at random where others are padded and cropped. */
static void begin_training(const struct spec *s, struct training *t)
{
    if (s->data != DATA_IMAGES)
        return;
    t->pad = 0;
    t->scale[0] = 0.08;
    t->scale[1] = 1;
}

static int take_training(const char *section, const struct training_tree *tree, struct spec *s, struct training *t,
                         char **teacher, struct err *e)
{
    begin_training(s, t);
    int rc = spec_take_training(section, tree, t, teacher, e);
    if (rc == 0 && s->data == DATA_IMAGES && t->pad > 0)
        rc = err_set(e, ERR_INVALID, "spec: %s.augment.pad %d: images aren't padded; augment.scale cuts them", section,
                     t->pad);
    if (rc == 0 && s->data != DATA_IMAGES && t->scale[1] > 0)
        rc = err_set(e, ERR_INVALID, "spec: %s.augment.scale: only images take it, not %s", section,
                     data_kind_name(s->data));
    return rc;
}

/* What is asked for when there is a network to begin with and a front to be found. */
static int take_parts_of_search(const struct spec_tree *t, struct spec *s, struct err *e)
{
    int rc = take_split(t->split, s, e);
    if (rc == 0)
        rc = take_budgets(t->budgets, s, e);
    if (rc == 0)
        rc = take_latency(t->latency, s, e);
    if (rc == 0)
        rc = take_search(t->search, s, e);
    if (rc == 0)
        rc = take_cut(t->cut, s, e);
    if (rc == 0)
        rc = check_latency(s, e);
    if (rc == 0)
        rc = take_training("finetune", t->finetune, s, &s->finetune, &s->finetune_teacher, e);
    if (rc == 0)
        rc = take_training("finish", t->finish, s, &s->finish, &s->finish_teacher, e);
    if (rc == 0 && t->finish)
        rc = spec_take_small("finish.top", t->finish->top, 0, 100, &s->finish_top, e);
    return rc;
}

/* A training looks at all images alike, and cuts nothing. */
static int take_train(const struct spec_tree *t, struct spec *s, struct err *e)
{
    const char *odd = t->budgets    ? "budgets"
                      : t->latency  ? "latency"
                      : t->search   ? "search"
                      : t->cut      ? "cut"
                      : t->finetune ? "finetune"
                      : t->finish   ? "finish"
                      : t->split    ? "split"
                                    : NULL;
    if (odd)
        return err_set(e, ERR_INVALID, "spec: a spec with `train` is a training: leave out `%s`", odd);
    s->training = true;
    s->reward = s->calibrate = s->finish_top = 0;
    s->finish = spec_training_from_scratch();
    begin_training(s, &s->finetune); /* there is none, but its fields must suit */
    int rc = take_training("train", t->train, s, &s->finish, &s->finish_teacher, e);
    if (rc == 0 && !training_any(&s->finish))
        rc = err_set(e, ERR_INVALID, "spec: train.epochs is missing: such as train: {epochs: 100}");
    if (rc == 0 && s->finish.distill.kind != DISTILL_NONE && !s->finish_teacher)
        rc = err_set(e, ERR_INVALID,
                     "spec: train.distill.teacher is missing: the ONNX file of a network that is trained already");
    return rc;
}

static int read_tree(const struct spec_tree *t, struct spec *s, struct err *e)
{
    long long version = 0, seed = 1;
    if (!t->spec_version)
        return err_set(e, ERR_INVALID, "spec: spec_version is missing: must be 1");
    int rc = spec_take_int("spec_version", t->spec_version, 1, 1, &version, e);
    if (rc == 0)
        rc = take_name(t->name, s->name, e);
    if (rc == 0)
        rc = spec_take_int("seed", t->seed, 0, INT64_MAX, &seed, e);
    s->seed = (uint64_t)seed;
    if (rc == 0)
        rc = take_model(t, s, e);
    if (rc == 0)
        rc = take_data(t->data, s, e);
    if (rc == 0)
        rc = take_normalize(t->normalize, s, e);
    if (rc == 0 && t->precision && !precision_from_name(t->precision, &s->precision))
        rc = spec_not_one_of("precision", t->precision, "fp32, bf16", e);
    if (rc == 0)
        rc = t->train ? take_train(t, s, e) : take_parts_of_search(t, s, e);
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
                       .latency_batch = 32,
                       .round_to = 8,
                       .keep_min = 0.2,
                       .select = SELECT_GRAM,
                       .reconstruct = true,
                       .recalibrate = true,
                       .finetune = training_none(),
                       .finish = training_none(),
                       .finish_top = 1,
                       .size = 224};
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
    free(s->data_labels);
    free(s->finetune_teacher);
    free(s->finish_teacher);
    *s = (struct spec){0};
}

void spec_recipe(const struct spec *s, struct recipe *r)
{
    r->seed = s->seed;
    r->data = s->data;
    memcpy(r->mean, s->mean, sizeof(r->mean));
    memcpy(r->std, s->std, sizeof(r->std));
    r->n_channels = s->n_channels;
    r->reward = s->reward;
    r->calibrate = s->calibrate;
    r->cut = s->cut;
    r->select = s->select;
    r->reconstruct = s->reconstruct;
    r->recalibrate = s->recalibrate;
    r->precision = s->precision;
    r->finetune = s->finetune;
    r->finish = s->finish;
    r->resize = s->resize;
    r->offset = s->offset;
}
