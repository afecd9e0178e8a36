/*
 * schema - the tables and functions in PostgreSQL, as numbered scripts (schema/NNNN_NAME.sql) that are part of the
 * program.
 */
#ifndef COORDINATOR_STORE_SCHEMA_H
#define COORDINATOR_STORE_SCHEMA_H

#include <libpq-fe.h>

#include "common/base/err.h"

/*
 * Runs the scripts that the database hasn't seen yet, each with its entry in espalier.migrations as one
 * transaction. The caller holds the writer's lock. ERR_UNSUPPORTED when the database has seen scripts that this
 * program doesn't know.
 */
MUST_CHECK int schema_migrate(PGconn *c, struct err *e);

#endif
