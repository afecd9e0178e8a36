#include "worker/engine/shuffle.h"

#include <string.h>

#include "common/base/wide.h"
#include "worker/engine/bf16.h"

#ifdef __clang__ /* which unrolls it unasked */
#define UNROLLED
#else
#define UNROLLED _Pragma("GCC unroll 8")
#endif

/*
 * n pixels of C channels: (rows, columns) becomes (columns, rows); elements are moved as they are. A loop over few rows of
 * a known number becomes vectors.
 */
#define TRANSPOSE(name, type)                                                                                      \
    ALWAYS_INLINE void name##_few(type *restrict y, const type *restrict x, size_t n, size_t rows, size_t columns) \
    {                                                                                                              \
        for (size_t p = 0; p < n; p++, y += rows * columns, x += rows * columns)                                   \
            _Pragma("omp simd") for (size_t j = 0; j < columns; j++) UNROLLED for (size_t i = 0; i < rows; i++)    \
                y[j * rows + i] = x[i * columns + j];                                                              \
    }                                                                                                              \
    static void name##_any(type *y, const type *x, size_t n, size_t rows, size_t columns)                          \
    {                                                                                                              \
        for (size_t p = 0; p < n; p++, y += rows * columns, x += rows * columns)                                   \
            for (size_t j = 0; j < columns; j++)                                                                   \
                for (size_t i = 0; i < rows; i++)                                                                  \
                    y[j * rows + i] = x[i * columns + j];                                                          \
    }                                                                                                              \
    WIDE static void name(type *y, const type *x, size_t n, size_t rows, size_t columns)                           \
    {                                                                                                              \
        if (rows == 2)                                                                                             \
            name##_few(y, x, n, 2, columns);                                                                       \
        else if (rows == 3)                                                                                        \
            name##_few(y, x, n, 3, columns);                                                                       \
        else if (rows == 4)                                                                                        \
            name##_few(y, x, n, 4, columns);                                                                       \
        else if (rows == 8)                                                                                        \
            name##_few(y, x, n, 8, columns);                                                                       \
        else                                                                                                       \
            name##_any(y, x, n, rows, columns);                                                                    \
    }

TRANSPOSE(transpose_4, uint32_t)
TRANSPOSE(transpose_2, uint16_t)

/* The channel of x that becomes channel c of y. */
static int source(int c, int rows, int columns)
{
    return c % rows * columns + c / rows;
}

static void copy_lanes(char *y, const char *x, size_t n, size_t step, size_t bytes)
{
    for (size_t i = 0; i < n; i++)
        memcpy(y + i * step, x + i * step, bytes);
}

void shuffle_run(const struct layout *l, int groups, bool back, void *y, const void *x)
{
    size_t n = (size_t)l->H * (size_t)l->W, bytes = dtype_bytes(l->type), step = (size_t)l->lanes * bytes;
    int rows = back ? l->C / groups : groups, columns = l->C / rows;
    if (l->lanes == l->C) {
        if (l->type == DTYPE_F32)
            transpose_4(y, x, n * (size_t)l->N, (size_t)rows, (size_t)columns);
        else
            transpose_2(y, x, n * (size_t)l->N, (size_t)rows, (size_t)columns);
        return;
    }
    if (l->C % l->lanes)
        memset(y, 0, layout_bytes(l));
    for (int image = 0; image < l->N; image++)
        for (int c = 0; c < l->C; c++) {
            int from = source(c, rows, columns);
            char *y_c = (char *)y + (layout_panel(l, image, c / l->lanes) + (size_t)(c % l->lanes)) * bytes;
            const char *x_c =
                (const char *)x + (layout_panel(l, image, from / l->lanes) + (size_t)(from % l->lanes)) * bytes;
            if (l->lanes == 1)
                memcpy(y_c, x_c, n * bytes);
            else
                copy_lanes(y_c, x_c, n, step, bytes);
        }
}
