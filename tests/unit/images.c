/* What a job's images are when they are picture files: which are carved, trained on and tested on, and where their bytes
 * come from. */
#include <check.h>

#include "tests/unit/picture_files.h"

#include "common/pictures/folder.h"
#include "worker/images.h"

enum { CLASSES = 4, TRAIN = 40, TEST = 10, SIDE = 16 };

struct trial {
    struct picture_index x;
    struct recipe r;
    struct node nodes[2];
    struct graph g;
    struct images im;
    const char *folder; /* that the host offers, or NULL */
    int asked;          /* for parts */
    bool no_parts;      /* the host has none */
    struct job_host host;
};

static int on_blob(void *arg, const struct hash *h, uint64_t size, const char *data_name, const char *data_kind,
                   const char **path, struct err *e)
{
    struct trial *t = arg;
    ck_assert_str_eq(data_kind, "images");
    if (hash_equal(h, &t->r.files[0].hash)) {
        ck_assert_str_eq(data_name, "images.index");
        ck_assert_uint_eq(size, t->r.files[0].size);
        *path = picture_path("index");
        return 0;
    }
    t->asked++;
    ck_assert(t->x.n_parts == 1 && hash_equal(h, &t->x.parts[0].hash) && size == t->x.parts[0].size);
    *path = picture_path("part");
    return t->no_parts ? err_set(e, ERR_NOTFOUND, "no such blob") : 0;
}

static const char *on_folder(void *arg, const char *data_kind, int nth)
{
    const struct trial *t = arg;
    ck_assert_str_eq(data_kind, "images");
    return nth == 0 ? picture_path("nothing-here") : nth == 1 ? t->folder : NULL;
}

static int on_progress(void *arg, const char *stage, uint64_t done, uint64_t total, struct err *e)
{
    (void)arg;
    (void)e;
    ck_assert_str_eq(stage, "decode");
    ck_assert_uint_le(done, total);
    return 0;
}

static void make_files(const char *folder, int n, int seed)
{
    char name[128];
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof(name), "%s/%c/%03d.png", folder, 'a' + i % CLASSES, i);
        picture_make(name, SIDE + i % 5, SIDE + i % 3, seed + i);
    }
}

static void trial_init(struct trial *t, bool split)
{
    struct err e;
    struct buf bytes = {0};
    *t = (struct trial){.nodes = {{.C = 3, .H = SIDE, .W = SIDE}, {.C = CLASSES, .H = 1, .W = 1}}};
    make_files(split ? "set/train" : "set", split ? TRAIN : TRAIN + TEST, 1);
    if (split)
        make_files("set/test", TEST, 100);
    ck_assert_msg(picture_folder_scan(&t->x, picture_path("set"), NULL, &e) == 0, "%s", e.text);
    ck_assert_int_eq(picture_folder_hash(&t->x, picture_path("set"), &e), 0);
    picture_index_encode(&t->x, &bytes);
    picture_write("index", bytes.p, bytes.n);
    t->r = (struct recipe){.seed = 3, .data = DATA_IMAGES, .n_files = 1, .reward = 20, .calibrate = 12};
    t->r.files[0] = (struct data_file){.name = "images.index", .hash = hash_of(bytes.p, bytes.n), .size = bytes.n};
    ck_assert_int_eq(picture_folder_part(&t->x, picture_path("set"), 0, &bytes, &e), 0);
    picture_write("part", bytes.p, bytes.n);
    buf_release(&bytes);
    t->g = (struct graph){.nodes = t->nodes, .n = 2, .output = 1};
    ck_assert_int_eq(pool_new(&t->im.needs.pool, 2, &e), 0);
    t->im.needs.graph = &t->g;
    t->im.needs.memory = 1 << 20;
    t->host = (struct job_host){.arg = t, .blob = on_blob, .folder = on_folder, .progress = on_progress};
}

static void trial_release(struct trial *t)
{
    struct pool *pool = t->im.needs.pool;
    images_release(&t->im);
    pool_free(pool);
    picture_index_release(&t->x);
}

static void load(struct trial *t, int want)
{
    struct err e;
    ck_assert_msg(images_load(&t->im, &t->r, want, &t->host, &e) == 0, "%s", e.text);
}

