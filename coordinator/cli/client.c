#include "coordinator/cli/client.h"

#include <curl/curl.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/version.h"

#define CONNECT_S  5L
#define ANSWER_S   90L        /* for all but blobs */
#define STALL_S    60L        /* a blob that doesn't move for so long is given up */
#define MAX_ANSWER (64 << 20) /* bytes of JSON */

struct client {
    CURL *curl;
    char *url; /* without a slash at its end */
    char *why; /* where the URL is from, for messages */
    struct buf answer;
    uint64_t most; /* bytes of answer that are accepted */
    client_progress *shown;
    void *shown_arg;
};

/* --- where --- */

static int url_of_folder(const char *dir, char **url, struct err *e)
{
    char *path = file_join(dir, "coordinator.json");
    struct buf b = {0};
    int rc = file_read(path, 1 << 16, &b, e);
    if (rc == ERR_NOTFOUND)
        rc = err_set(e, ERR_NOTFOUND,
                     "no coordinator: there is no \"%s\"; start one with `espalier up`, or name one by --url or "
                     "ESPALIER_URL",
                     path);
    if (rc == 0) {
        json_t *j = json_loadb((const char *)b.p, b.n, 0, NULL);
        const char *s = json_string_value(json_object_get(j, "http"));
        if (s)
            *url = xstrdup(s);
        else
            rc = err_set(e, ERR_INVALID, "\"%s\" isn't what a coordinator writes", path);
        json_decref(j);
    }
    free(path);
    buf_release(&b);
    return rc;
}

static int find_url(struct client *cl, const struct cli *c, struct err *e)
{
    const char *set = getenv("ESPALIER_URL"), *dir = c->dir ? c->dir : ".espalier";
    if (c->url || (!c->dir && set && *set)) {
        cl->url = xstrdup(c->url ? c->url : set);
        cl->why = xstrdup(c->url ? "--url" : "ESPALIER_URL");
    } else {
        int rc = url_of_folder(dir, &cl->url, e);
        if (rc < 0)
            return rc;
        cl->why = file_join(dir, "coordinator.json");
    }
    for (size_t n = strlen(cl->url); n > 0 && cl->url[n - 1] == '/'; n--)
        cl->url[n - 1] = 0;
    return 0;
}

int client_open(struct client **out, const struct cli *c, struct err *e)
{
    struct client *cl = xcalloc(1, sizeof(*cl));
    int rc = find_url(cl, c, e);
    if (rc == 0 && !(cl->curl = curl_easy_init()))
        rc = err_set(e, ERR_NOMEM, "could not set up libcurl");
    if (rc < 0) {
        client_close(cl);
        return rc;
    }
    *out = cl;
    return 0;
}

void client_close(struct client *cl)
{
    if (!cl)
        return;
    curl_easy_cleanup(cl->curl);
    buf_release(&cl->answer);
    free(cl->url);
    free(cl->why);
    free(cl);
}

/* --- one request --- */

static size_t on_bytes(char *p, size_t size, size_t n, void *arg)
{
    struct client *cl = arg;
    if (cl->answer.n + size * n > cl->most)
        return 0;
    buf_append(&cl->answer, p, size * n);
    return size * n;
}

static int on_progress(void *arg, curl_off_t down_all, curl_off_t down, curl_off_t up_all, curl_off_t up)
{
    struct client *cl = arg;
    (void)down_all;
    (void)down;
    if (cl->shown && up_all > 0)
        cl->shown(cl->shown_arg, (uint64_t)up, (uint64_t)up_all);
    return 0;
}

static char *url_of(const struct client *cl, const char *path, va_list ap)
{
    char part[512];
    vsnprintf(part, sizeof(part), path, ap);
    return xasprintf("%s/v1/%s", cl->url, part);
}

