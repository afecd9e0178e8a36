#include "worker/images.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/pictures/folder.h"

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

static int check_split(const struct dataset *all, const struct recipe *r, struct err *e)
{
    if (r->reward < 1 || r->calibrate < 1 || r->reward > all->n || r->calibrate > all->n)
        return err_set(e, ERR_INVALID, "split wants %d reward and %d calibrate images, the training set has %d",
                       r->reward, r->calibrate, all->n);
    return 0;
}

static int carve(struct images *im, const struct recipe *r, struct err *e)
{
    const struct dataset *all = &im->training;
    int rc = check_split(all, r, e);
    if (rc < 0)
        return rc;
    int *reward = xcalloc((size_t)r->reward, sizeof(int)), *calibrate = xcalloc((size_t)r->calibrate, sizeof(int));
    rc = dataset_carve(all, r->seed, r->reward, r->calibrate, reward, calibrate, e);
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
        a->reward != b->reward || a->calibrate != b->calibrate || a->resize != b->resize || a->offset != b->offset)
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

static int load_arrays(struct images *im, const struct recipe *r, int want, const struct job_host *host,
                       struct err *e)
{
    int rc = load_split(r, SPLIT_TRAIN, host, &im->training, e);
    if (rc == 0)
        rc = spread(im, r, im->training.C, e);
    if (rc == 0 && (want & IMAGES_CARVED))
        rc = carve(im, r, e);
    if (rc == 0 && !(want & IMAGES_TRAINING))
        dataset_release(&im->training);
    return rc;
}

/* ---- picture files ---- */

static int read_index(const struct recipe *r, const struct job_host *host, struct picture_index *x, struct err *e)
{
    const struct data_file *f = &r->files[0];
    const char *path;
    struct buf bytes = {0};
    if (r->n_files != 1)
        return err_set(e, ERR_INVALID, "images have one data file, the search has %d", r->n_files);
    int rc = host->blob(host->arg, &f->hash, f->size, f->name, data_kind_name(DATA_IMAGES), &path, e);
    if (rc == 0)
        rc = file_read(path, PICTURES_MAX_INDEX, &bytes, e);
    if (rc == 0)
        rc = picture_index_decode(x, bytes.p, bytes.n, e);
    buf_release(&bytes);
    return rc;
}

/* A folder on this machine whose files are those of the index, or NULL. */
static const char *find_folder(const struct picture_index *x, const struct job_host *host)
{
    const char *folder;
    struct err e;
    for (int i = 0; host->folder && (folder = host->folder(host->arg, data_kind_name(DATA_IMAGES), i)); i++) {
        if (picture_folder_check(x, folder, &e) == 0)
            return folder;
        log_warn("data", "path=\"%s\" unused=\"%s\"", folder, e.text);
    }
    return NULL;
}

/* Takes the index over. */
static int open_files(struct images *im, const struct recipe *r, const struct job_host *host, struct picture_index *x,
                      struct err *e)
{
    const struct node *in = &im->needs.graph->nodes[0];
    const struct pictures_view v = {.H = in->H, .W = in->W, .resize = r->resize, .offset = r->offset};
    const char **part = xcalloc((size_t)x->n_parts, sizeof(*part)), *folder = find_folder(x, host);
    int rc = 0;
    for (int i = 0; rc == 0 && !folder && i < x->n_parts; i++)
        rc = host->blob(host->arg, &x->parts[i].hash, x->parts[i].size, "part of the images",
                        data_kind_name(DATA_IMAGES), &part[i], e);
    if (rc == 0)
        rc = pictures_open(&im->pictures, x, folder, part, &v, im->needs.memory, e);
    free(part);
    return rc;
}

static int open_pictures(struct images *im, const struct recipe *r, const struct job_host *host, struct err *e)
{
    const struct graph *g = im->needs.graph;
    struct picture_index x;
    int rc = read_index(r, host, &x, e);
    if (rc < 0)
        return rc;
    rc = picture_index_suits(&x, r->offset, g->nodes[0].C, g->nodes[g->output].C, e);
    if (rc == 0)
        rc = open_files(im, r, host, &x, e);
    picture_index_release(&x);
    return rc;
}

static int *numbers_from(int first, int n)
{
    int *x = xcalloc((size_t)n, sizeof(*x));
    for (int i = 0; i < n; i++)
        x[i] = first + i;
    return x;
}

enum { FREE, REWARD, CALIBRATE };

/* Without parts, what is carved is the training set, and what is left is the test set. */
static int divide(struct images *im, const uint8_t *use, int n, struct err *e)
{
    int *taken = xcalloc((size_t)n, sizeof(int)), n_taken = 0;
    im->test = xcalloc((size_t)n, sizeof(int));
    for (int i = 0; i < n; i++)
        if (use[i] == FREE)
            im->test[im->n_test++] = i;
        else
            taken[n_taken++] = i;
    int rc = dataset_of_pictures(&im->training, im->pictures, taken, n_taken, e);
    free(taken);
    return rc;
}

/* Places in the training set: without parts only what was taken is in it. */
static void list_unrewarded(struct images *im, const uint8_t *use, int n, bool split)
{
    im->rest = xcalloc((size_t)n, sizeof(int));
    for (int i = 0, at = 0; i < n; i++) {
        if (use[i] == CALIBRATE || (split && use[i] == FREE))
            im->rest[im->n_rest++] = at;
        at += split || use[i] != FREE;
    }
}

