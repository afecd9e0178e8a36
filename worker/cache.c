#include "worker/cache.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "worker/transfer.h"

#define UNKNOWN_MOST (UINT64_C(4) << 30) /* bytes of a blob whose size isn't said beforehand */
#define LOCK_WAIT_NS (600 * NS_PER_S)    /* for another worker that fetches the same blob */
#define LOCK_LOOK_NS (50 * NS_PER_MS)

struct known { /* a file and what its bytes hash to */
    char *path;
    uint64_t size;
    struct timespec mtime;
    struct hash hash;
};

struct cache {
    char *dir;
    const struct cache_folder *folders;
    int n_folders;
    struct desk *desk;
    struct known **known;
    int n_known;
};

int cache_new(struct cache **out, const char *dir, const struct cache_folder *folders, int n_folders,
              struct desk *d, struct err *e)
{
    int rc = file_mkdirs(dir, e);
    if (rc < 0)
        return err_wrap(e, "cache");
    struct cache *b = xcalloc(1, sizeof(*b));
    *b = (struct cache){.dir = xstrdup(dir), .folders = folders, .n_folders = n_folders, .desk = d};
    *out = b;
    return 0;
}

void cache_free(struct cache *b)
{
    if (!b)
        return;
    for (int i = 0; i < b->n_known; i++) {
        free(b->known[i]->path);
        free(b->known[i]);
    }
    free(b->known);
    free(b->dir);
    free(b);
}

/* --- files that are here --- */

static struct known *known_at(struct cache *b, const char *path)
{
    for (int i = 0; i < b->n_known; i++)
        if (strcmp(b->known[i]->path, path) == 0)
            return b->known[i];
    b->known = xrealloc(b->known, (size_t)(b->n_known + 1) * sizeof(*b->known));
    struct known *k = xcalloc(1, sizeof(*k));
    k->path = xstrdup(path);
    k->size = UINT64_MAX; /* no file's */
    b->known[b->n_known++] = k;
    return k;
}

static bool unchanged(const struct known *k, const struct stat *st)
{
    return k->size == (uint64_t)st->st_size && k->mtime.tv_sec == st->st_mtim.tv_sec &&
           k->mtime.tv_nsec == st->st_mtim.tv_nsec;
}

/* Whether the regular file `path` is the blob; *found says whether there is a file at all. */
static bool file_is(struct cache *b, const char *path, const struct hash *h, uint64_t size, const char **out,
                    bool *found)
{
    struct stat st;
    *found = stat(path, &st) == 0;
    if (!*found || !S_ISREG(st.st_mode) || (size && (uint64_t)st.st_size != size))
        return false;
    struct known *k = known_at(b, path);
    if (!unchanged(k, &st)) {
        struct err e;
        uint64_t hashed;
        k->size = UINT64_MAX;
        if (hash_file(path, &k->hash, &hashed, &e) < 0 || hashed != (uint64_t)st.st_size)
            return false;
        k->size = hashed;
        k->mtime = st.st_mtim;
    }
    *out = k->path;
    return hash_equal(&k->hash, h);
}

static bool find_data(struct cache *b, const struct hash *h, uint64_t size, const char *name, const char *kind,
                      const char **out)
{
    bool found, is = false;
    for (int i = 0; i < b->n_folders && !is; i++) {
        if (strcmp(b->folders[i].kind, kind) != 0)
            continue;
        char *path = file_join(b->folders[i].path, name);
        is = file_is(b, path, h, size, out, &found);
        if (!is)
            log_warn("data", "path=\"%s\" unused=\"%s\"", path, found ? "not the search's file" : "no such file");
        free(path);
    }
    return is;
}

static bool find_cached(struct cache *b, const char *path, const struct hash *h, uint64_t size, const char **out)
{
    bool found;
    if (file_is(b, path, h, size, out, &found))
        return true;
    if (found) {
        log_warn("cache", "path=\"%s\" removed=\"its bytes aren't what its name says\"", path);
        unlink(path);
    }
    return false;
}

