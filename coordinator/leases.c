/* Leases that run out, workers that go silent (scheduler.h). */
#include "common/base/clock.h"
#include "common/base/log.h"
#include "coordinator/scheduler_int.h"

/* A restart left it to nobody: its worker has the whole grace to come back, but less when others have nothing to
 * do. */
static bool abandoned(struct scheduler *sch, const struct task *t, int64_t now_ns)
{
    return !t->worker && fleet_idle(sch->fleet) && now_ns >= t->lease_ns - sch->o.grace_ns + sch->o.short_grace_ns;
}

/* Leases that have run out. One whose search may go with it (a profile given up) ends the walk: the next tick goes
 * on. */
static void expire(struct scheduler *sch, struct task_lists *lists, int64_t now_ns)
{
    for (struct task *t = lists->leased.first, *next; t; t = next) {
        next = t->next;
        if (t->lease_ns > now_ns && !abandoned(sch, t, now_ns))
            continue;
        struct worker *w = t->worker;
        char why[PROTO_MAX_TEXT] = "its worker did not come back after a restart";
        if (w) {
            snprintf(why, sizeof(why), "no word of it from worker %s for %d s", w->name,
                     (int)(sch->o.lease_ns / NS_PER_S));
            w->task = NULL;
            scheduler_disown(sch, w, &t->id);
        }
        bool last = task_kind_dense(t->id.kind);
        record_attempt_end(sch, t, w ? OUTCOME_LOST : OUTCOME_ORPHANED, false, why, NULL);
        if (last)
            return;
    }
}

/* A silent worker with a task stays until its lease has run out, for it may only be busy or cut off, unless another
 * has come in its place. */
static void drop_silent(struct scheduler *sch, int64_t now_ns)
{
    struct worker *gone[64];
    int n = 0;
    for (struct worker *w = fleet_first(sch->fleet); w && n < 64; w = fleet_next(sch->fleet))
        if ((!w->task && fleet_silent(sch->fleet, w, now_ns)) || fleet_displaced(sch->fleet, w, now_ns))
            gone[n++] = w;
    for (int i = 0; i < n; i++) {
        if (!gone[i]->banned)
            log_info("worker lost", "worker=%s", gone[i]->name);
        if (fleet_displaced(sch->fleet, gone[i], now_ns))
            fleet_inherit(sch->fleet, gone[i]);
        scheduler_lost(sch, gone[i], "the worker was started anew");
        fleet_drop(sch->fleet, gone[i]);
    }
}

void scheduler_tick(struct scheduler *sch, int64_t now_ns)
{
    for (struct search *s = sch->searches, *next; s; s = next) {
        next = s->next;
        expire(sch, &s->lists, now_ns);
    }
    expire(sch, &sch->export_lists, now_ns);
    drop_silent(sch, now_ns);
    scheduler_wake(sch);
}
