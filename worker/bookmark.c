#include "worker/bookmark.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/file.h"
#include "proto/training.h"

#define MAX_BYTES (UINT64_C(8) << 30)
enum { HEADER = HASH_BYTES + 8 + 4 };

static void put(uint8_t *to, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get(const uint8_t *from, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v |= (uint64_t)from[i] << (8 * i);
    return v;
}

int bookmark_write(const char *path, const struct hash *work, double lr_scale, int epoch, const struct buf *state,
                   struct err *e)
{
    uint8_t header[HEADER];
    uint64_t scale;
    struct buf all = {0};
    memcpy(&scale, &lr_scale, sizeof(scale));
    memcpy(header, work->b, HASH_BYTES);
    put(header + HASH_BYTES, scale, 8);
    put(header + HASH_BYTES + 8, (uint64_t)epoch, 4);
    int rc = buf_reserve(&all, HEADER + state->n, e);
    if (rc == 0) {
        buf_append(&all, header, HEADER);
        buf_append(&all, state->p, state->n);
        rc = file_write(path, all.p, all.n, e);
    }
    buf_release(&all);
    return rc;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n) {
        ssize_t put_n = write(fd, p, n);
        if (put_n < 0 && errno != EINTR)
            return -1;
        if (put_n > 0) {
            p += put_n;
            n -= (size_t)put_n;
        }
    }
    return 0;
}

static int open_state(struct bookmark *b, const uint8_t *p, size_t n, struct err *e)
{
    b->hash = hash_of(p, n);
    b->fd = memfd_create("espalier-state", MFD_CLOEXEC);
    b->is_open = b->fd >= 0;
    if (!b->is_open || write_all(b->fd, p, n) < 0)
        return err_set(e, ERR_NOMEM, "no memory for a checkpoint of %zu bytes: %s", n, strerror(errno));
    snprintf(b->path, sizeof(b->path), "/proc/self/fd/%d", b->fd);
    return 1;
}

static int parse(struct bookmark *b, const char *path, const struct hash *work, const struct buf *all,
                 struct err *e)
{
    if (all->n < HEADER || memcmp(all->p, work->b, HASH_BYTES) != 0)
        return err_set(e, ERR_INVALID, "\"%s\" is of another training", path);
    uint64_t scale = get(all->p + HASH_BYTES, 8), epoch = get(all->p + HASH_BYTES + 8, 4);
    memcpy(&b->lr_scale, &scale, sizeof(scale));
    if (!(b->lr_scale >= 0 && b->lr_scale <= 1) || epoch < 1 || epoch > TRAINING_MAX_EPOCHS)
        return err_set(e, ERR_INVALID, "\"%s\" is damaged: epoch %llu, learning rates times %g", path,
                       (unsigned long long)epoch, b->lr_scale);
    b->epoch = (int)epoch;
    return open_state(b, all->p + HEADER, all->n - HEADER, e);
}

int bookmark_open(struct bookmark *b, const char *path, const struct hash *work, struct err *e)
{
    struct buf all = {0};
    *b = (struct bookmark){0};
    if (access(path, F_OK) < 0 && errno == ENOENT)
        return 0;
    int rc = file_read(path, MAX_BYTES, &all, e);
    if (rc == 0)
        rc = parse(b, path, work, &all, e);
    buf_release(&all);
    if (rc < 0)
        bookmark_close(b);
    return rc;
}

void bookmark_close(struct bookmark *b)
{
    if (b->is_open)
        close(b->fd);
    *b = (struct bookmark){0};
}
