#include <check.h>
#include <string.h>

#include "tests/unit/picture_files.h"

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "common/pictures/folder.h"
#include "worker/train/feed.h"

enum { IMAGES = 50, C = 1, H = 4, W = 3, IMAGE = C * H * W };

static const double mean[] = {7}, std[] = {3};

/* Every second image of a set twice as large. */
struct trial {
    struct dataset d;
    struct scored_set set;
    int index[IMAGES];
};

static void trial_init(struct trial *t)
{
    t->d = (struct dataset){.n = 2 * IMAGES, .C = C, .H = H, .W = W, .n_classes = 10};
    t->d.pixels = mem_alloc(2 * IMAGES, IMAGE);
    t->d.labels = mem_alloc(2 * IMAGES, 1);
    for (int i = 0; i < 2 * IMAGES * IMAGE; i++)
        t->d.pixels[i] = (uint8_t)(i * 37 + i / IMAGE);
    for (int i = 0; i < 2 * IMAGES; i++)
        t->d.labels[i] = (uint8_t)(i / 2 % 10);
    for (int i = 0; i < IMAGES; i++)
        t->index[i] = 2 * i + 1;
    t->set = (struct scored_set){&t->d, t->index, IMAGES, mean, std};
}

static struct feed *start(const struct trial *t, const struct augment *a, int batch, uint64_t seed, int epoch,
                          int step)
{
    struct feed *f;
    struct err e;
    if (feed_new(&f, &t->set, a, batch, seed, epoch, step, 2, &e) < 0)
        ck_abort_msg("%s", e.text);
    return f;
}

static void next(struct feed *f, struct feed_batch *b)
{
    struct err e;
    if (feed_next(f, b, &e) < 0)
        ck_abort_msg("%s", e.text);
}

static const struct augment plain = {0}, all = {.pad = 1, .flip = true, .cutout = 2};

/* Each image once an epoch, but for a remainder; another order in each epoch; labels and pictures are the images'.
 */
START_TEST(once_an_epoch)
{
    enum { EPOCHS = 20 };
    static const int batches[] = {1, 7, 10, IMAGES};
    const int batch = batches[_i];
    struct trial t;
    struct feed_batch b;
    struct err e;
    int order[2][IMAGES], left_out[IMAGES] = {0}, rest = IMAGES % batch;
    float x[IMAGE];
    trial_init(&t);
    struct feed *f = start(&t, &plain, batch, 1, 0, 0);
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        int times[IMAGES] = {0}, at = 0;
        for (int step = 0; step < IMAGES / batch; step++) {
            next(f, &b);
            for (int i = 0; i < batch; i++) {
                ck_assert(b.images[i] >= 0 && b.images[i] < IMAGES);
                int image = t.index[b.images[i]];
                times[b.images[i]]++;
                order[epoch % 2][at++] = b.images[i];
                ck_assert_int_eq(b.labels[i], t.d.labels[image]);
                ck_assert_int_eq(dataset_fill(&t.d, &image, 1, mean, std, x, &e), 0);
                ck_assert_mem_eq(x, b.x + i * IMAGE, sizeof x);
                ck_assert(!b.flipped[i]);
            }
        }
        int missing = 0;
        for (int i = 0; i < IMAGES; i++) {
            ck_assert_int_le(times[i], 1);
            missing += !times[i];
            left_out[i] += !times[i];
        }
        ck_assert_int_eq(missing, rest);
        if (epoch > 0)
            ck_assert(memcmp(order[0], order[1], (size_t)at * sizeof(int)) != 0);
    }
    for (int i = 0; i < IMAGES; i++) /* not always the same ones */
        ck_assert_int_lt(left_out[i], EPOCHS / 2);
    feed_free(f);
    dataset_release(&t.d);
}
END_TEST

static void check_same(const struct feed_batch *a, const struct feed_batch *b, size_t batch)
{
    ck_assert_mem_eq(a->x, b->x, batch * IMAGE * sizeof(float));
    ck_assert_mem_eq(a->labels, b->labels, batch * sizeof(int));
    ck_assert_mem_eq(a->images, b->images, batch * sizeof(int));
    ck_assert_mem_eq(a->flipped, b->flipped, batch * sizeof(bool));
}

