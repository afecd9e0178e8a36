#include "common/base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"

static int read_all(int fd, const char *path, uint64_t size, struct buf *out, struct err *e)
{
    int rc = buf_reserve(out, out->n + size, e);
    if (rc < 0)
        return err_wrap(e, "could not read \"%s\"", path);
    while (size > 0) {
        ssize_t got = read(fd, out->p + out->n, size);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_set(e, ERR_IO, "could not read \"%s\": %s", path, strerror(errno));
        if (got == 0)
            return err_set(e, ERR_IO, "could not read \"%s\": %llu bytes short of its size", path,
                           (unsigned long long)size);
        out->n += (size_t)got;
        size -= (uint64_t)got;
    }
    out->p[out->n] = 0;
    return 0;
}

int file_read(const char *path, uint64_t most, struct buf *out, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return err_set(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "could not open \"%s\": %s", path,
                       strerror(errno));
    struct stat st;
    int rc;
    if (fstat(fd, &st) < 0)
        rc = err_set(e, ERR_IO, "could not read \"%s\": %s", path, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        rc = err_set(e, ERR_INVALID, "could not read \"%s\": not a regular file", path);
    else if ((uint64_t)st.st_size > most)
        rc = err_set(e, ERR_LIMIT, "could not read \"%s\": %llu bytes, at most %llu are accepted", path,
                     (unsigned long long)st.st_size, (unsigned long long)most);
    else
        rc = read_all(fd, path, (uint64_t)st.st_size, out, e);
    close(fd);
    return rc;
}

static int write_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        p += put;
        n -= (size_t)put;
    }
    return fsync(fd);
}

int file_write(const char *path, const void *p, size_t n, struct err *e)
{
    char *part = xasprintf("%s.%ld.part", path, (long)getpid());
    int rc = 0, fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0) {
        rc = err_set(e, ERR_IO, "could not write \"%s\": %s", path, strerror(errno));
        goto out;
    }
    int failed = write_all(fd, p, n) < 0 ? errno : 0;
    if (close(fd) < 0 && !failed)
        failed = errno;
    if (!failed && rename(part, path) < 0)
        failed = errno;
    if (failed) {
        unlink(part);
        rc = err_set(e, ERR_IO, "could not write \"%s\": %s", path, strerror(failed));
    }
out:
    free(part);
    return rc;
}

int file_mkdirs(const char *path, struct err *e)
{
    char *p = xstrdup(path);
    int rc = 0;
    for (char *s = p + 1; rc == 0; s++) {
        if (*s != '/' && *s)
            continue;
        char was = *s;
        *s = 0;
        struct stat st;
        if (mkdir(p, 0777) < 0 && (errno != EEXIST || (stat(p, &st) == 0 && !S_ISDIR(st.st_mode))))
            rc = err_set(e, ERR_IO, "could not make folder \"%s\": %s", p, strerror(errno));
        *s = was;
        if (!was)
            break;
    }
    free(p);
    return rc;
}

char *file_join(const char *dir, const char *name)
{
    return *name == '/' ? xstrdup(name) : xasprintf("%s/%s", dir, name);
}
