/* `espalier export`: a candidate's ONNX file, made by a worker when it isn't there yet, or what it kept as JSON. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/onnx/load.h"
#include "coordinator/cli/args.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/kept.h"

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

struct wanted {
    long long id, episode;
    const char *out; /* NULL: standard output */
    bool json, masks;
};

static int take_format(struct cli *c, const char *name, bool masks, struct wanted *w, struct err *e)
{
    w->json = name && strcmp(name, "json") == 0;
    w->masks = masks;
    if (name && !w->json && strcmp(name, "onnx") != 0)
        return args_wrong(c, e, "--format \"%s\": onnx or json", name);
    if (masks && !w->json)
        return args_wrong(c, e, "--masks is for --format json");
    return w->out || w->json ? 0 : args_wrong(c, e, "-o FILE is missing");
}

/* A blob of which only the hash is known. */
static int get_parent(struct client *cl, const struct hash *h, struct buf *bytes, struct err *e)
{
    char hex[HASH_HEX];
    hash_to_hex(h, hex);
    int rc = client_get_bytes(cl, ONNX_MAX_BYTES, bytes, e, "blobs/%s", hex);
    if (rc < 0)
        return err_wrap(e, "the dense network's file");
    struct hash got = hash_of(bytes->p, bytes->n);
    return hash_equal(&got, h) ? 0 : err_set(e, ERR_INVALID, "what came for the dense network's file isn't it");
}

static int write_json(const json_t *j, const char *path, struct err *e)
{
    char *text = json_dumps(j, JSON_COMPACT | JSON_REAL_PRECISION(10));
    if (!text)
        return err_set(e, ERR_NOMEM, "no memory for the JSON");
    struct buf b = {0};
    buf_text(&b, "%s\n", text);
    int rc = 0;
    if (path)
        rc = file_write(path, b.p, b.n, e);
    else if (fwrite(b.p, 1, b.n, stdout) != b.n || fflush(stdout) != 0)
        rc = err_set(e, ERR_IO, "could not write to standard output");
    buf_release(&b);
    free(text);
    return rc;
}

static int put_out(struct client *cl, const struct wanted *w, const struct buf *bytes, struct err *e)
{
    if (!w->json)
        return file_write(w->out, bytes->p, bytes->n, e);
    struct hash h;
    struct buf parent = {0};
    json_t *j = NULL;
    int rc = kept_parent(bytes, &h, e);
    if (rc == 0)
        rc = get_parent(cl, &h, &parent, e);
    if (rc == 0)
        rc = kept_json(&parent, bytes, w->masks, &j, e);
    if (rc == 0)
        rc = write_json(j, w->out, e);
    json_decref(j);
    buf_release(&parent);
    return rc;
}

int verb_export(struct cli *c, int argc, char **argv, struct err *e)
{
    const char *format = NULL, *operand[2];
    bool masks = false;
    struct wanted w = {0};
    const struct arg args[] = {{"-o", ARG_TEXT, "FILE", "where to (needed; json: standard output)", &w.out, 0, 0},
                               {"--format", ARG_TEXT, "onnx|json", "the network, or the channels it kept (onnx)", &format, 0, 0},
                               {"--masks", ARG_FLAG, NULL, "json: also a mask of each layer's channels", &masks, 0, 0},
                               {0}};
    const struct usage u = {"export ID EPISODE -o FILE.onnx | --format json [--masks] [-o FILE.json]",
                            "Writes the candidate's network as an ONNX file, or as JSON the channels of every layer that it kept.",
                            args, 2, 2};
    struct client *cl = NULL;
    struct buf bytes = {0};
    struct hash h;
    uint64_t size;
    int rc = args_parse(c, &u, argc, argv, operand, e);
    if (rc == 0)
        rc = args_number(c, "search", operand[0], 1, &w.id, e);
    if (rc == 0)
        rc = args_number(c, "episode", operand[1], 0, &w.episode, e);
    if (rc == 0)
        rc = take_format(c, format, masks, &w, e);
    if (rc == 0)
        rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = wait_made(cl, w.id, w.episode, &h, &size, e);
    if (rc == 0)
        rc = client_get_blob(cl, &h, size, &bytes, e);
    if (rc == 0)
        rc = put_out(cl, &w, &bytes, e);
    if (rc == 0 && !w.json)
        fprintf(stderr, "%s: %zu bytes\n", w.out, bytes.n);
    buf_release(&bytes);
    client_close(cl);
    return rc;
}