/* A feed that begins anywhere goes on as one that began before. */
START_TEST(begins_in_the_middle)
{
    enum { BATCH = 8, PER_EPOCH = IMAGES / BATCH };
    struct trial t;
    struct feed_batch b, late;
    trial_init(&t);
    for (int begin = 1; begin < 3 * PER_EPOCH; begin += 4) {
        struct feed *f = start(&t, &all, BATCH, 5, 0, 0);
        struct feed *g = start(&t, &all, BATCH, 5, begin / PER_EPOCH, begin % PER_EPOCH);
        struct feed *h = start(&t, &all, BATCH, 5, 0, begin);
        for (int i = 0; i < begin; i++)
            next(f, &b);
        for (int i = 0; i < 2 * PER_EPOCH; i++) {
            next(f, &b);
            next(g, &late);
            check_same(&b, &late, BATCH);
            next(h, &late);
            check_same(&b, &late, BATCH);
        }
        feed_free(f);
        feed_free(g);
        feed_free(h);
    }
    dataset_release(&t.d);
}
END_TEST

/* Pictures are those of augment.h for their epoch and place; other seeds give others. */
START_TEST(augmented)
{
    enum { BATCH = 16, PER_EPOCH = IMAGES / BATCH };
    struct trial t;
    struct feed_batch b, other;
    struct err e;
    float x[IMAGE];
    int flips = 0, same = 0;
    trial_init(&t);
    struct feed *f = start(&t, &all, BATCH, 3, 0, 0), *g = start(&t, &all, BATCH, 4, 0, 0);
    for (int i = 0; i < 4 * PER_EPOCH; i++) {
        next(f, &b);
        next(g, &other);
        for (int k = 0; k < BATCH; k++) {
            bool flipped;
            ck_assert_int_eq(augment_image(&all, &t.d, t.index[b.images[k]], mean, std, 3, i / PER_EPOCH,
                                           i % PER_EPOCH * BATCH + k, x, &flipped, &e),
                             0);
            ck_assert_mem_eq(x, b.x + k * IMAGE, sizeof x);
            ck_assert(flipped == b.flipped[k]);
            flips += flipped;
            same += b.images[k] == other.images[k];
        }
    }
    ck_assert(flips > 50 && flips < 142); /* of 192 */
    ck_assert_int_lt(same, 30);
    feed_free(f);
    feed_free(g);
    dataset_release(&t.d);
}
END_TEST

/* What was given stays as it is until the next call, however long that takes. */
START_TEST(borrowed)
{
    enum { BATCH = 5 };
    struct trial t;
    struct feed_batch b;
    float x[BATCH * IMAGE];
    trial_init(&t);
    struct feed *f = start(&t, &all, BATCH, 1, 0, 0);
    for (int i = 0; i < 10; i++) {
        next(f, &b);
        memcpy(x, b.x, sizeof x);
        clock_sleep_ns(5 * NS_PER_MS);
        ck_assert_mem_eq(x, b.x, sizeof x);
    }
    feed_free(f);
    dataset_release(&t.d);
}
END_TEST

/* At once, after a while with all slots full, and after some reading. */
START_TEST(ends_any_time)
{
    struct trial t;
    struct feed_batch b;
    trial_init(&t);
    for (int i = 0; i < 60; i++) {
        struct feed *f = start(&t, &all, 1 + i, 1, 0, 0);
        if (i % 3 == 1)
            clock_sleep_ns(NS_PER_MS);
        for (int k = 0; k < i % 5; k++)
            next(f, &b);
        feed_free(f);
        if (i == 49)
            break;
    }
    feed_free(NULL);
    dataset_release(&t.d);
}
END_TEST

