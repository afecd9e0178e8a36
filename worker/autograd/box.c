#include "worker/autograd/box.h"

#include <string.h>

#include "worker/engine/bf16.h"

struct box box_all(const struct layout *x, const struct layout *y)
{
    struct box b = {.x = *x, .y = *y, .clear = y->C % y->lanes != 0};
    b.c = (struct stride){0, 1, 0, 1, x->C};
    b.h = (struct stride){0, 1, 0, 1, x->H};
    b.w = (struct stride){0, 1, 0, 1, x->W};
    return b;
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Neighbouring channels that lie side by side in both, from the i-th on. */
static int run_of(const struct box *b, int i)
{
    int cx = b->c.from + i * b->c.from_step, cy = b->c.to + i * b->c.to_step;
    if (b->c.from_step != 1 || b->c.to_step != 1)
        return 1;
    return least(b->c.n - i, least(b->x.lanes - cx % b->x.lanes, b->y.lanes - cy % b->y.lanes));
}

/* n pixels of `run` channels each. */
static void copy_pixels(const struct box *b, char *y, const char *x, size_t y_step, size_t x_step, int run)
{
    enum dtype tx = b->x.type, ty = b->y.type;
    size_t n = (size_t)b->w.n, sx = x_step * dtype_bytes(tx), sy = y_step * dtype_bytes(ty);
    if (tx == ty && run > 1) {
        for (size_t i = 0; i < n; i++)
            memcpy(y + i * sy, x + i * sx, (size_t)run * dtype_bytes(tx));
        return;
    }
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < (size_t)run; k++)
            element_store(y + i * sy, k, element_load(x + i * sx, k, tx), ty);
}

static void copy_run(const struct box *b, char *y, const char *x, int image, int i, int run)
{
    int cx = b->c.from + i * b->c.from_step, cy = b->c.to + i * b->c.to_step;
    size_t lx = (size_t)b->x.lanes, ly = (size_t)b->y.lanes;
    size_t x_at = layout_panel(&b->x, image, cx / b->x.lanes) + (size_t)(cx % b->x.lanes);
    size_t y_at = layout_panel(&b->y, image, cy / b->y.lanes) + (size_t)(cy % b->y.lanes);
    for (int h = 0; h < b->h.n; h++) {
        size_t px = (size_t)(b->h.from + h * b->h.from_step) * (size_t)b->x.W + (size_t)b->w.from;
        size_t py = (size_t)(b->h.to + h * b->h.to_step) * (size_t)b->y.W + (size_t)b->w.to;
        copy_pixels(b, y + (y_at + py * ly) * dtype_bytes(b->y.type), x + (x_at + px * lx) * dtype_bytes(b->x.type),
                    ly * (size_t)b->w.to_step, lx * (size_t)b->w.from_step, run);
    }
}

void box_run(const struct box *b, void *y, const void *x)
{
    if (b->clear)
        memset(y, 0, layout_floats(&b->y) * dtype_bytes(b->y.type));
    for (int image = 0; image < b->x.N; image++) {
        for (int i = 0, run; i < b->c.n; i += run) {
            run = run_of(b, i);
            copy_run(b, y, x, image, i, run);
        }
    }
}