static int failure(struct trial *t, int want, const char *line)
{
    struct err e = {.text = "loaded"};
    int rc = images_load(&t->im, &t->r, want, &t->host, &e);
    ck_assert_str_eq(e.text, line);
    ck_assert(!t->im.have && !t->im.pictures);
    return rc;
}

/* Marks where a set's images are among all; no image twice. */
static void mark(const struct scored_set *s, uint8_t *seen, uint8_t bit)
{
    for (int i = 0; i < s->n; i++) {
        int place = s->data->place[s->index ? s->index[i] : i];
        ck_assert(!(seen[place] & bit));
        seen[place] |= bit;
    }
}

enum { REWARD = 1, CALIBRATE = 2, TUNE = 4, FINISH = 8, TESTED = 16 };

/* What each image is used for. */
static void use_of(struct trial *t, uint8_t seen[TRAIN + TEST])
{
    struct dataset test;
    struct err e;
    memset(seen, 0, TRAIN + TEST);
    ck_assert_int_eq(images_test(&t->im, &t->r, &t->host, &test, &e), 0);
    struct scored_set sets[] = {images_set(&t->im, &t->im.reward), images_set(&t->im, &t->im.calibrate),
                                images_training(&t->im, false), images_training(&t->im, true),
                                images_set(&t->im, &test)};
    for (int i = 0; i < 5; i++)
        mark(&sets[i], seen, (uint8_t)(1 << i));
    for (int i = 0; i < TRAIN + TEST; i++) /* what tests is used for nothing else; who tunes sees no reward image */
        ck_assert(seen[i] == TESTED || (seen[i] & (FINISH | TESTED)) == FINISH);
    dataset_release(&test);
}

static int count(const uint8_t *seen, uint8_t what)
{
    int n = 0;
    for (int i = 0; i < TRAIN + TEST; i++)
        n += seen[i] == what;
    return n;
}

START_TEST(with_parts)
{
    struct trial t;
    uint8_t seen[TRAIN + TEST];
    trial_init(&t, true);
    load(&t, IMAGES_CARVED);
    use_of(&t, seen);
    ck_assert_int_eq(count(seen, REWARD | FINISH), 20);
    ck_assert_int_eq(count(seen, CALIBRATE | TUNE | FINISH), 12);
    ck_assert_int_eq(count(seen, TUNE | FINISH), TRAIN - 32);
    ck_assert_int_eq(count(seen, TESTED), TEST);
    for (int i = TRAIN; i < TRAIN + TEST; i++)
        ck_assert_int_eq(seen[i], TESTED);
    trial_release(&t);
}
END_TEST

START_TEST(without_parts)
{
    struct trial t;
    uint8_t seen[TRAIN + TEST], other[TRAIN + TEST];
    trial_init(&t, false);
    load(&t, IMAGES_CARVED);
    use_of(&t, seen);
    ck_assert_int_eq(count(seen, REWARD | FINISH), 20);
    ck_assert_int_eq(count(seen, CALIBRATE | TUNE | FINISH), 12);
    ck_assert_int_eq(count(seen, TESTED), TRAIN + TEST - 32);
    images_release(&t.im);
    load(&t, IMAGES_CARVED);
    use_of(&t, other);
    ck_assert_mem_eq(seen, other, sizeof(seen));
    t.r.seed++;
    load(&t, IMAGES_CARVED);
    use_of(&t, other);
    ck_assert_mem_ne(seen, other, sizeof(seen));
    t.r.reward = 38;
    ck_assert_int_eq(failure(&t, IMAGES_CARVED,
                             "split takes 38 reward and 12 calibrate images, of 50 none is left to test on"),
                     ERR_INVALID);
    t.r.reward = 39;
    ck_assert_int_eq(failure(&t, IMAGES_CARVED, "split wants 39 reward and 12 calibrate images, the training set has 50"),
                     ERR_INVALID);
    t.r.reward = t.r.calibrate = 0;
    ck_assert_int_eq(failure(&t, IMAGES_TRAINING, "the images have no parts, train and test: a training needs both"),
                     ERR_INVALID);
    trial_release(&t);
}
END_TEST

