#include "worker/engine/crop.h"

#include <string.h>

/* n pixels of `run` bytes each. */
static void copy_pixels(char *y, const char *x, int n, size_t y_step, size_t x_step, size_t run)
{
    if (run == y_step && y_step == x_step) {
        memcpy(y, x, (size_t)n * y_step);
        return;
    }
#define COPY(bytes)                                                                                                \
    for (int i = 0; i < n; i++)                                                                                    \
    memcpy(y + (size_t)i * y_step, x + (size_t)i * x_step, bytes)
    switch (run) { /* a copy of known size is a move or two */
    case 2:
        COPY(2);
        break;
    case 4:
        COPY(4);
        break;
    case 16:
        COPY(16);
        break;
    case 32:
        COPY(32);
        break;
    case 64:
        COPY(64);
        break;
    default:
        COPY(run);
    }
#undef COPY
}

/* `run` channels from channel cx on, which lie in one panel of each side. */
static void copy_run(const struct crop *k, char *y, const char *x, int image, int cx, int cy, int run)
{
    size_t bytes = dtype_bytes(k->x.type), lx = (size_t)k->x.lanes * bytes, ly = (size_t)k->y.lanes * bytes;
    const char *x_p = x + (layout_panel(&k->x, image, cx / k->x.lanes) + (size_t)(cx % k->x.lanes)) * bytes;
    char *y_p = y + (layout_panel(&k->y, image, cy / k->y.lanes) + (size_t)(cy % k->y.lanes)) * bytes;
    for (int i = 0; i < k->h.n; i++) {
        size_t row_x = (size_t)(k->h.from + i * k->h.step) * (size_t)k->x.W + (size_t)k->w.from;
        size_t row_y = (size_t)(k->h.to + i) * (size_t)k->y.W + (size_t)k->w.to;
        copy_pixels(y_p + row_y * ly, x_p + row_x * lx, k->w.n, ly, lx * (size_t)k->w.step, (size_t)run * bytes);
    }
}

static int least(int a, int b)
{
    return a < b ? a : b;
}

void crop_run(const struct crop *k, void *y, const void *x)
{
    if (k->clear)
        memset(y, 0, layout_bytes(&k->y));
    for (int image = 0; image < k->x.N; image++) {
        for (int i = 0, run; i < k->c.n; i += run) {
            int cx = k->c.from + i * k->c.step, cy = k->c.to + i;
            run = 1;
            if (k->c.step == 1)
                run = least(k->c.n - i, least(k->x.lanes - cx % k->x.lanes, k->y.lanes - cy % k->y.lanes));
            copy_run(k, y, x, image, cx, cy, run);
        }
    }
}
