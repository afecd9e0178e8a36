#include "common/model/action.h"

#include <math.h>

#include "common/base/mem.h"

static int step_of(int most, int round_to)
{
    if (most >= 2 * (int64_t)round_to)
        return round_to;
    int step = 1;
    while (step <= most / 4)
        step *= 2;
    return step;
}

static int least_of(int most, int step, double keep_min)
{
    double k = ceil(keep_min * most - 1e-9); /* 0.28 * 25 is a little more than 7 */
    if (k >= most)
        return most;
    int up = k <= step ? step : ((int)k + step - 1) / step * step;
    return up < most ? up : most;
}

static void make(struct limits *l, int n)
{
    *l = (struct limits){.n = n};
    l->most = xcalloc((size_t)n, sizeof *l->most);
    l->least = xcalloc((size_t)n, sizeof *l->least);
    l->step = xcalloc((size_t)n, sizeof *l->step);
}

void limits_new(struct limits *l, const struct groups *gs, double keep_min, int round_to, bool inner_only)
{
    if (round_to < 1)
        BUG("rounding to %d", round_to);
    make(l, gs->n);
    for (int k = 0; k < l->n; k++) {
        int most = gs->of[k].n;
        l->most[k] = most;
        l->step[k] = step_of(most, round_to);
        l->least[k] = inner_only && gs->of[k].tied ? most : least_of(most, l->step[k], keep_min);
    }
}

void limits_round_to(struct limits *l, int group, double keep_min, int round_to)
{
    if (l->least[group] == l->most[group])
        return;
    l->step[group] = step_of(l->most[group], round_to);
    l->least[group] = least_of(l->most[group], l->step[group], keep_min);
}

void limits_even(struct limits *l, int n, int most, int step, double keep_min)
{
    make(l, n);
    for (int k = 0; k < n; k++) {
        l->most[k] = most;
        l->step[k] = step;
        l->least[k] = least_of(most, step, keep_min);
    }
}

void limits_release(struct limits *l)
{
    mem_free(l->most);
    mem_free(l->least);
    mem_free(l->step);
    *l = (struct limits){0};
}

int limits_round(const struct limits *l, int group, double frac)
{
    int most = l->most[group], least = l->least[group], step = l->step[group];
    double x = frac * most;
    if (!(x > least))
        return least;
    if (x >= most)
        return most;
    int under = (int)x / step * step, over = under + step;
    if (over > most)
        over = most;
    return x - under < over - x - 1e-9 ? under : over;
}

int limits_down(const struct limits *l, int group, int k)
{
    int most = l->most[group], least = l->least[group], step = l->step[group];
    if (k <= least)
        return k;
    if (k > most)
        return most;
    int down = (k - 1) / step * step;
    return down > least ? down : least;
}

int limits_up(const struct limits *l, int group, int k)
{
    int most = l->most[group], least = l->least[group], step = l->step[group];
    if (k >= most)
        return k;
    if (k < least)
        return least;
    int up = (k / step + 1) * step;
    return up < most ? up : most;
}

bool limits_legal(const struct limits *l, const int *keep)
{
    for (int k = 0; k < l->n; k++) {
        if (keep[k] < l->least[k] || keep[k] > l->most[k])
            return false;
        if (keep[k] != l->most[k] && keep[k] % l->step[k] != 0)
            return false;
    }
    return true;
}
