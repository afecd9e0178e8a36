/*
 * Tasks that need a quiet machine (scheduler.h): one goes to a worker on whose host nobody else works, and while it waits for
 * that or is under way the other workers of the host get nothing. It waits so for QUIET_WAIT_NS at most: a host whose workers are
 * at long trainings is measured beside them, since the pairs of a measurement share whatever disturbs them.
 */
#include <inttypes.h>

#include "common/base/clock.h"
#include "common/base/log.h"
#include "coordinator/scheduler_int.h"

#define QUIET_WAIT_NS (120 * NS_PER_S)

/* The first of a search's ready ones; in the order of the searches. */
static struct task *first_quiet(const struct scheduler *sch)
{
    for (struct search *s = sch->searches; s; s = s->next) {
        if (s->state == SEARCH_PAUSED)
            continue;
        for (struct task *t = s->lists.ready.first; t; t = t->next)
            if (task_kind_quiet(t->id.kind))
                return t;
    }
    return NULL;
}

/* A candidate is timed on the kind of CPU that the search's table is of, when there is one. */
static bool suits(struct scheduler *sch, const struct worker *w, const struct task *t)
{
    const struct search *s = scheduler_search(sch, t->id.search);
    if (!s->has_table || strncmp(w->cpu, s->table.cpu, sizeof(w->cpu) - 1) == 0)
        return true;
    for (struct worker *x = fleet_first(sch->fleet); x; x = fleet_next(sch->fleet))
        if (!x->banned && strncmp(x->cpu, s->table.cpu, sizeof(x->cpu) - 1) == 0)
            return false;
    return true;
}

static bool is_host(const struct scheduler *sch, const struct worker *w)
{
    return sch->quiet_host[0] && strcmp(w->host, sch->quiet_host) == 0;
}

/* The host that was chosen may have gone. */
static void check_host(struct scheduler *sch)
{
    for (struct worker *w = fleet_first(sch->fleet); w; w = fleet_next(sch->fleet))
        if (!w->banned && is_host(sch, w))
            return;
    sch->quiet_host[0] = '\0';
}

static struct worker *found(struct scheduler *sch, struct worker *w)
{
    sch->quiet = NULL;
    sch->quiet_host[0] = '\0';
    return w;
}

struct worker *quiet_worker(struct scheduler *sch, struct task **out, int64_t now_ns)
{
    struct task *t = first_quiet(sch);
    struct worker *choice = NULL;
    if (t != sch->quiet) {
        sch->quiet = t;
        sch->quiet_host[0] = '\0';
        sch->quiet_ns = now_ns;
    }
    *out = t;
    if (!t)
        return NULL;
    check_host(sch);
    for (struct worker *w = fleet_idle(sch->fleet); w; w = fleet_idle_next(w)) {
        if (!suits(sch, w, t))
            continue;
        if (!fleet_host_works(sch->fleet, w, false))
            return found(sch, w);
        if (!choice || (is_host(sch, w) && !is_host(sch, choice)))
            choice = w;
    }
    if (choice && now_ns - sch->quiet_ns > QUIET_WAIT_NS && !fleet_host_works(sch->fleet, choice, true)) {
        log_warn("not quiet", "search=%" PRId64 " episode=%d kind=%s worker=%s: others work beside it", t->id.search,
                 t->id.episode, task_kind_name(t->id.kind), choice->name);
        return found(sch, choice);
    }
    if (choice && !sch->quiet_host[0])
        snprintf(sch->quiet_host, sizeof(sch->quiet_host), "%s", choice->host);
    return NULL;
}

bool quiet_forbids(const struct scheduler *sch, const struct worker *w)
{
    return (sch->quiet && is_host(sch, w)) || fleet_host_works(sch->fleet, w, true);
}
