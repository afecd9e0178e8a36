/*
 * postgres - the private PostgreSQL of `espalier up`: reachable through a Unix socket in a folder that nobody else
 * may enter, and in no other way. It refuses to run as root, so root runs it as the user "postgres".
 */
#ifndef COORDINATOR_CLI_POSTGRES_H
#define COORDINATOR_CLI_POSTGRES_H

#include "coordinator/cli/place.h"

#define POSTGRES_PROGRAM "postgresql" /* its name in pid and log files */

/*
 * Makes the cluster when there is none, starts it unless it runs, waits until it accepts, and makes the database.
 * `conninfo` is what libpq wants, the caller frees it. `started`: it didn't run before.
 */
MUST_CHECK int postgres_start(const struct place *p, char **conninfo, bool *started, struct err *e);

/* False when it can't be ended. */
bool postgres_stop(const struct place *p);

#endif
