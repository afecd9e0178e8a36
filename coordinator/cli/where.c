#include "coordinator/cli/where.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *skip(const char *s)
{
    while (isspace((unsigned char)*s))
        s++;
    return s;
}

/* What the person wrote there: up to the next space, or a single sign. */
static int unexpected(const char *s, const char *wanted, struct err *e)
{
    size_t n = strcspn(s, " \t");
    if (!*s)
        return err_set(e, ERR_INVALID, "--where ends where %s should be", wanted);
    return err_set(e, ERR_INVALID, "--where: \"%.*s\" stands where %s should be", (int)(n < 40 ? n : 40), s,
                   wanted);
}

static bool known(const char *const *fields, const char *s, size_t n)
{
    for (; *fields; fields++)
        if (strlen(*fields) == n && memcmp(*fields, s, n) == 0)
            return true;
    return false;
}

static int take_field(struct where *w, const char **s, const char *const *fields, struct err *e)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz_0123456789";
    size_t n = strspn(*s, letters);
    if (n == 0)
        return unexpected(*s, "a field such as top1", e);
    if (n >= WHERE_NAME || !known(fields, *s, n))
        return err_set(e, ERR_INVALID, "--where: there is no field \"%.*s\"", (int)(n < 40 ? n : 40), *s);
    memcpy(w->of[w->n].field, *s, n);
    w->of[w->n].field[n] = 0;
    *s = skip(*s + n);
    return 0;
}

static int take_op(struct where *w, const char **s, struct err *e)
{
    static const struct {
        const char *text;
        enum where_op op;
    } ops[] = {{"<=", WHERE_LE}, {">=", WHERE_GE}, {"!=", WHERE_NE}, {"==", WHERE_EQ},
               {"<", WHERE_LT},  {">", WHERE_GT},  {"=", WHERE_EQ}};
    for (size_t i = 0; i < sizeof(ops) / sizeof(*ops); i++) {
        size_t n = strlen(ops[i].text);
        if (strncmp(*s, ops[i].text, n) == 0) {
            w->of[w->n].op = ops[i].op;
            *s = skip(*s + n);
            return 0;
        }
    }
    return unexpected(*s, "one of < <= > >= = !=", e);
}

static int take_value(struct where *w, const char **s, struct err *e)
{
    char *end = NULL;
    bool number = strchr("+-.0123456789", **s) && **s;
    double x = number ? strtod(*s, &end) : 0;
    if (!number || end == *s || !isfinite(x) || (*end && !isspace((unsigned char)*end)))
        return unexpected(*s, "a number", e);
    w->of[w->n].value = x;
    *s = skip(end);
    return 0;
}

static int take_comparison(struct where *w, const char **s, const char *const *fields, struct err *e)
{
    int rc = take_field(w, s, fields, e);
    if (rc == 0)
        rc = take_op(w, s, e);
    if (rc == 0)
        rc = take_value(w, s, e);
    w->n += rc == 0;
    return rc;
}

int where_parse(struct where *w, const char *s, const char *const *fields, struct err *e)
{
    w->n = 0;
    s = skip(s);
    int rc = take_comparison(w, &s, fields, e);
    while (rc == 0 && *s) {
        if (strncmp(s, "and", 3) != 0 || !isspace((unsigned char)s[3]))
            return unexpected(s, "\"and\" or the end", e);
        if (w->n == WHERE_MAX)
            return err_set(e, ERR_INVALID, "--where: more than %d comparisons", WHERE_MAX);
        s = skip(s + 3);
        rc = take_comparison(w, &s, fields, e);
    }
    return rc;
}

static bool compare(double x, enum where_op op, double y)
{
    switch (op) {
    case WHERE_LT:
        return x < y;
    case WHERE_LE:
        return x <= y;
    case WHERE_GT:
        return x > y;
    case WHERE_GE:
        return x >= y;
    case WHERE_EQ:
        return x == y;
    case WHERE_NE:
        return x != y;
    }
    BUG("comparison %d", (int)op);
}

bool where_holds(const struct where *w, const json_t *object)
{
    for (int i = 0; i < w->n; i++) {
        const json_t *v = json_object_get(object, w->of[i].field);
        if (!json_is_number(v) || !compare(json_number_value(v), w->of[i].op, w->of[i].value))
            return false;
    }
    return true;
}
