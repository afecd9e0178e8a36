#include "worker/engine/step.h"

#include <math.h>
#include <stdlib.h>

#include "common/base/mem.h"
#include "worker/engine/gate.h"
#include "worker/engine/mean.h"
#include "worker/engine/moments.h"
#include "worker/engine/shuffle.h"

void step_release(struct step *s)
{
    free(s->name);
    prim_free(s->prim);
    map_release(&s->map);
    mem_free(s->norm.scale);
    *s = (struct step){0};
}

static void run_norm(const struct step *s, const struct lent *with, const void *x, const void *r, void *y)
{
    int padded = s->map.padded;
    float *mean = with->moments + s->norm.at, *var = mean + padded, *a = var + padded;
    moments_of(&s->l, x, mean, var, with->sums);
    for (int c = 0; c < s->l.C; c++) /* the lanes of padding stay zero */
        a[c] = s->norm.scale[c] / sqrtf(var[c] + s->norm.eps);
    map_run(&s->map, mean, a, &s->l, y, x, r);
}

int step_run(const struct step *s, const struct lent *with, const void *x, const void *r, void *y, struct err *e)
{
    switch (s->kind) {
    case STEP_PRIM:
        return bound_run(with->call, e);
    case STEP_MAP:
        map_run(&s->map, s->map.m, s->map.a, &s->l, y, x, r);
        return 0;
    case STEP_NORM:
        run_norm(s, with, x, r, y);
        return 0;
    case STEP_CROP:
        crop_run(&s->crop, y, x);
        return 0;
    case STEP_MEAN:
        mean_run(&s->l, y, x);
        return 0;
    case STEP_MUL:
        if (s->gate)
            gate_run(&s->l, y, x, r);
        else
            gate_multiply(&s->l, y, x, r);
        return 0;
    case STEP_LRN:
        lrn_run(&s->lrn, &s->l, y, x);
        return 0;
    case STEP_SHUFFLE:
        shuffle_run(&s->l, s->groups, false, y, x);
        return 0;
    }
    BUG("step of kind %d", (int)s->kind);
}
