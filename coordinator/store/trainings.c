#include <stdlib.h>

#include "coordinator/store/store_int.h"

/* Finalists, checkpoints and training jobs. */

void store_finalists(struct store *s, int64_t search, const int32_t *episodes, size_t n, store_done *fn, void *arg)
{
    static const struct statement st = {
        .name = "choose_finalists", .sql = "select espalier.choose_finalists($1,$2)", .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_int(q, search);
    request_ints(q, episodes, n);
    pipeline_send(s->ledger, q);
}

void store_final_failed(struct store *s, int64_t search, int32_t episode, const char *reason, store_done *fn,
                        void *arg)
{
    static const struct statement st = {
        .name = "give_up_final", .sql = "select espalier.give_up_final($1,$2,$3)", .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_int(q, search);
    request_int(q, episode);
    request_text(q, reason);
    pipeline_send(s->ledger, q);
}

void store_checkpoint(struct store *s, const struct msg_checkpoint *k, const char *worker, store_done *fn,
                      void *arg)
{
    static const struct statement st = {.name = "record_checkpoint",
                                        .sql =
                                            "select espalier.record_checkpoint($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11)",
                                        .write = true};
    struct request *q = store_request(&st, fn, arg);
    request_task_id(q, &k->task);
    request_text(q, worker);
    request_int(q, k->epoch);
    request_hash(q, &k->blob);
    request_real(q, k->lr);
    request_real(q, k->loss);
    request_real(q, k->top1);
    request_real(q, k->seconds);
    pipeline_send(s->ledger, q);
}

static void answer_model(struct request *r, const PGresult *res, const struct err *e)
{
    store_model *fn = (store_model *)r->fn;
    struct hash h;
    if (e)
        fn(r->arg, NULL, e);
    else if (hash_from_hex(PQgetvalue(res, 0, 0), &h))
        fn(r->arg, &h, NULL);
    else
        BUG("espalier.training_model gave \"%s\"", PQgetvalue(res, 0, 0));
}

void store_training_model(struct store *s, int64_t search, store_model *fn, void *arg)
{
    static const struct statement st = {.name = "training_model", .sql = "select espalier.training_model($1)"};
    struct request *q = request_new(&st, answer_model, (void (*)(void))fn, arg);
    request_int(q, search);
    pipeline_send(s->bulk, q);
}
