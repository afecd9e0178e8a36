#include <check.h>

#include "tests/unit/picture_files.h"

#include "common/pictures/folder.h"
#include "worker/train/jpeg.h"
#include "worker/train/pictures.h"
#include "worker/train/png.h"

static FILE *golden(const char *name)
{
    const char *dir = getenv("ESPALIER_TESTS");
    char path[512];
    snprintf(path, sizeof(path), "%s/golden/%s", dir ? dir : "tests", name);
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s", path);
    return f;
}

static size_t from_hex(const char *s, uint8_t *out)
{
    size_t n = 0;
    for (unsigned v; s[0] && s[1] && sscanf(s, "%2x", &v) == 1; s += 2)
        out[n++] = (uint8_t)v;
    return n;
}

/* ---- resize ---- */

/* Against Pillow: tests/golden/resize.py. */
START_TEST(resized_as_pillow_does)
{
    static char hex[8192];
    FILE *f = golden("resize.txt");
    struct rect from;
    struct err e;
    int H, W, to_H, to_W, cases = 0;
    while (fscanf(f, "%d %d %d %d %d %d %d %d %8191s", &H, &W, &from.top, &from.left, &from.H, &from.W, &to_H,
                  &to_W, hex) == 9) {
        uint8_t want[4096], got[4096], row[3 * 64];
        size_t n = from_hex(hex, want);
        ck_assert_uint_eq(n, (size_t)to_H * (size_t)to_W * 3);
        struct rect parts[] = {{0, 0, to_H, to_W}, {to_H / 3, to_W / 2, to_H - to_H / 3, to_W - to_W / 2}};
        for (int k = 0; k < 2; k++) { /* all of it, then a window of it */
            struct resize r;
            const struct rect *to = &parts[k];
            ck_assert_int_eq(resize_init(&r, &from, to_H, to_W, to, &e), 0);
            for (int h = 0; h < H; h++) {
                for (int i = 0; i < 3 * W; i++) {
                    int w = i / 3, c = i % 3;
                    row[i] = (uint8_t)(h * h * 31 + w * w * 17 + h * w * 7 + c * 85 + (h ^ w) * 3);
                }
                resize_row(&r, h, row);
            }
            resize_finish(&r, got);
            for (int h = 0; h < to->H; h++)
                ck_assert_mem_eq(got + h * to->W * 3, want + ((to->top + h) * to_W + to->left) * 3,
                                 (size_t)to->W * 3);
            resize_release(&r);
        }
        cases++;
    }
    fclose(f);
    ck_assert_int_eq(cases, 8);
}
END_TEST

/* ---- decoding ---- */

struct canvas {
    int H, W, rows;
    uint8_t *rgb;
};

static int on_begin(void *arg, int H, int W, struct err *e)
{
    struct canvas *c = arg;
    (void)e;
    *c = (struct canvas){H, W, 0, xcalloc((size_t)H * (size_t)W, 3)};
    return 0;
}

static void on_row(void *arg, int h, const uint8_t *rgb)
{
    struct canvas *c = arg;
    ck_assert_int_eq(h, c->rows++);
    memcpy(c->rgb + (size_t)h * (size_t)c->W * 3, rgb, (size_t)c->W * 3);
}

static int decode(const void *bytes, size_t n, struct canvas *c, struct err *e)
{
    const struct rows to = {on_begin, on_row, c};
    /* Of the very size, so that a sanitizer sees one byte too far. */
    uint8_t *exact = malloc(n);
    memcpy(exact, bytes, n);
    *c = (struct canvas){0};
    int rc = exact[0] == 0x89 ? png_rows(exact, n, &to, e) : jpeg_rows(exact, n, &to, e);
    free(exact);
    return rc;
}

/* Against Pillow: tests/golden/decode.py. */
START_TEST(decoded_as_pillow_does)
{
    static char name[64], file[16384], pixels[4096];
    FILE *f = golden("decode.txt");
    struct canvas c;
    struct err e;
    int H, W, cases = 0;
    while (fscanf(f, "%63s %d %d %16383s %4095s", name, &H, &W, file, pixels) == 5) {
        uint8_t bytes[8192], want[2048];
        size_t n = from_hex(file, bytes), size = from_hex(pixels, want);
        ck_assert_msg(decode(bytes, n, &c, &e) == 0, "%s: %s", name, e.text);
        ck_assert(c.H == H && c.W == W && c.rows == H);
        ck_assert_uint_eq(size, (size_t)H * (size_t)W * 3);
        for (size_t i = 0; i < size; i++)
            ck_assert_msg(c.rgb[i] == want[i], "%s: byte %zu is %d, not %d", name, i, c.rgb[i], want[i]);
        free(c.rgb);
        cases++;
    }
    fclose(f);
    ck_assert_int_eq(cases, 13);
}
END_TEST

