#include "coordinator/http/stream.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/http/reply.h"

struct stream {
    uint64_t total, offset; /* offset: what the store was given, or the client has got */
    int writes;             /* under way */
    struct buf piece;       /* what comes next, at most PROTO_CHUNK_BYTES */
    size_t used;            /* of the piece, going out */
    bool reading, failed;
};

void stream_free(struct stream *s)
{
    if (!s)
        return;
    buf_release(&s->piece);
    free(s);
}

/* --- in --- */

/* The size is needed before the first byte is kept. */
static int open_upload(struct request *r, struct err *e)
{
    const char *length = MHD_lookup_connection_value(r->c, MHD_HEADER_KIND, MHD_HTTP_HEADER_CONTENT_LENGTH);
    uint64_t total = length ? strtoull(length, NULL, 10) : 0;
    if (!length)
        return err_set(e, ERR_INVALID, "PUT of a blob needs a Content-Length");
    if (total == 0)
        return err_set(e, ERR_INVALID, "an empty blob isn't kept");
    if (total > STREAM_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "blob of %" PRIu64 " bytes: at most %" PRIu64 " are accepted", total,
                       STREAM_MAX_BYTES);
    r->stream = xcalloc(1, sizeof(*r->stream));
    r->stream->total = total;
    return 0;
}

static void seal_when_done(struct request *r);

static void on_written(void *arg, const struct err *e)
{
    struct request *r = arg;
    if (!request_arrived(r))
        return;
    r->stream->writes--;
    if (e)
        request_fail(r, e);
    seal_when_done(r);
    request_wake(r);
}

static void write_piece(struct request *r)
{
    struct stream *s = r->stream;
    uint64_t at = s->offset;
    s->offset += s->piece.n;
    s->writes++;
    request_expect(r);
    store_blob_write(service_store(r->service), &r->hash, at, s->total, s->piece.p, s->piece.n, on_written, r);
    buf_clear(&s->piece);
}

bool stream_put(struct request *r, const uint8_t *p, size_t *n)
{
    struct err e;
    if (!r->stream && open_upload(r, &e) < 0) {
        request_fail(r, &e);
        return true; /* what is left comes again, and is dropped */
    }
    struct stream *s = r->stream;
    size_t room = PROTO_CHUNK_BYTES - s->piece.n, take = *n < room ? *n : room;
    buf_append(&s->piece, p, take);
    *n -= take;
    if (s->piece.n == PROTO_CHUNK_BYTES)
        write_piece(r);
    return s->writes < STREAM_PIECES || r->status;
}

static void on_sealed(void *arg, const struct err *e)
{
    static const char done[] = "{\"stored\": true}\n";
    struct request *r = arg;
    if (!request_arrived(r))
        return;
    if (e)
        request_fail(r, e);
    else
        request_answer(r, 201, done, strlen(done));
}

static void seal_when_done(struct request *r)
{
    if (!r->started || r->status || r->stream->writes > 0)
        return;
    request_expect(r);
    store_blob_seal(service_store(r->service), &r->hash, r->stream->total, on_sealed, r);
}

void stream_put_end(struct request *r)
{
    struct err e;
    if (!r->stream && open_upload(r, &e) < 0) {
        request_fail(r, &e);
        return;
    }
    if (r->stream->piece.n > 0)
        write_piece(r);
    else
        seal_when_done(r);
}

/* --- out --- */

static void on_piece(void *arg, const void *bytes, size_t n, uint64_t total, const struct err *e)
{
    struct request *r = arg;
    if (!request_arrived(r))
        return;
    struct stream *s = r->stream;
    s->reading = false;
    s->used = 0;
    if (e || total != s->total || n == 0 || n > PROTO_CHUNK_BYTES)
        s->failed = true;
    else
        buf_append(&s->piece, bytes, n);
    request_wake(r);
}

static void read_piece(struct request *r)
{
    struct stream *s = r->stream;
    uint64_t left = s->total - s->offset;
    buf_clear(&s->piece);
    s->reading = true;
    request_expect(r);
    store_blob_read(service_store(r->service), &r->hash, s->offset,
                    (uint32_t)(left < PROTO_CHUNK_BYTES ? left : PROTO_CHUNK_BYTES), on_piece, r);
}

static ssize_t on_wanted(void *arg, uint64_t at, char *out, size_t most)
{
    struct request *r = arg;
    struct stream *s = r->stream;
    if (at == s->total)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (!r->service)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (s->used == s->piece.n && !s->reading && !s->failed)
        read_piece(r);
    if (s->reading && !r->late) {
        request_sleep(r);
        return 0;
    }
    if (s->reading || s->failed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    size_t n = s->piece.n - s->used < most ? s->piece.n - s->used : most;
    memcpy(out, s->piece.p + s->used, n);
    s->used += n;
    s->offset += n;
    return (ssize_t)n;
}

static bool found(struct request *r, bool complete, const struct err *e)
{
    struct err mine;
    char hex[HASH_HEX];
    if (!e && !complete) {
        hash_to_hex(&r->hash, hex);
        err_set(&mine, ERR_NOTFOUND, "there is no blob %s", hex);
        e = &mine;
    }
    if (e)
        request_fail(r, e);
    return !e;
}

static void on_has(void *arg, bool complete, uint64_t size, const struct err *e)
{
    struct request *r = arg;
    if (!request_arrived(r) || !found(r, complete, e))
        return;
    r->stream = xcalloc(1, sizeof(*r->stream));
    r->stream->total = size;
    struct MHD_Response *m = MHD_create_response_from_callback(size, PROTO_CHUNK_BYTES / 4, on_wanted, r, NULL);
    if (!m) {
        struct err no;
        err_set(&no, ERR_NOMEM, "out of memory");
        request_fail(r, &no);
        return;
    }
    MHD_add_response_header(m, MHD_HTTP_HEADER_CONTENT_TYPE, "application/octet-stream");
    request_respond(r, 200, m);
}

/* For HEAD libmicrohttpd sends the same headers and never asks for the bytes. */
void stream_get(struct request *r)
{
    request_expect(r);
    store_blob_has(service_store(r->service), &r->hash, on_has, r);
}