const char *cache_folder(const struct cache *b, const char *data_kind, int nth)
{
    for (int i = 0; i < b->n_folders; i++)
        if (strcmp(b->folders[i].kind, data_kind) == 0 && nth-- == 0)
            return b->folders[i].path;
    return NULL;
}

/* --- fetching --- */

struct fetch {
    struct cache *cache;
    const struct hash *hash;
    uint64_t size; /* 0: not known */
    const char *path;
    char *part;
    int fd; /* of the part, locked */
};

static int fail(struct fetch *f, struct err *e)
{
    return err_set(e, ERR_IO, "could not write \"%s\": %s", f->part, strerror(errno));
}

/* The part as it is now is the file that we have open: whoever finished it has renamed it. */
static bool part_is_ours(const struct fetch *f)
{
    struct stat ours, named;
    return fstat(f->fd, &ours) == 0 && stat(f->part, &named) == 0 && ours.st_ino == named.st_ino &&
           ours.st_dev == named.st_dev;
}

/* 1: the part is open and locked; 0: another worker has it, or has just finished it. */
static int open_part(struct fetch *f, struct err *e)
{
    f->fd = open(f->part, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (f->fd < 0)
        return fail(f, e);
    bool locked = flock(f->fd, LOCK_EX | LOCK_NB) == 0;
    if (locked && part_is_ours(f))
        return 1;
    bool failed = !locked && errno != EWOULDBLOCK && errno != EINTR;
    int rc = failed ? fail(f, e) : 0;
    close(f->fd);
    f->fd = -1;
    return rc;
}

/* 1: the part is ours to fill; 0: another worker has finished the blob meanwhile. */
static int lock_part(struct fetch *f, struct err *e)
{
    for (int64_t until = clock_mono_ns() + LOCK_WAIT_NS; clock_mono_ns() < until; clock_sleep_ns(LOCK_LOOK_NS)) {
        int rc = open_part(f, e);
        bool there = access(f->path, F_OK) == 0;
        if (rc > 0 && there)
            unlink(f->part);
        if (rc < 0 || there)
            return rc < 0 ? rc : 0;
        if (rc > 0)
            return 1;
        rc = desk_progress(f->cache->desk, "fetch", 0, f->size, e);
        if (rc < 0)
            return rc;
    }
    return err_set(e, ERR_TIMEOUT, "could not fetch \"%s\": another process holds it locked", f->path);
}

/* How much of an earlier try's part is taken over: whole chunks. Where the size isn't known, the last one is
 * fetched again, so that there is always an answer that tells it. */
static uint64_t resume_at(const struct fetch *f)
{
    struct stat st;
    uint64_t have = fstat(f->fd, &st) == 0 ? (uint64_t)st.st_size : 0;
    if (f->size && have == f->size)
        return have;
    if (f->size ? have > f->size : have > UNKNOWN_MOST)
        return 0;
    if (!f->size && have)
        have--;
    return have - have % PROTO_CHUNK_BYTES;
}

struct part_writer {
    struct fetch *f;
    struct hasher hasher;
};

static int write_part(void *arg, const void *bytes, size_t n, struct err *e)
{
    struct part_writer *w = arg;
    const uint8_t *p = bytes;
    hasher_add(&w->hasher, p, n);
    while (n) {
        ssize_t put = write(w->f->fd, p, n);
        if (put < 0 && errno != EINTR)
            return fail(w->f, e);
        if (put > 0) {
            p += put;
            n -= (size_t)put;
        }
    }
    return 0;
}

static int hash_prefix(struct part_writer *w, uint64_t n, struct err *e)
{
    uint8_t bytes[1 << 16];
    hasher_init(&w->hasher);
    if (lseek(w->f->fd, 0, SEEK_SET) < 0)
        return fail(w->f, e);
    while (n) {
        ssize_t got = read(w->f->fd, bytes, n < sizeof(bytes) ? n : sizeof(bytes));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, ERR_IO, "could not read \"%s\": %s", w->f->part,
                           got < 0 ? strerror(errno) : "it ended early");
        hasher_add(&w->hasher, bytes, (size_t)got);
        n -= (uint64_t)got;
    }
    return 0;
}

