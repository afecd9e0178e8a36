#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/buf.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/mem.h"
#include "worker/train/dataset.h"

enum { CIFAR10_BYTES = 30730000, CIFAR100_TEST_BYTES = 30740000, MOST_FILES = 5 };

static char dir[] = "/tmp/espalier-dataset-XXXXXX";

static void enter(void)
{
    strcpy(dir + sizeof(dir) - 7, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void leave(void)
{
    static const enum data_kind kinds[] = {DATA_CIFAR10, DATA_CIFAR100, DATA_IDX};
    for (size_t k = 0; k < sizeof(kinds) / sizeof(*kinds); k++)
        for (int split = 0; split < SPLITS; split++)
            for (const struct set_file *f = data_kind_files(kinds[k], split == SPLIT_TEST); f->name; f++) {
                char *path = file_join(dir, f->name);
                remove(path);
                free(path);
            }
    ck_assert_int_eq(rmdir(dir), 0);
}

/* A file of zeros that takes no room, then `n` bytes at `at`. */
static void put(const char *name, off_t size, off_t at, const void *bytes, size_t n)
{
    char *path = file_join(dir, name);
    FILE *f = fopen(path, "wb");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fseek(f, at, SEEK_SET), 0);
    ck_assert_uint_eq(fwrite(bytes, 1, n, f), n);
    ck_assert_int_eq(fclose(f), 0);
    ck_assert_int_eq(truncate(path, size), 0);
    free(path);
}

static int load(struct dataset *d, const char *folder, enum data_kind kind, int split, struct err *e)
{
    const struct set_file *set = data_kind_files(kind, split == SPLIT_TEST);
    char *paths[MOST_FILES] = {0};
    int n = 0;
    for (; set[n].name; n++)
        paths[n] = file_join(folder, set[n].name);
    int rc = dataset_load(d, kind, split, (const char *const *)paths, 1, e);
    while (n > 0)
        free(paths[--n]);
    return rc;
}

/* `line` has DIR where the folder's name comes. */
static void refused(enum data_kind kind, int split, enum err_code code, const char *line)
{
    struct dataset d;
    struct err e;
    ck_assert_int_eq(load(&d, dir, kind, split, &e), code);
    char *at = strstr(e.text, dir);
    if (at) {
        memmove(at + 3, at + strlen(dir), strlen(at + strlen(dir)) + 1);
        memcpy(at, "DIR", 3);
    }
    ck_assert_str_eq(e.text, line);
    ck_assert_ptr_null(d.pixels);
    ck_assert_ptr_null(d.labels);
}

START_TEST(cifar_sizes)
{
    refused(DATA_CIFAR10, SPLIT_TEST, ERR_NOTFOUND,
            "data file \"test_batch.bin\": could not open \"DIR/test_batch.bin\": No such file or directory");
    for (int i = 1; i <= 5; i++) {
        char name[32];
        snprintf(name, sizeof(name), "data_batch_%d.bin", i);
        put(name, CIFAR10_BYTES - (i == 3), 0, "", 1);
    }
    refused(DATA_CIFAR10, SPLIT_TRAIN, ERR_INVALID,
            "data file \"data_batch_3.bin\": 30729999 bytes, expected 30730000");
    put("test_batch.bin", CIFAR10_BYTES + 1, 0, "", 1);
    refused(DATA_CIFAR10, SPLIT_TEST, ERR_INVALID,
            "data file \"test_batch.bin\": 30730001 bytes, expected 30730000");
    put("test_batch.bin", 0, 0, "", 1);
    refused(DATA_CIFAR10, SPLIT_TEST, ERR_INVALID, "data file \"test_batch.bin\": 0 bytes, expected 30730000");
    put("train.bin", CIFAR10_BYTES, 0, "", 1);
    refused(DATA_CIFAR100, SPLIT_TRAIN, ERR_INVALID, "data file \"train.bin\": 30730000 bytes, expected 153700000");
    char *path = file_join(dir, "test.bin");
    ck_assert_int_eq(mkdir(path, 0700), 0);
    refused(DATA_CIFAR100, SPLIT_TEST, ERR_INVALID,
            "data file \"test.bin\": \"DIR/test.bin\" is not a regular file");
    free(path);
}
END_TEST

START_TEST(cifar_labels)
{
    put("test_batch.bin", CIFAR10_BYTES, 7 * 3073, "\x0a", 1);
    refused(DATA_CIFAR10, SPLIT_TEST, ERR_INVALID,
            "data file \"test_batch.bin\": record 7 has label 10, expected 0 to 9");
    put("test.bin", CIFAR100_TEST_BYTES, 9999 * 3074, "\x00\x64", 2);
    refused(DATA_CIFAR100, SPLIT_TEST, ERR_INVALID,
            "data file \"test.bin\": record 9999 has label 100, expected 0 to 99");
}
END_TEST

/* The fine label, which is the second byte, and pixels where they belong. */
START_TEST(cifar100_reads)
{
    struct dataset d;
    struct err e;
    put("test.bin", CIFAR100_TEST_BYTES, 3074, "\x13\x63\x05\x06", 4);
    ck_assert_int_eq(load(&d, dir, DATA_CIFAR100, SPLIT_TEST, &e), 0);
    ck_assert_int_eq(d.n, 10000);
    ck_assert_int_eq(d.n_classes, 100);
    ck_assert(d.C == 3 && d.H == 32 && d.W == 32);
    ck_assert_int_eq(d.labels[0], 0);
    ck_assert_int_eq(d.labels[1], 99);
    ck_assert_int_eq(d.pixels[3072], 5);
    ck_assert_int_eq(d.pixels[3073], 6);
    dataset_release(&d);
}
END_TEST

static const char images_5x2x3[] = "\0\0\x08\x03\0\0\0\x05\0\0\0\x02\0\0\0\x03";
static const char labels_5[] = "\0\0\x08\x01\0\0\0\x05\x03\x01\x04\x01\x05";
enum { IMAGES_BYTES = 16 + 30, LABELS_BYTES = 8 + 5 };

#define IMAGES "data file \"t10k-images-idx3-ubyte\": "
#define LABELS "data file \"t10k-labels-idx1-ubyte\": "

START_TEST(idx_refused)
{
    static const struct {
        const char *header;
        int n, size;
        enum err_code code;
        const char *line;
    } images[] = {
        {"", 0, 0, ERR_INVALID, IMAGES "0 bytes, expected 16 to 2147483648"},
        {images_5x2x3, 15, 15, ERR_INVALID, IMAGES "15 bytes, expected 16 to 2147483648"},
        {labels_5, 13, 46, ERR_INVALID, IMAGES "magic number 0x00000801, expected 0x00000803"},
        {"\x1f\x8b\x08\x08", 4, 46, ERR_INVALID, IMAGES "magic number 0x1f8b0808, expected 0x00000803"},
        {images_5x2x3, 16, 45, ERR_INVALID, IMAGES "45 bytes, expected 46 by its dimensions"},
        {images_5x2x3, 16, 47, ERR_INVALID, IMAGES "47 bytes, expected 46 by its dimensions"},
        {"\0\0\x08\x03\0\0\0\x05\0\0\0\0\0\0\0\x03", 16, 16, ERR_INVALID, IMAGES "dimension 1 is 0"},
        {"\0\0\x08\x03\xff\xff\xff\xff\0\0\0\x01\0\0\0\x01", 16, 46, ERR_INVALID,
         IMAGES "dimension 0 is 4294967295"},
        {"\0\0\x08\x03\x7f\xff\xff\xff\x7f\xff\xff\xff\x7f\xff\xff\xff", 16, 46, ERR_INVALID,
         IMAGES "dimensions promise more than the file's 46 bytes"},
    };
    put("t10k-labels-idx1-ubyte", LABELS_BYTES, 0, labels_5, LABELS_BYTES);
    for (size_t i = 0; i < sizeof(images) / sizeof(*images); i++) {
        put("t10k-images-idx3-ubyte", images[i].size, 0, images[i].header, (size_t)images[i].n);
        refused(DATA_IDX, SPLIT_TEST, images[i].code, images[i].line);
    }
    put("t10k-images-idx3-ubyte", IMAGES_BYTES, 0, images_5x2x3, 16);
    put("t10k-labels-idx1-ubyte", LABELS_BYTES, 0, images_5x2x3, 16);
    refused(DATA_IDX, SPLIT_TEST, ERR_INVALID, LABELS "magic number 0x00000803, expected 0x00000801");
    put("t10k-labels-idx1-ubyte", 8 + 4, 0, labels_5, 8);
    refused(DATA_IDX, SPLIT_TEST, ERR_INVALID, LABELS "12 bytes, expected 13 by its dimensions");
    put("t10k-labels-idx1-ubyte", 8 + 4, 0, "\0\0\x08\x01\0\0\0\x04", 8);
    refused(DATA_IDX, SPLIT_TEST, ERR_INVALID, LABELS "4 labels, but \"t10k-images-idx3-ubyte\" has 5 images");
}
END_TEST

START_TEST(idx_huge)
{
    put("t10k-images-idx3-ubyte", ((off_t)2 << 30) + 1, 0, images_5x2x3, 16);
    refused(DATA_IDX, SPLIT_TEST, ERR_LIMIT, IMAGES "2147483649 bytes, expected 16 to 2147483648");
}
END_TEST

START_TEST(idx_reads)
{
    struct dataset d;
    struct err e;
    put("t10k-labels-idx1-ubyte", LABELS_BYTES, 0, labels_5, LABELS_BYTES);
    put("t10k-images-idx3-ubyte", IMAGES_BYTES, 0, images_5x2x3, 16);
    ck_assert_int_eq(load(&d, dir, DATA_IDX, SPLIT_TEST, &e), 0);
    ck_assert(d.n == 5 && d.C == 1 && d.H == 2 && d.W == 3 && d.n_classes == 6);
    ck_assert_mem_eq(d.labels, "\x03\x01\x04\x01\x05", 5);
    dataset_release(&d);
}
END_TEST

static void fill(const struct dataset *d, const int *index, int n, const double *mean, const double *std, float *x)
{
    struct err e;
    ck_assert_int_eq(dataset_fill(d, index, n, mean, std, x, &e), 0);
}

static void fill_toy(struct dataset *d, uint8_t *pixels, uint8_t *labels, int n, int C, int H, int W)
{
    *d = (struct dataset){.n = n, .C = C, .H = H, .W = W, .n_classes = 2, .pixels = pixels, .labels = labels};
    for (int i = 0; i < n * C * H * W; i++)
        pixels[i] = (uint8_t)(i * 37);
}

START_TEST(filling)
{
    enum { N = 7, C = 3, AREA = 15 };
    static const double mean[] = {123.675, 116.28, 103.53}, std[] = {58.395, 57.12, 57.375};
    static const int index[] = {6, 0, 3, 3};
    uint8_t pixels[N * C * AREA], labels[N] = {0};
    float x[4 * C * AREA + 1], plain[4 * C * AREA];
    struct dataset d;
    fill_toy(&d, pixels, labels, N, C, 3, 5);
    x[4 * C * AREA] = 42;
    fill(&d, index, 4, mean, std, x);
    fill(&d, index, 4, NULL, NULL, plain);
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < C; c++)
            for (int k = 0; k < AREA; k++) {
                uint8_t pixel = pixels[(index[i] * C + c) * AREA + k];
                int at = (i * C + c) * AREA + k;
                ck_assert(x[at] == (float)((pixel - mean[c]) / std[c]));
                ck_assert(plain[at] == (float)pixel);
            }
    ck_assert(x[4 * C * AREA] == 42);
}
END_TEST

