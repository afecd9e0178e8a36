/*
 * client - the coordinator's HTTP API, from the outside. Every call has a time limit.
 */
#ifndef COORDINATOR_CLI_CLIENT_H
#define COORDINATOR_CLI_CLIENT_H

#include <jansson.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/hash.h"
#include "coordinator/cli/cli.h"

struct client;

/* Finds the coordinator: --url, else ESPALIER_URL, else what `espalier up` left in its folder. Doesn't connect. */
MUST_CHECK int client_open(struct client **cl, const struct cli *c, struct err *e);
void client_close(struct client *cl); /* NULL is fine */

/*
 * The path's printf-formatted after "/v1/". The coordinator's own error comes back as ERR_NOTFOUND, ERR_STATE or
 * ERR_INVALID with its line; ERR_IO: nobody answers there; ERR_TIMEOUT: it can't answer now, another try may help.
 */
MUST_CHECK int client_get(struct client *cl, json_t **out, struct err *e, const char *path, ...) PRINTF_LIKE(4, 5);
/* body: borrowed, NULL for none. */
MUST_CHECK int client_post(struct client *cl, const json_t *body, json_t **out, struct err *e, const char *path,
                           ...) PRINTF_LIKE(5, 6);

/* The answer's bytes as they are, at most `most` of them, however long they take to come. */
MUST_CHECK int client_get_bytes(struct client *cl, uint64_t most, struct buf *out, struct err *e, const char *path,
                                ...) PRINTF_LIKE(5, 6);

/* --- blobs --- */
MUST_CHECK int client_has_blob(struct client *cl, const struct hash *h, bool *has, struct err *e);
/* shown: called now and then with the bytes that went so far. */
typedef void client_progress(void *arg, uint64_t done, uint64_t total);
MUST_CHECK int client_put_file(struct client *cl, const char *path, const struct hash *h, uint64_t size,
                               client_progress *shown, void *arg, struct err *e);
/* ERR_INVALID when the bytes don't have the hash. */
MUST_CHECK int client_get_blob(struct client *cl, const struct hash *h, uint64_t size, struct buf *out,
                               struct err *e);

#endif
