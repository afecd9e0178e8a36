#include "proto/codec.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/text.h"

static int append(void *arg, const char *bytes, size_t n)
{
    buf_append(arg, bytes, n);
    return 0;
}

void codec_pack(struct codec *c, struct buf *out)
{
    *c = (struct codec){.out = out};
    msgpack_packer_init(&c->pk, out, append);
}

void codec_read(struct codec *c, const msgpack_object *root, struct err *e)
{
    *c = (struct codec){.e = e};
    c->level[0] = (struct codec_level){.name = "", .taken = -1, .at = root, .left = 1};
}

bool codec_reading(const struct codec *c)
{
    return !c->out;
}

bool codec_failed(const struct codec *c)
{
    return c->failed;
}

/* "work.recipe.files[2].size" of the field `name`; a NULL name is the innermost array itself. */
static void where(const struct codec *c, const char *name, char *s, size_t cap)
{
    size_t n = 0;
    s[0] = 0;
    for (int i = 1; i <= c->depth && n < cap; i++) {
        n += (size_t)snprintf(s + n, cap - n, "%s%s", n ? "." : "", c->level[i].name);
        if (c->level[i].taken > 0 && n < cap)
            n += (size_t)snprintf(s + n, cap - n, "[%d]", c->level[i].taken - 1);
    }
    if (name && *name && n < cap)
        snprintf(s + n, cap - n, "%s%s", n ? "." : "", name);
}

