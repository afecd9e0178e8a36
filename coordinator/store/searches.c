#include <stdlib.h>

#include "common/base/mem.h"
#include "coordinator/store/store_int.h"

static const char *const states[SEARCH_STATES] = {
    [SEARCH_PROFILING] = "profiling", [SEARCH_RUNNING] = "running", [SEARCH_PAUSED] = "paused",
    [SEARCH_FINISHING] = "finishing", [SEARCH_DONE] = "done",       [SEARCH_FAILED] = "failed",
    [SEARCH_CANCELLED] = "cancelled",
};

const char *search_state_name(enum search_state s)
{
    if ((unsigned)s >= SEARCH_STATES)
        BUG("search state %d", (int)s);
    return states[s];
}

void search_row_release(struct search_row *r)
{
    free(r->spec);
    free(r->n_curve);
    free(r->curve);
    free(r->table);
    *r = (struct search_row){0};
}

static void answer_created(struct request *r, const PGresult *res, const struct err *e)
{
    ((store_created *)r->fn)(r->arg, e ? 0 : strtoll(PQgetvalue(res, 0, 0), NULL, 10), e);
}

/* A creation may be sent twice, when the connection breaks: the number drawn here makes it one. */
static void request_uuid(struct request *q)
{
    uint8_t b[16];
    char s[33];
    randombytes_buf(b, sizeof(b));
    request_text(q, sodium_bin2hex(s, sizeof(s), b, sizeof(b)));
}

static void request_files(struct request *q, const struct data_file *files, int n)
{
    char hex[HASH_HEX], size[24];
    request_texts_begin(q);
    for (int i = 0; i < n; i++)
        request_texts_add(q, files[i].name);
    request_texts_end(q);
    request_texts_begin(q);
    for (int i = 0; i < n; i++) {
        hash_to_hex(&files[i].hash, hex);
        request_texts_add(q, hex);
    }
    request_texts_end(q);
    request_texts_begin(q);
    for (int i = 0; i < n; i++) {
        snprintf(size, sizeof(size), "%" PRIu64, files[i].size);
        request_texts_add(q, size);
    }
    request_texts_end(q);
}

static void request_teacher(struct request *q, const struct training *t)
{
    if (t->distill.other)
        request_hash(q, &t->distill.teacher);
    else
        request_null(q);
}

void store_search_create(struct store *s, const char *name, const char *spec, const struct recipe *r, bool training,
                         store_created *fn, void *arg)
{
    static const struct statement st = {
        .name = "create_search",
        .sql =
            "select espalier.create_search($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,"
            "$21)",
        .write = true};
    struct request *q = request_new(&st, answer_created, (void (*)(void))fn, arg);
    request_uuid(q);
    request_text(q, name);
    request_text(q, spec);
    request_uint(q, r->seed);
    request_hash(q, &r->model);
    request_text(q, data_kind_name(r->data));
    request_reals(q, r->mean, (size_t)r->n_channels);
    request_reals(q, r->std, (size_t)r->n_channels);
    request_int(q, r->reward);
    request_int(q, r->calibrate);
    request_text(q, select_kind_name(r->select));
    request_bool(q, r->reconstruct);
    request_bool(q, r->recalibrate);
    request_files(q, r->files, r->n_files);
    request_text(q, training ? "training" : "search");
    request_text(q, precision_name(r->precision));
    request_teacher(q, &r->finetune);
    request_teacher(q, &r->finish);
    if (r->finish.steps > 0)
        request_null(q);
    else
        request_int(q, r->finish.epochs);
    pipeline_send(s->ledger, q);
}

void store_search_state(struct store *s, int64_t id, enum search_state to, enum search_state paused_from,
                        const char *reason, store_done *fn, void *arg)
{
    static const struct statement st = {
        .name = "move_search", .sql = "select espalier.move_search($1,$2,$3,$4)", .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_int(q, id);
    request_text(q, search_state_name(to));
    request_text(q, to == SEARCH_PAUSED ? search_state_name(paused_from) : NULL);
    request_text(q, to == SEARCH_FAILED ? reason : NULL);
    pipeline_send(s->ledger, q);
}

void store_profile(struct store *s, int64_t id, const struct msg_result *r, store_done *fn, void *arg)
{
    static const struct statement st = {.name = "record_profile",
                                        .sql = "select espalier.record_profile($1,$2,$3,$4,$5,$6,$7,$8,$9,$10)",
                                        .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_int(q, id);
    request_int(q, r->task.attempt);
    request_hash(q, &r->blob);
    request_int(q, r->reward.n);
    request_int(q, r->reward.top1);
    request_int(q, r->reward.top5);
    request_real(q, r->reward.loss);
    request_ints(q, (const int32_t *)r->n_curve, r->n_groups);
    request_floats(q, r->curve, r->n_points);
    request_real(q, r->seconds);
    pipeline_send(s->ledger, q);
}

void store_snapshot(struct store *s, int64_t search, int32_t episode, const void *bytes, size_t n, store_done *fn,
                    void *arg)
{
    static const struct statement st = {
        .name = "record_snapshot", .sql = "select espalier.record_snapshot($1,$2,$3)", .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_int(q, search);
    request_int(q, episode);
    request_bytes(q, bytes, n);
    pipeline_send(s->ledger, q);
}
