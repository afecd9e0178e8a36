/*
 * sql - what PostgreSQL's answers mean, and the blocking way to ask, for the start of the program.
 */
#ifndef COORDINATOR_STORE_SQL_H
#define COORDINATOR_STORE_SQL_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "common/base/err.h"

enum fate {
    FATE_OK,
    FATE_REFUSED, /* would be refused again: to its owner */
    FATE_AGAIN,   /* a hiccup of the server's: try again later */
    FATE_LOST,    /* of the connection */
    FATE_FENCED   /* another coordinator has taken over */
};

/* What became of a statement; sets `e` to the reason when it isn't FATE_OK: ERR_STATE, ERR_NOTFOUND, ERR_INVALID
 * (constraints among it), ERR_TIMEOUT (cancelled by the server) or ERR_DB. */
enum fate sql_fate(const PGresult *res, struct err *e);

/* Runs one statement with text parameters and waits for it; NULL and `e` when it fails. The caller PQclears the
 * result. binary: of the result's columns. */
MUST_CHECK PGresult *sql_query(PGconn *c, const char *sql, int n, const char *const *values, bool binary,
                               struct err *e);

/* Runs a script without parameters, as one transaction. */
MUST_CHECK int sql_script(PGconn *c, const char *sql, struct err *e);

#endif
