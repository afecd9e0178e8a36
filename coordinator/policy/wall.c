#include "coordinator/policy/wall.h"

void wall_begin(const struct wall *w, struct bill *b)
{
    bill_set(b, w->limits->least);
}

int wall_reach(const struct wall *w, const struct bill *b, int group, int k)
{
    while (b->cost + bill_change(b, group, k) > w->most) {
        int down = limits_down(w->limits, group, k);
        if (down == k)
            break;
        k = down;
    }
    return k;
}

int wall_act(const struct wall *w, struct bill *b, int group, double frac)
{
    int k = wall_reach(w, b, group, limits_round(w->limits, group, frac));
    bill_move(b, group, k);
    return k;
}

bool wall_repair(const struct wall *w, struct bill *b, const int *order, int n)
{
    bool moved = true;
    while (moved) {
        moved = false;
        for (int i = 0; i < n; i++) {
            if (b->cost <= w->most)
                return true;
            int down = limits_down(w->limits, order[i], b->keep[order[i]]);
            moved |= down != b->keep[order[i]];
            bill_move(b, order[i], down);
        }
    }
    return b->cost <= w->most;
}

bool wall_fill(const struct wall *w, struct bill *b, const int *order, int n)
{
    bool moved = false;
    for (int i = 0; i < n; i++) {
        int up = limits_up(w->limits, order[i], b->keep[order[i]]);
        if (up == b->keep[order[i]] || b->cost + bill_change(b, order[i], up) > w->most)
            continue;
        bill_move(b, order[i], up);
        moved = true;
    }
    return moved;
}
