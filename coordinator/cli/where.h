/*
 * where - "top1>=0.9 and macs_ratio<0.5": which candidates to show. Comparisons of an object's numeric fields,
 * joined by "and".
 */
#ifndef COORDINATOR_CLI_WHERE_H
#define COORDINATOR_CLI_WHERE_H

#include <jansson.h>
#include <stdbool.h>

#include "common/base/err.h"

#define WHERE_MAX  16 /* comparisons */
#define WHERE_NAME 32 /* bytes of a field's name, with its NUL */

enum where_op { WHERE_LT, WHERE_LE, WHERE_GT, WHERE_GE, WHERE_EQ, WHERE_NE };

struct where {
    struct {
        char field[WHERE_NAME];
        enum where_op op;
        double value;
    } of[WHERE_MAX];
    int n;
};

/* ERR_INVALID names what stands in the way and where. Fields must be among `fields`, which ends with NULL. */
MUST_CHECK int where_parse(struct where *w, const char *s, const char *const *fields, struct err *e);

/* False when a field isn't a number there: what isn't known fulfils nothing. */
bool where_holds(const struct where *w, const json_t *object);

#endif
