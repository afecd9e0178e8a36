#include "common/base/hash.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

void hasher_init(struct hasher *h)
{
    crypto_hash_sha256_init(&h->state);
}

void hasher_add(struct hasher *h, const void *p, size_t n)
{
    crypto_hash_sha256_update(&h->state, p, n);
}

struct hash hasher_end(struct hasher *h)
{
    struct hash out;
    crypto_hash_sha256_final(&h->state, out.b);
    return out;
}

struct hash hash_of(const void *p, size_t n)
{
    struct hasher h;
    hasher_init(&h);
    hasher_add(&h, p, n);
    return hasher_end(&h);
}

int hash_file(const char *path, struct hash *out, uint64_t *size, struct err *e)
{
    FILE *f = fopen(path, "rbe");
    if (!f)
        return err_set(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "could not open \"%s\": %s", path, strerror(errno));
    static const size_t piece = 1 << 16;
    uint8_t bytes[1 << 16];
    struct hasher h;
    hasher_init(&h);
    *size = 0;
    size_t got;
    while ((got = fread(bytes, 1, piece, f)) > 0) {
        hasher_add(&h, bytes, got);
        *size += got;
    }
    int rc = ferror(f) ? err_set(e, ERR_IO, "could not read \"%s\": %s", path, strerror(errno)) : 0;
    fclose(f);
    *out = hasher_end(&h);
    return rc;
}

bool hash_equal(const struct hash *a, const struct hash *b)
{
    return memcmp(a->b, b->b, HASH_BYTES) == 0;
}

void hash_to_hex(const struct hash *h, char out[HASH_HEX])
{
    sodium_bin2hex(out, HASH_HEX, h->b, HASH_BYTES);
}

bool hash_from_hex(const char *s, struct hash *out)
{
    size_t n;
    return strlen(s) == HASH_HEX - 1 && sodium_hex2bin(out->b, HASH_BYTES, s, HASH_HEX - 1, NULL, &n, NULL) == 0 &&
           n == HASH_BYTES;
}