static void carve(int n, uint64_t seed, int reward, int calibrate, int *r, int *c)
{
    struct dataset d = {.n = n};
    struct err e;
    ck_assert_int_eq(dataset_carve(&d, seed, reward, calibrate, r, c, &e), 0);
}

START_TEST(carving)
{
    enum { N = 1000, R = 300, C = 200 };
    int r[R], c[C], again_r[R], again_c[C], all[N];
    bool taken[N] = {0};
    carve(N, 5, R, C, r, c);
    for (int i = 0; i < R + C; i++) {
        int *list = i < R ? &r[i] : &c[i - R];
        ck_assert(*list >= 0 && *list < N && !taken[*list]);
        ck_assert(i == 0 || i == R || list[0] > list[-1]);
        taken[*list] = true;
    }
    carve(N, 5, R, C, again_r, again_c);
    ck_assert_mem_eq(r, again_r, sizeof(r));
    ck_assert_mem_eq(c, again_c, sizeof(c));
    carve(N, 6, R, C, again_r, again_c);
    ck_assert_mem_ne(r, again_r, sizeof(r));
    ck_assert_mem_ne(c, again_c, sizeof(c));
    carve(N, 5, R, 0, again_r, again_c);
    ck_assert_mem_eq(r, again_r, sizeof(r)); /* how many calibrate says nothing about the reward images */
    carve(N, 5, 0, N, NULL, all);
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(all[i], i);
}
END_TEST

