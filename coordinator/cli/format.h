/*
 * format - the coordinator's JSON on standard output: as it is, or as comma-separated values; and reading fields
 * that may be missing.
 */
#ifndef COORDINATOR_CLI_FORMAT_H
#define COORDINATOR_CLI_FORMAT_H

#include <jansson.h>
#include <stdbool.h>

#include "coordinator/cli/cli.h"

enum format { FORMAT_TABLE, FORMAT_JSON, FORMAT_CSV, FORMAT_SVG };

/* name: what --format said, NULL: nothing, which leaves *f alone. last: the formats up to it are there. */
MUST_CHECK int format_parse(struct cli *c, const char *name, enum format last, enum format *f, struct err *e);

/* An array has a line for each of its objects. */
MUST_CHECK int format_json(const json_t *j, struct err *e);

/* A line of the keys, then one an object; lists within a field are separated by spaces, null is empty. */
void format_csv(const json_t *objects, const char *const *keys);

double field_number(const json_t *object, const char *key, double otherwise);
const char *field_text(const json_t *object, const char *key); /* "" when it isn't there */

#endif
