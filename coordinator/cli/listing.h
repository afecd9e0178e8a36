/*
 * listing - a verb that gets one JSON value from the coordinator and prints it, as a table or as it is.
 */
#ifndef COORDINATOR_CLI_LISTING_H
#define COORDINATOR_CLI_LISTING_H

#include <jansson.h>

#include "coordinator/cli/cli.h"

/* synopsis must offer [--format table|json]; path is under /v1/. */
MUST_CHECK int listing(struct cli *c, const char *synopsis, const char *purpose, const char *path,
                       void (*print)(const json_t *value), int argc, char **argv, struct err *e);

#endif
