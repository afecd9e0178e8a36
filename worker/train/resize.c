#include "worker/train/resize.h"

#include <math.h>

#include "common/base/mem.h"

enum { C = 3, BITS = 22 };

static void axis_release(struct resize_axis *a)
{
    mem_free(a->first);
    mem_free(a->n);
    mem_free(a->weight);
}

/* Weights of the output pixels first ... first + n - 1 of `out`, over `in` input pixels. */
static int axis_init(struct resize_axis *a, int in, int out, int first, int n, struct err *e)
{
    double scale = (double)in / out, stretch = scale < 1 ? 1 : scale;
    a->taps = 2 * (int)ceil(stretch) + 1;
    a->first = mem_alloc((size_t)n, sizeof(*a->first));
    a->n = mem_alloc((size_t)n, sizeof(*a->n));
    a->weight = mem_zalloc((size_t)n * (size_t)a->taps, sizeof(*a->weight));
    double *w = mem_alloc((size_t)a->taps, sizeof(*w));
    if (!a->first || !a->n || !a->weight || !w) {
        mem_free(w);
        return err_set(e, ERR_NOMEM, "no memory to resize %d pixels to %d", in, out);
    }
    for (int i = 0; i < n; i++) {
        double middle = (first + i + 0.5) * scale, sum = 0;
        int from = (int)(middle - stretch + 0.5), to = (int)(middle + stretch + 0.5);
        from = from < 0 ? 0 : from;
        to = to > in ? in : to;
        for (int k = 0; k < to - from; k++) {
            double away = fabs((from + k - middle + 0.5) * (1 / stretch));
            w[k] = away < 1 ? 1 - away : 0;
            sum += w[k];
        }
        a->first[i] = from;
        a->n[i] = to - from;
        for (int k = 0; k < to - from; k++)
            a->weight[(size_t)i * (size_t)a->taps + (size_t)k] =
                (int32_t)(0.5 + (sum != 0 ? w[k] / sum : w[k]) * (1 << BITS));
    }
    mem_free(w);
    return 0;
}

int resize_init(struct resize *r, const struct rect *from, int H, int W, const struct rect *to, struct err *e)
{
    *r = (struct resize){.from = *from, .to = *to};
    int rc = axis_init(&r->row, from->W, W, to->left, to->W, e);
    if (rc == 0)
        rc = axis_init(&r->column, from->H, H, to->top, to->H, e);
    if (rc == 0) {
        int last = to->H - 1;
        r->first = r->column.first[0];
        r->n = r->column.first[last] + r->column.n[last] - r->first;
        r->mid = mem_alloc((size_t)r->n, (size_t)to->W * C);
        if (!r->mid)
            rc = err_set(e, ERR_NOMEM, "no memory to resize %d rows of pixels", r->n);
    }
    if (rc < 0)
        resize_release(r);
    return rc;
}

void resize_release(struct resize *r)
{
    axis_release(&r->row);
    axis_release(&r->column);
    mem_free(r->mid);
    *r = (struct resize){.n = 0};
}

/* The weights of one pixel may add up to a little over 1. */
static uint8_t to_byte(int32_t sum)
{
    int32_t v = sum >> BITS;
    return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}

void resize_row(struct resize *r, int h, const uint8_t *rgb)
{
    h -= r->from.top + r->first;
    if (h < 0 || h >= r->n)
        return;
    uint8_t *to = r->mid + (size_t)h * (size_t)r->to.W * C;
    rgb += (size_t)r->from.left * C;
    for (int i = 0; i < r->to.W; i++, to += C) {
        const uint8_t *p = rgb + (size_t)r->row.first[i] * C;
        const int32_t *w = r->row.weight + (size_t)i * (size_t)r->row.taps;
        int32_t red = 1 << (BITS - 1), green = red, blue = red;
        for (int k = 0; k < r->row.n[i]; k++, p += C) {
            red += w[k] * p[0];
            green += w[k] * p[1];
            blue += w[k] * p[2];
        }
        to[0] = to_byte(red);
        to[1] = to_byte(green);
        to[2] = to_byte(blue);
    }
}

void resize_finish(const struct resize *r, uint8_t *out)
{
    size_t width = (size_t)r->to.W * C;
    for (int i = 0; i < r->to.H; i++, out += width) {
        const uint8_t *p = r->mid + (size_t)(r->column.first[i] - r->first) * width;
        const int32_t *w = r->column.weight + (size_t)i * (size_t)r->column.taps;
        int n = r->column.n[i];
        for (size_t x = 0; x < width; x++) {
            int32_t sum = 1 << (BITS - 1);
            for (int k = 0; k < n; k++)
                sum += w[k] * p[(size_t)k * width + x];
            out[x] = to_byte(sum);
        }
    }
}
