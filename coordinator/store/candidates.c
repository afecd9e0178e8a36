#include <stdlib.h>

#include "coordinator/store/store_int.h"

void candidate_row_release(struct candidate_row *r)
{
    free(r->keep);
    *r = (struct candidate_row){0};
}

/* A latency of 0: there is no table that predicts it. */
static void request_cost(struct request *q, const struct cost *c)
{
    for (int k = 0; k < COST_KINDS; k++) {
        if (k == COST_LATENCY && c->of[k] == 0)
            request_null(q);
        else
            request_int(q, c->of[k]);
    }
}

void store_candidate(struct store *s, const struct candidate_row *c, store_done *fn, void *arg)
{
    static const struct statement st = {
        .name = "record_candidate",
        .sql = "select espalier.record_candidate($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14)",
        .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_int(q, c->search);
    request_int(q, c->episode);
    request_int(q, c->budget);
    request_text(q, cost_name(c->budget_kind));
    request_real(q, c->budget_frac);
    request_ints(q, c->keep, c->n_keep);
    request_cost(q, &c->cost);
    request_cost(q, &c->dense);
    pipeline_send(s->ledger, q);
}

void store_attempt(struct store *s, const struct task_id *t, const char *worker, store_done *fn, void *arg)
{
    static const struct statement st = {
        .name = "begin_attempt", .sql = "select espalier.begin_attempt($1,$2,$3,$4,$5)", .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_task_id(q, t);
    request_text(q, worker);
    pipeline_send(s->ledger, q);
}

void store_attempt_end(struct store *s, const struct task_id *t, const char *outcome, const char *reason,
                       store_done *fn, void *arg)
{
    static const struct statement st = {
        .name = "end_attempt", .sql = "select espalier.end_attempt($1,$2,$3,$4,$5,$6)", .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_task_id(q, t);
    request_text(q, outcome);
    request_text(q, reason);
    pipeline_send(s->ledger, q);
}

void store_candidate_failed(struct store *s, int64_t search, int32_t episode, const char *reason, store_done *fn,
                            void *arg)
{
    static const struct statement st = {
        .name = "give_up", .sql = "select espalier.give_up($1,$2,$3)", .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_int(q, search);
    request_int(q, episode);
    request_text(q, reason);
    pipeline_send(s->ledger, q);
}

static void request_metrics(struct request *q, const struct metrics *m)
{
    request_int(q, m->n);
    request_int(q, m->top1);
    request_int(q, m->top5);
    request_real(q, m->loss);
}

/* A training job has no episodes. */
static void request_delivery(struct request *q, const struct msg_result *r)
{
    request_int(q, r->task.search);
    if (r->task.kind != TASK_TRAIN)
        request_int(q, r->task.episode);
    request_int(q, r->task.attempt);
}

void store_result(struct store *s, const struct msg_result *r, const char *worker, store_done *fn, void *arg)
{
    static const struct statement result = {
        .name = "record_result", .sql = "select espalier.record_result($1,$2,$3,$4,$5,$6,$7,$8,$9)", .write = true};
    static const struct statement final = {.name = "record_final",
                                           .sql = "select espalier.record_final($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)",
                                           .write = true};
    static const struct statement export = {
        .name = "record_export", .sql = "select espalier.record_export($1,$2,$3,$4)", .write = true};
    static const struct statement training = {.name = "record_training",
                                              .sql = "select espalier.record_training($1,$2,$3,$4,$5,$6,$7,$8,$9)",
                                              .write = true};
    static const struct statement *const of[TASK_KINDS] = {
        [TASK_EVALUATE] = &result, [TASK_FINAL] = &final, [TASK_EXPORT] = &export, [TASK_TRAIN] = &training};
    if (r->task.kind == TASK_PROFILE) {
        store_profile(s, r->task.search, r, fn, arg);
        return;
    }
    const struct statement *st = of[r->task.kind];
    struct request *q = store_request(st, fn, arg);
    request_delivery(q, r);
    if (st != &export) {
        request_text(q, worker);
        request_real(q, r->seconds);
        request_metrics(q, st == &result ? &r->reward : &r->test);
    }
    if (st != &result)
        request_hash(q, &r->blob);
    pipeline_send(s->ledger, q);
}