START_TEST(interlaced_is_the_same)
{
    struct buf plain = picture_png(37, 23, 5, false), woven = picture_png(37, 23, 5, true);
    struct canvas a, b;
    struct err e;
    uint8_t *drawn = picture_draw(37, 23, 5);
    ck_assert_int_eq(decode(plain.p, plain.n, &a, &e), 0);
    ck_assert_int_eq(decode(woven.p, woven.n, &b, &e), 0);
    ck_assert_mem_eq(a.rgb, drawn, 37 * 23 * 3);
    ck_assert_mem_eq(b.rgb, drawn, 37 * 23 * 3);
    free(a.rgb);
    free(b.rgb);
    free(drawn);
    buf_release(&plain);
    buf_release(&woven);
}
END_TEST

/* However short a file is cut, it is an error, never grey pixels. The last bytes are a mark that nothing needs. */
START_TEST(cut_short_is_refused)
{
    struct buf files[] = {picture_jpeg(33, 41, 1, false), picture_jpeg(33, 41, 1, true),
                          picture_png(33, 41, 1, false), picture_png(33, 41, 1, true)};
    struct canvas c;
    struct err e;
    for (int k = 0; k < 4; k++) {
        for (size_t n = 1; n + 16 < files[k].n; n++) {
            ck_assert_msg(decode(files[k].p, n, &c, &e) == ERR_INVALID, "%zu of %zu bytes", n, files[k].n);
            ck_assert_msg(strncmp(e.text, "broken ", 7) == 0, "%s", e.text);
            free(c.rgb);
        }
        buf_release(&files[k]);
    }
}
END_TEST

/* Any byte may be wrong: an error or a picture, nothing else. */
START_TEST(damaged_is_survived)
{
    struct buf files[] = {picture_jpeg(16, 17, 1, false), picture_jpeg(16, 17, 1, true),
                          picture_png(16, 17, 1, false)};
    struct canvas c;
    struct err e;
    for (int k = 0; k < 3; k++) {
        for (size_t i = 1; i < files[k].n; i++) {
            uint8_t was = files[k].p[i];
            files[k].p[i] = (uint8_t)(was ^ (i % 2 ? 0xff : 0x10));
            int rc = decode(files[k].p, files[k].n, &c, &e);
            ck_assert(rc == 0 || rc == ERR_INVALID || rc == ERR_LIMIT);
            ck_assert(rc < 0 || c.rows == c.H);
            free(c.rgb);
            files[k].p[i] = was;
        }
        buf_release(&files[k]);
    }
}
END_TEST

static void put_big_endian(uint8_t *p, unsigned v, int n)
{
    for (int i = n - 1; i >= 0; i--, v >>= 8)
        p[i] = (uint8_t)v;
}

/* CRC-32, as a PNG chunk ends in. */
static uint32_t png_sum(const uint8_t *p, int n)
{
    uint32_t crc = 0xffffffff;
    while (n-- > 0) {
        crc ^= *p++;
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
    }
    return ~crc;
}

/* A file that says how large it is: bounded before there is room for it. */
static void sized(struct buf *b, unsigned H, unsigned W)
{
    if (b->p[0] == 0x89) {
        put_big_endian(b->p + 16, W, 4);
        put_big_endian(b->p + 20, H, 4);
        uint32_t sum = png_sum(b->p + 12, 17);
        put_big_endian(b->p + 29, sum, 4);
        return;
    }
    for (size_t i = 0; i + 9 < b->n; i++)
        if (b->p[i] == 0xff && (b->p[i + 1] == 0xc0 || b->p[i + 1] == 0xc2)) {
            put_big_endian(b->p + i + 5, H, 2);
            put_big_endian(b->p + i + 7, W, 2);
            return;
        }
    ck_abort_msg("no frame");
}

