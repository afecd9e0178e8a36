#include "common/pictures/index.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

enum { MAGIC = 8, HEAD = MAGIC + 6 * 4, PART = HASH_BYTES + 4, ENTRY = 3 * 4 };
enum { SPLIT = 1, FOLDERS = 2 };

static const char magic[MAGIC + 1] = "ESPPIC01";

void picture_index_release(struct picture_index *x)
{
    free(x->pictures);
    free(x->parts);
    free(x->names);
    *x = (struct picture_index){0};
}

bool picture_name_is_plain(const char *s)
{
    if (!*s || strlen(s) >= PICTURES_MAX_NAME)
        return false;
    for (const char *c = s; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            return false;
    for (const char *at = s;; at++) {
        size_t n = strcspn(at, "/");
        if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.'))
            return false;
        at += n;
        if (!*at)
            return true;
    }
}

/* The next picture goes into the last part, or into a new one. */
static void place(struct picture_index *x, int i, bool fresh)
{
    if (fresh) {
        x->parts = xrealloc(x->parts, ((size_t)x->n_parts + 1) * sizeof(*x->parts));
        x->parts[x->n_parts++] = (struct picture_part){.first = (uint32_t)i};
    }
    struct picture_part *p = &x->parts[x->n_parts - 1];
    x->pictures[i].part = (uint32_t)(x->n_parts - 1);
    x->pictures[i].offset = p->size;
    p->size += x->pictures[i].size;
    p->n++;
}

void picture_index_share_out(struct picture_index *x)
{
    free(x->parts);
    x->parts = NULL;
    x->n_parts = 0;
    for (int i = 0; i < x->n; i++)
        place(x, i, i == 0 || x->parts[x->n_parts - 1].size + x->pictures[i].size > PICTURES_PART_BYTES);
}

/* --- bytes --- */

static void put_u32(struct buf *b, uint32_t v)
{
    const uint8_t bytes[] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
    buf_append(b, bytes, sizeof(bytes));
}

static uint32_t u32_at(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

void picture_index_encode(const struct picture_index *x, struct buf *out)
{
    size_t names = 0;
    for (int i = 0; i < x->n; i++)
        names += strlen(x->pictures[i].name);
    buf_append(out, magic, MAGIC);
    put_u32(out, (x->split ? SPLIT : 0) | (x->folders ? FOLDERS : 0));
    put_u32(out, (uint32_t)x->n_classes);
    put_u32(out, (uint32_t)(x->n - x->n_test));
    put_u32(out, (uint32_t)x->n_test);
    put_u32(out, (uint32_t)x->n_parts);
    put_u32(out, (uint32_t)names);
    for (int i = 0; i < x->n_parts; i++) {
        buf_append(out, x->parts[i].hash.b, HASH_BYTES);
        put_u32(out, x->parts[i].n);
    }
    for (int i = 0; i < x->n; i++) {
        put_u32(out, x->pictures[i].size);
        put_u32(out, x->pictures[i].label);
        put_u32(out, (uint32_t)strlen(x->pictures[i].name));
    }
    for (int i = 0; i < x->n; i++)
        buf_append(out, x->pictures[i].name, strlen(x->pictures[i].name));
}

struct head {
    uint32_t flags, classes, train, test, parts, names;
};

static int read_head(struct head *h, const uint8_t *p, size_t n, struct err *e)
{
    if (n < HEAD || memcmp(p, magic, MAGIC) != 0)
        return err_set(e, ERR_INVALID, "image index: %zu bytes that don't begin like one", n);
    p += MAGIC;
    *h = (struct head){u32_at(p), u32_at(p + 4), u32_at(p + 8), u32_at(p + 12), u32_at(p + 16), u32_at(p + 20)};
    uint64_t images = (uint64_t)h->train + h->test;
    if (n > PICTURES_MAX_INDEX || images > PICTURES_MAX)
        return err_set(e, ERR_LIMIT, "image index: %llu images in %zu bytes are too many",
                       (unsigned long long)images, n);
    if (h->flags > (SPLIT | FOLDERS) || !h->train || (h->flags & SPLIT ? !h->test : h->test > 0))
        return err_set(e, ERR_INVALID, "image index: flags %u, %u training and %u test images", h->flags, h->train,
                       h->test);
    if (!h->classes || h->classes > PICTURES_MAX_CLASSES)
        return err_set(e, ERR_LIMIT, "image index: %u classes, must be 1 to %d", h->classes, PICTURES_MAX_CLASSES);
    if (!h->parts || h->parts > images)
        return err_set(e, ERR_INVALID, "image index: %u parts for %llu images", h->parts,
                       (unsigned long long)images);
    uint64_t want = HEAD + (uint64_t)h->parts * PART + images * ENTRY + h->names;
    if (n != want)
        return err_set(e, ERR_INVALID, "image index: %zu bytes, expected %llu by its counts", n,
                       (unsigned long long)want);
    return 0;
}

/* Names get a NUL each; what they need is bounded by the bytes that are there. */
static int read_entries(struct picture_index *x, const uint8_t *p, uint32_t bytes_of_names, struct err *e)
{
    const uint8_t *names = p + (size_t)x->n * ENTRY, *end = names + bytes_of_names;
    char *to = x->names;
    for (int i = 0; i < x->n; i++, p += ENTRY) {
        struct picture *q = &x->pictures[i];
        uint32_t length = u32_at(p + 8);
        *q = (struct picture){.name = to, .size = u32_at(p), .label = u32_at(p + 4)};
        if (length >= PICTURES_MAX_NAME || length > (size_t)(end - names))
            return err_set(e, ERR_INVALID, "image index: image %d has a name of %u bytes", i, length);
        memcpy(to, names, length);
        to[length] = 0;
        to += length + 1;
        names += length;
        if (strlen(q->name) != length || !picture_name_is_plain(q->name))
            return err_set(e, ERR_INVALID, "image index: image %d has the name \"%.80s\", no plain relative path",
                           i, q->name);
        if (!q->size || q->size > PICTURES_MAX_FILE)
            return err_set(e, ERR_INVALID, "image index: image \"%.80s\" has %u bytes, must be 1 to %d", q->name,
                           q->size, PICTURES_MAX_FILE);
        if (q->label >= (uint32_t)x->n_classes)
            return err_set(e, ERR_INVALID, "image index: image \"%.80s\" has class %u of %d", q->name, q->label,
                           x->n_classes);
    }
    if (names != end)
        return err_set(e, ERR_INVALID, "image index: %zu bytes of names belong to no image", (size_t)(end - names));
    return 0;
}

static int read_parts(struct picture_index *x, const uint8_t *p, struct err *e)
{
    int next = 0;
    for (int i = 0; i < x->n_parts; i++, p += PART) {
        struct picture_part *q = &x->parts[i];
        *q = (struct picture_part){.first = (uint32_t)next, .n = u32_at(p + HASH_BYTES)};
        memcpy(q->hash.b, p, HASH_BYTES);
        if (!q->n || q->n > (uint32_t)(x->n - next))
            return err_set(e, ERR_INVALID, "image index: part %d has %u of %d images", i, q->n, x->n);
        for (uint32_t k = 0; k < q->n; k++, next++) {
            x->pictures[next].part = (uint32_t)i;
            x->pictures[next].offset = q->size;
            q->size += x->pictures[next].size;
        }
        if (q->size > PICTURES_PART_BYTES && q->n > 1)
            return err_set(e, ERR_LIMIT, "image index: part %d has %llu bytes, at most %d are accepted", i,
                           (unsigned long long)q->size, PICTURES_PART_BYTES);
    }
    return next == x->n ? 0 : err_set(e, ERR_INVALID, "image index: its parts hold %d of %d images", next, x->n);
}

int picture_index_decode(struct picture_index *x, const void *bytes, size_t n, struct err *e)
{
    struct head h = {0};
    const uint8_t *p = bytes;
    *x = (struct picture_index){0};
    int rc = read_head(&h, p, n, e);
    if (rc < 0)
        return rc;
    x->split = h.flags & SPLIT;
    x->folders = h.flags & FOLDERS;
    x->n_classes = (int)h.classes;
    x->n = (int)(h.train + h.test);
    x->n_test = (int)h.test;
    x->n_parts = (int)h.parts;
    x->pictures = calloc((size_t)x->n, sizeof(*x->pictures));
    x->parts = calloc((size_t)x->n_parts, sizeof(*x->parts));
    x->names = malloc((size_t)h.names + (size_t)x->n);
    if (!x->pictures || !x->parts || !x->names)
        rc = err_set(e, ERR_NOMEM, "no memory for an index of %d images", x->n);
    p += HEAD;
    if (rc == 0)
        rc = read_entries(x, p + (size_t)x->n_parts * PART, h.names, e);
    if (rc == 0)
        rc = read_parts(x, p, e);
    if (rc < 0)
        picture_index_release(x);
    return rc;
}

int picture_index_suits(const struct picture_index *x, int offset, int channels, int outputs, struct err *e)
{
    int classes = x->n_classes + offset;
    const char *hint = offset == 0 && outputs == x->n_classes + 1
                           ? "; where its first output is a background class, offset 1 passes over it"
                           : "";
    if (channels != 3)
        return err_set(e, ERR_INVALID, "the network's input has %d channels, pictures have 3", channels);
    if (classes > outputs)
        return err_set(e, ERR_INVALID,
                       "the images have classes 0 to %d, with an offset of %d up to %d: the network has %d outputs",
                       x->n_classes - 1, offset, classes - 1, outputs);
    if (x->folders && classes < outputs)
        return err_set(e, ERR_INVALID,
                       "the images have %d classes' folders, with an offset of %d: the network has %d outputs%s",
                       x->n_classes, offset, outputs, hint);
    return 0;
}