static void prepare(struct client *cl, const char *url)
{
    CURL *h = cl->curl;
    buf_clear(&cl->answer);
    cl->most = MAX_ANSWER;
    cl->shown = NULL;
    curl_easy_reset(h); /* keeps the connection */
    curl_easy_setopt(h, CURLOPT_URL, url);
    curl_easy_setopt(h, CURLOPT_PROTOCOLS_STR, "http");
    curl_easy_setopt(h, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(h, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(h, CURLOPT_USERAGENT, "espalier/" ESPALIER_VERSION);
    curl_easy_setopt(h, CURLOPT_CONNECTTIMEOUT, CONNECT_S);
    curl_easy_setopt(h, CURLOPT_TIMEOUT, ANSWER_S);
    curl_easy_setopt(h, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(h, CURLOPT_WRITEDATA, cl);
}

/* A blob takes as long as it moves. */
static void allow_long(struct client *cl)
{
    curl_easy_setopt(cl->curl, CURLOPT_TIMEOUT, 0L);
    curl_easy_setopt(cl->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(cl->curl, CURLOPT_LOW_SPEED_TIME, STALL_S);
}

static int transport_error(struct client *cl, CURLcode code, struct err *e)
{
    if (code == CURLE_OPERATION_TIMEDOUT)
        return err_set(e, ERR_TIMEOUT, "the coordinator at %s doesn't answer", cl->url);
    return err_set(e, ERR_IO, "could not reach the coordinator at %s (from %s): %s", cl->url, cl->why,
                   curl_easy_strerror(code));
}

static enum err_code code_of(long status)
{
    switch (status) {
    case 404:
        return ERR_NOTFOUND;
    case 409:
        return ERR_STATE;
    case 413:
        return ERR_LIMIT;
    case 503:
        return ERR_TIMEOUT;
    default:
        return ERR_INVALID;
    }
}

static int perform(struct client *cl, struct err *e)
{
    long status = 0;
    CURLcode code = curl_easy_perform(cl->curl);
    if (code != CURLE_OK)
        return transport_error(cl, code, e);
    curl_easy_getinfo(cl->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status < 400)
        return 0;
    json_t *j = cl->answer.n ? json_loadb((const char *)cl->answer.p, cl->answer.n, 0, NULL) : NULL;
    const char *line = json_string_value(json_object_get(j, "error"));
    if (line)
        err_set(e, code_of(status), "%s", line);
    else
        err_set(e, code_of(status), "the server at %s answered %ld", cl->url, status);
    json_decref(j);
    return e->code;
}

static int parse_answer(struct client *cl, json_t **out, struct err *e)
{
    json_error_t je;
    json_t *j = cl->answer.n ? json_loadb((const char *)cl->answer.p, cl->answer.n, 0, &je) : NULL;
    if (!j)
        return err_set(e, ERR_INVALID, "what answers at %s isn't a coordinator: no JSON", cl->url);
    if (out)
        *out = j;
    else
        json_decref(j);
    return 0;
}

int client_get(struct client *cl, json_t **out, struct err *e, const char *path, ...)
{
    va_list ap;
    va_start(ap, path);
    char *url = url_of(cl, path, ap);
    va_end(ap);
    prepare(cl, url);
    int rc = perform(cl, e);
    free(url);
    return rc < 0 ? rc : parse_answer(cl, out, e);
}

int client_post(struct client *cl, const json_t *body, json_t **out, struct err *e, const char *path, ...)
{
    va_list ap;
    va_start(ap, path);
    char *url = url_of(cl, path, ap);
    va_end(ap);
    prepare(cl, url);
    char *text = body ? json_dumps(body, JSON_COMPACT) : xstrdup("");
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(cl->curl, CURLOPT_POST, 1L);
    curl_easy_setopt(cl->curl, CURLOPT_POSTFIELDS, text);
    curl_easy_setopt(cl->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
    curl_easy_setopt(cl->curl, CURLOPT_HTTPHEADER, headers);
    int rc = perform(cl, e);
    curl_slist_free_all(headers);
    free(text);
    free(url);
    return rc < 0 ? rc : parse_answer(cl, out, e);
}

int client_get_bytes(struct client *cl, uint64_t most, struct buf *out, struct err *e, const char *path, ...)
{
    va_list ap;
    va_start(ap, path);
    char *url = url_of(cl, path, ap);
    va_end(ap);
    prepare(cl, url);
    allow_long(cl);
    cl->most = most;
    int rc = perform(cl, e);
    free(url);
    if (rc < 0)
        return rc;
    buf_release(out);
    *out = cl->answer;
    cl->answer = (struct buf){0};
    return 0;
}

/* --- blobs --- */

static char *prepare_blob(struct client *cl, const struct hash *h)
{
    char hex[HASH_HEX];
    hash_to_hex(h, hex);
    char *url = xasprintf("%s/v1/blobs/%s", cl->url, hex);
    prepare(cl, url);
    return url;
}

int client_has_blob(struct client *cl, const struct hash *h, bool *has, struct err *e)
{
    char *url = prepare_blob(cl, h);
    curl_easy_setopt(cl->curl, CURLOPT_NOBODY, 1L);
    int rc = perform(cl, e);
    free(url);
    *has = rc == 0;
    return rc == ERR_NOTFOUND ? 0 : rc;
}

int client_put_file(struct client *cl, const char *path, const struct hash *h, uint64_t size,
                    client_progress *shown, void *arg, struct err *e)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_set(e, ERR_IO, "could not open \"%s\": %s", path, strerror(errno));
    char *url = prepare_blob(cl, h);
    allow_long(cl);
    cl->shown = shown;
    cl->shown_arg = arg;
    curl_easy_setopt(cl->curl, CURLOPT_UPLOAD, 1L);
    curl_easy_setopt(cl->curl, CURLOPT_READDATA, f);
    curl_easy_setopt(cl->curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)size);
    curl_easy_setopt(cl->curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(cl->curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(cl->curl, CURLOPT_XFERINFODATA, cl);
    int rc = perform(cl, e);
    if (rc < 0)
        rc = err_wrap(e, "could not send \"%s\"", path);
    fclose(f);
    free(url);
    return rc;
}

int client_get_blob(struct client *cl, const struct hash *h, uint64_t size, struct buf *out, struct err *e)
{
    char *url = prepare_blob(cl, h), hex[HASH_HEX];
    allow_long(cl);
    cl->most = size > MAX_ANSWER ? size : MAX_ANSWER;
    int rc = perform(cl, e);
    free(url);
    if (rc < 0)
        return rc;
    struct hash got = hash_of(cl->answer.p, cl->answer.n);
    hash_to_hex(h, hex);
    if (cl->answer.n != size || !hash_equal(&got, h))
        return err_set(e, ERR_INVALID, "%zu bytes came for blob %s, and they aren't it", cl->answer.n, hex);
    buf_release(out);
    *out = cl->answer;
    cl->answer = (struct buf){0};
    return 0;
}
