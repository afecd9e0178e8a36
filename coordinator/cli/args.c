#include "coordinator/cli/args.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int args_wrong(struct cli *c, struct err *e, const char *fmt, ...)
{
    char s[sizeof(e->text)];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s, sizeof(s), fmt, ap);
    va_end(ap);
    c->usage = true;
    return err_set(e, ERR_INVALID, "%s", s);
}

static void print_arg(const struct arg *a)
{
    char left[64];
    snprintf(left, sizeof(left), "%s%s%s", a->name, a->value ? " " : "", a->value ? a->value : "");
    printf("  %-24s %s\n", left, a->help);
}

static void print_help(const struct usage *u)
{
    printf("usage: espalier %s\n\n%s\n\n", u->line, u->about);
    for (const struct arg *a = u->args; a && a->name; a++)
        print_arg(a);
    printf("  %-24s %s\n", "--url URL", "the coordinator's address, such as http://127.0.0.1:7410");
    printf("  %-24s %s\n", "--dir DIR", "folder of `espalier up` (.espalier)");
}

int args_number(struct cli *c, const char *what, const char *s, long long least, long long *out, struct err *e)
{
    char *end;
    errno = 0;
    *out = strtoll(s, &end, 10);
    if (*s < '0' || *s > '9' || *end || errno || *out < least)
        return args_wrong(c, e, "%s \"%s\": must be a number from %lld", what, s, least);
    return 0;
}

static int store(struct cli *c, const struct arg *a, const char *v, struct err *e)
{
    struct many *m = a->to;
    char *end;
    switch (a->kind) {
    case ARG_FLAG:
        *(bool *)a->to = true;
        return 0;
    case ARG_TEXT:
        *(const char **)a->to = v;
        return 0;
    case ARG_MANY:
        if (m->n == ARGS_MAX_MANY)
            return args_wrong(c, e, "%s stands more than %d times", a->name, ARGS_MAX_MANY);
        m->of[m->n++] = v;
        return 0;
    case ARG_INT:
        errno = 0;
        *(long *)a->to = strtol(v, &end, 10);
        if (*v < '0' || *v > '9' || *end || errno || *(long *)a->to < a->least || *(long *)a->to > a->most)
            return args_wrong(c, e, "%s \"%s\": must be a number from %ld to %ld", a->name, v, a->least, a->most);
        return 0;
    }
    BUG("option %s", a->name);
}

static const struct arg *find(const struct arg *args, const char *s, size_t n)
{
    for (const struct arg *a = args; a && a->name; a++)
        if (strlen(a->name) == n && strncmp(a->name, s, n) == 0)
            return a;
    return NULL;
}

/* argv[*i] is an option: takes it and its value. */
static int take_option(struct cli *c, const struct usage *u, int argc, char **argv, int *i, struct err *e)
{
    const struct arg common[] = {
        {"--url", ARG_TEXT, "URL", "", &c->url, 0, 0}, {"--dir", ARG_TEXT, "DIR", "", &c->dir, 0, 0}, {0}};
    const char *s = argv[*i];
    size_t n = s[1] == '-' ? strcspn(s, "=") : strlen(s);
    const struct arg *a = find(u->args, s, n);
    if (!a)
        a = find(common, s, n);
    if (!a)
        return args_wrong(c, e, "unknown option \"%s\"; espalier %.*s --help lists them", s,
                          (int)strcspn(u->line, "[A-Z"), u->line);
    if (a->kind == ARG_FLAG && s[n])
        return args_wrong(c, e, "%s takes no value", a->name);
    const char *v = s[n] ? s + n + 1 : NULL;
    if (a->kind != ARG_FLAG && !v) {
        if (*i + 1 >= argc)
            return args_wrong(c, e, "%s needs %s", a->name, a->value);
        v = argv[++*i];
    }
    return store(c, a, v, e);
}

int args_parse(struct cli *c, const struct usage *u, int argc, char **argv, const char **operand, struct err *e)
{
    bool options = true;
    int n = 0, rc = 0;
    for (int i = 0; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help(u);
            return 1;
        } else if (strcmp(argv[i], "--") == 0) {
            break;
        }
    for (int i = 0; rc == 0 && i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (options && argv[i][0] == '-' && argv[i][1])
            rc = take_option(c, u, argc, argv, &i, e);
        else if (n == u->most)
            rc = args_wrong(c, e, "unexpected \"%s\"; usage: espalier %s", argv[i], u->line);
        else
            operand[n++] = argv[i];
    }
    if (rc == 0 && n < u->least)
        rc = args_wrong(c, e, "too few arguments; usage: espalier %s", u->line);
    return rc;
}
