#include "worker/images.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static int load_split(const struct recipe *r, int split, const struct job_host *host, struct dataset *d,
                      struct err *e)
{
    const struct set_file *set = data_kind_files(r->data, split == SPLIT_TEST);
    const char *paths[RECIPE_MAX_FILES];
    int n = 0;
    for (; set[n].name; n++) {
        const struct data_file *f = NULL;
        for (int i = 0; i < r->n_files && !f; i++)
            if (strcmp(r->files[i].name, set[n].name) == 0)
                f = &r->files[i];
        if (!f)
            return err_set(e, ERR_INVALID, "the search has no data file \"%s\"", set[n].name);
        int rc = host->blob(host->arg, &f->hash, f->size, f->name, data_kind_name(r->data), &paths[n], e);
        if (rc < 0)
            return rc;
    }
    return dataset_load(d, r->data, split, paths, r->seed, e);
}

static int copy_images(const struct dataset *all, const int *index, int n, struct dataset *out, struct err *e)
{
    size_t size = (size_t)all->C * (size_t)all->H * (size_t)all->W;
    *out = *all;
    out->n = n;
    out->pixels = mem_alloc((size_t)n, size);
    out->labels = mem_alloc((size_t)n, 1);
    if (!out->pixels || !out->labels) {
        dataset_release(out);
        return err_set(e, ERR_NOMEM, "no memory for %d images", n);
    }
    for (int i = 0; i < n; i++) {
        memcpy(out->pixels + (size_t)i * size, all->pixels + (size_t)index[i] * size, size);
        out->labels[i] = all->labels[index[i]];
    }
    return 0;
}

/* The images that aren't among the n of `taken` (ascending). */
static void list_rest(struct images *im, const int *taken, int n)
{
    int at = 0, total = im->training.n;
    im->rest = xcalloc((size_t)(total - n), sizeof(int));
    for (int i = 0; i < total; i++) {
        if (at < n && taken[at] == i)
            at++;
        else
            im->rest[im->n_rest++] = i;
    }
}

static int carve(struct images *im, const struct recipe *r, struct err *e)
{
    const struct dataset *all = &im->training;
    if (r->reward < 1 || r->calibrate < 1 || r->reward > all->n || r->calibrate > all->n)
        return err_set(e, ERR_INVALID, "split wants %d reward and %d calibrate images, the training set has %d",
                       r->reward, r->calibrate, all->n);
    int *reward = xcalloc((size_t)r->reward, sizeof(int)), *calibrate = xcalloc((size_t)r->calibrate, sizeof(int));
    int rc = dataset_carve(all, r->seed, r->reward, r->calibrate, reward, calibrate, e);
    if (rc == 0)
        rc = copy_images(all, reward, r->reward, &im->reward, e);
    if (rc == 0)
        rc = copy_images(all, calibrate, r->calibrate, &im->calibrate, e);
    if (rc == 0)
        list_rest(im, reward, r->reward);
    free(reward);
    free(calibrate);
    return rc;
}

/* One number serves all channels; none leaves pixels as they are. */
static int spread(struct images *im, const struct recipe *r, int C, struct err *e)
{
    if (C > 4 || (r->n_channels > 1 && r->n_channels != C))
        return err_set(e, ERR_INVALID, "normalize has %d numbers for mean and std, the images have %d channels",
                       r->n_channels, C);
    for (int c = 0; c < C; c++) {
        int from = r->n_channels > 1 ? c : 0;
        im->mean[c] = r->n_channels > 0 ? r->mean[from] : 0;
        im->std[c] = r->n_channels > 0 ? r->std[from] : 1;
    }
    return 0;
}

/* Field by field: recipes have padding, and much in them that isn't about images. */
static bool same_images(const struct recipe *a, const struct recipe *b)
{
    if (a->seed != b->seed || a->data != b->data || a->n_files != b->n_files || a->n_channels != b->n_channels ||
        a->reward != b->reward || a->calibrate != b->calibrate)
        return false;
    for (int c = 0; c < a->n_channels; c++)
        if (a->mean[c] != b->mean[c] || a->std[c] != b->std[c])
            return false;
    for (int i = 0; i < a->n_files; i++)
        if (strcmp(a->files[i].name, b->files[i].name) != 0 || a->files[i].size != b->files[i].size ||
            !hash_equal(&a->files[i].hash, &b->files[i].hash))
            return false;
    return true;
}

int images_load(struct images *im, const struct recipe *r, int want, const struct job_host *host, struct err *e)
{
    bool same = im->have && same_images(&im->recipe, r);
    if (same && (im->have & want) == want)
        return 0;
    want |= same ? im->have : 0;
    images_release(im);
    int rc = load_split(r, SPLIT_TRAIN, host, &im->training, e);
    if (rc == 0)
        rc = spread(im, r, im->training.C, e);
    if (rc == 0 && (want & IMAGES_CARVED))
        rc = carve(im, r, e);
    if (rc < 0) {
        images_release(im);
        return rc;
    }
    if (!(want & IMAGES_TRAINING))
        dataset_release(&im->training);
    im->recipe = *r;
    im->have = want;
    return 0;
}

void images_release(struct images *im)
{
    dataset_release(&im->reward);
    dataset_release(&im->calibrate);
    dataset_release(&im->training);
    free(im->rest);
    *im = (struct images){0};
}

const struct dataset *images_any(const struct images *im)
{
    return im->have & IMAGES_CARVED ? &im->reward : &im->training;
}

int images_test(const struct recipe *r, const struct job_host *host, struct dataset *test, struct err *e)
{
    return load_split(r, SPLIT_TEST, host, test, e);
}

struct scored_set images_set(const struct images *im, const struct dataset *d)
{
    return (struct scored_set){.data = d, .n = d->n, .mean = im->mean, .std = im->std};
}

struct scored_set images_training(const struct images *im, bool all)
{
    struct scored_set s = images_set(im, &im->training);
    if (!all) {
        s.index = im->rest;
        s.n = im->n_rest;
    }
    return s;
}
