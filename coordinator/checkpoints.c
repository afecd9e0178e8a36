/* Checkpoints of long trainings: judged, recorded, acknowledged (scheduler.h). */
#include <inttypes.h>

#include "common/base/log.h"
#include "coordinator/scheduler_int.h"

static void send_kept(struct scheduler *sch, const struct peer *to, const struct msg_checkpoint *k)
{
    struct message m = {.type = MSG_KEPT};
    m.u.checkpoint.task = k->task;
    m.u.checkpoint.epoch = k->epoch;
    bus_send(sch->bus, to, &m);
}

/* The worker stops, and the attempt ends. May free the search. */
static void stop(struct scheduler *sch, struct task *t, enum attempt_outcome o, const char *why)
{
    struct worker *w = t->worker;
    if (w) {
        bus_cancel(sch->bus, &w->peer, &t->id, why);
        w->task = NULL; /* idle as soon as a beat says so */
    }
    record_attempt_end(sch, t, o, false, why, NULL);
}

/* NULL: the attempt isn't under way any more. */
static struct task *under_way(struct scheduler *sch, const struct task_id *id)
{
    struct task *t = scheduler_task(sch, id);
    return t && t->state == TASK_LEASED && task_id_equal(&t->id, id) ? t : NULL;
}

static void refused(struct scheduler *sch, const struct peer *from, const struct msg_checkpoint *k, const char *why)
{
    struct task *t = under_way(sch, &k->task);
    log_warn("checkpoint refused", "search=%" PRId64 " episode=%d kind=%s attempt=%d epoch=%d reason=\"%s\"",
             k->task.search, k->task.episode, task_kind_name(k->task.kind), k->task.attempt, k->epoch, why);
    if (t)
        stop(sch, t, OUTCOME_FAILED, why);
    else
        bus_cancel(sch->bus, from, &k->task, why);
}

/* From here on another worker would go on after this epoch. */
static void recorded(struct scheduler *sch, const struct pending *p)
{
    const struct msg_checkpoint *k = &p->m.u.checkpoint;
    const struct search *s = scheduler_search(sch, k->task.search);
    struct task *t = under_way(sch, &k->task);
    log_info("checkpoint", "search=%" PRId64 " episode=%d kind=%s attempt=%d epoch=%d loss=%g top1=%g seconds=%.2f",
             k->task.search, k->task.episode, task_kind_name(k->task.kind), k->task.attempt, k->epoch, k->loss,
             k->top1, k->seconds);
    if (t && s->state == SEARCH_PAUSED)
        stop(sch, t, OUTCOME_HANDED_BACK, "the search is paused");
    else
        send_kept(sch, &p->peer, k);
}

static void on_recorded(void *arg, const struct err *e)
{
    struct pending *p = arg;
    struct scheduler *sch = p->sch;
    const struct msg_checkpoint *k = &p->m.u.checkpoint;
    struct task *t = scheduler_task(sch, &p->id);
    if (t && t->keeping == k->epoch) { /* else the attempt has diverged meanwhile, and the checkpoint goes again */
        t->keeping = 0;
        if (!e) {
            t->epoch = k->epoch;
            t->checkpoint = k->blob;
        }
    }
    if (!e)
        recorded(sch, p);
    else if (!sch->stopped) /* else the program ends: the worker says it again to its successor */
        refused(sch, &p->peer, k, e->text);
    pending_free(p);
    scheduler_wake(sch);
}

static int judge(const struct search *s, const struct msg_checkpoint *k, struct err *e)
{
    const struct training *t = &s->recipe.finish;
    if (!training_any(t))
        return err_set(e, ERR_INVALID, "checkpoint of a task without training");
    if (t->epochs > 0 && k->epoch > t->epochs)
        return err_set(e, ERR_INVALID, "checkpoint of epoch %d, there are %d", k->epoch, t->epochs);
    return 0;
}

void scheduler_checkpoint(struct scheduler *sch, struct worker *w, const struct message *m)
{
    const struct msg_checkpoint *k = &m->u.checkpoint;
    struct err e;
    if (!scheduler_adopt(sch, w, &k->task)) {
        scheduler_disown(sch, w, &k->task);
        return;
    }
    struct task *t = under_way(sch, &k->task);
    if (!t || t->keeping == k->epoch)
        return; /* its result has come, or a repeat: the answer is on its way */
    if (k->epoch <= t->epoch) {
        send_kept(sch, &w->peer, k);
    } else if (judge(scheduler_search(sch, k->task.search), k, &e) < 0) {
        refused(sch, &w->peer, k, e.text);
    } else {
        struct pending *p = pending_new(sch, &k->task, w);
        p->m = *m;
        t->keeping = k->epoch;
        store_checkpoint(sch->store, k, w->name, on_recorded, p);
    }
}
