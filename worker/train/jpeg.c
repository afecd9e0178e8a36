#include "worker/train/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>

#include <jerror.h>

#include "common/base/mem.h"

enum { C = 3, INKS = 4 };

struct decoding {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    jmp_buf failed;
    char text[JMSG_LENGTH_MAX];
    uint8_t *row; /* (W, 3 or 4) */
    uint8_t *rgb; /* (W,3) of CMYK */
};

static void on_error(j_common_ptr c)
{
    struct decoding *d = c->client_data;
    c->err->format_message(c, d->text);
    longjmp(d->failed, 1);
}

/* libjpeg goes on after these with grey where pixels are missing: not with us. */
static void on_message(j_common_ptr c, int level)
{
    int code = c->err->msg_code;
    if (level < 0 && (code == JWRN_JPEG_EOF || code == JWRN_HIT_MARKER || code == JWRN_HUFF_BAD_CODE ||
                      code == JWRN_MUST_RESYNC || code == JWRN_NOT_SEQUENTIAL))
        on_error(c);
}

static void print_nothing(j_common_ptr c)
{
    (void)c;
}

/* Ink to light, the usual way without a profile; what is stored is 255 - ink. */
static void from_cmyk(const uint8_t *cmyk, int W, uint8_t *rgb)
{
    for (int i = 0; i < W; i++, cmyk += INKS, rgb += C)
        for (int c = 0; c < C; c++) {
            int white = cmyk[3], product = (255 - cmyk[c]) * white + 128;
            int light = white - ((product + (product >> 8)) >> 8);
            rgb[c] = (uint8_t)(light < 0 ? 0 : light);
        }
}

static int read_all(struct decoding *d, const struct rows *to, struct err *e)
{
    struct jpeg_decompress_struct *j = &d->jpeg;
    jpeg_read_header(j, TRUE);
    int rc = rows_check(j->image_height, j->image_width, j->progressive_mode, e);
    if (rc < 0)
        return rc;
    bool cmyk = j->jpeg_color_space == JCS_CMYK || j->jpeg_color_space == JCS_YCCK;
    j->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    j->dct_method = JDCT_ISLOW;
    jpeg_start_decompress(j);
    int H = (int)j->output_height, W = (int)j->output_width;
    d->row = mem_alloc((size_t)W, INKS);
    d->rgb = mem_alloc((size_t)W, C);
    if (!d->row || !d->rgb)
        return err_set(e, ERR_NOMEM, "no memory for a row of %d pixels", W);
    if ((rc = to->begin(to->arg, H, W, e)) < 0)
        return rc;
    for (int h = 0; h < H; h++) {
        JSAMPROW row = d->row;
        jpeg_read_scanlines(j, &row, 1);
        if (cmyk)
            from_cmyk(d->row, W, d->rgb);
        to->row(to->arg, h, cmyk ? d->rgb : d->row);
    }
    return 0;
}

int jpeg_rows(const uint8_t *bytes, size_t n, const struct rows *to, struct err *e)
{
    struct decoding d = {.row = NULL};
    volatile int rc;
    d.jpeg.err = jpeg_std_error(&d.errors);
    d.errors.error_exit = on_error;
    d.errors.emit_message = on_message;
    d.errors.output_message = print_nothing;
    d.jpeg.client_data = &d;
    if (setjmp(d.failed)) {
        rc = err_set(e, ERR_INVALID, "broken JPEG file: %s", d.text);
    } else {
        jpeg_create_decompress(&d.jpeg);
        jpeg_mem_src(&d.jpeg, bytes, n);
        rc = read_all(&d, to, e);
    }
    jpeg_destroy_decompress(&d.jpeg);
    mem_free(d.row);
    mem_free(d.rgb);
    return rc;
}
