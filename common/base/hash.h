/*
 * hash - the SHA-256 that names a blob: 32 bytes, printed as 64 lower-case hexadecimal digits.
 */
#ifndef COMMON_BASE_HASH_H
#define COMMON_BASE_HASH_H

#include <sodium.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/err.h"

#define HASH_BYTES 32
#define HASH_HEX   65 /* with its NUL */

struct hash {
    uint8_t b[HASH_BYTES];
};

struct hash hash_of(const void *p, size_t n);
MUST_CHECK int hash_file(const char *path, struct hash *out, uint64_t *size, struct err *e);

/* In pieces. */
struct hasher {
    crypto_hash_sha256_state state;
};
void hasher_init(struct hasher *h);
void hasher_add(struct hasher *h, const void *p, size_t n);
struct hash hasher_end(struct hasher *h);

bool hash_equal(const struct hash *a, const struct hash *b);
void hash_to_hex(const struct hash *h, char out[HASH_HEX]);
bool hash_from_hex(const char *s, struct hash *out); /* exactly 64 digits */

#endif
