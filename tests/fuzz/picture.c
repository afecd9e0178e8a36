/* A JPEG or PNG file: an error, or as many rows as it said. Large ones are left out for their time, not their
 * memory. */
#include <stdlib.h>

#include "worker/train/jpeg.h"
#include "worker/train/png.h"

enum { MOST = 1 << 20 }; /* pixels */

struct seen {
    int H, W, rows;
    unsigned sum; /* of each row's ends, so that they are read */
};

static int begin(void *arg, int H, int W, struct err *e)
{
    struct seen *s = arg;
    s->H = H;
    s->W = W;
    return (int64_t)H * W > MOST ? err_set(e, ERR_LIMIT, "large") : 0;
}

static void row(void *arg, int h, const uint8_t *rgb)
{
    struct seen *s = arg;
    if (h != s->rows++ || h >= s->H)
        abort();
    s->sum += rgb[0] + rgb[(size_t)s->W * 3 - 1];
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct seen s = {0};
    const struct rows to = {begin, row, &s};
    struct err e;
    if (n == 0)
        return 0;
    int rc = p[0] == 0x89 ? png_rows(p, n, &to, &e) : jpeg_rows(p, n, &to, &e);
    if (rc == 0 && s.rows != s.H)
        abort();
    return 0;
}
