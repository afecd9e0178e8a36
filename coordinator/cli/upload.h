/*
 * upload - the files that a search needs, brought to the coordinator unless it has them.
 */
#ifndef COORDINATOR_CLI_UPLOAD_H
#define COORDINATOR_CLI_UPLOAD_H

#include "coordinator/cli/client.h"
#include "proto/recipe.h"

struct upload {
    char *path; /* owned */
    struct data_file file;
};

/* Hashes it; ERR_INVALID when it is empty. `name` as in struct data_file. */
MUST_CHECK int upload_init(struct upload *u, const char *path, const char *name, struct err *e);
void upload_release(struct upload *u); /* zeroed is fine */

/* Sends those of the n that the coordinator lacks, with a bar on a terminal's stderr. */
MUST_CHECK int upload_send(struct client *cl, const struct upload *u, int n, struct err *e);

#endif
