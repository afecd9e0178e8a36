/* Picture files that tests write, and folders of them. */
#ifndef TESTS_UNIT_PICTURE_FILES_H
#define TESTS_UNIT_PICTURE_FILES_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jpeglib.h>
#include <png.h>

#include "common/base/file.h"
#include "common/base/mem.h"

static char picture_dir[] = "/tmp/espalier-pictures-XXXXXX"; /* of the test program */

static inline void picture_dir_make(void)
{
    ck_assert_ptr_nonnull(mkdtemp(picture_dir));
}

static inline void picture_dir_remove(void)
{
    char *command = xasprintf("rm -rf %s", picture_dir);
    ck_assert_int_eq(system(command), 0);
    free(command);
}

/* "DIR/NAME"; one of eight that are in use at once. */
static inline const char *picture_path(const char *name)
{
    static char path[8][512];
    static int at;
    char *to = path[at++ % 8];
    snprintf(to, sizeof(path[0]), "%s/%s", picture_dir, name);
    return to;
}

static inline void picture_write(const char *name, const void *bytes, size_t n)
{
    struct err e;
    char *dir = xstrdup(picture_path(name));
    *strrchr(dir, '/') = 0;
    ck_assert_int_eq(file_mkdirs(dir, &e), 0);
    ck_assert_msg(file_write(picture_path(name), bytes, n, &e) == 0, "%s", e.text);
    free(dir);
}

/* rgb (H,W,3), different for each seed; the caller frees. */
static inline uint8_t *picture_draw(int H, int W, int seed)
{
    uint8_t *rgb = xcalloc((size_t)H * (size_t)W, 3), *p = rgb;
    for (int h = 0; h < H; h++)
        for (int w = 0; w < W; w++)
            for (int c = 0; c < 3; c++)
                *p++ = (uint8_t)(seed * 29 + h * (3 + c) + w * (7 - 2 * c) + (h / 5 + w / 3) % 2 * 60);
    return rgb;
}

static inline struct buf picture_jpeg(int H, int W, int seed, bool progressive)
{
    struct jpeg_compress_struct j;
    struct jpeg_error_mgr errors;
    struct buf out = {0};
    unsigned char *bytes = NULL;
    unsigned long n = 0;
    uint8_t *rgb = picture_draw(H, W, seed);
    j.err = jpeg_std_error(&errors);
    jpeg_create_compress(&j);
    jpeg_mem_dest(&j, &bytes, &n);
    j.image_height = (JDIMENSION)H;
    j.image_width = (JDIMENSION)W;
    j.input_components = 3;
    j.in_color_space = JCS_RGB;
    jpeg_set_defaults(&j);
    if (progressive)
        jpeg_simple_progression(&j);
    jpeg_start_compress(&j, TRUE);
    while (j.next_scanline < j.image_height) {
        JSAMPROW row = rgb + (size_t)j.next_scanline * (size_t)W * 3;
        jpeg_write_scanlines(&j, &row, 1);
    }
    jpeg_finish_compress(&j);
    jpeg_destroy_compress(&j);
    buf_append(&out, bytes, n);
    free(bytes);
    free(rgb);
    return out;
}

static inline void picture_png_write(png_structp png, png_bytep bytes, size_t n)
{
    buf_append(png_get_io_ptr(png), bytes, n);
}

static inline struct buf picture_png(int H, int W, int seed, bool interlaced)
{
    struct buf out = {0};
    uint8_t *rgb = picture_draw(H, W, seed);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_bytepp rows = xcalloc((size_t)H, sizeof(*rows));
    for (int h = 0; h < H; h++)
        rows[h] = rgb + (size_t)h * (size_t)W * 3;
    png_set_write_fn(png, &out, picture_png_write, NULL);
    png_set_IHDR(png, info, (png_uint_32)W, (png_uint_32)H, 8, PNG_COLOR_TYPE_RGB,
                 interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_set_rows(png, info, rows);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
    free(rows);
    free(rgb);
    return out;
}

/* A JPEG file, or where the name says so a PNG file, of H x W pixels. */
static inline void picture_make(const char *name, int H, int W, int seed)
{
    bool png = strstr(name, ".png") != NULL;
    struct buf b = png ? picture_png(H, W, seed, false) : picture_jpeg(H, W, seed, false);
    picture_write(name, b.p, b.n);
    buf_release(&b);
}

#endif
