/* What was measured by the clock: latency tables and timings (store.h). */
#include "coordinator/store/store_int.h"

static void request_measured_by(struct request *q, const struct measured_by *by)
{
    request_text(q, by->worker);
    request_text(q, by->cpu);
    request_text(q, by->kernels);
    request_text(q, by->precision);
}

void store_table(struct store *s, const struct msg_result *r, const struct measured_by *by, const struct latency *t,
                 const int32_t *rounds, size_t n, store_done *fn, void *arg)
{
    static const struct statement st = {
        .name = "record_table", .sql = "select espalier.record_table($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12)", .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_int(q, r->task.search);
    request_int(q, r->task.attempt);
    request_measured_by(q, by);
    request_bytes(q, r->table, r->n_table);
    request_real(q, r->seconds);
    request_real(q, t->dense_ns / 1e6);
    request_real(q, t->error_median);
    request_real(q, t->error_worst);
    request_ints(q, rounds, n);
    pipeline_send(s->ledger, q);
}

static void answer_table(struct request *r, const PGresult *res, const struct err *e)
{
    store_bytes *fn = (store_bytes *)r->fn;
    if (e || PQgetisnull(res, 0, 0))
        fn(r->arg, NULL, 0, e);
    else
        fn(r->arg, PQgetvalue(res, 0, 0), (size_t)PQgetlength(res, 0, 0), NULL);
}

void store_table_find(struct store *s, int64_t search, const struct measured_by *by, store_bytes *fn, void *arg)
{
    static const struct statement st = {
        .name = "inherit_table", .sql = "select espalier.inherit_table($1,$2,$3,$4)", .write = true, .binary = true};
    struct request *q = request_new(&st, answer_table, (void (*)(void))fn, arg);
    request_int(q, search);
    request_text(q, by->cpu);
    request_text(q, by->kernels);
    request_text(q, by->precision);
    pipeline_send(s->ledger, q);
}

static void request_timing(struct request *q, const struct timing *t)
{
    request_real(q, t->ms);
    request_real(q, t->dense_ms);
    request_real(q, t->ratio);
    request_real(q, t->spread);
}

void store_times(struct store *s, const struct msg_result *r, const struct measured_by *by, store_done *fn, void *arg)
{
    static const struct statement st = {
        .name = "record_timing",
        .sql = "select espalier.record_timing($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17)",
        .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_int(q, r->task.search);
    request_int(q, r->task.episode);
    request_int(q, r->task.attempt);
    request_measured_by(q, by);
    request_real(q, r->seconds);
    request_timing(q, &r->times[0]);
    if (r->n_times > 1) {
        request_int(q, r->times[1].batch);
        request_timing(q, &r->times[1]);
    } else {
        for (int i = 0; i < 5; i++)
            request_null(q);
    }
    pipeline_send(s->ledger, q);
}

void store_time_failed(struct store *s, int64_t search, int32_t episode, const char *reason, store_done *fn, void *arg)
{
    static const struct statement st = {
        .name = "give_up_timing", .sql = "select espalier.give_up_timing($1,$2,$3)", .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_int(q, search);
    request_int(q, episode);
    request_text(q, reason);
    pipeline_send(s->ledger, q);
}
