/*
 * writer - how this program becomes the one that writes: an advisory lock on its session, then a higher epoch.
 */
#ifndef COORDINATOR_STORE_WRITER_H
#define COORDINATOR_STORE_WRITER_H

#include <libpq-fe.h>
#include <stdint.h>

#include "common/base/err.h"

/* The lock's number as text: the bytes of "espalier". */
#define WRITER_LOCK "7310310183885432178"

/*
 * Connects and waits for the lock, at most until `until_ns`; then migrates the schema and raises the epoch. Returns
 * the session that holds the lock, or NULL: ERR_TIMEOUT when another coordinator has it, ERR_DB when the database
 * can't be reached or refuses.
 */
MUST_CHECK PGconn *writer_begin(const char *conninfo, int64_t until_ns, int64_t *epoch, struct err *e);

#endif
