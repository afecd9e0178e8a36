/*
 * spec_tree - a spec's YAML as a tree of texts: which keys there are, not what they mean. libcyaml checks the
 * structure against a schema; the values stay texts because it would read "3x" as 3.
 */
#ifndef COORDINATOR_SPEC_TREE_H
#define COORDINATOR_SPEC_TREE_H

#include <stddef.h>

#include "common/base/err.h"

#define SPEC_TREE_MAX_LIST 16
#define SPEC_TREE_MAX_TEXT 4096 /* bytes of a value */

struct text_list {
    char **of;
    unsigned n;
};

/* Absent keys are NULL; absent lists are empty. */
struct augment_tree {
    char *pad, *flip, *cutout;
    struct text_list scale;
};
struct distill_tree {
    char *kind, *temperature, *weight, *alpha, *beta, *teacher;
};
struct training_tree {
    char *top; /* of `finish` alone */
    char *epochs, *steps, *lr, *batch, *momentum, *nesterov, *weight_decay, *decay_all, *schedule, *drop, *warmup,
        *smoothing;
    struct text_list drops;
    struct augment_tree *augment;
    struct distill_tree *distill;
};
struct data_tree {
    char *kind, *path, *labels, *resize, *offset, *size;
};
struct normalize_tree {
    struct text_list mean, std;
};
struct split_tree {
    char *reward, *calibrate;
};
struct budgets_tree {
    struct text_list flops, params, bytes, latency;
};
struct latency_tree {
    char *batch;
};
struct search_tree {
    char *policy, *episodes, *warmup, *lookahead, *reward, *start;
};
struct cut_tree {
    char *kind, *groups, *round_to, *keep_min, *select, *reconstruct, *recalibrate;
};
struct spec_tree {
    char *spec_version, *name, *seed, *model, *classes, *precision;
    struct data_tree *data;
    struct normalize_tree *normalize;
    struct split_tree *split;
    struct budgets_tree *budgets;
    struct latency_tree *latency;
    struct search_tree *search;
    struct cut_tree *cut;
    struct training_tree *finetune, *finish, *train;
};

/* ERR_INVALID with the line and, for an unknown key, the nearest known one. */
MUST_CHECK int spec_tree_parse(const char *yaml, size_t n, struct spec_tree **out, struct err *e);
void spec_tree_free(struct spec_tree *t); /* NULL is fine */

#endif
