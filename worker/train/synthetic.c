#include "worker/train/synthetic.h"

#include <math.h>

#include "common/base/mem.h"
#include "common/base/rng.h"

enum { SIDE = 32, AREA = SIDE * SIDE, CHANNELS = 3 };
enum shape { DISC, SQUARE, TRIANGLE, CROSS, RING, SHAPES };
enum { STRIPES = 2, CLASSES = SHAPES * STRIPES };

/* What is drawn for one image. Lengths in pixels; no libm but sqrt, so that every machine draws the same bytes. */
struct scene {
    enum shape shape;
    float x, y, radius;
    float ax, ay;          /* the shape's own x axis, of length 1 / radius */
    float sx, sy, phase;   /* stripes: the wave's number at (x, y) is sx * x + sy * y + phase */
    float light[CHANNELS]; /* the two colours of the stripes, 0..255 */
    float dark[CHANNELS];
    float ground[CHANNELS]; /* colour in the middle of the picture */
    float slope_x, slope_y; /* the ground's shading, a pixel */
    float noise;            /* largest deviation */
};

static float between(struct rng *r, float low, float high)
{
    return low + (high - low) * (float)rng_uniform(r);
}

/* A unit vector about (1, 0), turned by an angle of tangent t. */
static void tilt(float t, float *x, float *y)
{
    float length = sqrtf(1 + t * t);
    *x = 1 / length;
    *y = t / length;
}

static void scene_draw(struct scene *s, struct rng *r, int label)
{
    s->shape = (enum shape)(label / STRIPES);
    s->radius = between(r, 6, 12);
    s->x = between(r, s->radius - 1, SIDE - s->radius);
    s->y = between(r, s->radius - 1, SIDE - s->radius);
    tilt(between(r, -0.2F, 0.2F), &s->ax, &s->ay);
    s->ax /= s->radius;
    s->ay /= s->radius;
    float cx, cy, waves = 1 / between(r, 3.5F, 6);
    tilt(between(r, 0.5F, 2) * (label % STRIPES ? -1 : 1), &cx, &cy);
    s->sx = cx * waves;
    s->sy = cy * waves;
    s->phase = between(r, 0, 1);
    for (int c = 0; c < CHANNELS; c++) {
        s->ground[c] = between(r, 60, 195);
        s->light[c] = between(r, 110, 255);
        s->dark[c] = between(r, 0, 145);
    }
    s->slope_x = between(r, -3, 3);
    s->slope_y = between(r, -3, 3);
    s->noise = between(r, 10, 90);
}

/* Whether (u, v), in units of the radius along the shape's own axes, lies in the shape. */
static bool inside(enum shape shape, float u, float v)
{
    float q = u * u + v * v;
    switch (shape) {
    case DISC:
        return q < 0.85F;
    case SQUARE:
        return fabsf(u) < 0.8F && fabsf(v) < 0.8F;
    case TRIANGLE:
        return v > -0.7F && fabsf(u) * 1.6F < 0.9F - v;
    case CROSS:
        return (fabsf(u) < 0.33F && fabsf(v) < 1) || (fabsf(v) < 0.33F && fabsf(u) < 1);
    default:
        return q < 1 && q > 0.25F;
    }
}

/* 0 ... 1 and back over one wave: a ramp with steep sides, which is as sharp as a photograph's edge. */
static float stripe(float wave)
{
    float t = wave - floorf(wave);
    float d = 8 * (fabsf(t - 0.5F) - 0.25F) + 0.5F;
    return d < 0 ? 0 : d > 1 ? 1 : d;
}

static uint8_t to_byte(float v)
{
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

/* pixels (3,32,32). One draw gives a pixel's noise in all channels: sums of two bytes, which is a triangle around
 * 0. */
static void scene_paint(const struct scene *s, struct rng *r, uint8_t *pixels)
{
    for (int i = 0; i < AREA; i++) {
        float px = (float)(i % SIDE), py = (float)(i / SIDE);
        float dx = px - s->x, dy = py - s->y;
        bool in = inside(s->shape, dx * s->ax + dy * s->ay, dy * s->ax - dx * s->ay);
        float mix = in ? stripe(px * s->sx + py * s->sy + s->phase) : 0;
        float shade = (px - SIDE / 2) * s->slope_x + (py - SIDE / 2) * s->slope_y;
        uint64_t bits = rng_u64(r);
        for (int c = 0; c < CHANNELS; c++, bits >>= 16) {
            float level = in ? s->dark[c] + mix * (s->light[c] - s->dark[c]) : s->ground[c] + shade;
            float grain = ((float)(bits & 255) + (float)(bits >> 8 & 255)) / 255 - 1;
            pixels[c * AREA + i] = to_byte(level + s->noise * grain);
        }
    }
}

int synthetic_draw(struct dataset *d, int split, uint64_t seed, struct err *e)
{
    int n = split == SPLIT_TRAIN ? data_kind_images(DATA_SYNTHETIC) : SYNTHETIC_TEST;
    *d = (struct dataset){.n = n, .C = CHANNELS, .H = SIDE, .W = SIDE, .n_classes = CLASSES};
    d->pixels = mem_alloc((size_t)n, CHANNELS * AREA);
    d->labels = mem_alloc((size_t)n, 1);
    if (!d->pixels || !d->labels)
        return err_set(e, ERR_NOMEM, "no memory for %d images of %d bytes", n, CHANNELS * AREA);
    for (int i = 0; i < n; i++) {
        struct rng rng;
        struct scene scene;
        rng_init(&rng, seed, split == SPLIT_TRAIN ? "synthetic-train" : "synthetic-test", (uint64_t)i);
        d->labels[i] = (uint8_t)(i % CLASSES);
        scene_draw(&scene, &rng, d->labels[i]);
        scene_paint(&scene, &rng, d->pixels + (size_t)i * CHANNELS * AREA);
    }
    return 0;
}
