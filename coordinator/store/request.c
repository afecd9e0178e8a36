#include "coordinator/store/request.h"

#include <inttypes.h>
#include <limits.h>
#include <stdlib.h>

#include "common/base/mem.h"

struct request *request_new(const struct statement *st, request_answer *answer, void (*fn)(void), void *arg)
{
    struct request *r = xcalloc(1, sizeof(*r));
    r->st = st;
    r->answer = answer;
    r->fn = fn;
    r->arg = arg;
    return r;
}

void request_free(struct request *r)
{
    PQclear(r->result);
    buf_release(&r->bytes);
    free(r);
}

void request_finish(struct request *r, const struct err *e)
{
    r->answer(r, e ? NULL : r->result, e);
    request_free(r);
}

static void begin(struct request *r, bool null, bool binary)
{
    if (r->n == REQUEST_ARGS)
        BUG("%s has more than %d arguments", r->st->name, REQUEST_ARGS);
    r->args[r->n].at = r->bytes.n;
    r->args[r->n].null = null;
    r->args[r->n].binary = binary;
}

/* Texts are followed by a NUL, which libpq wants. */
static void end(struct request *r)
{
    size_t length = r->bytes.n - r->args[r->n].at;
    if (length > INT_MAX)
        BUG("argument %d of %s has %zu bytes", r->n + 1, r->st->name, length);
    r->args[r->n++].length = (int)length;
    buf_append(&r->bytes, "", 1);
}

/* Bytes of the UTF-8 character at s, 0 when it isn't one (RFC 3629: no overlong forms, no surrogates, up to
 * U+10FFFF). */
static size_t utf8_length(const uint8_t *s)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (s[0] < 0x80)
        return 1;
    size_t n = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    uint32_t c = s[0] & (0x7fU >> n);
    if (s[0] < 0xc0 || s[0] >= 0xf8)
        return 0;
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

/* Texts come from workers, too, and one bad byte must not keep a row from being written. */
static void append_text(struct buf *b, const char *text, bool quoted)
{
    const uint8_t *s = (const uint8_t *)text;
    while (*s) {
        size_t n = utf8_length(s);
        if (quoted && (*s == '"' || *s == '\\'))
            buf_append(b, "\\", 1);
        buf_append(b, n ? s : (const uint8_t *)"?", n ? n : 1);
        s += n ? n : 1;
    }
}

void request_null(struct request *r)
{
    begin(r, true, false);
    end(r);
}

void request_text(struct request *r, const char *s)
{
    begin(r, !s, false);
    if (s)
        append_text(&r->bytes, s, false);
    end(r);
}

void request_bool(struct request *r, bool b)
{
    request_text(r, b ? "t" : "f");
}

void request_int(struct request *r, int64_t v)
{
    begin(r, false, false);
    buf_text(&r->bytes, "%" PRId64, v);
    end(r);
}

void request_uint(struct request *r, uint64_t v)
{
    begin(r, false, false);
    buf_text(&r->bytes, "%" PRIu64, v);
    end(r);
}

void request_real(struct request *r, double v)
{
    begin(r, false, false);
    buf_text(&r->bytes, "%.17g", v);
    end(r);
}

void request_bytes(struct request *r, const void *p, size_t n)
{
    begin(r, false, true);
    buf_append(&r->bytes, p, n);
    end(r);
}

void request_hash(struct request *r, const struct hash *h)
{
    request_bytes(r, h->b, sizeof(h->b));
}

void request_ints(struct request *r, const int32_t *v, size_t n)
{
    begin(r, false, false);
    for (size_t i = 0; i < n; i++)
        buf_text(&r->bytes, "%c%" PRId32, i ? ',' : '{', v[i]);
    buf_text(&r->bytes, n ? "}" : "{}");
    end(r);
}

void request_reals(struct request *r, const double *v, size_t n)
{
    begin(r, false, false);
    for (size_t i = 0; i < n; i++)
        buf_text(&r->bytes, "%c%.17g", i ? ',' : '{', v[i]);
    buf_text(&r->bytes, n ? "}" : "{}");
    end(r);
}

void request_floats(struct request *r, const float *v, size_t n)
{
    begin(r, false, false);
    for (size_t i = 0; i < n; i++)
        buf_text(&r->bytes, "%c%.9g", i ? ',' : '{', (double)v[i]);
    buf_text(&r->bytes, n ? "}" : "{}");
    end(r);
}

void request_texts_begin(struct request *r)
{
    begin(r, false, false);
    buf_text(&r->bytes, "{");
}

void request_texts_add(struct request *r, const char *s)
{
    bool first = r->bytes.n == r->args[r->n].at + 1;
    buf_text(&r->bytes, first ? "\"" : ",\"");
    append_text(&r->bytes, s, true);
    buf_text(&r->bytes, "\"");
}

void request_texts_end(struct request *r)
{
    buf_text(&r->bytes, "}");
    end(r);
}

bool request_send(const struct request *r, PGconn *c)
{
    const char *values[REQUEST_ARGS];
    int lengths[REQUEST_ARGS], formats[REQUEST_ARGS];
    for (int i = 0; i < r->n; i++) {
        values[i] = r->args[i].null ? NULL : (const char *)r->bytes.p + r->args[i].at;
        lengths[i] = r->args[i].length;
        formats[i] = r->args[i].binary;
    }
    return PQsendQueryPrepared(c, r->st->name, r->n, values, lengths, formats, r->st->binary) == 1;
}
