/*
 * spec - what a person asks for, as YAML (design.md 6.3). Unknown keys are refused with the nearest known one,
 * values out of range with their range; nothing starts before all of it is right.
 */
#ifndef COORDINATOR_SPEC_H
#define COORDINATOR_SPEC_H

#include "coordinator/policy/policy.h"
#include "proto/recipe.h"

#define SPEC_MAX_BUDGETS 16
#define SPEC_MAX_BYTES   (256 << 10)
#define SPEC_MAX_CLASSES 100000

struct spec {
    char name[RECIPE_NAME];
    uint64_t seed;   /* 1 */
    char *model;     /* as written: a file, relative to the spec's; or, of a training, a name of the zoo */
    char *data_path; /* likewise; NULL for synthetic */
    enum data_kind data;
    char *data_labels;          /* images: the label file's name; NULL: the usual one, where it is there */
    int resize, offset;         /* images: as in struct recipe */
    int size;                   /* images: side of a network by its name, in pixels: 224 */
    double mean[4], std[4];
    int n_channels;        /* numbers in mean and std, 0 when absent */
    int reward, calibrate; /* images: 5000, 2000 */
    struct {
        enum cost_kind kind;
        double frac;
    } budgets[SPEC_MAX_BUDGETS]; /* in the order flops, params, bytes, latency, each as written */
    int n_budgets;
    bool latency;                    /* there is a `latency`: a latency table is measured, whatever the budgets */
    int latency_batch;               /* of the second figure of a finalist: 32 */
    enum policy_kind policy;         /* ddpg */
    enum policy_start start;         /* sensitivity */
    enum reward_kind objective;      /* search.reward: accuracy, error-flops or error-params */
    int episodes, warmup, lookahead; /* 400, 100, 32 */
    enum cut_kind cut;               /* channels */
    bool inner_only;                 /* cut.groups: inner */
    int round_to;                    /* 8 */
    bool round_auto;                 /* cut.round_to: auto: what the latency table says, group by group */
    double keep_min;                 /* 0.2; fine 0.05 */
    enum select_kind select;         /* gram */
    bool reconstruct, recalibrate;   /* true, true; fine false, true */
    enum precision precision;        /* fp32 */
    struct training finetune;        /* inside each evaluation; none */
    struct training finish;          /* of finalists; none. A training's `train` */
    char *finetune_teacher; /* distill.teacher as written, or NULL; its hash in `finetune` isn't known here */
    char *finish_teacher;   /* likewise */
    int finish_top;         /* finalists per budget: scored on the test set and exported; 1 */
    bool training;          /* there is a `train`: one network is trained, nothing is searched */
    int classes;            /* of a network by its name; 0: as many as the data has */
};

MUST_CHECK int spec_parse(const char *yaml, size_t n, struct spec *s, struct err *e);
void spec_release(struct spec *s);

/* Whether the search needs a latency table: for a budget, the rounding or because it was asked for. */
bool spec_wants_table(const struct spec *s);

/* Fills in what the spec says of the recipe; model, files, n_files and the teachers' hashes are the caller's. */
void spec_recipe(const struct spec *s, struct recipe *r);

#endif