/* A training looks at all of the training part. */
START_TEST(a_training)
{
    struct trial t;
    struct dataset test;
    struct err e;
    trial_init(&t, true);
    t.r.reward = t.r.calibrate = 0;
    load(&t, IMAGES_TRAINING);
    struct scored_set s = images_training(&t.im, true);
    ck_assert(s.n == TRAIN && s.data == images_any(&t.im) && s.data->H == SIDE && s.data->C == 3);
    ck_assert_int_eq(images_test(&t.im, &t.r, &t.host, &test, &e), 0);
    ck_assert_int_eq(test.n, TEST);
    dataset_release(&test);
    trial_release(&t);
}
END_TEST

/* Bytes come from the folder where its files are the index's, else as parts; the pixels are the same. */
START_TEST(from_a_folder_or_in_parts)
{
    struct trial t;
    struct err e;
    enum { FLOATS = 3 * SIDE * SIDE };
    float parts[FLOATS], folder[FLOATS];
    int i = 5;
    trial_init(&t, true);
    load(&t, IMAGES_CARVED);
    ck_assert_int_eq(t.asked, 1);
    ck_assert_int_eq(dataset_fill(&t.im.reward, &i, 1, NULL, NULL, parts, &e), 0);
    load(&t, IMAGES_CARVED | IMAGES_TRAINING); /* is there */
    ck_assert_int_eq(t.asked, 1);
    images_release(&t.im);
    t.folder = picture_path("set");
    load(&t, IMAGES_CARVED);
    ck_assert_int_eq(t.asked, 1);
    ck_assert_int_eq(dataset_fill(&t.im.reward, &i, 1, NULL, NULL, folder, &e), 0);
    ck_assert_mem_eq(parts, folder, sizeof(parts));
    images_release(&t.im);
    picture_make("set/train/a/000.png", SIDE, SIDE, 77);
    t.folder = picture_path("set");
    load(&t, IMAGES_CARVED);
    ck_assert_int_eq(t.asked, 2);
    t.no_parts = true;
    images_release(&t.im);
    t.folder = picture_path("set");
    ck_assert_int_eq(failure(&t, IMAGES_CARVED, "no such blob"), ERR_NOTFOUND);
    trial_release(&t);
}
END_TEST

START_TEST(what_does_not_suit)
{
    struct trial t;
    trial_init(&t, true);
    t.nodes[1].C = CLASSES + 1;
    ck_assert_int_eq(failure(&t, IMAGES_CARVED,
                             "the images have 4 classes' folders, with an offset of 0: the network has 5 outputs; where "
                             "its first output is a background class, offset 1 passes over it"),
                     ERR_INVALID);
    t.r.offset = 1;
    load(&t, IMAGES_CARVED);
    for (int i = 0; i < t.im.reward.n; i++)
        ck_assert_int_eq(dataset_label(&t.im.reward, i), t.im.reward.place[i] / (TRAIN / CLASSES) + 1);
    t.r.offset = 2;
    ck_assert_int_eq(failure(&t, IMAGES_CARVED,
                             "the images have classes 0 to 3, with an offset of 2 up to 5: the network has 5 outputs"),
                     ERR_INVALID);
    t.r.offset = 1;
    t.r.resize = SIDE - 1;
    ck_assert_int_eq(failure(&t, IMAGES_CARVED, "resize 15 is less than the network's input of 16x16 pixels"),
                     ERR_INVALID);
    t.r.resize = 0;
    t.nodes[0].C = 1;
    ck_assert_int_eq(failure(&t, IMAGES_CARVED, "the network's input has 1 channels, pictures have 3"), ERR_INVALID);
    t.nodes[0].C = 3;
    load(&t, IMAGES_CARVED);
    t.nodes[0].H = 12; /* another network */
    load(&t, IMAGES_CARVED);
    ck_assert_int_eq(t.im.reward.H, 12);
    trial_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("images");
    TCase *tc = tcase_create("images");
    tcase_add_checked_fixture(tc, picture_dir_make, picture_dir_remove);
    tcase_add_test(tc, with_parts);
    tcase_add_test(tc, without_parts);
    tcase_add_test(tc, a_training);
    tcase_add_test(tc, from_a_folder_or_in_parts);
    tcase_add_test(tc, what_does_not_suit);
    tcase_set_timeout(tc, 60);
    suite_add_tcase(s, tc);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed > 0;
}
