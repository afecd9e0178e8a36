#include "coordinator/spec_training.h"

#include <stdio.h>

#include "common/base/mem.h"
#include "coordinator/spec_value.h"

/* A key of a section: where its text lies in the tree, where its value goes, and what it may be. */
struct field {
    const char *key;
    size_t from, to;
    enum { FIELD_INT, FIELD_BOOL, FIELD_OVER /* lo < x <= hi */, FIELD_RANGE /* lo <= x <= hi */ } kind;
    double lo, hi;
};

/* clang-format off */
#define OWN(k)     offsetof(struct training_tree, k), offsetof(struct training, k)
#define AUGMENT(k) offsetof(struct augment_tree, k), offsetof(struct training, k)
#define DISTILL(k) offsetof(struct distill_tree, k), offsetof(struct training, distill.k)

static const struct field own_fields[] = {
    {"epochs", OWN(epochs), FIELD_INT, 0, TRAINING_MAX_EPOCHS},
    {"steps", OWN(steps), FIELD_INT, 0, TRAINING_MAX_STEPS},
    {"lr", OWN(lr), FIELD_OVER, 0, TRAINING_MAX_FACTOR},
    {"batch", OWN(batch), FIELD_INT, 1, TRAINING_MAX_BATCH},
    {"momentum", OWN(momentum), FIELD_RANGE, 0, 1},
    {"nesterov", OWN(nesterov), FIELD_BOOL, 0, 0},
    {"weight_decay", OWN(weight_decay), FIELD_RANGE, 0, 1},
    {"decay_all", OWN(decay_all), FIELD_BOOL, 0, 0},
    {"drop", OWN(drop), FIELD_OVER, 0, 1},
    {"warmup", OWN(warmup), FIELD_RANGE, 0, TRAINING_MAX_EPOCHS},
    {"smoothing", OWN(smoothing), FIELD_RANGE, 0, 1},
    {0}};
static const struct field augment_fields[] = {
    {"augment.pad", AUGMENT(pad), FIELD_INT, 0, TRAINING_MAX_PIXELS},
    {"augment.flip", AUGMENT(flip), FIELD_BOOL, 0, 0},
    {"augment.cutout", AUGMENT(cutout), FIELD_INT, 0, TRAINING_MAX_PIXELS},
    {0}};
static const struct field distill_fields[] = {
    {"distill.temperature", DISTILL(temperature), FIELD_RANGE, TRAINING_MIN_TEMPERATURE, TRAINING_MAX_FACTOR},
    {"distill.weight", DISTILL(weight), FIELD_RANGE, 0, TRAINING_MAX_FACTOR},
    {"distill.alpha", DISTILL(alpha), FIELD_RANGE, 0, TRAINING_MAX_FACTOR},
    {"distill.beta", DISTILL(beta), FIELD_RANGE, 0, TRAINING_MAX_FACTOR},
    {0}};
/* clang-format on */

#define KEY 64

static const char *key_of(char out[KEY], const char *section, const char *key)
{
    snprintf(out, KEY, "%s.%s", section, key);
    return out;
}

static int take_fields(const char *section, const struct field *f, const void *tree, struct training *t,
                       struct err *e)
{
    int rc = 0;
    char key[KEY];
    for (; rc == 0 && f->key; f++) {
        const char *text = *(char *const *)((const char *)tree + f->from);
        void *to = (char *)t + f->to;
        key_of(key, section, f->key);
        switch (f->kind) {
        case FIELD_INT:
            rc = spec_take_small(key, text, (int)f->lo, (int)f->hi, to, e);
            break;
        case FIELD_BOOL:
            rc = spec_take_bool(key, text, to, e);
            break;
        case FIELD_OVER:
            rc = spec_take_over(key, text, f->lo, f->hi, to, e);
            break;
        case FIELD_RANGE:
            rc = spec_take_range(key, text, f->lo, f->hi, to, e);
            break;
        }
    }
    return rc;
}

