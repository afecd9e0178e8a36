#include "worker/train/datafile.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "common/base/file.h"

/* The size is looked at before anything is read, so that the error can say both numbers. */
static int size_of(const char *name, const char *path, uint64_t *size, struct err *e)
{
    struct stat st;
    if (stat(path, &st) < 0)
        return err_set(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "data file \"%s\": could not open \"%s\": %s",
                       name, path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return err_set(e, ERR_INVALID, "data file \"%s\": \"%s\" is not a regular file", name, path);
    *size = (uint64_t)st.st_size;
    return 0;
}

static int read_sized(const char *name, const char *path, uint64_t size, struct buf *out, struct err *e)
{
    size_t before = out->n;
    if (file_read(path, size, out, e) < 0)
        return err_wrap(e, "data file \"%s\"", name);
    if (out->n - before != size)
        return err_set(e, ERR_IO, "data file \"%s\": changed while it was read", name);
    return 0;
}

int datafile_read(const char *name, const char *path, uint64_t size, struct buf *out, struct err *e)
{
    uint64_t there;
    int rc = size_of(name, path, &there, e);
    if (rc < 0)
        return rc;
    if (there != size)
        return err_set(e, ERR_INVALID, "data file \"%s\": %" PRIu64 " bytes, expected %" PRIu64, name, there, size);
    return read_sized(name, path, size, out, e);
}

int datafile_read_between(const char *name, const char *path, uint64_t least, uint64_t most, struct buf *out,
                          struct err *e)
{
    uint64_t there;
    int rc = size_of(name, path, &there, e);
    if (rc < 0)
        return rc;
    if (there < least || there > most)
        return err_set(e, there < least ? ERR_INVALID : ERR_LIMIT,
                       "data file \"%s\": %" PRIu64 " bytes, expected %" PRIu64 " to %" PRIu64, name, there, least,
                       most);
    return read_sized(name, path, there, out, e);
}
