#include "proto/walk.h"

#include <stdint.h>

#include "proto/limits.h"

/* What a first byte announces: bytes of a length field, then a body of fixed size or of the length's, or elements.
 */
struct head {
    enum { HEAD_FIXED, HEAD_BYTES, HEAD_ARRAY, HEAD_FOREIGN } kind;
    unsigned length_bytes; /* of a big-endian length that follows the first byte */
    uint32_t n;            /* bytes or elements where there is no length field */
};

static struct head head_of(uint8_t b)
{
    if (b <= 0x7f || b >= 0xe0)
        return (struct head){HEAD_FIXED, 0, 0};
    if (b <= 0x8f)
        return (struct head){HEAD_FOREIGN, 0, 0}; /* a map */
    if (b <= 0x9f)
        return (struct head){HEAD_ARRAY, 0, b & 0x0f};
    if (b <= 0xbf)
        return (struct head){HEAD_BYTES, 0, b & 0x1f};
    switch (b) {
    case 0xc0: /* nil, false, true */
    case 0xc2:
    case 0xc3:
        return (struct head){HEAD_FIXED, 0, 0};
    case 0xc4: /* bytes and text with a length of 1, 2, 4 bytes */
    case 0xd9:
        return (struct head){HEAD_BYTES, 1, 0};
    case 0xc5:
    case 0xda:
        return (struct head){HEAD_BYTES, 2, 0};
    case 0xc6:
    case 0xdb:
        return (struct head){HEAD_BYTES, 4, 0};
    case 0xcc: /* numbers of 1, 2, 4, 8 bytes */
    case 0xd0:
        return (struct head){HEAD_FIXED, 0, 1};
    case 0xcd:
    case 0xd1:
        return (struct head){HEAD_FIXED, 0, 2};
    case 0xca:
    case 0xce:
    case 0xd2:
        return (struct head){HEAD_FIXED, 0, 4};
    case 0xcb:
    case 0xcf:
    case 0xd3:
        return (struct head){HEAD_FIXED, 0, 8};
    case 0xdc:
        return (struct head){HEAD_ARRAY, 2, 0};
    case 0xdd:
        return (struct head){HEAD_ARRAY, 4, 0};
    default:
        return (struct head){HEAD_FOREIGN, 0, 0};
    }
}

struct walk {
    const uint8_t *p;
    size_t at, n;
    uint32_t open[PROTO_MAX_DEPTH]; /* elements still to come in each array that is open */
    int depth;
    uint64_t elements;
};

static int read_length(struct walk *w, struct head *h, struct err *e)
{
    if (w->n - w->at < h->length_bytes)
        return err_set(e, ERR_INVALID, "message ends at byte %zu, inside a length", w->n);
    for (unsigned i = 0; i < h->length_bytes; i++)
        h->n = h->n << 8 | w->p[w->at++];
    return 0;
}

static int enter_array(struct walk *w, uint32_t n, struct err *e)
{
    if (n > w->n - w->at)
        return err_set(e, ERR_INVALID, "array of %u elements with %zu bytes left", n, w->n - w->at);
    w->elements += n;
    if (w->elements > PROTO_MAX_ELEMENTS)
        return err_set(e, ERR_INVALID, "more than %d elements", PROTO_MAX_ELEMENTS);
    if (w->depth == PROTO_MAX_DEPTH)
        return err_set(e, ERR_INVALID, "arrays nested more than %d deep", PROTO_MAX_DEPTH);
    w->open[w->depth++] = n;
    return 0;
}

static int walk_value(struct walk *w, struct err *e)
{
    if (w->at == w->n)
        return err_set(e, ERR_INVALID, "message ends at byte %zu, with %u elements missing", w->n,
                       w->depth ? w->open[w->depth - 1] + 1 : 1);
    uint8_t first = w->p[w->at++];
    struct head h = head_of(first);
    int rc = read_length(w, &h, e);
    if (rc < 0)
        return rc;
    switch (h.kind) {
    case HEAD_FOREIGN:
        return err_set(e, ERR_INVALID, "byte 0x%02x at %zu begins a map, an extension or nothing known", first,
                       w->at - 1);
    case HEAD_ARRAY:
        return enter_array(w, h.n, e);
    case HEAD_FIXED:
    case HEAD_BYTES:
        break;
    }
    if (h.n > w->n - w->at)
        return err_set(e, ERR_INVALID, "value of %u bytes with %zu bytes left", h.n, w->n - w->at);
    w->at += h.n;
    return 0;
}

int walk_check(const void *bytes, size_t n, struct err *e)
{
    if (n == 0)
        return err_set(e, ERR_INVALID, "message is empty");
    if (n > PROTO_MAX_BYTES)
        return err_set(e, ERR_INVALID, "message of %zu bytes, at most %d are accepted", n, PROTO_MAX_BYTES);
    struct walk w = {.p = bytes, .n = n};
    do {
        if (w.depth)
            w.open[w.depth - 1]--;
        int rc = walk_value(&w, e);
        if (rc < 0)
            return rc;
        while (w.depth && w.open[w.depth - 1] == 0)
            w.depth--;
    } while (w.depth);
    if (w.at < n)
        return err_set(e, ERR_INVALID, "%zu bytes after the end of the message", n - w.at);
    return 0;
}