/* From byte `from` on; 1 when the part is whole and right, 0 when it has another hash. */
static int fill_part(struct fetch *f, uint64_t from, struct hash *got, struct err *e)
{
    struct part_writer w = {.f = f};
    int rc = hash_prefix(&w, from, e);
    if (rc == 0 && ftruncate(f->fd, (off_t)from) < 0)
        rc = fail(f, e);
    if (rc == 0 && !(f->size && from == f->size)) {
        struct transfer_sink sink = {write_part, &w};
        rc = transfer_get(f->cache->desk, f->hash, from, f->size, UNKNOWN_MOST, &sink, e);
    }
    if (rc < 0)
        return rc;
    *got = hasher_end(&w.hasher);
    return hash_equal(got, f->hash);
}

/* An earlier try's bytes may be what is wrong, in one way or another: without them it is tried once more. */
static int fill_part_twice(struct fetch *f, struct err *e)
{
    struct hash got;
    uint64_t from = resume_at(f);
    int rc = fill_part(f, from, &got, e);
    bool again = rc == 0 || (rc < 0 && rc != ERR_CANCELLED && rc != ERR_TIMEOUT);
    if (from && again)
        rc = fill_part(f, 0, &got, e);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    char hex[HASH_HEX], got_hex[HASH_HEX];
    hash_to_hex(f->hash, hex);
    hash_to_hex(&got, got_hex);
    if (ftruncate(f->fd, 0) < 0) /* nothing of it is worth keeping */
        return fail(f, e);
    return err_set(e, ERR_IO, "blob %.12s came with bytes that hash to %.12s", hex, got_hex);
}

/* 1: the blob is at `path` now, hashed on its way; 0: another worker put it there. */
static int fetch_blob(struct fetch *f, struct err *e)
{
    f->part = xasprintf("%s.part", f->path);
    f->fd = -1;
    int rc = lock_part(f, e);
    if (rc > 0) {
        rc = fill_part_twice(f, e);
        if (rc == 0)
            rc = rename(f->part, f->path) == 0 ? 1 : fail(f, e);
    }
    if (f->fd >= 0)
        close(f->fd);
    free(f->part);
    return rc;
}

/* What was just written and hashed needn't be read again. */
static const char *remember(struct cache *b, const char *path, const struct hash *h)
{
    struct known *k = known_at(b, path);
    struct stat st;
    if (stat(path, &st) == 0) {
        k->size = (uint64_t)st.st_size;
        k->mtime = st.st_mtim;
        k->hash = *h;
    }
    return k->path;
}

int cache_get(struct cache *b, const struct hash *h, uint64_t size, const char *data_name, const char *data_kind,
              const char **out, struct err *e)
{
    if (data_name && data_kind && strcmp(data_kind, data_kind_name(DATA_IMAGES)) != 0 && find_data(b, h, size, data_name, data_kind, out))
        return 0;
    char hex[HASH_HEX];
    hash_to_hex(h, hex);
    char *path = file_join(b->dir, hex);
    int rc = 0;
    if (!find_cached(b, path, h, size, out)) {
        struct fetch f = {.cache = b, .hash = h, .size = size, .path = path};
        rc = fetch_blob(&f, e);
        if (rc > 0)
            *out = remember(b, path, h);
        else if (rc == 0 && !find_cached(b, path, h, size, out))
            rc = err_set(e, ERR_IO, "could not use \"%s\": its bytes aren't what its name says", path);
    }
    free(path);
    return rc < 0 ? rc : 0;
}
