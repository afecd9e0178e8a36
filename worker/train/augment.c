#include "worker/train/augment.h"

#include <math.h>
#include <string.h>

#include "common/base/mem.h"
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
    return a->pad == 0 && a->cutout == 0 && a->scale[1] == 0;
}

static void look_draw(struct look *l, const struct augment *a, const struct dataset *d, struct rng *r)
{
    *l = (struct look){0};
    if (a->pad > 0) {
        uint64_t places = 2 * (uint64_t)a->pad + 1;
        l->top = (int)rng_below(r, places) - a->pad;
        l->left = (int)rng_below(r, places) - a->pad;
    }
    if (a->flip)
        l->flip = rng_u64(r) >> 63;
    if (a->cutout > 0) { /* its middle lies in the image, the rest of it maybe not */
        l->hole_top = (int)rng_below(r, (uint64_t)d->H) - a->cutout / 2;
        l->hole_left = (int)rng_below(r, (uint64_t)d->W) - a->cutout / 2;
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

static void stored_fill(const struct augment *a, const struct dataset *d, int index, const struct look *l,
                        const double *mean, const double *std, float *x)
{
    float table[LEVELS];
    size_t area = (size_t)d->H * (size_t)d->W;
    const uint8_t *pixels = d->pixels + (size_t)index * (size_t)d->C * area;
    for (int c = 0; c < d->C; c++, pixels += area, x += area) {
        dataset_table(c, mean, std, table);
        channel_fill(l, pixels, d->H, d->W, table, x);
        if (a->cutout > 0)
            cut_out(l, a->cutout, d->H, d->W, x);
    }
}

/* ---- picture files ---- */

struct choice {
    const struct augment *augment;
    struct rng *rng;
};

static double between(struct rng *r, double least, double most)
{
    return least + (most - least) * rng_uniform(r);
}

/* Ten tries at a rectangle that lies in the image; then the largest one of allowed proportions, in the middle. */
static void choose(void *arg, int H, int W, struct rect *from)
{
    static const double narrow = 3.0 / 4, wide = 4.0 / 3; /* W / H */
    const struct choice *c = arg;
    for (int i = 0; i < 10; i++) {
        double area = (double)H * W * between(c->rng, c->augment->scale[0], c->augment->scale[1]);
        double ratio = exp(between(c->rng, log(narrow), log(wide)));
        double w = floor(sqrt(area * ratio) + 0.5), h = floor(sqrt(area / ratio) + 0.5);
        if (w < 1 || h < 1 || w > W || h > H)
            continue;
        *from = (struct rect){.H = (int)h, .W = (int)w};
        from->top = (int)rng_below(c->rng, (uint64_t)(H - from->H) + 1);
        from->left = (int)rng_below(c->rng, (uint64_t)(W - from->W) + 1);
        return;
    }
    double h = W < narrow * H ? floor(W / narrow + 0.5) : H, w = W > wide * H ? floor(H * wide + 0.5) : W;
    *from = (struct rect){.H = (int)fmin(fmax(h, 1), H), .W = (int)fmin(fmax(w, 1), W)};
    from->top = (H - from->H) / 2;
    from->left = (W - from->W) / 2;
}

/* rgb (H,W,3) */
static void mixed_fill(const uint8_t *rgb, int c, int H, int W, bool flip, const float *table, float *x)
{
    const uint8_t *p = rgb + c;
    for (int h = 0; h < H; h++, x += W, p += 3 * W)
        if (flip)
            for (int w = 0; w < W; w++)
                x[W - 1 - w] = table[p[3 * w]];
        else
            for (int w = 0; w < W; w++)
                x[w] = table[p[3 * w]];
}

static int picture_fill(const struct augment *a, const struct dataset *d, int index, struct rng *r, struct look *l,
                        const double *mean, const double *std, float *x, struct err *e)
{
    float table[LEVELS];
    struct choice choice = {a, r};
    size_t area = (size_t)d->H * (size_t)d->W;
    uint8_t *scratch = mem_alloc(area, 3);
    if (!scratch)
        return err_set(e, ERR_NOMEM, "no memory for an image of %dx%d pixels", d->H, d->W);
    const uint8_t *crop = scratch;
    int rc = a->scale[1] > 0 ? pictures_cut(d->pictures, d->place[index], choose, &choice, scratch, e)
                             : pictures_crop(d->pictures, d->place[index], scratch, &crop, e);
    look_draw(l, a, d, r);
    for (int c = 0; rc == 0 && c < d->C; c++, x += area) {
        dataset_table(c, mean, std, table);
        mixed_fill(crop, c, d->H, d->W, l->flip, table, x);
        if (a->cutout > 0)
            cut_out(l, a->cutout, d->H, d->W, x);
    }
    mem_free(scratch);
    return rc;
}

int augment_image(const struct augment *a, const struct dataset *d, int index, const double *mean,
                  const double *std, uint64_t seed, int epoch, int at, float *x, bool *flipped, struct err *e)
{
    struct look l;
    struct rng r;
    int rc = 0;
    if (index < 0 || index >= d->n)
        BUG("image %d of %d", index, d->n);
    rng_init(&r, seed, "augment", (uint64_t)epoch << 32 | (uint64_t)at);
    if (d->pictures) {
        if (a->pad > 0)
            BUG("picture files aren't padded");
        rc = picture_fill(a, d, index, &r, &l, mean, std, x, e);
    } else {
        if (a->scale[1] > 0)
            BUG("only picture files are rescaled");
        look_draw(&l, a, d, &r);
        stored_fill(a, d, index, &l, mean, std, x);
    }
    if (flipped)
        *flipped = l.flip;
    return rc;
}