/* The epochs after which a step schedule drops the rate, and that nothing is asked of another schedule. */
static int take_schedule(const char *section, const struct training_tree *s, struct training *t, struct err *e)
{
    char key[KEY];
    int rc = 0;
    if (s->schedule && !schedule_kind_from_name(s->schedule, &t->schedule))
        return spec_not_one_of(key_of(key, section, "schedule"), s->schedule, "cosine, step, constant", e);
    bool step = t->schedule == SCHEDULE_STEP;
    if (step && s->drops.n == 0)
        return err_set(e, ERR_INVALID, "spec: %s.drops is missing: after which epochs schedule step drops the rate",
                       section);
    if (!step && (s->drops.n > 0 || s->drop))
        return err_set(e, ERR_INVALID, "spec: %s.%s: only schedule step drops the rate, not %s", section,
                       s->drop ? "drop" : "drops", schedule_kind_name(t->schedule));
    if (s->drops.n > TRAINING_MAX_DROPS)
        return err_set(e, ERR_INVALID, "spec: %s.drops has %u epochs, at most %d are accepted", section, s->drops.n,
                       TRAINING_MAX_DROPS);
    t->n_drops = (int)s->drops.n;
    for (int i = 0; rc == 0 && i < t->n_drops; i++) {
        rc = spec_take_over(key_of(key, section, "drops"), s->drops.of[i], 0, TRAINING_MAX_EPOCHS, &t->drop_at[i],
                            e);
        if (rc == 0 && i > 0 && t->drop_at[i] <= t->drop_at[i - 1])
            rc = err_set(e, ERR_INVALID, "spec: %s.drops: %g stands after %g, must ascend", section, t->drop_at[i],
                         t->drop_at[i - 1]);
    }
    return rc;
}

/* [0, 0] takes a default back. */
static int take_scale(const char *section, const struct text_list *l, struct training *t, struct err *e)
{
    char key[KEY];
    int rc = 0;
    if (l->n == 0)
        return 0;
    if (l->n != 2)
        return err_set(e, ERR_INVALID, "spec: %s.augment.scale has %u numbers: must be least and most, such as [0.08, 1]",
                       section, l->n);
    for (int i = 0; rc == 0 && i < 2; i++)
        rc = spec_take_range(key_of(key, section, "augment.scale"), l->of[i], 0, 1, &t->scale[i], e);
    if (rc == 0 && (t->scale[0] > t->scale[1] || (t->scale[0] == 0 && t->scale[1] > 0)))
        rc = err_set(e, ERR_INVALID, "spec: %s.augment.scale [%s, %s]: must ascend and be over 0, or [0, 0] for none",
                     section, l->of[0], l->of[1]);
    return rc;
}

/* The section alone asks for distillation; {kind: none} takes that back, for a value over the spec's own. */
static int take_distill(const char *section, const struct distill_tree *d, struct training *t, char **teacher,
                        struct err *e)
{
    char key[KEY];
    t->distill.kind = DISTILL_KL;
    if (d->kind && !distill_kind_from_name(d->kind, &t->distill.kind))
        return spec_not_one_of(key_of(key, section, "distill.kind"), d->kind, "kl, mse, dkd, none", e);
    int rc = take_fields(section, distill_fields, d, t, e);
    if (rc == 0 && t->distill.kind != DISTILL_DKD && t->distill.weight > 1)
        rc = err_set(e, ERR_INVALID, "spec: %s.distill.weight %g: must be 0 to 1, but for kind dkd", section,
                     t->distill.weight);
    if (rc == 0 && d->teacher && !*d->teacher)
        rc = err_set(e, ERR_INVALID, "spec: %s.distill.teacher is empty", section);
    if (rc == 0 && d->teacher && t->distill.kind != DISTILL_NONE) {
        t->distill.other = true;
        *teacher = xstrdup(d->teacher);
    }
    return rc;
}

int spec_take_training(const char *section, const struct training_tree *s, struct training *t, char **teacher,
                       struct err *e)
{
    *teacher = NULL;
    if (!s)
        return 0;
    int rc = take_fields(section, own_fields, s, t, e);
    if (rc == 0 && t->epochs > 0 && t->steps > 0)
        rc = err_set(e, ERR_INVALID, "spec: %s.epochs %d and %s.steps %d: only one of them can be above 0", section,
                     t->epochs, section, t->steps);
    if (rc == 0)
        rc = take_schedule(section, s, t, e);
    if (rc == 0 && s->augment)
        rc = take_fields(section, augment_fields, s->augment, t, e);
    if (rc == 0 && s->augment)
        rc = take_scale(section, &s->augment->scale, t, e);
    if (rc == 0 && s->distill)
        rc = take_distill(section, s->distill, t, teacher, e);
    return rc;
}

struct training spec_training_from_scratch(void)
{
    struct training t = training_none();
    t.lr = 0.1;
    return t;
}