START_TEST(carving_too_much)
{
    struct dataset d = {.n = 10};
    struct err e;
    static const int wanted[][2] = {{6, 5}, {11, 0}, {0, 11}, {2147483647, 2147483647}, {-1, 5}, {5, -1}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
        char line[128];
        ck_assert_int_eq(dataset_carve(&d, 1, wanted[i][0], wanted[i][1], NULL, NULL, &e), ERR_INVALID);
        snprintf(line, sizeof(line), "split wants %d reward and %d calibrate images, the training set has 10",
                 wanted[i][0], wanted[i][1]);
        ck_assert_str_eq(e.text, line);
    }
}
END_TEST

static void draw(struct dataset *d, int split, uint64_t seed)
{
    struct err e;
    ck_assert_int_eq(dataset_load(d, DATA_SYNTHETIC, split, NULL, seed, &e), 0);
    ck_assert(d->C == 3 && d->H == 32 && d->W == 32 && d->n_classes == 10);
}

/* The bytes themselves: a change of them would change every result on synthetic data. */
START_TEST(synthetic_same_everywhere)
{
    struct dataset train, test, other;
    char hex[HASH_HEX];
    draw(&train, SPLIT_TRAIN, 1);
    draw(&test, SPLIT_TEST, 1);
    draw(&other, SPLIT_TEST, 2);
    ck_assert_int_eq(train.n, 10000);
    ck_assert_int_eq(test.n, 2000);
    struct hash h = hash_of(test.pixels, (size_t)test.n * 3072);
    hash_to_hex(&h, hex);
    ck_assert_str_eq(hex, "bb8513623d9259ef237b5f248143f6aa30efabf253352b359579c560dd9edff6");
    for (int i = 0; i < test.n; i++) {
        ck_assert_int_eq(test.labels[i], i % 10);
        ck_assert_mem_ne(test.pixels + i * 3072, train.pixels + i * 3072, 3072);
        ck_assert_mem_ne(test.pixels + i * 3072, other.pixels + i * 3072, 3072);
    }
    dataset_release(&train);
    dataset_release(&test);
    dataset_release(&other);
}
END_TEST

