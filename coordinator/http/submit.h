/*
 * submit - the body of POST /v1/searches: {"spec": "YAML", "model": "HEX", "files": [{"name", "hash", "size"}],
 * "finetune_teacher": "HEX", "finish_teacher": "HEX"}, the last three where there are any. Knows JSON and nothing
 * of HTTP, so that it can be fuzzed alone.
 */
#ifndef COORDINATOR_HTTP_SUBMIT_H
#define COORDINATOR_HTTP_SUBMIT_H

#include <stddef.h>

#include "proto/recipe.h"

#define SUBMIT_MAX_FILE (UINT64_C(4) << 30) /* bytes of one data file */

struct submit {
    char *spec; /* YAML, not looked into */
    size_t n_spec;
    struct hash model;
    struct data_file files[RECIPE_MAX_FILES]; /* no name twice */
    int n_files;
    bool has_finetune_teacher, has_finish_teacher;
    struct hash finetune_teacher, finish_teacher;
};

/* ERR_INVALID names the key; `s` is empty then. Keys that aren't known are refused. */
MUST_CHECK int submit_parse(const void *json, size_t n, struct submit *s, struct err *e);
void submit_release(struct submit *s);

#endif
