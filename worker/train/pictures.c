#include "worker/train/pictures.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/pictures/folder.h"
#include "worker/train/jpeg.h"
#include "worker/train/png.h"

enum { C = 3 };

struct pictures {
    struct picture_index index;
    struct pictures_view view;
    char *folder;              /* NULL: the parts are mapped */
    uint8_t **part;            /* (index.n_parts) */
    _Atomic(uint8_t *) *kept;  /* (index.n): crops, or NULL */
    atomic_uint_fast64_t left; /* bytes that crops may still take */
};

/* --- opening --- */

static int map_part(struct pictures *p, int i, const char *path, struct err *e)
{
    struct stat st;
    uint64_t size = p->index.parts[i].size;
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    if (fd < 0)
        return err_set(e, ERR_IO, "could not open \"%s\": %s", path, strerror(errno));
    if (fstat(fd, &st) < 0 || (uint64_t)st.st_size != size)
        rc = err_set(e, ERR_INVALID, "part %d of the images has not the %llu bytes that its index says", i,
                     (unsigned long long)size);
    void *map = rc == 0 ? mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;
    if (rc == 0 && map == MAP_FAILED)
        rc = err_set(e, ERR_IO, "could not map \"%s\": %s", path, strerror(errno));
    close(fd);
    p->part[i] = map == MAP_FAILED ? NULL : map;
    return rc;
}

static int check_view(struct pictures_view *v, struct err *e)
{
    int side = v->H > v->W ? v->H : v->W;
    if (v->resize == 0)
        v->resize = (int)floor(side / 0.875 + 0.5);
    if (v->resize < side)
        return err_set(e, ERR_INVALID, "resize %d is less than the network's input of %dx%d pixels", v->resize,
                       v->H, v->W);
    return 0;
}

int pictures_open(struct pictures **out, struct picture_index *x, const char *folder, const char *const *part,
                  const struct pictures_view *v, uint64_t memory, struct err *e)
{
    struct pictures *p = xcalloc(1, sizeof(*p));
    p->index = *x;
    *x = (struct picture_index){0};
    p->view = *v;
    p->folder = folder ? xstrdup(folder) : NULL;
    atomic_init(&p->left, memory);
    p->kept = mem_zalloc((size_t)p->index.n, sizeof(*p->kept));
    int rc = p->kept ? check_view(&p->view, e) : err_set(e, ERR_NOMEM, "no memory for %d images", p->index.n);
    if (!folder)
        p->part = xcalloc((size_t)p->index.n_parts, sizeof(*p->part));
    for (int i = 0; !folder && rc == 0 && i < p->index.n_parts; i++)
        rc = map_part(p, i, part[i], e);
    if (rc < 0) {
        pictures_free(p);
        return rc;
    }
    *out = p;
    return 0;
}

void pictures_free(struct pictures *p)
{
    if (!p)
        return;
    for (int i = 0; p->part && i < p->index.n_parts; i++)
        if (p->part[i])
            munmap(p->part[i], p->index.parts[i].size);
    for (int i = 0; p->kept && i < p->index.n; i++)
        mem_free(atomic_load(&p->kept[i]));
    mem_free(p->kept);
    free(p->part);
    free(p->folder);
    picture_index_release(&p->index);
    free(p);
}

const struct picture_index *pictures_index(const struct pictures *p)
{
    return &p->index;
}

const struct pictures_view *pictures_view(const struct pictures *p)
{
    return &p->view;
}

int pictures_label(const struct pictures *p, int i)
{
    return (int)p->index.pictures[i].label + p->view.offset;
}

size_t pictures_bytes(const struct pictures *p)
{
    return (size_t)p->view.H * (size_t)p->view.W * C;
}

/* --- decoding --- */

struct cutting {
    const struct pictures_view *view;
    pictures_choose *choose; /* NULL: the evaluation's crop */
    void *arg;
    struct resize resize;
};

static int scaled(int side, int shorter, int resize)
{
    return (int)((2 * (int64_t)resize * side + shorter) / (2 * (int64_t)shorter));
}

static int begin(void *arg, int H, int W, struct err *e)
{
    struct cutting *c = arg;
    const struct pictures_view *v = c->view;
    if (c->choose) {
        struct rect from, all = {0, 0, v->H, v->W};
        c->choose(c->arg, H, W, &from);
        return resize_init(&c->resize, &from, v->H, v->W, &all, e);
    }
    int shorter = H < W ? H : W;
    int height = scaled(H, shorter, v->resize), width = scaled(W, shorter, v->resize);
    struct rect from = {0, 0, H, W}, to = {(height - v->H) / 2, (width - v->W) / 2, v->H, v->W};
    return resize_init(&c->resize, &from, height, width, &to, e);
}

