/* Candidates' ONNX files, made by a worker when a person asks (scheduler.h). They need no search in memory: its row
 * says it all. */
#include <inttypes.h>

#include "common/base/mem.h"
#include "coordinator/scheduler_int.h"
#include "proto/text.h"

#define EXPORTS_MAX 32 /* under way or failed and not yet asked for again */

static void free_export(struct export *x)
{
    free(x->keep);
    free(x);
}

static void unlink_export(struct scheduler *sch, struct export *x)
{
    struct export **at = &sch->exports;
    while (*at != x)
        at = &(*at)->next;
    *at = x->next;
    free_export(x);
}

void exports_free(struct scheduler *sch)
{
    while (sch->exports)
        unlink_export(sch, sch->exports);
}

struct export *scheduler_export(struct scheduler *sch, int64_t search, int32_t episode)
{
    struct export *x = sch->exports;
    while (x && (x->task.id.search != search || x->task.id.episode != episode))
        x = x->next;
    return x;
}

struct task *exports_task(struct scheduler *sch, const struct task_id *id)
{
    struct export *x = scheduler_export(sch, id->search, id->episode);
    return x ? &x->task : NULL;
}

/* Failures that nobody came back for make room. */
static bool make_room(struct scheduler *sch)
{
    int n = 0;
    struct export *parked = NULL;
    for (struct export *x = sch->exports; x; x = x->next, n++)
        if (x->task.state == TASK_PARKED)
            parked = x;
    if (n < EXPORTS_MAX)
        return true;
    if (!parked)
        return false;
    unlink_export(sch, parked);
    return true;
}

static int take_recipe(const struct search_row *s, struct recipe *to, char name[RECIPE_NAME], struct err *e)
{
    struct spec spec;
    int rc = spec_parse(s->spec, strlen(s->spec), &spec, e);
    if (rc < 0)
        return rc;
    *to = s->recipe;
    search_complete(&spec, to);
    memcpy(name, spec.name, sizeof(spec.name));
    spec_release(&spec);
    return 0;
}

int scheduler_export_begin(struct scheduler *sch, const struct search_row *s, const struct candidate_row *c,
                           struct err *e)
{
    char name[RECIPE_NAME];
    struct recipe recipe;
    if (!make_room(sch))
        return err_set(e, ERR_LIMIT, "%d exports are under way, the most there can be at once", EXPORTS_MAX);
    int rc = take_recipe(s, &recipe, name, e);
    if (rc < 0)
        return rc;
    struct export *x = xcalloc(1, sizeof(*x));
    task_init(&x->task, TASK_EXPORT, c->search, c->episode, &sch->export_lists);
    x->task.id.attempt = c->exports;
    x->recipe = recipe;
    x->lr_scale = task_lr_scale(c->diverged);
    x->profile = s->profile;
    x->n_keep = c->n_keep;
    x->keep = xcalloc(c->n_keep, sizeof(*x->keep));
    memcpy(x->keep, c->keep, c->n_keep * sizeof(*x->keep));
    search_about(name, c, &x->about);
    x->about.reward = c->reward;
    x->next = sch->exports;
    sch->exports = x;
    task_move(&x->task, TASK_READY);
    scheduler_wake(sch);
    return 0;
}

bool scheduler_export_failed(struct scheduler *sch, struct export *x, char *why, size_t n)
{
    if (x->task.state != TASK_PARKED)
        return false;
    snprintf(why, n, "%s", x->reason);
    unlink_export(sch, x);
    return true;
}

static struct export *export_of(struct scheduler *sch, const struct task *t)
{
    return scheduler_export(sch, t->id.search, t->id.episode);
}

void exports_done(struct scheduler *sch, struct task *t)
{
    unlink_export(sch, export_of(sch, t)); /* from here on the record answers */
}

void exports_parked(struct scheduler *sch, struct task *t, const char *reason)
{
    task_move(t, TASK_PARKED);
    struct export *x = export_of(sch, t);
    text_copy(x->reason, sizeof(x->reason), reason);
}

void exports_work(struct scheduler *sch, const struct task *t, struct msg_work *w)
{
    const struct export *x = export_of(sch, t);
    w->recipe = x->recipe;
    w->lr_scale = x->lr_scale;
    w->has_profile = true;
    w->profile = x->profile;
    w->n_keep = x->n_keep;
    w->keep = x->keep;
    w->about = x->about;
}
