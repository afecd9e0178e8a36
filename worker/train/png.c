#include "worker/train/png.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include "common/base/mem.h"

enum { C = 3, MAX_CHUNKS = 256, MAX_CHUNK = 8 << 20 /* bytes of a text or a profile, unpacked */ };

struct decoding {
    png_structp png;
    png_infop info;
    const uint8_t *bytes;
    size_t n, at;
    char text[128];
    uint8_t *pixels; /* a row; the whole image where it is interlaced */
};

static void on_error(png_structp png, png_const_charp text)
{
    struct decoding *d = png_get_error_ptr(png);
    snprintf(d->text, sizeof(d->text), "%s", text);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp text)
{
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep out, size_t n)
{
    struct decoding *d = png_get_io_ptr(png);
    if (n > d->n - d->at)
        png_error(png, "it ends early");
    memcpy(out, d->bytes + d->at, n);
    d->at += n;
}

static void ask_for_rgb(struct decoding *d)
{
    png_set_expand(d->png);
    png_set_strip_16(d->png);
    png_set_gray_to_rgb(d->png);
    png_set_strip_alpha(d->png);
}

static int read_all(struct decoding *d, const struct rows *to, struct err *e)
{
    png_set_user_limits(d->png, 0x7fffffff, 0x7fffffff); /* rows_check says it better */
    png_set_chunk_cache_max(d->png, MAX_CHUNKS);
    png_set_chunk_malloc_max(d->png, MAX_CHUNK);
    png_read_info(d->png, d->info);
    unsigned long H = png_get_image_height(d->png, d->info), W = png_get_image_width(d->png, d->info);
    int rc = rows_check(H, W, png_get_interlace_type(d->png, d->info) != PNG_INTERLACE_NONE, e);
    if (rc < 0)
        return rc;
    ask_for_rgb(d);
    int passes = png_set_interlace_handling(d->png);
    png_read_update_info(d->png, d->info);
    size_t width = png_get_rowbytes(d->png, d->info);
    if (width != W * C)
        return err_set(e, ERR_UNSUPPORTED, "PNG rows of %zu bytes for %lu pixels", width, W);
    d->pixels = mem_zalloc(passes > 1 ? H : 1, width);
    if (!d->pixels)
        return err_set(e, ERR_NOMEM, "no memory for %lux%lu pixels", W, H);
    if ((rc = to->begin(to->arg, (int)H, (int)W, e)) < 0)
        return rc;
    for (int pass = 0; pass < passes; pass++)
        for (size_t h = 0; h < H; h++) {
            uint8_t *row = d->pixels + (passes > 1 ? h * width : 0);
            png_read_row(d->png, row, NULL);
            if (pass == passes - 1)
                to->row(to->arg, (int)h, row);
        }
    png_read_end(d->png, NULL);
    return 0;
}

int png_rows(const uint8_t *bytes, size_t n, const struct rows *to, struct err *e)
{
    struct decoding d = {.bytes = bytes, .n = n};
    volatile int rc = 0;
    d.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &d, on_error, on_warning);
    d.info = d.png ? png_create_info_struct(d.png) : NULL;
    if (!d.info)
        rc = err_set(e, ERR_NOMEM, "no memory to read a PNG file");
    else if (setjmp(png_jmpbuf(d.png)))
        rc = err_set(e, ERR_INVALID, "broken PNG file: %s", d.text);
    else {
        png_set_read_fn(d.png, &d, on_read);
        rc = read_all(&d, to, e);
    }
    png_destroy_read_struct(&d.png, &d.info, NULL);
    mem_free(d.pixels);
    return rc;
}