static void take_row(void *arg, int h, const uint8_t *rgb)
{
    struct cutting *c = arg;
    resize_row(&c->resize, h, rgb);
}

static int decode_bytes(const uint8_t *bytes, size_t n, struct cutting *c, uint8_t *crop, struct err *e)
{
    const struct rows to = {begin, take_row, c};
    int rc = n > 0 && bytes[0] == 0x89 ? png_rows(bytes, n, &to, e) : jpeg_rows(bytes, n, &to, e);
    if (rc == 0)
        resize_finish(&c->resize, crop);
    resize_release(&c->resize);
    return rc;
}

static int decode(struct pictures *p, int i, pictures_choose *choose, void *arg, uint8_t *crop, struct err *e)
{
    const struct picture *q = &p->index.pictures[i];
    struct cutting c = {.view = &p->view, .choose = choose, .arg = arg};
    struct buf bytes = {0};
    int rc;
    if (p->folder) {
        rc = picture_folder_read(p->folder, q, &bytes, e);
        if (rc == 0)
            rc = decode_bytes(bytes.p, bytes.n, &c, crop, e);
        buf_release(&bytes);
    } else {
        rc = decode_bytes(p->part[q->part] + q->offset, q->size, &c, crop, e);
    }
    return rc < 0 ? err_wrap(e, "image \"%.200s\"", q->name) : 0;
}

int pictures_cut(struct pictures *p, int i, pictures_choose *choose, void *arg, uint8_t *crop, struct err *e)
{
    return decode(p, i, choose, arg, crop, e);
}

/* --- the crops that are kept --- */

/* NULL when there is no more room for one. */
static uint8_t *room(struct pictures *p)
{
    uint_fast64_t n = pictures_bytes(p), left = atomic_load(&p->left);
    do
        if (left < n)
            return NULL;
    while (!atomic_compare_exchange_weak(&p->left, &left, left - n));
    uint8_t *crop = mem_alloc(n, 1);
    if (!crop)
        atomic_fetch_add(&p->left, n);
    return crop;
}

static void give_back(struct pictures *p, uint8_t *crop)
{
    mem_free(crop);
    atomic_fetch_add(&p->left, pictures_bytes(p));
}

int pictures_crop(struct pictures *p, int i, uint8_t *scratch, const uint8_t **crop, struct err *e)
{
    uint8_t *kept = atomic_load(&p->kept[i]), *fresh;
    *crop = kept;
    if (kept)
        return 0;
    fresh = room(p);
    *crop = fresh ? fresh : scratch;
    int rc = decode(p, i, NULL, NULL, fresh ? fresh : scratch, e);
    if (!fresh)
        return rc;
    if (rc == 0 && atomic_compare_exchange_strong(&p->kept[i], &kept, fresh))
        return 0;
    give_back(p, fresh); /* another thread was faster, or it can't be decoded */
    *crop = kept;
    return rc;
}

struct ahead {
    struct pictures *p;
    const int *place;
    int n;
    atomic_int done;
    pthread_t caller;
    int (*progress)(void *arg, int done, int total);
    void *arg;
};

static int decode_one(void *arg, int piece, int thread, struct err *e)
{
    struct ahead *a = arg;
    struct pictures *p = a->p;
    const uint8_t *crop;
    int i = a->place ? a->place[piece] : piece;
    (void)thread;
    if (!atomic_load(&p->kept[i]) && atomic_load(&p->left) >= pictures_bytes(p)) {
        uint8_t *scratch = mem_alloc(pictures_bytes(p), 1);
        int rc = scratch ? pictures_crop(p, i, scratch, &crop, e) : err_set(e, ERR_NOMEM, "no memory for an image");
        mem_free(scratch);
        if (rc < 0)
            return rc;
    }
    int done = atomic_fetch_add(&a->done, 1) + 1;
    if (a->progress && pthread_equal(pthread_self(), a->caller) && a->progress(a->arg, done, a->n) < 0)
        return err_set(e, ERR_CANCELLED, "decoding was cancelled after %d of %d images", done, a->n);
    return 0;
}

int pictures_decode(struct pictures *p, struct pool *pool, const int *place, int n,
                    int (*progress)(void *arg, int done, int total), void *arg, struct err *e)
{
    struct ahead a = {.p = p, .place = place, .n = n, .caller = pthread_self(), .progress = progress, .arg = arg};
    return pool_run(pool, n, decode_one, &a, e);
}
