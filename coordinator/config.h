/*
 * config - what the coordinator is told on its command line. One table makes the struct, the parser and --help.
 */
#ifndef COORDINATOR_CONFIG_H
#define COORDINATOR_CONFIG_H

#include <stdbool.h>
#include <stdio.h>

#include "common/base/err.h"

/* kind, field, option, its argument, default, least, most, help */
#define CONFIG_TABLE(X)                                                                                            \
    X(TEXT, db, "--db", "CONNINFO", NULL, 0, 0, "the PostgreSQL database, as libpq understands it (needed)")       \
    X(TEXT, bind, "--bind", "ENDPOINT", "tcp://127.0.0.1:7411", 0, 0,                                              \
      "where workers connect; port 0: any that is free")                                                           \
    X(TEXT, http, "--http", "HOST:PORT", "127.0.0.1:7410", 0, 0,                                                   \
      "where the HTTP API is; port 0: any that is free")                                                           \
    X(TEXT, state, "--state", "FILE", NULL, 0, 0, "write pid and addresses there, as JSON, when ready")            \
    X(NUMBER, lease_seconds, "--lease-seconds", "N", 60, 1, 86400,                                                 \
      "a worker that is silent this long loses its task")                                                          \
    X(NUMBER, beat_seconds, "--beat-seconds", "N", 2, 1, 3600, "workers report at least this often")               \
    X(NUMBER, attempts, "--attempts", "N", 3, 1, 1000, "failed attempts until a candidate is given up")            \
    X(FLAG, verbose, "-v", NULL, false, 0, 0, "log more")

#define CONFIG_TEXT(field, init)                                        const char *field;
#define CONFIG_NUMBER(field, init)                                      int field;
#define CONFIG_FLAG(field, init)                                        bool field;
#define CONFIG_FIELD(kind, field, option, arg, init, least, most, help) CONFIG_##kind(field, init)

struct config { /* texts are borrowed from argv */
    CONFIG_TABLE(CONFIG_FIELD)
    char http_host[64]; /* the two parts of http */
    int http_port;      /* 0: any */
    char endpoint[128]; /* bind, as ZeroMQ wants it: port * for any */
};

#undef CONFIG_FIELD
#undef CONFIG_TEXT
#undef CONFIG_NUMBER
#undef CONFIG_FLAG

enum config_asks { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION };

/*
 * ERR_INVALID names the option and the value. Both addresses must be on loopback: off it nothing may listen without
 * keys and tokens, and there are none yet.
 */
MUST_CHECK int config_parse(struct config *c, enum config_asks *asks, int argc, char **argv, struct err *e);
void config_help(FILE *f);

#endif
