#include "coordinator/task.h"

#include <string.h>

static const char *const names[] = {"new", "ready", "starting", "leased", "recording", "done", "parked"};

static const bool ways[TASK_STATES][TASK_STATES] = {
    [TASK_NEW] = {[TASK_READY] = true, [TASK_LEASED] = true, [TASK_DONE] = true, [TASK_PARKED] = true},
    [TASK_READY] = {[TASK_STARTING] = true, [TASK_LEASED] = true, [TASK_RECORDING] = true},
    [TASK_STARTING] = {[TASK_LEASED] = true, [TASK_READY] = true, [TASK_RECORDING] = true},
    [TASK_LEASED] = {[TASK_READY] = true, [TASK_RECORDING] = true},
    [TASK_RECORDING] = {[TASK_READY] = true, [TASK_DONE] = true, [TASK_PARKED] = true},
};

const char *task_state_name(enum task_state s)
{
    return names[s];
}

void task_init(struct task *t, enum task_kind kind, int64_t search, int32_t episode, struct task_lists *lists)
{
    memset(t, 0, sizeof(*t));
    t->id = (struct task_id){.kind = kind, .search = search, .episode = episode};
    t->lists = lists;
}

static struct task_list *list_of(struct task *t, enum task_state s)
{
    if (s == TASK_READY)
        return &t->lists->ready;
    return s == TASK_LEASED ? &t->lists->leased : NULL;
}

static void leave(struct task_list *l, struct task *t)
{
    *(t->prev ? &t->prev->next : &l->first) = t->next;
    *(t->next ? &t->next->prev : &l->last) = t->prev;
    t->prev = t->next = NULL;
    l->n--;
}

static void enter(struct task_list *l, struct task *t, bool front)
{
    t->prev = front ? NULL : l->last;
    t->next = front ? l->first : NULL;
    *(t->prev ? &t->prev->next : &l->first) = t;
    *(t->next ? &t->next->prev : &l->last) = t;
    l->n++;
}

bool task_can_move(enum task_state from, enum task_state to)
{
    return ways[from][to];
}

void task_move(struct task *t, enum task_state to)
{
    if (!task_can_move(t->state, to))
        BUG("%s of search %lld, episode %d: no way from %s to %s", task_kind_name(t->id.kind),
            (long long)t->id.search, t->id.episode, names[t->state], names[to]);
    struct task_list *from_list = list_of(t, t->state), *to_list = list_of(t, to);
    if (from_list)
        leave(from_list, t);
    t->state = to;
    if (to != TASK_STARTING && to != TASK_LEASED)
        t->worker = NULL;
    if (to_list)
        enter(to_list, t, t->id.attempt > 0); /* the policy waits for the oldest: what comes back goes first */
}

bool task_spent(const struct task *t, int most)
{
    return t->failures >= most || t->losses >= 3 * most || t->diverged >= TASK_MOST_DIVERGED;
}

double task_lr_scale(int diverged)
{
    double scale = 1;
    for (int i = 0; i < diverged; i++)
        scale /= 4;
    return scale;
}
