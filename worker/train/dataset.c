#include "worker/train/dataset.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "worker/train/cifar.h"
#include "worker/train/idx.h"
#include "worker/train/synthetic.h"

int dataset_load(struct dataset *d, enum data_kind kind, int split, const char *const *paths, uint64_t seed,
                 struct err *e)
{
    int rc = 0;
    memset(d, 0, sizeof(*d));
    switch (kind) {
    case DATA_CIFAR10:
    case DATA_CIFAR100:
        rc = cifar_load(d, kind, split, paths, e);
        break;
    case DATA_IDX:
        rc = idx_load(d, split, paths, e);
        break;
    case DATA_SYNTHETIC:
        rc = synthetic_draw(d, split, seed, e);
        break;
    default:
        BUG("data kind %d", (int)kind);
    }
    if (rc < 0)
        dataset_release(d);
    return rc;
}

int dataset_of_pictures(struct dataset *d, struct pictures *pictures, const int *place, int n, struct err *e)
{
    const struct pictures_view *v = pictures_view(pictures);
    *d = (struct dataset){.n = n, .C = 3, .H = v->H, .W = v->W, .pictures = pictures};
    d->n_classes = pictures_index(pictures)->n_classes + v->offset;
    d->place = mem_alloc((size_t)n, sizeof(*d->place));
    if (!d->place)
        return err_set(e, ERR_NOMEM, "no memory for %d images", n);
    for (int i = 0; i < n; i++)
        d->place[i] = place ? place[i] : i;
    return 0;
}

void dataset_release(struct dataset *d)
{
    mem_free(d->pixels);
    mem_free(d->labels);
    mem_free(d->place);
    memset(d, 0, sizeof(*d));
}

int dataset_label(const struct dataset *d, int i)
{
    return d->pictures ? pictures_label(d->pictures, d->place[i]) : d->labels[i];
}

void dataset_table(int c, const double *mean, const double *std, float table[256])
{
    for (int v = 0; v < 256; v++)
        table[v] = (float)((v - (mean ? mean[c] : 0)) / (std ? std[c] : 1));
}

/* A byte has 256 values, so a table a channel holds each quotient, rounded once. */
static void fill_channel(const uint8_t *restrict pixels, size_t n, const float *restrict table, float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = table[pixels[i]];
}

/* Pixels whose channels lie side by side. */
static void fill_mixed(const uint8_t *restrict pixels, size_t n, const float *restrict table, float *restrict x)
{
    for (size_t i = 0; i < n; i++)
        x[i] = table[pixels[3 * i]];
}

enum { MOST_CHANNELS = 4 };

static int fill_pictures(const struct dataset *d, const int *index, int n, float table[][256], float *x,
                         struct err *e)
{
    size_t area = (size_t)d->H * (size_t)d->W;
    const uint8_t *crop;
    uint8_t *scratch = mem_alloc(area, 3);
    int rc = scratch ? 0 : err_set(e, ERR_NOMEM, "no memory for an image of %dx%d pixels", d->H, d->W);
    for (int i = 0; i < n && rc == 0; i++) {
        rc = pictures_crop(d->pictures, d->place[index[i]], scratch, &crop, e);
        for (int c = 0; c < 3 && rc == 0; c++, x += area)
            fill_mixed(crop + c, area, table[c], x);
    }
    mem_free(scratch);
    return rc;
}

int dataset_fill(const struct dataset *d, const int *index, int n, const double *mean, const double *std, float *x,
                 struct err *e)
{
    float table[MOST_CHANNELS][256];
    size_t area = (size_t)d->H * (size_t)d->W;
    if (d->C > MOST_CHANNELS)
        BUG("%d channels", d->C);
    for (int c = 0; c < d->C; c++)
        dataset_table(c, mean, std, table[c]);
    for (int i = 0; i < n; i++)
        if (index[i] < 0 || index[i] >= d->n)
            BUG("image %d of %d", index[i], d->n);
    if (d->pictures)
        return fill_pictures(d, index, n, table, x, e);
    for (int i = 0; i < n; i++) {
        const uint8_t *pixels = d->pixels + (size_t)index[i] * (size_t)d->C * area;
        for (int c = 0; c < d->C; c++, pixels += area, x += area)
            fill_channel(pixels, area, table[c], x);
    }
    return 0;
}

/* Walks the marks from the first image to the last, which leaves the list ascending. */
static void collect(const uint8_t *mark, int n, uint8_t which, int *index)
{
    for (int i = 0; i < n; i++)
        if (mark[i] == which)
            *index++ = i;
}

int dataset_carve(const struct dataset *d, uint64_t seed, int reward, int calibrate, int *reward_index,
                  int *calibrate_index, struct err *e)
{
    enum { REWARD = 1, CALIBRATE };
    if (reward < 0 || calibrate < 0 || reward > d->n || calibrate > d->n - reward)
        return err_set(e, ERR_INVALID, "split wants %d reward and %d calibrate images, the training set has %d",
                       reward, calibrate, d->n);
    int rc = 0;
    int *order = mem_alloc((size_t)d->n, sizeof(*order));
    uint8_t *mark = mem_zalloc((size_t)d->n, 1);
    if (!order || !mark) {
        rc = err_set(e, ERR_NOMEM, "no memory to split %d images", d->n);
        goto out;
    }
    struct rng rng;
    rng_init(&rng, seed, "split", 0);
    for (int i = 0; i < d->n; i++)
        order[i] = i;
    rng_shuffle(&rng, order, (size_t)d->n);
    for (int i = 0; i < reward + calibrate; i++)
        mark[order[i]] = i < reward ? REWARD : CALIBRATE;
    collect(mark, d->n, REWARD, reward_index);
    collect(mark, d->n, CALIBRATE, calibrate_index);
out:
    mem_free(order);
    mem_free(mark);
    return rc;
}