static void fail(struct codec *c, const char *name, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void fail(struct codec *c, const char *name, const char *fmt, ...)
{
    if (c->failed)
        return;
    char place[160], text[256];
    where(c, name, place, sizeof(place));
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (c->out)
        BUG("message being packed: %s: %s", place, text);
    c->failed = true;
    err_set(c->e, ERR_INVALID, "%s: %s", place, text);
}

void codec_require(struct codec *c, bool holds, const char *fmt, ...)
{
    if (holds || c->failed)
        return;
    char text[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    fail(c, NULL, "%s", text);
}

static const char *kind_name(const msgpack_object *o)
{
    switch (o->type) {
    case MSGPACK_OBJECT_NIL:
        return "nil";
    case MSGPACK_OBJECT_BOOLEAN:
        return "a boolean";
    case MSGPACK_OBJECT_POSITIVE_INTEGER:
    case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        return "an integer";
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64:
        return "a float";
    case MSGPACK_OBJECT_STR:
        return "text";
    case MSGPACK_OBJECT_BIN:
        return "bytes";
    case MSGPACK_OBJECT_ARRAY:
        return "an array";
    default:
        return "something unknown";
    }
}

/* The next element of the innermost array, NULL after a failure. */
static const msgpack_object *peek(struct codec *c)
{
    if (c->failed)
        return NULL;
    if (!c->level[c->depth].left)
        BUG("schema of %s reads past its array", c->level[c->depth].name);
    return c->level[c->depth].at;
}

static const msgpack_object *take(struct codec *c)
{
    const msgpack_object *o = peek(c);
    struct codec_level *l = &c->level[c->depth];
    if (!o)
        return NULL;
    l->at++;
    l->left--;
    if (l->taken >= 0)
        l->taken++;
    return o;
}

/* The next element, taken, if it is of that type. */
static const msgpack_object *take_of(struct codec *c, const char *name, msgpack_object_type type,
                                     const char *expected)
{
    const msgpack_object *o = take(c);
    if (o && o->type != type) {
        fail(c, name, "%s where %s belongs", kind_name(o), expected);
        return NULL;
    }
    return o;
}

static void push(struct codec *c, struct codec_level l)
{
    if (c->depth + 1 >= PROTO_MAX_DEPTH)
        BUG("schema of %s nests too deep", l.name);
    c->level[++c->depth] = l;
}

static const msgpack_object *read_array(struct codec *c, const char *name, int taken)
{
    const msgpack_object *o = take_of(c, name, MSGPACK_OBJECT_ARRAY, "an array");
    struct codec_level l = {.name = name, .taken = taken};
    if (o) {
        l.at = o->via.array.ptr;
        l.left = o->via.array.size;
    }
    push(c, l);
    return o;
}

void codec_open(struct codec *c, const char *name, uint32_t n)
{
    if (c->out) {
        msgpack_pack_array(&c->pk, n);
        push(c, (struct codec_level){.name = name, .taken = -1});
        return;
    }
    const msgpack_object *o = read_array(c, name, -1);
    if (o && o->via.array.size != n)
        fail(c, NULL, "%u fields, not %u", o->via.array.size, n);
}

void codec_list(struct codec *c, const char *name, uint32_t *n, uint32_t most)
{
    if (c->out) {
        msgpack_pack_array(&c->pk, *n);
        push(c, (struct codec_level){.name = name});
    } else {
        const msgpack_object *o = read_array(c, name, 0);
        *n = o ? o->via.array.size : 0;
    }
    if (*n > most) {
        fail(c, NULL, "%u elements, at most %u", *n, most);
        *n = 0;
    }
}

void codec_close(struct codec *c)
{
    if (!c->out && !c->failed && c->level[c->depth].left)
        BUG("schema of %s leaves %u elements", c->level[c->depth].name, c->level[c->depth].left);
    c->depth--;
}

void codec_optional(struct codec *c, bool *there)
{
    if (c->out) {
        if (!*there)
            msgpack_pack_nil(&c->pk);
        return;
    }
    const msgpack_object *o = peek(c);
    *there = o && o->type != MSGPACK_OBJECT_NIL;
    if (o && !*there)
        take(c);
}

void codec_bool(struct codec *c, const char *name, bool *v)
{
    if (c->out) {
        if (*v)
            msgpack_pack_true(&c->pk);
        else
            msgpack_pack_false(&c->pk);
        return;
    }
    const msgpack_object *o = take_of(c, name, MSGPACK_OBJECT_BOOLEAN, "a boolean");
    *v = o && o->via.boolean;
}

static const msgpack_object *take_integer(struct codec *c, const char *name)
{
    const msgpack_object *o = take(c);
    if (!o || o->type == MSGPACK_OBJECT_POSITIVE_INTEGER || o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
        return o;
    fail(c, name, "%s where an integer belongs", kind_name(o));
    return NULL;
}

static uint64_t code_unsigned(struct codec *c, const char *name, uint64_t v, uint64_t least, uint64_t most)
{
    if (!c->out) {
        const msgpack_object *o = take_integer(c, name);
        if (o && o->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
            fail(c, name, "%" PRId64 ", at least %" PRIu64, o->via.i64, least);
        v = o ? o->via.u64 : 0;
    }
    if (v < least)
        fail(c, name, "%" PRIu64 ", at least %" PRIu64, v, least);
    else if (v > most)
        fail(c, name, "%" PRIu64 ", at most %" PRIu64, v, most);
    else if (c->out)
        msgpack_pack_uint64(&c->pk, v);
    return c->failed ? 0 : v;
}

static int64_t code_signed(struct codec *c, const char *name, int64_t v, int64_t least, int64_t most)
{
    if (!c->out) {
        const msgpack_object *o = take_integer(c, name);
        if (o && o->type == MSGPACK_OBJECT_POSITIVE_INTEGER && o->via.u64 > (uint64_t)most)
            fail(c, name, "%" PRIu64 ", at most %" PRId64, o->via.u64, most);
        v = o ? o->via.i64 : 0;
    }
    if (v < least)
        fail(c, name, "%" PRId64 ", at least %" PRId64, v, least);
    else if (v > most)
        fail(c, name, "%" PRId64 ", at most %" PRId64, v, most);
    else if (c->out)
        msgpack_pack_int64(&c->pk, v);
    return c->failed ? 0 : v;
}

void codec_u32(struct codec *c, const char *name, uint32_t *v, uint32_t least, uint32_t most)
{
    *v = (uint32_t)code_unsigned(c, name, *v, least, most);
}

void codec_u64(struct codec *c, const char *name, uint64_t *v, uint64_t most)
{
    *v = code_unsigned(c, name, *v, 0, most);
}

void codec_i32(struct codec *c, const char *name, int32_t *v, int32_t least, int32_t most)
{
    *v = (int32_t)code_signed(c, name, *v, least, most);
}

void codec_i64(struct codec *c, const char *name, int64_t *v, int64_t least, int64_t most)
{
    *v = code_signed(c, name, *v, least, most);
}

int codec_enum(struct codec *c, const char *name, int v, int n)
{
    return (int)code_signed(c, name, v, 0, n - 1);
}

void codec_f64(struct codec *c, const char *name, double *v)
{
    if (!c->out) {
        const msgpack_object *o = take_of(c, name, MSGPACK_OBJECT_FLOAT64, "a float of 8 bytes");
        *v = o ? o->via.f64 : 0;
    }
    if (!isfinite(*v)) {
        fail(c, name, "%g isn't a number that can be used", *v);
        *v = 0;
    }
    if (c->out)
        msgpack_pack_double(&c->pk, *v);
}

void codec_bounded(struct codec *c, const char *name, double *v, double least, double most)
{
    codec_f64(c, name, v);
    if (*v < least)
        fail(c, name, "%g, at least %g", *v, least);
    else if (*v > most)
        fail(c, name, "%g, at most %g", *v, most);
}

void codec_f32(struct codec *c, const char *name, float *v)
{
    if (!c->out) {
        const msgpack_object *o = take_of(c, name, MSGPACK_OBJECT_FLOAT32, "a float of 4 bytes");
        *v = o ? (float)o->via.f64 : 0;
    }
    if (!isfinite(*v)) {
        fail(c, name, "%g isn't a number that can be used", (double)*v);
        *v = 0;
    }
    if (c->out)
        msgpack_pack_float(&c->pk, *v);
}

void codec_hash(struct codec *c, const char *name, struct hash *h)
{
    if (c->out) {
        msgpack_pack_bin_with_body(&c->pk, h->b, HASH_BYTES);
        return;
    }
    const msgpack_object *o = take_of(c, name, MSGPACK_OBJECT_BIN, "bytes");
    if (o && o->via.bin.size != HASH_BYTES)
        fail(c, name, "hash of %u bytes, not %d", o->via.bin.size, HASH_BYTES);
    else if (o)
        memcpy(h->b, o->via.bin.ptr, HASH_BYTES);
}

void codec_optional_hash(struct codec *c, const char *name, bool *there, struct hash *h)
{
    codec_optional(c, there);
    if (*there)
        codec_hash(c, name, h);
}

static void pack_text(struct codec *c, const char *name, const char *s, size_t cap, size_t least)
{
    char clean[PROTO_MAX_TEXT];
    size_t n = strnlen(s, cap);
    if (n == cap || n < least || cap > sizeof(clean))
        fail(c, name, "text of %zu bytes in a field of %zu", n, cap);
    text_copy(clean, cap, s);
    msgpack_pack_str_with_body(&c->pk, clean, strlen(clean));
}

void codec_text(struct codec *c, const char *name, char *s, size_t cap, size_t least)
{
    if (c->out) {
        pack_text(c, name, s, cap, least);
        return;
    }
    memset(s, 0, cap);
    const msgpack_object *o = take_of(c, name, MSGPACK_OBJECT_STR, "text");
    if (!o)
        return;
    const uint8_t *p = (const uint8_t *)o->via.str.ptr;
    size_t n = o->via.str.size, len;
    if (n < least) {
        fail(c, name, "text of %zu bytes, at least %zu", n, least);
        return;
    }
    if (n >= cap) {
        fail(c, name, "text of %zu bytes, at most %zu", n, cap - 1);
        return;
    }
    for (size_t i = 0; i < n; i += len) {
        len = text_character(p + i, n - i);
        if (!len) {
            fail(c, name, "byte 0x%02x in a text is a control character or no UTF-8", p[i]);
            return;
        }
    }
    if (n)
        memcpy(s, p, n);
}

void codec_bytes(struct codec *c, const char *name, const uint8_t **p, uint32_t *n, uint32_t most)
{
    if (!c->out) {
        const msgpack_object *o = take_of(c, name, MSGPACK_OBJECT_BIN, "bytes");
        *p = o ? (const uint8_t *)o->via.bin.ptr : NULL;
        *n = o ? o->via.bin.size : 0;
    }
    if (*n > most) {
        fail(c, name, "%u bytes, at most %u", *n, most);
        *n = 0;
    }
    if (c->out)
        msgpack_pack_bin(&c->pk, *n);
    if (c->out && *n)
        msgpack_pack_bin_body(&c->pk, *p, *n);
}
