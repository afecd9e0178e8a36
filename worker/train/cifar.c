#include "worker/train/cifar.h"

#include <string.h>

#include "common/base/mem.h"
#include "worker/train/datafile.h"

enum { CHANNELS = 3, SIDE = 32, PIXELS = CHANNELS * SIDE * SIDE };

struct layout {
    int label_bytes; /* before the pixels; the last of them counts */
    int classes;
    int records[SPLITS]; /* in each file */
};

static const struct layout cifar10 = {1, 10, {10000, 10000}};
static const struct layout cifar100 = {2, 100, {50000, 10000}};

static int take_records(struct dataset *d, const struct layout *l, const char *name, const uint8_t *p, int records,
                        struct err *e)
{
    for (int i = 0; i < records; i++, p += l->label_bytes + PIXELS) {
        uint8_t label = p[l->label_bytes - 1];
        if (label >= l->classes)
            return err_set(e, ERR_INVALID, "data file \"%s\": record %d has label %d, expected 0 to %d", name, i,
                           label, l->classes - 1);
        d->labels[d->n] = label;
        memcpy(d->pixels + (size_t)d->n * PIXELS, p + l->label_bytes, PIXELS);
        d->n++;
    }
    return 0;
}

int cifar_load(struct dataset *d, enum data_kind kind, int split, const char *const *paths, struct err *e)
{
    const struct layout *l = kind == DATA_CIFAR100 ? &cifar100 : &cifar10;
    const struct set_file *set = data_kind_files(kind, split == SPLIT_TEST);
    int records = l->records[split], files = 0, rc = 0;
    struct buf bytes = {0};
    while (set[files].name)
        files++;
    *d = (struct dataset){.C = CHANNELS, .H = SIDE, .W = SIDE, .n_classes = l->classes};
    d->pixels = mem_alloc((size_t)files * (size_t)records, PIXELS);
    d->labels = mem_alloc((size_t)files * (size_t)records, 1);
    if (!d->pixels || !d->labels)
        return err_set(e, ERR_NOMEM, "no memory for %d images of %d bytes", files * records, PIXELS);
    for (int i = 0; i < files && rc == 0; i++) {
        buf_clear(&bytes);
        rc = datafile_read(set[i].name, paths[i], set[i].bytes, &bytes, e);
        if (rc == 0)
            rc = take_records(d, l, set[i].name, bytes.p, records, e);
    }
    buf_release(&bytes);
    return rc;
}
