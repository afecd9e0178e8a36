#include "worker/train/idx.h"

#include <inttypes.h>
#include <limits.h>

#include "common/base/mem.h"
#include "worker/train/datafile.h"

#define MAX_BYTES (UINT64_C(2) << 30)
#define MAX_RANK  3

struct idx {
    const char *name;
    uint32_t dim[MAX_RANK];
    struct buf bytes;
    size_t start; /* of the elements in bytes */
};

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Dimensions are the file's own claim: together they must be exactly the bytes that follow. */
static int check_dims(const struct idx *x, int rank, struct err *e)
{
    uint64_t want = 1, there = x->bytes.n - x->start;
    for (int i = 0; i < rank; i++) {
        if (x->dim[i] == 0 || x->dim[i] > INT_MAX)
            return err_set(e, ERR_INVALID, "data file \"%s\": dimension %d is %" PRIu32, x->name, i, x->dim[i]);
        if (want > MAX_BYTES / x->dim[i])
            return err_set(e, ERR_INVALID, "data file \"%s\": dimensions promise more than the file's %zu bytes",
                           x->name, x->bytes.n);
        want *= x->dim[i];
    }
    if (want != there)
        return err_set(e, ERR_INVALID, "data file \"%s\": %zu bytes, expected %" PRIu64 " by its dimensions",
                       x->name, x->bytes.n, x->start + want);
    return 0;
}

/* x->bytes is the caller's to release, whatever comes of it. */
static int idx_read(struct idx *x, const char *name, const char *path, int rank, struct err *e)
{
    x->name = name;
    x->start = 4 + 4 * (size_t)rank;
    int rc = datafile_read_between(name, path, x->start, MAX_BYTES, &x->bytes, e);
    if (rc < 0)
        return rc;
    /* two zero bytes, 08 for unsigned bytes, the number of dimensions */
    uint32_t magic = big_endian(x->bytes.p), expected = UINT32_C(0x800) + (uint32_t)rank;
    if (magic != expected)
        return err_set(e, ERR_INVALID, "data file \"%s\": magic number 0x%08" PRIx32 ", expected 0x%08" PRIx32,
                       name, magic, expected);
    for (int i = 0; i < rank; i++)
        x->dim[i] = big_endian(x->bytes.p + 4 + 4 * i);
    return check_dims(x, rank, e);
}

static int classes_of(const uint8_t *labels, int n)
{
    int most = 0;
    for (int i = 0; i < n; i++)
        most = labels[i] > most ? labels[i] : most;
    return most + 1;
}

int idx_load(struct dataset *d, int split, const char *const *paths, struct err *e)
{
    const struct set_file *files = data_kind_files(DATA_IDX, split == SPLIT_TEST);
    struct idx images = {0}, labels = {0};
    *d = (struct dataset){.C = 1};
    int rc = idx_read(&images, files[0].name, paths[0], 3, e);
    if (rc == 0)
        rc = idx_read(&labels, files[1].name, paths[1], 1, e);
    if (rc < 0)
        goto out;
    if (images.dim[0] != labels.dim[0]) {
        rc = err_set(e, ERR_INVALID, "data file \"%s\": %" PRIu32 " labels, but \"%s\" has %" PRIu32 " images",
                     files[1].name, labels.dim[0], files[0].name, images.dim[0]);
        goto out;
    }
    d->n = (int)images.dim[0];
    d->H = (int)images.dim[1];
    d->W = (int)images.dim[2];
    d->pixels = mem_dup(images.bytes.p + images.start, images.bytes.n - images.start, 1);
    d->labels = mem_dup(labels.bytes.p + labels.start, labels.bytes.n - labels.start, 1);
    if (!d->pixels || !d->labels)
        rc = err_set(e, ERR_NOMEM, "no memory for %d images of %d bytes", d->n, d->H * d->W);
    else
        d->n_classes = classes_of(d->labels, d->n);
out:
    buf_release(&images.bytes);
    buf_release(&labels.bytes);
    return rc;
}
