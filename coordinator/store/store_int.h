/*
 * store_int - what the files of store share: the two pipelines and the usual kind of request.
 *
 * The ledger is the writer's session: searches, candidates, attempts, results. Bulk carries what is large or slow:
 * blobs and reports; so neither keeps a result from being committed.
 */
#ifndef COORDINATOR_STORE_STORE_INT_H
#define COORDINATOR_STORE_STORE_INT_H

#include "coordinator/store/pipeline.h"
#include "coordinator/store/store.h"

struct store {
    zloop_t *loop;
    char *conninfo;
    int64_t epoch;
    struct pipeline *ledger, *bulk;
    zmq_pollitem_t clock; /* a timer's descriptor */
    bool lost;            /* on_lost has been called */
    void (*on_lost)(void *arg, const char *why);
    void *arg;
};

/* A request whose caller is a store_done; fn NULL: nobody. */
struct request *store_request(const struct statement *st, store_done *fn, void *arg);
void store_answer_done(struct request *r, const PGresult *res, const struct err *e);
/* Search, kind, episode, attempt. */
void request_task_id(struct request *q, const struct task_id *t);

#endif