START_TEST(sizes_are_bounded)
{
    static const struct {
        int kind; /* JPEG, progressive, PNG, interlaced */
        unsigned H, W;
        const char *line;
    } cases[] = {
        {0, 10, 20001, "20001x10 pixels, at most 20000 a side and 100000000 in all are accepted"},
        {0, 12000, 12000, "12000x12000 pixels, at most 20000 a side and 100000000 in all are accepted"},
        {1, 6000, 6000, "6000x6000 pixels, progressive or interlaced: at most 25000000 are accepted then"},
        {2, 2000000000, 2000000000,
         "2000000000x2000000000 pixels, at most 20000 a side and 100000000 in all are accepted"},
        {2, 20001, 10, "10x20001 pixels, at most 20000 a side and 100000000 in all are accepted"},
        {3, 6000, 6000, "6000x6000 pixels, progressive or interlaced: at most 25000000 are accepted then"},
    };
    int kind = cases[_i].kind;
    struct buf b = kind < 2 ? picture_jpeg(16, 16, 1, kind == 1) : picture_png(16, 16, 1, kind == 3);
    struct canvas c;
    struct err e;
    sized(&b, cases[_i].H, cases[_i].W);
    ck_assert_int_eq(decode(b.p, b.n, &c, &e), ERR_LIMIT);
    ck_assert_str_eq(e.text, cases[_i].line);
    ck_assert_ptr_null(c.rgb);
    buf_release(&b);
}
END_TEST

START_TEST(no_pixels_are_refused)
{
    struct buf b = picture_jpeg(16, 16, 1, false), png = picture_png(16, 16, 1, false);
    struct canvas c;
    struct err e;
    sized(&b, 16, 0);
    sized(&png, 0, 16);
    ck_assert_int_eq(decode(b.p, b.n, &c, &e), ERR_INVALID);
    ck_assert_int_eq(decode(png.p, png.n, &c, &e), ERR_INVALID);
    buf_release(&b);
    buf_release(&png);
}
END_TEST

/* ---- sets ---- */

enum { SIDE_H = 20, SIDE_W = 24, CROP = SIDE_H * SIDE_W * 3, FILES = 9 };

static const struct {
    const char *name;
    int H, W;
} shapes[FILES] = {{"set/a/0.jpg", 40, 61}, {"set/a/1.JPEG", 61, 40}, {"set/a/2.png", 30, 30},
                   {"set/b/0.png", 24, 20}, {"set/b/1.jpg", 200, 24}, {"set/b/2.jpg", 28, 33},
                   {"set/c/0.jpg", 27, 27}, {"set/c/1.png", 9, 12},   {"set/c/2.jpg", 100, 120}};

static void make_set(void)
{
    for (int i = 0; i < FILES; i++)
        picture_make(shapes[i].name, shapes[i].H, shapes[i].W, i);
}

static struct pictures *open_set(int resize, uint64_t memory)
{
    const struct pictures_view v = {.H = SIDE_H, .W = SIDE_W, .resize = resize, .offset = 3};
    struct picture_index x;
    struct pictures *p = NULL;
    struct err e;
    ck_assert_msg(picture_folder_scan(&x, picture_path("set"), NULL, &e) == 0, "%s", e.text);
    ck_assert_msg(pictures_open(&p, &x, picture_path("set"), NULL, &v, memory, &e) == 0, "%s", e.text);
    ck_assert_int_eq(x.n, 0);
    return p;
}

/* The same picture, resized as a whole and then cut. */
static void slowly(int i, int resize, uint8_t *crop)
{
    struct buf bytes = {0};
    struct canvas c;
    struct resize r;
    struct err e;
    int H = shapes[i].H, W = shapes[i].W, least = H < W ? H : W;
    int to_H = (int)((double)resize * H / least + 0.5), to_W = (int)((double)resize * W / least + 0.5);
    struct rect from = {0, 0, H, W}, to = {0, 0, to_H, to_W};
    uint8_t *all = xcalloc((size_t)to_H * (size_t)to_W, 3);
    ck_assert_int_eq(file_read(picture_path(shapes[i].name), 1 << 20, &bytes, &e), 0);
    ck_assert_int_eq(decode(bytes.p, bytes.n, &c, &e), 0);
    ck_assert_int_eq(resize_init(&r, &from, to_H, to_W, &to, &e), 0);
    for (int h = 0; h < H; h++)
        resize_row(&r, h, c.rgb + (size_t)h * (size_t)W * 3);
    resize_finish(&r, all);
    resize_release(&r);
    for (int h = 0; h < SIDE_H; h++)
        memcpy(crop + h * SIDE_W * 3,
               all + (size_t)((to_H - SIDE_H) / 2 + h) * (size_t)to_W * 3 + (to_W - SIDE_W) / 2 * 3, SIDE_W * 3);
    free(all);
    free(c.rgb);
    buf_release(&bytes);
}