START_TEST(too_few_images)
{
    struct trial t;
    struct feed *f;
    struct err e;
    trial_init(&t);
    ck_assert_int_eq(feed_new(&f, &t.set, &plain, IMAGES + 1, 1, 0, 0, 2, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "a batch of 51 is more than the 50 images to train on");
    dataset_release(&t.d);
}
END_TEST

/* ---- picture files ---- */

enum { FILES = 12, SIDE = 16, CROP = 3 * SIDE * SIDE };

static struct pictures *open_files(struct dataset *d)
{
    const struct pictures_view v = {.H = SIDE, .W = SIDE};
    struct picture_index x;
    struct pictures *p;
    struct err e;
    ck_assert_msg(picture_folder_scan(&x, picture_path("set"), NULL, &e) == 0, "%s", e.text);
    ck_assert_int_eq(pictures_open(&p, &x, picture_path("set"), NULL, &v, 0, &e), 0);
    ck_assert_int_eq(dataset_of_pictures(d, p, NULL, FILES, &e), 0);
    return p;
}

static void make_files(void)
{
    char name[64];
    for (int i = 0; i < FILES; i++) {
        snprintf(name, sizeof(name), "set/%c/%02d.jpg", 'a' + i / 4, i);
        picture_make(name, 20 + i, 40 - i, i);
    }
}

/* The batches are the same however many threads decode, and the labels are the pictures'. */
START_TEST(pictures_by_any_threads)
{
    static const struct augment a = {.flip = true, .scale = {0.3, 1}};
    struct dataset d;
    struct feed *f[2];
    struct feed_batch b[2];
    struct err e;
    make_files();
    struct pictures *p = open_files(&d);
    const struct scored_set set = {&d, NULL, FILES, NULL, NULL};
    for (int k = 0; k < 2; k++)
        ck_assert_int_eq(feed_new(&f[k], &set, &a, 5, 9, 0, 0, 1 + 3 * k, &e), 0);
    for (int step = 0; step < 6; step++) {
        next(f[0], &b[0]);
        next(f[1], &b[1]);
        ck_assert_mem_eq(b[0].x, b[1].x, 5 * CROP * sizeof(float));
        for (int i = 0; i < 5; i++) {
            ck_assert_int_eq(b[0].images[i], b[1].images[i]);
            ck_assert_int_eq(b[0].labels[i], b[0].images[i] / 4);
            ck_assert_int_eq(b[1].labels[i], b[0].images[i] / 4);
        }
    }
    feed_free(f[0]);
    feed_free(f[1]);
    dataset_release(&d);
    pictures_free(p);
}
END_TEST

/* Batches before it come; then the file is named, again and again. */
START_TEST(a_broken_picture_ends_it)
{
    static const struct augment a = {.flip = true};
    struct dataset d;
    struct feed *f;
    struct feed_batch b;
    struct err e;
    int rc = 0, batches = 0;
    struct buf jpeg = picture_jpeg(40, 40, 1, false);
    make_files();
    picture_write("set/b/05.jpg", jpeg.p, jpeg.n / 2);
    struct pictures *p = open_files(&d);
    const struct scored_set set = {&d, NULL, FILES, NULL, NULL};
    ck_assert_int_eq(feed_new(&f, &set, &a, 1, 9, 0, 0, 2, &e), 0);
    while ((rc = feed_next(f, &b, &e)) == 0 && batches < FILES)
        batches++;
    ck_assert_int_eq(rc, ERR_INVALID);
    ck_assert_int_lt(batches, FILES);
    ck_assert_str_eq(e.text, "image \"b/05.jpg\": broken JPEG file: Premature end of JPEG file");
    ck_assert_int_eq(feed_next(f, &b, &e), ERR_INVALID);
    feed_free(f);
    dataset_release(&d);
    pictures_free(p);
    buf_release(&jpeg);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("feed");
    TCase *t = tcase_create("feed");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, once_an_epoch, 0, 4);
    tcase_add_test(t, begins_in_the_middle);
    tcase_add_test(t, augmented);
    tcase_add_test(t, borrowed);
    tcase_add_test(t, ends_any_time);
    tcase_add_test(t, too_few_images);
    TCase *pictures = tcase_create("pictures");
    tcase_add_checked_fixture(pictures, picture_dir_make, picture_dir_remove);
    tcase_add_test(pictures, pictures_by_any_threads);
    tcase_add_test(pictures, a_broken_picture_ends_it);
    suite_add_tcase(s, pictures);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
