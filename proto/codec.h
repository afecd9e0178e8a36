/*
 * codec - one field of a message at a time, in either direction, so that a message's schema is written once.
 *
 * A codec that packs appends to a buffer, and a value outside its bounds is BUG(). A codec that reads takes the
 * next element of the innermost open array; the first one that isn't what the schema says puts its line into `e`,
 * such as "result.task.attempt: 0, at least 1", after which every call does nothing and yields zeros: check
 * codec_failed once at the end.
 */
#ifndef PROTO_CODEC_H
#define PROTO_CODEC_H

#include <msgpack.h>

#include "common/base/buf.h"
#include "common/base/hash.h"
#include "proto/limits.h"

struct codec_level {
    const char *name;
    int taken;                /* elements so far, for the index in an error; -1 where the array is a struct */
    const msgpack_object *at; /* next element, and those left with it */
    uint32_t left;
};

struct codec {
    struct buf *out; /* packs when not NULL */
    msgpack_packer pk;
    struct codec_level level[PROTO_MAX_DEPTH];
    int depth;
    bool failed;
    struct err *e;
};

void codec_pack(struct codec *c, struct buf *out);
void codec_read(struct codec *c, const msgpack_object *root, struct err *e);
bool codec_reading(const struct codec *c);
bool codec_failed(const struct codec *c);

/* An array of exactly n fields that stand for a struct. */
void codec_open(struct codec *c, const char *name, uint32_t n);
/* An array of *n elements of one kind, at most `most`. */
void codec_list(struct codec *c, const char *name, uint32_t *n, uint32_t most);
void codec_close(struct codec *c);

/* nil for false; true: the value that the next call codes. */
void codec_optional(struct codec *c, bool *there);

void codec_bool(struct codec *c, const char *name, bool *v);
void codec_u32(struct codec *c, const char *name, uint32_t *v, uint32_t least, uint32_t most);
void codec_u64(struct codec *c, const char *name, uint64_t *v, uint64_t most);
void codec_i32(struct codec *c, const char *name, int32_t *v, int32_t least, int32_t most);
void codec_i64(struct codec *c, const char *name, int64_t *v, int64_t least, int64_t most);
/* Returns v coded, for enums: v must lie in 0 ... n-1. */
int codec_enum(struct codec *c, const char *name, int v, int n);
void codec_f64(struct codec *c, const char *name, double *v); /* finite */
void codec_f32(struct codec *c, const char *name, float *v);  /* finite */
void codec_bounded(struct codec *c, const char *name, double *v, double least, double most);
void codec_hash(struct codec *c, const char *name, struct hash *h);
void codec_optional_hash(struct codec *c, const char *name, bool *there, struct hash *h); /* *h stays when nil */

/*
 * Text of at least `least` bytes into cap bytes with its NUL: UTF-8 without control characters. Packing replaces
 * what isn't by '?', since a text cut to fit its field may end in half a character.
 */
void codec_text(struct codec *c, const char *name, char *s, size_t cap, size_t least);

/* Borrowed: *p points into the frame after reading. */
void codec_bytes(struct codec *c, const char *name, const uint8_t **p, uint32_t *n, uint32_t most);

/* What must hold between fields: "<where>: <format>" when it doesn't. */
void codec_require(struct codec *c, bool holds, const char *fmt, ...) PRINTF_LIKE(3, 4);

#endif
