#include <check.h>
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "worker/train/augment.h"

enum { H = 5, W = 7, C = 3, AREA = H * W, IMAGE = C * AREA };

static const double mean[] = {10, 20.5, 30}, std[] = {2, 3, 7};

/* Two images in which each pixel says where it is: value 1 + place, none of which becomes 0. */
static void set_init(struct dataset *d)
{
    *d = (struct dataset){.n = 2, .C = C, .H = H, .W = W, .n_classes = 2, .pixels = mem_alloc(2, IMAGE), .labels = mem_zalloc(2, 1)};
    for (int i = 0; i < 2 * IMAGE; i++)
        d->pixels[i] = (uint8_t)(i < IMAGE ? 100 + i : 250 - i % IMAGE);
}

static void fill(const struct dataset *d, const int *index, int n, const double *m, const double *s, float *x)
{
    struct err e;
    ck_assert_int_eq(dataset_fill(d, index, n, m, s, x, &e), 0);
}

static void look(const struct augment *a, const struct dataset *d, int index, const double *m, const double *s,
                 uint64_t seed, int epoch, int at, float *x, bool *flipped)
{
    struct err e;
    ck_assert_int_eq(augment_image(a, d, index, m, s, seed, epoch, at, x, flipped, &e), 0);
}

/* What pixel (c, h, w) of image `index` is in the network's eyes; outside of the image 0. */
static float pixel(const struct dataset *d, int index, int c, int h, int w)
{
    if (h < 0 || h >= H || w < 0 || w >= W)
        return 0;
    return (float)((d->pixels[index * IMAGE + c * AREA + h * W + w] - mean[c]) / std[c]);
}

/* Whether x is image 0, moved by (top, left) and then mirrored or not. */
static bool moved_so(const struct dataset *d, const float *x, int top, int left, bool flip)
{
    for (int c = 0; c < C; c++)
        for (int h = 0; h < H; h++)
            for (int w = 0; w < W; w++)
                if (x[c * AREA + h * W + (flip ? W - 1 - w : w)] != pixel(d, 0, c, h + top, w + left))
                    return false;
    return true;
}

START_TEST(nothing_asked_for)
{
    const struct augment a = {0};
    struct dataset d;
    float x[IMAGE], want[IMAGE];
    bool flipped = true;
    set_init(&d);
    for (int i = 0; i < 2; i++) {
        look(&a, &d, i, mean, std, 1, 3, 9, x, &flipped);
        fill(&d, &i, 1, mean, std, want);
        ck_assert_mem_eq(x, want, sizeof x);
        ck_assert(!flipped);
        look(&a, &d, i, NULL, NULL, 1, 3, 9, x, NULL);
        fill(&d, &i, 1, NULL, NULL, want);
        ck_assert_mem_eq(x, want, sizeof x);
    }
    dataset_release(&d);
}
END_TEST

/* Each offset and side about equally often, and what is said of the side true. */
START_TEST(crops_and_flips)
{
    enum { PAD = 2, OFFSETS = 2 * PAD + 1, DRAWS = 10000 };
    const struct augment a = {.pad = PAD, .flip = true};
    struct dataset d;
    float x[IMAGE];
    int seen[OFFSETS][OFFSETS][2] = {{{0}}};
    set_init(&d);
    for (int at = 0; at < DRAWS; at++) {
        bool flipped;
        int hits = 0;
        look(&a, &d, 0, mean, std, 1, at % 7, at, x, &flipped);
        for (int top = 0; top < OFFSETS; top++)
            for (int left = 0; left < OFFSETS; left++)
                if (moved_so(&d, x, top - PAD, left - PAD, flipped)) {
                    seen[top][left][flipped]++;
                    hits++;
                }
        ck_assert_int_eq(hits, 1);
    }
    for (int top = 0; top < OFFSETS; top++)
        for (int left = 0; left < OFFSETS; left++)
            for (int flip = 0; flip < 2; flip++) /* 200 expected, sd 14 */
                ck_assert_msg(seen[top][left][flip] > 130 && seen[top][left][flip] < 270, "%d %d %d: %d times",
                              top - PAD, left - PAD, flip, seen[top][left][flip]);
    dataset_release(&d);
}
END_TEST

START_TEST(flips_half_the_time)
{
    const struct augment a = {.flip = true};
    struct dataset d;
    float x[IMAGE];
    int flips = 0;
    set_init(&d);
    for (int at = 0; at < 10000; at++) {
        bool flipped;
        look(&a, &d, 0, mean, std, 2, 0, at, x, &flipped);
        ck_assert(moved_so(&d, x, 0, 0, flipped));
        flips += flipped;
    }
    ck_assert_msg(abs(flips - 5000) < 250, "%d flips", flips);
    dataset_release(&d);
}
END_TEST