enum { PIXELS = 3072, CLASSES = 10 };

static void linear(const float *w, const float *x, double y[CLASSES])
{
    for (int k = 0; k < CLASSES; k++) {
        float sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int j = 0; j < PIXELS; j++)
            sum += w[k * PIXELS + j] * x[j];
        y[k] = sum;
    }
}

/* One step of softmax regression on one image. */
static void learn(float *w, const float *x, int label, double rate)
{
    double y[CLASSES], top = -INFINITY, sum = 0;
    linear(w, x, y);
    for (int k = 0; k < CLASSES; k++)
        top = fmax(top, y[k]);
    for (int k = 0; k < CLASSES; k++)
        sum += exp(y[k] - top);
    for (int k = 0; k < CLASSES; k++) {
        float step = (float)(rate * (exp(y[k] - top) / sum - (k == label)));
#pragma omp simd
        for (int j = 0; j < PIXELS; j++)
            w[k * PIXELS + j] -= step * x[j];
    }
}

static double share_right(const struct dataset *d, const float *w, const double *mean, const double *std)
{
    float x[PIXELS];
    int right = 0;
    for (int i = 0; i < d->n; i++) {
        double y[CLASSES];
        int best = 0;
        fill(d, &i, 1, mean, std, x);
        linear(w, x, y);
        for (int k = 1; k < CLASSES; k++)
            best = y[k] > y[best] ? k : best;
        right += best == d->labels[i];
    }
    return (double)right / d->n;
}

/* What tells the classes apart must not be in single pixels; that a CNN finds it is for the integration tests. */
START_TEST(synthetic_not_linear)
{
    static const double mean[] = {127.5, 127.5, 127.5}, std[] = {54, 54, 54};
    struct dataset train, test;
    float x[PIXELS], *w = mem_zalloc(CLASSES * PIXELS, sizeof(*w));
    draw(&train, SPLIT_TRAIN, 1);
    draw(&test, SPLIT_TEST, 1);
    for (int epoch = 0; epoch < 3; epoch++)
        for (int i = 0; i < train.n; i++) {
            fill(&train, &i, 1, mean, std, x);
            learn(w, x, train.labels[i], 1e-4 / (1 + epoch));
        }
    double on_train = share_right(&train, w, mean, std), on_test = share_right(&test, w, mean, std);
    printf("linear model on synthetic: %.1f%% of train, %.1f%% of test\n", 100 * on_train, 100 * on_test);
    ck_assert(on_train > 0.12); /* it did learn something by heart */
    ck_assert(on_test < 0.3);
    mem_free(w);
    dataset_release(&train);
    dataset_release(&test);
}
END_TEST

