#include "common/onnx/external.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "common/onnx/text.h"

struct reader {
    int folder;
    uint64_t room; /* bytes that may still be read */
};

static bool is_external(const Onnx__TensorProto *t)
{
    return t->n_external_data > 0 || t->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL;
}

static const char *entry(const Onnx__TensorProto *t, const char *key)
{
    for (size_t i = 0; i < t->n_external_data; i++) {
        const Onnx__StringStringEntryProto *x = t->external_data[i];
        if (x->key && x->value && strcmp(x->key, key) == 0)
            return x->value;
    }
    return NULL;
}

/* A number of bytes; absent: it stays. */
static int read_number(const Onnx__TensorProto *t, const char *key, uint64_t *v, struct err *e)
{
    const char *s = entry(t, key);
    char *end;
    if (!s)
        return 0;
    errno = 0;
    unsigned long long n = strtoull(s, &end, 10);
    if (*s < '0' || *s > '9' || *end || errno || n > ONNX_MAX_BYTES)
        return err_set(e, ERR_INVALID, "its %s \"%s\" isn't a number of bytes up to %" PRIu64, key, s, ONNX_MAX_BYTES);
    *v = n;
    return 0;
}

static int open_beside(int folder, const char *name, uint64_t *size, struct err *e)
{
    struct stat st;
    if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || !text_clean(name))
        return err_set(e, ERR_INVALID, "its data lies in \"%s\", which isn't the name of a file in the model's folder",
                       name);
    int fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    if (fd < 0)
        return err_set(e, errno == ENOENT ? ERR_NOTFOUND : ERR_IO, "could not open \"%s\", where its data lies: %s",
                       name, errno == ELOOP ? "it is a link" : strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return err_set(e, ERR_INVALID, "\"%s\", where its data lies, isn't a regular file", name);
    }
    *size = (uint64_t)st.st_size;
    return fd;
}

static int read_at(int fd, uint8_t *to, uint64_t n, uint64_t offset, const char *name, struct err *e)
{
    while (n > 0) {
        ssize_t got = pread(fd, to, n, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return err_set(e, ERR_IO, "could not read \"%s\": %s", name, got < 0 ? strerror(errno) : "it was cut");
        to += got;
        n -= (uint64_t)got;
        offset += (uint64_t)got;
    }
    return 0;
}

/* The bytes become raw_data, and the message forgets where they were. */
static int take_over(Onnx__TensorProto *t, int fd, uint64_t offset, uint64_t length, const char *name, struct err *e)
{
    uint8_t *data = malloc(length ? length : 1);
    if (!data)
        return err_set(e, ERR_NOMEM, "no memory for %" PRIu64 " bytes of \"%s\"", length, name);
    int rc = read_at(fd, data, length, offset, name, e);
    if (rc < 0) {
        free(data);
        return rc;
    }
    if (t->raw_data.data)
        free(t->raw_data.data);
    t->has_raw_data = 1;
    t->raw_data = (ProtobufCBinaryData){length, data};
    for (size_t i = 0; i < t->n_external_data; i++)
        onnx__string_string_entry_proto__free_unpacked(t->external_data[i], NULL);
    free(t->external_data);
    t->external_data = NULL;
    t->n_external_data = 0;
    t->has_data_location = 0;
    t->data_location = ONNX__TENSOR_PROTO__DATA_LOCATION__DEFAULT;
    return 0;
}

static int bring(struct reader *r, Onnx__TensorProto *t, struct err *e)
{
    const char *name = entry(t, "location");
    uint64_t offset = 0, length = 0, size = 0;
    if (!name)
        return err_set(e, ERR_INVALID, "its data lies in another file, and nothing says which");
    int rc = read_number(t, "offset", &offset, e);
    if (rc == 0)
        rc = read_number(t, "length", &length, e);
    if (rc < 0)
        return rc;
    int fd = open_beside(r->folder, name, &size, e);
    if (fd < 0)
        return fd;
    if (!entry(t, "length"))
        length = size > offset ? size - offset : 0;
    if (offset > size || length > size - offset)
        rc = err_set(e, ERR_INVALID, "its data is %" PRIu64 " bytes from %" PRIu64 " on of \"%s\", which has %" PRIu64,
                     length, offset, name, size);
    else if (length > r->room)
        rc = err_set(e, ERR_LIMIT, "with the %" PRIu64 " bytes of its data in \"%s\" the model would have more than %"
                     PRIu64, length, name, ONNX_MAX_BYTES);
    else
        rc = take_over(t, fd, offset, length, name, e);
    if (rc == 0)
        r->room -= length;
    close(fd);
    return rc;
}

bool external_any(const Onnx__GraphProto *g)
{
    for (size_t i = 0; g && i < g->n_initializer; i++)
        if (is_external(g->initializer[i]))
            return true;
    for (size_t i = 0; g && i < g->n_node; i++)
        for (size_t k = 0; k < g->node[i]->n_attribute; k++) {
            const Onnx__TensorProto *t = g->node[i]->attribute[k]->t;
            if (t && is_external(t))
                return true;
        }
    return false;
}

static int bring_all(struct reader *r, Onnx__GraphProto *g, struct err *e)
{
    int rc = 0;
    for (size_t i = 0; i < g->n_initializer && rc == 0; i++)
        if (is_external(g->initializer[i]) && (rc = bring(r, g->initializer[i], e)) < 0)
            return err_wrap(e, "tensor \"%s\"", g->initializer[i]->name ? g->initializer[i]->name : "");
    for (size_t i = 0; i < g->n_node && rc == 0; i++)
        for (size_t k = 0; k < g->node[i]->n_attribute && rc == 0; k++) {
            Onnx__TensorProto *t = g->node[i]->attribute[k]->t;
            if (t && is_external(t) && (rc = bring(r, t, e)) < 0)
                return err_wrap(e, "node \"%s\"", g->node[i]->name ? g->node[i]->name : "");
        }
    return rc;
}

int external_read(Onnx__GraphProto *g, const char *path, size_t has, struct err *e)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? xasprintf("%.*s", (int)(slash - path) + 1, path) : xstrdup(".");
    struct reader r = {.room = has < ONNX_MAX_BYTES ? ONNX_MAX_BYTES - has : 0};
    r.folder = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = r.folder < 0 ? err_set(e, ERR_IO, "could not open \"%s\": %s", folder, strerror(errno)) : bring_all(&r, g, e);
    if (r.folder >= 0)
        close(r.folder);
    free(folder);
    return rc;
}
