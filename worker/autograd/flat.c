#include "worker/autograd/flat.h"

#include <math.h>
#include <string.h>

static size_t gcd(size_t a, size_t b)
{
    while (b) {
        size_t r = a % b;
        a = b;
        b = r;
    }
    return a;
}

struct flat flat_of(const struct layout *l)
{
    struct flat f = {.runs = 1, .panels = layout_panels(l), .C = l->C, .lanes = l->lanes, .type = l->type};
    size_t lanes = (size_t)l->lanes;
    f.length = layout_floats(l);
    if (f.panels > 1) {
        f.runs = (size_t)l->N * (size_t)f.panels;
        f.length /= f.runs;
    }
    f.period = lanes / gcd(lanes, FLAT_BLOCK) * FLAT_BLOCK;
    return f;
}

size_t flat_width(const struct flat *f)
{
    return (size_t)f->panels * f->period;
}

size_t flat_place(size_t i, enum dtype type)
{
    return type == DTYPE_F32 ? i : (i & ~(size_t)31) + (i & 1) * 16 + (i & 31) / 2;
}

void flat_expand(const struct flat *f, const float *of_channel, float *out)
{
    memset(out, 0, flat_width(f) * sizeof *out);
    for (int c = 0; c < f->C; c++) {
        float *panel = out + (size_t)(c / f->lanes) * f->period, v = of_channel[c];
        for (size_t i = (size_t)(c % f->lanes); i < f->period; i += (size_t)f->lanes)
            panel[flat_place(i, f->type)] = isnan(v) ? NAN : v;
    }
}

void flat_fold(const struct flat *f, const double *expanded, double *of_channel)
{
    for (int c = 0; c < f->C; c++) {
        const double *panel = expanded + (size_t)(c / f->lanes) * f->period;
        double s = 0;
        for (size_t i = (size_t)(c % f->lanes); i < f->period; i += (size_t)f->lanes)
            s += panel[flat_place(i, f->type)];
        of_channel[c] = s;
    }
}