/* Views of the reward and calibration images, and what follows from them. */
static int carve_pictures(struct images *im, const struct recipe *r, const struct dataset *all, struct err *e)
{
    bool split = pictures_index(im->pictures)->split;
    int rc = check_split(all, r, e);
    if (rc < 0)
        return rc;
    int *reward = xcalloc((size_t)r->reward, sizeof(int)), *calibrate = xcalloc((size_t)r->calibrate, sizeof(int));
    uint8_t *use = xcalloc((size_t)all->n, 1);
    rc = dataset_carve(all, r->seed, r->reward, r->calibrate, reward, calibrate, e);
    if (rc == 0 && !split && r->reward + r->calibrate == all->n)
        rc = err_set(e, ERR_INVALID, "split takes %d reward and %d calibrate images, of %d none is left to test on",
                     r->reward, r->calibrate, all->n);
    if (rc == 0)
        rc = dataset_of_pictures(&im->reward, im->pictures, reward, r->reward, e);
    if (rc == 0)
        rc = dataset_of_pictures(&im->calibrate, im->pictures, calibrate, r->calibrate, e);
    if (rc == 0) {
        for (int i = 0; i < r->reward; i++)
            use[reward[i]] = REWARD;
        for (int i = 0; i < r->calibrate; i++)
            use[calibrate[i]] = CALIBRATE;
        list_unrewarded(im, use, all->n, split);
        rc = split ? 0 : divide(im, use, all->n, e);
    }
    free(reward);
    free(calibrate);
    free(use);
    return rc;
}

struct telling {
    const struct job_host *host;
    struct err *e;
};

static int tell(void *arg, int done, int total)
{
    struct telling *t = arg;
    return t->host->progress(t->host->arg, "decode", (uint64_t)done, (uint64_t)total, t->e);
}

static int decode_ahead(const struct images *im, const struct dataset *d, const struct job_host *host, struct err *e)
{
    struct err said;
    struct telling t = {host, &said};
    int rc = pictures_decode(im->pictures, im->needs.pool, d->place, d->n, tell, &t, e);
    if (rc == ERR_CANCELLED)
        *e = said;
    return rc;
}

static int load_pictures(struct images *im, const struct recipe *r, int want, const struct job_host *host,
                         struct err *e)
{
    struct dataset all = {0};
    int rc = open_pictures(im, r, host, e);
    if (rc < 0)
        return rc;
    const struct picture_index *x = pictures_index(im->pictures);
    if (!x->split && !(want & IMAGES_CARVED))
        return err_set(e, ERR_INVALID, "the images have no parts, train and test: a training needs both");
    if (x->split) {
        im->n_test = x->n_test;
        im->test = numbers_from(x->n - x->n_test, x->n_test);
    }
    rc = spread(im, r, 3, e);
    if (rc == 0)
        rc = dataset_of_pictures(&all, im->pictures, NULL, x->n - x->n_test, e);
    if (rc == 0 && (want & IMAGES_CARVED))
        rc = carve_pictures(im, r, &all, e);
    if (rc == 0 && (want & IMAGES_CARVED) && (rc = decode_ahead(im, &im->calibrate, host, e)) == 0)
        rc = decode_ahead(im, &im->reward, host, e);
    if (rc == 0 && x->split)
        im->training = all;
    else
        dataset_release(&all);
    return rc;
}

/* The crops are of the network's input size. */
static bool same_crops(const struct images *im)
{
    if (!im->pictures)
        return true;
    const struct node *in = &im->needs.graph->nodes[0];
    const struct pictures_view *v = pictures_view(im->pictures);
    return in->C == 3 && in->H == v->H && in->W == v->W;
}

int images_load(struct images *im, const struct recipe *r, int want, const struct job_host *host, struct err *e)
{
    bool same = im->have && same_images(&im->recipe, r) && same_crops(im);
    if (same && (im->have & want) == want)
        return 0;
    want |= same ? im->have : 0;
    images_release(im);
    if (r->data == DATA_IMAGES) /* views cost nothing: all that there can be */
        want |= IMAGES_TRAINING | (r->reward > 0 ? IMAGES_CARVED : 0);
    int rc = r->data == DATA_IMAGES ? load_pictures(im, r, want, host, e) : load_arrays(im, r, want, host, e);
    if (rc < 0) {
        images_release(im);
        return rc;
    }
    im->recipe = *r;
    im->have = want;
    return 0;
}

void images_release(struct images *im)
{
    struct image_needs needs = im->needs;
    dataset_release(&im->reward);
    dataset_release(&im->calibrate);
    dataset_release(&im->training);
    pictures_free(im->pictures);
    free(im->rest);
    free(im->test);
    *im = (struct images){.needs = needs};
}

const struct dataset *images_any(const struct images *im)
{
    return im->have & IMAGES_CARVED ? &im->reward : &im->training;
}

int images_test(const struct images *im, const struct recipe *r, const struct job_host *host, struct dataset *test,
                struct err *e)
{
    if (r->data == DATA_IMAGES)
        return dataset_of_pictures(test, im->pictures, im->test, im->n_test, e);
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