/* More padding than image: some crops hold nothing of it. */
START_TEST(far_away)
{
    const struct augment a = {.pad = 20};
    struct dataset d;
    float x[IMAGE];
    int empty = 0;
    set_init(&d);
    for (int at = 0; at < 300; at++) {
        int some = 0;
        look(&a, &d, 0, mean, std, 2, 0, at, x, NULL);
        for (int i = 0; i < IMAGE; i++)
            some += x[i] != 0;
        empty += !some;
    }
    ck_assert(empty > 200 && empty < 300);
    dataset_release(&d);
}
END_TEST

/* A hole whose middle is any pixel, cut at the borders, the same in all channels. */
START_TEST(cutout)
{
    const int side = _i;
    const struct augment a = {.cutout = side};
    struct dataset d;
    float x[IMAGE];
    int seen[AREA] = {0}, whole = 0;
    set_init(&d);
    for (int at = 0; at < 7000; at++) {
        int top = H, left = W, bottom = -1, right = -1;
        look(&a, &d, 0, mean, std, 3, 1, at, x, NULL);
        for (int i = 0; i < AREA; i++) {
            ck_assert((x[i] == 0) == (x[i + AREA] == 0) && (x[i] == 0) == (x[i + 2 * AREA] == 0));
            if (x[i] != 0) {
                ck_assert_float_eq(x[i], pixel(&d, 0, 0, i / W, i % W));
                continue;
            }
            top = i / W < top ? i / W : top;
            left = i % W < left ? i % W : left;
            bottom = i / W;
            right = i % W > right ? i % W : right;
        }
        ck_assert(bottom >= top && right >= left); /* never all outside */
        for (int h = top; h <= bottom; h++)
            for (int w = left; w <= right; w++)
                ck_assert(x[h * W + w] == 0);
        ck_assert(bottom - top < side && right - left < side);
        ck_assert(top == 0 || bottom == H - 1 || bottom - top + 1 == side);
        ck_assert(left == 0 || right == W - 1 || right - left + 1 == side);
        whole += (bottom - top + 1) * (right - left + 1) == side * side;
        seen[top * W + left]++;
    }
    /* middles for which all of it is inside */
    int places = (H - side + 1) * (W - side + 1);
    ck_assert_msg(abs(whole - 7000 * places / AREA) < 400, "%d whole holes", whole);
    for (int h = 0; h <= H - side; h++)
        for (int w = 0; w <= W - side; w++)
            ck_assert_int_gt(seen[h * W + w], 100);
    dataset_release(&d);
}
END_TEST

/* The same (seed, epoch, at) gives the same picture, any other another one most of the time. */
START_TEST(seeded)
{
    const struct augment a = {.pad = 3, .flip = true, .cutout = 2};
    struct dataset d;
    float x[IMAGE], y[IMAGE];
    int same[3] = {0};
    set_init(&d);
    for (int at = 0; at < 200; at++) {
        look(&a, &d, 1, mean, std, 9, 4, at, x, NULL);
        look(&a, &d, 1, mean, std, 9, 4, at, y, NULL);
        ck_assert_mem_eq(x, y, sizeof x);
        look(&a, &d, 1, mean, std, 10, 4, at, y, NULL);
        same[0] += memcmp(x, y, sizeof x) == 0;
        look(&a, &d, 1, mean, std, 9, 5, at, y, NULL);
        same[1] += memcmp(x, y, sizeof x) == 0;
        look(&a, &d, 1, mean, std, 9, 4, at + 1, y, NULL);
        same[2] += memcmp(x, y, sizeof x) == 0;
    }
    for (int k = 0; k < 3; k++)
        ck_assert_int_lt(same[k], 10);
    dataset_release(&d);
}
END_TEST

START_TEST(few_looks)
{
    ck_assert(augment_few(&(struct augment){0}));
    ck_assert(augment_few(&(struct augment){.flip = true}));
    ck_assert(!augment_few(&(struct augment){.pad = 1}));
    ck_assert(!augment_few(&(struct augment){.cutout = 1}));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("augment");
    TCase *t = tcase_create("augment");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, nothing_asked_for);
    tcase_add_test(t, crops_and_flips);
    tcase_add_test(t, flips_half_the_time);
    tcase_add_test(t, far_away);
    tcase_add_loop_test(t, cutout, 1, 5);
    tcase_add_test(t, seeded);
    tcase_add_test(t, few_looks);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
