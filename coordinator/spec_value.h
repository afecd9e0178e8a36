/*
 * spec_value - one value of a spec, from its text: each function reads one into *out when its key is there, and
 * what is absent (text NULL) keeps its default. `key` is the dotted name that errors begin with, such as
 * "search.episodes".
 */
#ifndef COORDINATOR_SPEC_VALUE_H
#define COORDINATOR_SPEC_VALUE_H

#include <stdbool.h>

#include "common/base/err.h"

MUST_CHECK int spec_take_int(const char *key, const char *text, long long lo, long long hi, long long *out,
                             struct err *e);
MUST_CHECK int spec_take_small(const char *key, const char *text, int lo, int hi, int *out, struct err *e);
/* lo < x <= hi */
MUST_CHECK int spec_take_over(const char *key, const char *text, double lo, double hi, double *out, struct err *e);
/* lo <= x <= hi */
MUST_CHECK int spec_take_range(const char *key, const char *text, double lo, double hi, double *out, struct err *e);
MUST_CHECK int spec_take_bool(const char *key, const char *text, bool *out, struct err *e);

/* Both return their error. */
int spec_not_one_of(const char *key, const char *text, const char *choices, struct err *e);
int spec_absent_yet(const char *key, const char *text, const char *what, const char *instead, struct err *e);

#endif
