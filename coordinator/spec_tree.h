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
struct spec_tree {
    char *spec_version, *name, *seed, *model;
    struct {
        char *kind, *path;
    } data;
    struct {
        struct text_list mean, std;
    } normalize;
    struct {
        char *reward, *calibrate;
    } split;
    struct {
        struct text_list flops, params, bytes, latency;
    } budgets;
    struct {
        char *policy, *episodes, *warmup, *lookahead, *reward, *start;
    } search;
    struct {
        char *groups, *round_to, *keep_min, *select, *reconstruct, *recalibrate;
    } cut;
    struct {
        char *epochs;
    } finetune;
    struct {
        char *top, *epochs, *lr;
        struct {
            char *temperature, *weight;
        } distill;
    } finish;
};

/* ERR_INVALID with the line and, for an unknown key, the nearest known one. */
MUST_CHECK int spec_tree_parse(const char *yaml, size_t n, struct spec_tree **out, struct err *e);
void spec_tree_free(struct spec_tree *t); /* NULL is fine */

#endif