/* Loads a real set from $ESPALIER_DATA/NAME; false, with a word on why, where there is none. */
static bool load_real(struct dataset *d, const char *name, enum data_kind kind, int split)
{
    const char *data = getenv("ESPALIER_DATA");
    struct err e;
    if (!data) {
        printf("skipped: %s (ESPALIER_DATA is not set)\n", name);
        return false;
    }
    char *folder = file_join(data, name);
    bool there = access(folder, F_OK) == 0;
    if (!there)
        printf("skipped: %s is absent\n", folder);
    else if (load(d, folder, kind, split, &e) < 0)
        ck_abort_msg("%s", e.text);
    free(folder);
    return there;
}

static double mean_pixel(const struct dataset *d, int c)
{
    size_t area = (size_t)d->H * (size_t)d->W;
    double sum = 0;
    for (int i = 0; i < d->n; i++)
        for (size_t k = 0; k < area; k++)
            sum += d->pixels[((size_t)i * (size_t)d->C + (size_t)c) * area + k];
    return sum / (double)area / d->n;
}

START_TEST(real_cifar10)
{
    static const double mean[] = {125.307, 122.950, 113.865}; /* as papers have them: 0.4914, 0.4822, 0.4465 */
    struct dataset d;
    for (int split = 0; split < SPLITS; split++) {
        if (!load_real(&d, "cifar10", DATA_CIFAR10, split))
            return;
        int count[10] = {0};
        for (int i = 0; i < d.n; i++)
            count[d.labels[i]]++;
        ck_assert_int_eq(d.n, split == SPLIT_TRAIN ? 50000 : 10000);
        ck_assert_int_eq(d.labels[0], split == SPLIT_TRAIN ? 6 : 3);
        for (int k = 0; k < 10; k++)
            ck_assert_int_eq(count[k], d.n / 10);
        for (int c = 0; c < 3 && split == SPLIT_TRAIN; c++)
            ck_assert_double_eq_tol(mean_pixel(&d, c), mean[c], 0.01);
        dataset_release(&d);
    }
}
END_TEST

START_TEST(real_mnist)
{
    static const int zeros[] = {5923, 980}, first[] = {5, 7}, sizes[] = {60000, 10000};
    struct dataset d;
    for (int split = 0; split < SPLITS; split++) {
        if (!load_real(&d, "mnist", DATA_IDX, split))
            return;
        int zero = 0;
        for (int i = 0; i < d.n; i++)
            zero += d.labels[i] == 0;
        ck_assert(d.n == sizes[split] && d.C == 1 && d.H == 28 && d.W == 28 && d.n_classes == 10);
        ck_assert_int_eq(d.labels[0], first[split]);
        ck_assert_int_eq(zero, zeros[split]);
        if (split == SPLIT_TRAIN)
            ck_assert_double_eq_tol(mean_pixel(&d, 0) / 255, 0.1307, 0.0001);
        dataset_release(&d);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("dataset");
    TCase *files = tcase_create("files");
    tcase_add_checked_fixture(files, enter, leave);
    tcase_set_timeout(files, 60);
    tcase_add_test(files, cifar_sizes);
    tcase_add_test(files, cifar_labels);
    tcase_add_test(files, cifar100_reads);
    tcase_add_test(files, idx_refused);
    tcase_add_test(files, idx_huge);
    tcase_add_test(files, idx_reads);
    suite_add_tcase(s, files);
    TCase *use = tcase_create("use");
    tcase_set_timeout(use, 120);
    tcase_add_test(use, filling);
    tcase_add_test(use, carving);
    tcase_add_test(use, carving_too_much);
    tcase_add_test(use, synthetic_same_everywhere);
    tcase_add_test(use, synthetic_not_linear);
    tcase_add_test(use, real_cifar10);
    tcase_add_test(use, real_mnist);
    suite_add_tcase(s, use);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
