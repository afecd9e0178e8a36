#include "coordinator/spec_value.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int spec_take_int(const char *key, const char *text, long long lo, long long hi, long long *out, struct err *e)
{
    char *end;
    if (!text)
        return 0;
    errno = 0;
    long long x = strtoll(text, &end, 10);
    if (!*text || *end || isspace((unsigned char)*text))
        return err_set(e, ERR_INVALID, "spec: %s \"%.80s\": must be a whole number", key, text);
    if ((errno || x < lo || x > hi) && lo == hi)
        return err_set(e, ERR_INVALID, "spec: %s %.80s: must be %lld", key, text, lo);
    if (errno || x < lo || x > hi)
        return err_set(e, ERR_INVALID, "spec: %s %.80s: must be %lld to %lld", key, text, lo, hi);
    *out = x;
    return 0;
}

int spec_take_small(const char *key, const char *text, int lo, int hi, int *out, struct err *e)
{
    long long x = *out;
    int rc = spec_take_int(key, text, lo, hi, &x, e);
    *out = (int)x;
    return rc;
}

static int read_number(const char *key, const char *text, double *x, struct err *e)
{
    char *end;
    *x = strtod(text, &end);
    if (!*text || *end || isspace((unsigned char)*text) || !isfinite(*x) || strpbrk(text, "xX"))
        return err_set(e, ERR_INVALID, "spec: %s \"%.80s\": must be a number", key, text);
    return 0;
}

int spec_take_over(const char *key, const char *text, double lo, double hi, double *out, struct err *e)
{
    double x;
    if (!text)
        return 0;
    int rc = read_number(key, text, &x, e);
    if (rc == 0 && !(x > lo && x <= hi))
        rc = err_set(e, ERR_INVALID, "spec: %s %g: must be over %g and at most %g", key, x, lo, hi);
    if (rc == 0)
        *out = x;
    return rc;
}

int spec_take_range(const char *key, const char *text, double lo, double hi, double *out, struct err *e)
{
    double x;
    if (!text)
        return 0;
    int rc = read_number(key, text, &x, e);
    if (rc == 0 && !(x >= lo && x <= hi))
        rc = err_set(e, ERR_INVALID, "spec: %s %g: must be %g to %g", key, x, lo, hi);
    if (rc == 0)
        *out = x;
    return rc;
}

int spec_take_bool(const char *key, const char *text, bool *out, struct err *e)
{
    if (!text)
        return 0;
    *out = strcmp(text, "true") == 0;
    if (!*out && strcmp(text, "false") != 0)
        return err_set(e, ERR_INVALID, "spec: %s \"%.80s\": must be true or false", key, text);
    return 0;
}

int spec_not_one_of(const char *key, const char *text, const char *choices, struct err *e)
{
    return err_set(e, ERR_INVALID, "spec: %s \"%.80s\": must be one of %s", key, text, choices);
}

int spec_absent_yet(const char *key, const char *text, const char *what, const char *instead, struct err *e)
{
    return err_set(e, ERR_UNSUPPORTED, "spec: %s %.80s: %s isn't there yet in this version; %s", key, text, what,
                   instead);
}
