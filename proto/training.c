#include "proto/training.h"

#include <string.h>

#include "common/base/err.h"

static const char *const schedules[SCHEDULE_KINDS] = {
    [SCHEDULE_COSINE] = "cosine",
    [SCHEDULE_STEP] = "step",
    [SCHEDULE_CONSTANT] = "constant",
};

static const char *const distills[DISTILL_KINDS] = {
    [DISTILL_NONE] = "none",
    [DISTILL_KL] = "kl",
    [DISTILL_MSE] = "mse",
    [DISTILL_DKD] = "dkd",
};

static const char *const precisions[PRECISION_KINDS] = {
    [PRECISION_FP32] = "fp32",
    [PRECISION_BF16] = "bf16",
};

/* Static, so that padding is zeros and copies compare equal byte by byte. */
static const struct training none = {
    .batch = 128,
    .lr = 0.01,
    .momentum = 0.9,
    .nesterov = true,
    .weight_decay = 5e-4,
    .schedule = SCHEDULE_COSINE,
    .drop = 0.1,
    .pad = 4,
    .flip = true,
    .distill = {.kind = DISTILL_NONE, .weight = 0.9, .temperature = 4, .alpha = 1, .beta = 2},
};

struct training training_none(void)
{
    return none;
}

bool training_any(const struct training *t)
{
    return t->epochs > 0 || t->steps > 0;
}

static const char *name_of(const char *const *names, int n, int k, const char *what)
{
    if (k < 0 || k >= n)
        BUG("%s %d", what, k);
    return names[k];
}

/* Its place among the n names, or -1. */
static int place_of(const char *const *names, int n, const char *s)
{
    for (int k = 0; k < n; k++)
        if (strcmp(names[k], s) == 0)
            return k;
    return -1;
}

const char *schedule_kind_name(enum schedule_kind k)
{
    return name_of(schedules, SCHEDULE_KINDS, (int)k, "schedule");
}

bool schedule_kind_from_name(const char *s, enum schedule_kind *k)
{
    int place = place_of(schedules, SCHEDULE_KINDS, s);
    if (place >= 0)
        *k = (enum schedule_kind)place;
    return place >= 0;
}

const char *distill_kind_name(enum distill_kind k)
{
    return name_of(distills, DISTILL_KINDS, (int)k, "distillation");
}

bool distill_kind_from_name(const char *s, enum distill_kind *k)
{
    int place = place_of(distills, DISTILL_KINDS, s);
    if (place >= 0)
        *k = (enum distill_kind)place;
    return place >= 0;
}

const char *precision_name(enum precision p)
{
    return name_of(precisions, PRECISION_KINDS, (int)p, "precision");
}

bool precision_from_name(const char *s, enum precision *p)
{
    int place = place_of(precisions, PRECISION_KINDS, s);
    if (place >= 0)
        *p = (enum precision)place;
    return place >= 0;
}
