#include "coordinator/cli/network.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/onnx/save.h"
#include "common/zoo/zoo.h"

struct shape {
    int C, H, W, classes;
};

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Of MNIST's format, the file of images says how large they are. */
static int read_idx(const char *folder, struct shape *s, struct err *e)
{
    const char *name = data_kind_files(DATA_IDX, false)[0].name;
    char *path = file_join(folder, name);
    uint8_t head[16];
    int rc = 0;
    FILE *f = fopen(path, "rbe");
    if (!f)
        rc = err_set(e, ERR_IO, "could not open \"%s\": %s", path, strerror(errno));
    else if (fread(head, 1, sizeof(head), f) != sizeof(head) || big_endian(head) != 0x803)
        rc = err_set(e, ERR_INVALID, "\"%s\" doesn't begin like a file of images in MNIST's format", path);
    if (f)
        fclose(f);
    uint32_t H = rc == 0 ? big_endian(head + 8) : 1, W = rc == 0 ? big_endian(head + 12) : 1;
    if (H < 1 || W < 1 || H > GRAPH_MAX_DIM || W > GRAPH_MAX_DIM)
        rc = err_set(e, ERR_INVALID, "\"%s\" has images of %ux%u pixels", path, H, W);
    s->C = 1;
    s->H = (int)H;
    s->W = (int)W;
    free(path);
    return rc;
}

static int find_shape(const struct spec *spec, const char *folder, int classes, struct shape *s, struct err *e)
{
    *s = (struct shape){3, 32, 32, spec->data == DATA_CIFAR100 ? 100 : 10};
    if (spec->data == DATA_IMAGES)
        *s = (struct shape){3, spec->size, spec->size, classes + spec->offset};
    if (spec->classes > 0)
        s->classes = spec->classes;
    return spec->data == DATA_IDX ? read_idx(folder, s, e) : 0;
}

int network_hold(const char *name, const void *bytes, size_t n, int *fd, struct err *e)
{
    *fd = memfd_create(name, 0);
    const char *p = bytes;
    while (*fd >= 0 && n > 0) {
        ssize_t put = write(*fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            break;
        p += put;
        n -= (size_t)put;
    }
    if (*fd < 0 || n > 0 || lseek(*fd, 0, SEEK_SET) < 0)
        return err_set(e, ERR_IO, "could not hold \"%s\" in memory: %s", name, strerror(errno));
    return 0;
}

int network_build(const struct spec *spec, const char *folder, int classes, char **path, struct err *e)
{
    struct model m;
    struct shape s;
    struct buf bytes = {0};
    int fd, rc = find_shape(spec, folder, classes, &s, e);
    if (rc < 0 || (rc = zoo_build(spec->model, s.C, s.H, s.W, s.classes, spec->seed, &m, e)) < 0)
        return rc;
    rc = onnx_save(&m, NULL, 0, &bytes, e);
    if (rc == 0)
        rc = network_hold("model.onnx", bytes.p, bytes.n, &fd, e);
    if (rc == 0)
        *path = xasprintf("/proc/self/fd/%d", fd);
    buf_release(&bytes);
    model_release(&m);
    return rc;
}