START_TEST(crops_from_the_middle)
{
    static const int resizes[] = {0, 24, 50};
    uint8_t scratch[CROP], want[CROP];
    const uint8_t *crop;
    struct err e;
    make_set();
    for (int k = 0; k < 3; k++) {
        struct pictures *p = open_set(resizes[k], 0);
        ck_assert_uint_eq(pictures_bytes(p), CROP);
        for (int i = 0; i < FILES; i++) {
            ck_assert_msg(pictures_crop(p, i, scratch, &crop, &e) == 0, "%s", e.text);
            slowly(i, resizes[k] ? resizes[k] : 27, want); /* 24 / 0.875 = 27.4 */
            ck_assert_mem_eq(crop, want, CROP);
            ck_assert_int_eq(pictures_label(p, i), i / 3 + 3);
        }
        pictures_free(p);
    }
}
END_TEST

/* Kept crops are handed out as they are; what there is no room for is decoded again. */
START_TEST(keeps_as_many_as_fit)
{
    uint8_t scratch[CROP], want[CROP];
    const uint8_t *crop, *again;
    struct err e;
    make_set();
    for (int kept = 0; kept <= FILES; kept += 3) {
        struct pictures *p = open_set(0, (uint64_t)kept * CROP + CROP - 1);
        for (int i = 0; i < FILES; i++) {
            ck_assert_int_eq(pictures_crop(p, i, scratch, &crop, &e), 0);
            ck_assert_int_eq(crop == scratch, i >= kept);
        }
        for (int i = FILES - 1; i >= 0; i--) {
            ck_assert_int_eq(pictures_crop(p, i, scratch, &again, &e), 0);
            ck_assert_int_eq(again == scratch, i >= kept);
            slowly(i, 27, want);
            ck_assert_mem_eq(again, want, CROP);
        }
        pictures_free(p);
    }
}
END_TEST

static int count(void *arg, int done, int total)
{
    int *calls = arg;
    ck_assert(done >= 1 && done <= total && total == FILES);
    return ++*calls > 1000 ? -1 : 0;
}

static int stop(void *arg, int done, int total)
{
    (void)arg;
    (void)done;
    (void)total;
    return -1;
}

START_TEST(decodes_ahead)
{
    uint8_t scratch[CROP], want[CROP];
    const uint8_t *crop;
    struct pool *pool, *alone;
    struct err e;
    make_set();
    ck_assert_int_eq(pool_new(&pool, 4, &e), 0);
    ck_assert_int_eq(pool_new(&alone, 1, &e), 0);
    struct pictures *p = open_set(0, 5 * CROP);
    int calls = 0, there = 0;
    ck_assert_int_eq(pictures_decode(p, alone, NULL, FILES, stop, NULL, &e), ERR_CANCELLED);
    pool_free(alone);
    for (int round = 0; round < 3; round++)
        ck_assert_int_eq(pictures_decode(p, pool, NULL, FILES, count, &calls, &e), 0);
    for (int i = 0; i < FILES; i++) {
        ck_assert_int_eq(pictures_crop(p, i, scratch, &crop, &e), 0);
        there += crop != scratch;
        slowly(i, 27, want);
        ck_assert_mem_eq(crop, want, CROP);
    }
    ck_assert_int_eq(there, 5);
    pictures_free(p);
    pool_free(pool);
}
END_TEST

