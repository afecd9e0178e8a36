#include "worker/train/augment.h"

#include <string.h>

#include "common/base/rng.h"

enum { LEVELS = 256 };

/* What was drawn for one image. */
struct look {
    int top, left; /* of the crop, in pixels of the image itself: -pad ... pad */
    bool flip;
    int hole_top, hole_left; /* of the cutout, -side ... */
};

bool augment_few(const struct augment *a)
{
    return a->pad == 0 && a->cutout == 0;
}

static void look_draw(struct look *l, const struct augment *a, const struct dataset *d, uint64_t seed, int epoch,
                      int at)
{
    struct rng r;
    *l = (struct look){0};
    rng_init(&r, seed, "augment", (uint64_t)epoch << 32 | (uint64_t)at);
    if (a->pad > 0) {
        uint64_t places = 2 * (uint64_t)a->pad + 1;
        l->top = (int)rng_below(&r, places) - a->pad;
        l->left = (int)rng_below(&r, places) - a->pad;
    }
    if (a->flip)
        l->flip = rng_u64(&r) >> 63;
    if (a->cutout > 0) { /* its middle lies in the image, the rest of it maybe not */
        l->hole_top = (int)rng_below(&r, (uint64_t)d->H) - a->cutout / 2;
        l->hole_left = (int)rng_below(&r, (uint64_t)d->W) - a->cutout / 2;
    }
}

/* x (W) = the image's row (W) from its pixel `left` on, which may be negative: outside are zeros. */
static void row_fill(const uint8_t *row, int W, int left, bool flip, const float *table, float *x)
{
    int from = left < 0 ? -left : 0, to = left > 0 ? W - left : W;
    if (from > 0 || to < W)
        memset(x, 0, (size_t)W * sizeof(*x));
    if (flip)
        for (int w = from; w < to; w++)
            x[W - 1 - w] = table[row[w + left]];
    else
        for (int w = from; w < to; w++)
            x[w] = table[row[w + left]];
}

static void channel_fill(const struct look *l, const uint8_t *pixels, int H, int W, const float *table, float *x)
{
    for (int h = 0; h < H; h++, x += W) {
        int from = h + l->top;
        if (from < 0 || from >= H)
            memset(x, 0, (size_t)W * sizeof(*x));
        else
            row_fill(pixels + (size_t)from * (size_t)W, W, l->left, l->flip, table, x);
    }
}

static int clamp(int x, int most)
{
    return x < 0 ? 0 : x > most ? most : x;
}

/* x (H,W) */
static void cut_out(const struct look *l, int side, int H, int W, float *x)
{
    int left = clamp(l->hole_left, W), right = clamp(l->hole_left + side, W);
    int bottom = clamp(l->hole_top + side, H);
    for (int h = clamp(l->hole_top, H); h < bottom; h++)
        memset(x + (size_t)h * (size_t)W + left, 0, (size_t)(right - left) * sizeof(*x));
}

void augment_image(const struct augment *a, const struct dataset *d, int index, const double *mean,
                   const double *std, uint64_t seed, int epoch, int at, float *x, bool *flipped)
{
    struct look l;
    float table[LEVELS];
    size_t area = (size_t)d->H * (size_t)d->W;
    if (index < 0 || index >= d->n)
        BUG("image %d of %d", index, d->n);
    const uint8_t *pixels = d->pixels + (size_t)index * (size_t)d->C * area;
    look_draw(&l, a, d, seed, epoch, at);
    for (int c = 0; c < d->C; c++, pixels += area, x += area) {
        for (int v = 0; v < LEVELS; v++)
            table[v] = (float)((v - (mean ? mean[c] : 0)) / (std ? std[c] : 1));
        channel_fill(&l, pixels, d->H, d->W, table, x);
        if (a->cutout > 0)
            cut_out(&l, a->cutout, d->H, d->W, x);
    }
    if (flipped)
        *flipped = l.flip;
}
