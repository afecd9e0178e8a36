/*
 * args - options and operands of a verb, and its --help, from one table. --url and --dir are every verb's.
 */
#ifndef COORDINATOR_CLI_ARGS_H
#define COORDINATOR_CLI_ARGS_H

#include "coordinator/cli/cli.h"

#define ARGS_MAX_MANY 64

enum arg_kind { ARG_FLAG, ARG_TEXT, ARG_INT, ARG_MANY };

struct many { /* an option that may stand more than once */
    const char *of[ARGS_MAX_MANY];
    int n;
};

struct arg {
    const char *name; /* "--workers", "-o" */
    enum arg_kind kind;
    const char *value; /* what --help calls it; NULL for a flag */
    const char *help;
    void *to; /* bool, const char *, long or struct many; untouched when it isn't given */
    long least, most;
};

struct usage {
    const char *line;       /* "pareto ID [--x flops]" */
    const char *about;      /* sentences */
    const struct arg *args; /* ends with an empty one; NULL: none */
    int least, most;        /* operands */
};

/*
 * Operands go to `operand` (room for u->most), texts borrowed from argv. 1 when help was asked for and printed.
 * ERR_INVALID, with c->usage set, names the option and the value.
 */
MUST_CHECK int args_parse(struct cli *c, const struct usage *u, int argc, char **argv, const char **operand,
                          struct err *e);

/* A search's id or an episode's number; ERR_INVALID, with c->usage set, when it isn't one. */
MUST_CHECK int args_number(struct cli *c, const char *what, const char *s, long long least, long long *out,
                           struct err *e);

/* Sets c->usage and returns ERR_INVALID. */
int args_wrong(struct cli *c, struct err *e, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