/* From the parts of a pack, mapped: the same pictures as from the folder. */
START_TEST(parts_are_the_same)
{
    uint8_t a[CROP], b[CROP];
    const uint8_t *crop;
    struct picture_index x;
    struct buf bytes = {0};
    struct err e;
    make_set();
    ck_assert_int_eq(picture_folder_scan(&x, picture_path("set"), NULL, &e), 0);
    ck_assert_int_eq(x.n_parts, 1);
    ck_assert_int_eq(picture_folder_part(&x, picture_path("set"), 0, &bytes, &e), 0);
    picture_write("part", bytes.p, bytes.n);
    const char *part[] = {picture_path("part")};
    const struct pictures_view v = {.H = SIDE_H, .W = SIDE_W, .offset = 3};
    struct pictures *packed, *loose = open_set(0, 0);
    ck_assert_int_eq(pictures_open(&packed, &x, NULL, part, &v, 0, &e), 0);
    for (int i = 0; i < FILES; i++) {
        ck_assert_int_eq(pictures_crop(packed, i, a, &crop, &e), 0);
        ck_assert_int_eq(pictures_crop(loose, i, b, &crop, &e), 0);
        ck_assert_mem_eq(a, b, CROP);
    }
    pictures_free(packed);
    pictures_free(loose);
    picture_write("part", bytes.p, bytes.n - 1);
    ck_assert_int_eq(picture_folder_scan(&x, picture_path("set"), NULL, &e), 0);
    ck_assert_int_eq(pictures_open(&packed, &x, NULL, part, &v, 0, &e), ERR_INVALID);
    ck_assert_msg(strncmp(e.text, "part 0 of the images has not the ", 33) == 0, "%s", e.text);
    ck_assert_int_eq(x.n, 0);
    buf_release(&bytes);
}
END_TEST

START_TEST(broken_files_are_named)
{
    uint8_t scratch[CROP];
    const uint8_t *crop;
    struct pool *pool;
    struct err e;
    struct buf b = picture_jpeg(50, 50, 1, false);
    make_set();
    picture_write("set/b/1.jpg", b.p, b.n / 2);
    ck_assert_int_eq(pool_new(&pool, 2, &e), 0);
    for (int kept = 0; kept < 2; kept++) {
        struct pictures *p = open_set(0, kept ? FILES * CROP : 0);
        ck_assert_int_eq(pictures_crop(p, 4, scratch, &crop, &e), ERR_INVALID);
        ck_assert_str_eq(e.text, "image \"b/1.jpg\": broken JPEG file: Premature end of JPEG file");
        ck_assert_int_eq(pictures_crop(p, 4, scratch, &crop, &e), ERR_INVALID); /* still */
        ck_assert_int_eq(pictures_crop(p, 5, scratch, &crop, &e), 0);
        if (kept)
            ck_assert_int_eq(pictures_decode(p, pool, NULL, FILES, NULL, NULL, &e), ERR_INVALID);
        pictures_free(p);
    }
    struct pictures *p = open_set(0, 0);
    picture_write("set/b/1.jpg", b.p, b.n);
    ck_assert_int_eq(pictures_crop(p, 4, scratch, &crop, &e), ERR_INVALID);
    ck_assert_msg(strstr(e.text, " bytes now, not ") != NULL, "%s", e.text);
    pictures_free(p);
    pool_free(pool);
    buf_release(&b);
}
END_TEST

START_TEST(resize_reaches_over_the_input)
{
    const struct pictures_view v = {.H = SIDE_H, .W = SIDE_W, .resize = SIDE_W - 1};
    struct picture_index x;
    struct pictures *p;
    struct err e;
    make_set();
    ck_assert_int_eq(picture_folder_scan(&x, picture_path("set"), NULL, &e), 0);
    ck_assert_int_eq(pictures_open(&p, &x, picture_path("set"), NULL, &v, 0, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, "resize 23 is less than the network's input of 20x24 pixels");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pictures");
    TCase *decoding = tcase_create("decoding"), *sets = tcase_create("sets");
    tcase_add_test(decoding, resized_as_pillow_does);
    tcase_add_test(decoding, decoded_as_pillow_does);
    tcase_add_test(decoding, interlaced_is_the_same);
    tcase_add_test(decoding, cut_short_is_refused);
    tcase_add_test(decoding, damaged_is_survived);
    tcase_add_loop_test(decoding, sizes_are_bounded, 0, 6);
    tcase_add_test(decoding, no_pixels_are_refused);
    tcase_add_checked_fixture(sets, picture_dir_make, picture_dir_remove);
    tcase_add_test(sets, crops_from_the_middle);
    tcase_add_test(sets, keeps_as_many_as_fit);
    tcase_add_test(sets, decodes_ahead);
    tcase_add_test(sets, parts_are_the_same);
    tcase_add_test(sets, broken_files_are_named);
    tcase_add_test(sets, resize_reaches_over_the_input);
    tcase_set_timeout(decoding, 60);
    tcase_set_timeout(sets, 60);
    suite_add_tcase(s, decoding);
    suite_add_tcase(s, sets);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed > 0;
}
