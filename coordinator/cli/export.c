/* `espalier export`: a candidate's ONNX file, made by a worker when it isn't there yet. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/onnx/load.h"
#include "coordinator/cli/args.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/format.h"

#define WAIT_S   600
#define FIRST_NS (100 * NS_PER_MS) /* between questions; doubles up to a second */
#define TELL_S   5                 /* until it is told that no worker is there */

/* Asks until the file is on record. */
static int wait_made(struct client *cl, long long id, long long episode, struct hash *h, uint64_t *size,
                     struct err *e)
{
    int64_t start_ns = clock_mono_ns(), pause_ns = FIRST_NS;
    bool told = false;
    for (;;) {
        json_t *answer = NULL;
        int rc = client_post(cl, NULL, &answer, e, "searches/%lld/candidates/%lld/export", id, episode);
        bool made = rc == 0 && hash_from_hex(field_text(answer, "hash"), h);
        bool alone = rc == 0 && !made && field_number(answer, "workers", 1) == 0;
        *size = (uint64_t)field_number(answer, "size", 0);
        json_decref(answer);
        if (rc < 0)
            return rc;
        if (made)
            return *size > 0 && *size <= ONNX_MAX_BYTES ? 0
                                                        : err_set(e, ERR_INVALID, "the file's size makes no sense");
        int64_t waited_ns = clock_mono_ns() - start_ns;
        if (waited_ns > WAIT_S * NS_PER_S)
            return err_set(e, ERR_TIMEOUT, "episode %lld wasn't exported within %d s%s", episode, WAIT_S,
                           alone ? ": no worker is connected" : "");
        if (alone && !told && waited_ns > TELL_S * NS_PER_S) {
            fputs("espalier: no worker is connected; one has to make the file; waiting\n", stderr);
            told = true;
        }
        clock_sleep_ns(pause_ns);
        pause_ns = pause_ns * 2 < NS_PER_S ? pause_ns * 2 : NS_PER_S;
    }
}

int verb_export(struct cli *c, int argc, char **argv, struct err *e)
{
    const char *out = NULL, *operand[2];
    const struct arg args[] = {{"-o", ARG_TEXT, "FILE", "where to (needed)", &out, 0, 0}, {0}};
    const struct usage u = {"export ID EPISODE -o FILE.onnx", "Writes the candidate's network as an ONNX file.",
                            args, 2, 2};
    struct client *cl = NULL;
    struct buf bytes = {0};
    struct hash h;
    uint64_t size;
    long long id, episode;
    int rc = args_parse(c, &u, argc, argv, operand, e);
    if (rc == 0)
        rc = args_number(c, "search", operand[0], 1, &id, e);
    if (rc == 0)
        rc = args_number(c, "episode", operand[1], 0, &episode, e);
    if (rc == 0 && !out)
        rc = args_wrong(c, e, "-o FILE is missing");
    if (rc == 0)
        rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = wait_made(cl, id, episode, &h, &size, e);
    if (rc == 0)
        rc = client_get_blob(cl, &h, size, &bytes, e);
    if (rc == 0)
        rc = file_write(out, bytes.p, bytes.n, e);
    if (rc == 0)
        fprintf(stderr, "%s: %zu bytes\n", out, bytes.n);
    buf_release(&bytes);
    client_close(cl);
    return rc;
}
