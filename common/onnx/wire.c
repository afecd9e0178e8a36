#include "common/onnx/wire.h"

#include <stdint.h>

#define FIELD_COST 64 /* protobuf-c's own record of a field while it unpacks, and the pointer that remains */

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct walk {
    const uint8_t *start;
    uint64_t room; /* bytes that unpacking may still cost */
    struct err *e;
};

struct span_of_bytes {
    const uint8_t *p, *end;
};

static int bad(const struct walk *w, const uint8_t *at, const char *what)
{
    return err_set(w->e, ERR_INVALID, "not an ONNX file: byte %zu: %s", (size_t)(at - w->start), what);
}

static int varint(const struct walk *w, struct span_of_bytes *s, uint64_t *out)
{
    const uint8_t *at = s->p;
    *out = 0;
    for (int shift = 0; shift < 70; shift += 7) {
        if (s->p == s->end)
            return bad(w, at, "a number is cut off");
        uint8_t b = *s->p++;
        if (shift < 64)
            *out |= (uint64_t)(b & 0x7f) << shift;
        if (b < 0x80)
            return 0;
    }
    return bad(w, at, "a number has more than 10 bytes");
}

/* Steps over the value of a field; for bytes, *body is what they hold. */
static int step(const struct walk *w, struct span_of_bytes *s, int type, struct span_of_bytes *body)
{
    const uint8_t *at = s->p;
    uint64_t len = 0;
    if (type == WIRE_VARINT)
        return varint(w, s, &len);
    if (type == WIRE_BYTES) {
        int rc = varint(w, s, &len);
        if (rc < 0)
            return rc;
    } else if (type == WIRE_FIXED64 || type == WIRE_FIXED32) {
        len = type == WIRE_FIXED64 ? 8 : 4;
    } else {
        return bad(w, at, "a field of unknown kind");
    }
    if (len > (uint64_t)(s->end - s->p))
        return bad(w, at, "a field is longer than what holds it");
    *body = (struct span_of_bytes){s->p, s->p + len};
    s->p += len;
    return 0;
}

static int spend(struct walk *w, uint64_t cost)
{
    if (cost > w->room)
        return err_set(w->e, ERR_LIMIT, "the file has more parts than its size warrants");
    w->room -= cost;
    return 0;
}

static int message(struct walk *w, struct span_of_bytes s, const ProtobufCMessageDescriptor *d, int depth)
{
    if (depth > WIRE_MAX_DEPTH)
        return err_set(w->e, ERR_LIMIT, "messages nest deeper than %d at byte %zu", WIRE_MAX_DEPTH,
                       (size_t)(s.p - w->start));
    int rc = spend(w, d->sizeof_message);
    uint64_t seen = 0;
    while (rc == 0 && s.p < s.end) {
        const uint8_t *at = s.p;
        uint64_t key = 0;
        struct span_of_bytes body = {0};
        if ((rc = varint(w, &s, &key)) < 0 || (rc = spend(w, FIELD_COST)) < 0 ||
            (rc = step(w, &s, (int)(key & 7), &body)) < 0)
            break;
        if (key >> 3 == 0 || key >> 3 > UINT32_C(0x1fffffff))
            return bad(w, at, "a field number out of range");
        const ProtobufCFieldDescriptor *f = protobuf_c_message_descriptor_get_field(d, (unsigned)(key >> 3));
        if (!f || f->type != PROTOBUF_C_TYPE_MESSAGE || (key & 7) != WIRE_BYTES)
            continue;
        uint64_t bit = UINT64_C(1) << ((size_t)(f - d->fields) & 63);
        if (f->label != PROTOBUF_C_LABEL_REPEATED && (seen & bit))
            return bad(w, at, "a part stands twice");
        seen |= bit;
        rc = message(w, body, f->descriptor, depth + 1);
    }
    return rc;
}

int wire_check(const void *bytes, size_t n, const ProtobufCMessageDescriptor *d, struct err *e)
{
    struct walk w = {.start = bytes, .room = (UINT64_C(256) << 20) + 2 * (uint64_t)n, .e = e};
    return message(&w, (struct span_of_bytes){w.start, w.start + n}, d, 1);
}
