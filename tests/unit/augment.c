#include <check.h>
#include <math.h>
#include <string.h>

#include "tests/unit/picture_files.h"

#include "common/base/mem.h"
#include "common/pictures/folder.h"
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
    ck_assert(!augment_few(&(struct augment){.scale = {0.5, 1}}));
}
END_TEST

/* ---- picture files ---- */

enum { SIDE = 16, PIXELS = SIDE * SIDE, CROP = 3 * PIXELS };

/* One picture in whose red every pixel says its column, in whose green its row: 4 a pixel. */
static struct pictures *open_ramp(int Y, int X)
{
    const struct pictures_view v = {.H = SIDE, .W = SIDE};
    struct picture_index x;
    struct pictures *p;
    struct err e;
    struct buf out = {0};
    uint8_t *rgb = xcalloc((size_t)(Y * X), 3);
    for (int y = 0; y < Y; y++)
        for (int i = 0; i < X; i++) {
            rgb[(y * X + i) * 3] = (uint8_t)(4 * i);
            rgb[(y * X + i) * 3 + 1] = (uint8_t)(4 * y);
        }
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_set_write_fn(png, &out, picture_png_write, NULL);
    png_set_IHDR(png, info, (png_uint_32)X, (png_uint_32)Y, 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < Y; y++)
        png_write_row(png, rgb + y * X * 3);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    picture_write("ramp/a/0.png", out.p, out.n);
    free(rgb);
    buf_release(&out);
    ck_assert_msg(picture_folder_scan(&x, picture_path("ramp"), NULL, &e) == 0, "%s", e.text);
    ck_assert_msg(pictures_open(&p, &x, picture_path("ramp"), NULL, &v, CROP, &e) == 0, "%s", e.text);
    return p;
}

struct seen { /* a rectangle, as the ramps show it: in pixels of the picture */
    double left, width, top, height;
};

/* A ramp stays one when it is resized, but for its ends. */
static struct seen read_ramp(const float *x, bool flip)
{
    const float *red = x, *green = x + PIXELS;
    double step = (red[flip ? 4 : 11] - red[flip ? 11 : 4]) / 7 / 4, down = (green[11 * SIDE] - green[4 * SIDE]) / 7 / 4;
    double middle = (red[7] + red[8]) / 2 / 4, half = (green[7 * SIDE] + green[8 * SIDE]) / 2 / 4;
    return (struct seen){middle + 0.5 - step * SIDE / 2, step * SIDE, half + 0.5 - down * SIDE / 2, down * SIDE};
}

START_TEST(rectangles_at_random)
{
    enum { N = 400, Y = 60, X = 48 };
    static const struct augment a = {.flip = true, .scale = {0.25, 0.75}};
    struct pictures *p = open_ramp(Y, X);
    struct dataset d;
    struct err e;
    float x[CROP], again[CROP];
    double least = 1, most = 0, narrow = 9, wide = 0, left = 9, right = 0;
    int flips = 0, same = 0;
    ck_assert_int_eq(dataset_of_pictures(&d, p, NULL, 1, &e), 0);
    for (int i = 0; i < N; i++) {
        bool flip;
        look(&a, &d, 0, NULL, NULL, 5, 2, i, x, &flip);
        struct seen s = read_ramp(x, flip);
        double share = s.width * s.height / (X * Y), ratio = s.width / s.height;
        ck_assert_msg(s.left > -1 && s.left + s.width < X + 1 && s.top > -1 && s.top + s.height < Y + 1,
                      "%g %g %g %g", s.left, s.width, s.top, s.height);
        least = fmin(least, share);
        most = fmax(most, share);
        narrow = fmin(narrow, ratio);
        wide = fmax(wide, ratio);
        left = fmin(left, s.left / X);
        right = fmax(right, (s.left + s.width) / X);
        flips += flip;
        look(&a, &d, 0, NULL, NULL, 5, 2, i, again, NULL);
        ck_assert_mem_eq(x, again, sizeof(x));
        look(&a, &d, 0, NULL, NULL, 5, 3, i, again, NULL);
        same += memcmp(x, again, sizeof(x)) == 0;
    }
    ck_assert_msg(least > 0.22 && least < 0.3 && most > 0.7 && most < 0.8, "shares %g to %g", least, most);
    ck_assert_msg(narrow > 0.7 && narrow < 0.8 && wide > 1.25 && wide < 1.42, "proportions %g to %g", narrow, wide);
    ck_assert(left < 0.05 && right > 0.95);
    ck_assert(flips > N / 3 && flips < N * 2 / 3);
    ck_assert_int_lt(same, N / 20);
    dataset_release(&d);
    pictures_free(p);
}
END_TEST

/* Where no rectangle of allowed proportions and size can be found: the largest in the middle. */
START_TEST(long_pictures_give_their_middle)
{
    static const struct augment a = {.scale = {1, 1}};
    static const int shapes[][2] = {{12, 60}, {60, 12}};
    struct pictures *p = open_ramp(shapes[_i][0], shapes[_i][1]);
    struct dataset d;
    struct err e;
    float x[CROP];
    bool flip;
    ck_assert_int_eq(dataset_of_pictures(&d, p, NULL, 1, &e), 0);
    look(&a, &d, 0, NULL, NULL, 1, 1, 1, x, &flip);
    struct seen s = read_ramp(x, flip);
    ck_assert(!flip);
    ck_assert(fabs(s.width - (_i ? 12 : 16)) < 1.2 && fabs(s.height - (_i ? 16 : 12)) < 1.2);
    ck_assert(fabs(s.left - (_i ? 0 : 22)) < 1.2 && fabs(s.top - (_i ? 22 : 0)) < 1.2);
    dataset_release(&d);
    pictures_free(p);
}
END_TEST

/* Without a scale it is the evaluation's crop, mirrored or not. */
START_TEST(pictures_without_a_scale)
{
    static const struct augment a = {.flip = true, .cutout = 4};
    static const double m[] = {10, 20, 30}, s[] = {2, 3, 4};
    struct pictures *p = open_ramp(30, 40);
    struct dataset d;
    struct err e;
    float x[CROP], want[CROP];
    int flips = 0, i = 0;
    ck_assert_int_eq(dataset_of_pictures(&d, p, NULL, 1, &e), 0);
    fill(&d, &i, 1, m, s, want);
    ck_assert(want[0] != want[1]);
    for (int at = 0; at < 50; at++) {
        bool flip;
        int holes = 0;
        look(&a, &d, 0, m, s, 1, 1, at, x, &flip);
        for (int k = 0; k < CROP; k++) {
            float w = want[flip ? k - k % SIDE + SIDE - 1 - k % SIDE : k];
            ck_assert(x[k] == w || x[k] == 0);
            holes += x[k] != w;
        }
        ck_assert(holes > 0 && holes <= 3 * 4 * 4);
        flips += flip;
    }
    ck_assert(flips > 5 && flips < 45);
    dataset_release(&d);
    pictures_free(p);
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
    TCase *pictures = tcase_create("pictures");
    tcase_add_checked_fixture(pictures, picture_dir_make, picture_dir_remove);
    tcase_add_test(pictures, rectangles_at_random);
    tcase_add_loop_test(pictures, long_pictures_give_their_middle, 0, 2);
    tcase_add_test(pictures, pictures_without_a_scale);
    suite_add_tcase(s, pictures);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
