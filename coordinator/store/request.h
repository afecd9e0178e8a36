/*
 * request - one statement with its arguments, on its way to the database, and who gets the answer.
 */
#ifndef COORDINATOR_STORE_REQUEST_H
#define COORDINATOR_STORE_REQUEST_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "common/base/buf.h"
#include "common/base/hash.h"

#define REQUEST_ARGS 21

struct statement {    /* static and constant: its address is its identity */
    const char *name; /* unique on a connection: it is prepared there under this name */
    const char *sql;
    bool write;  /* the epoch is checked in its transaction */
    bool binary; /* result columns */
};

struct request;
/* res: the statement's result, or NULL with `e` set. Runs once; the request is freed after it. */
typedef void request_answer(struct request *r, const PGresult *res, const struct err *e);

struct request {
    STAILQ_ENTRY(request) next;
    const struct statement *st;
    request_answer *answer;
    void (*fn)(void); /* the caller's function, for `answer` to cast back */
    void *arg;
    int64_t sent_ns; /* when the pipeline got it */
    size_t expects;  /* bytes that the answer may have, where that is much */
    int n;
    struct {
        size_t at;
        int length;
        bool null, binary;
    } args[REQUEST_ARGS];
    struct buf bytes;
    PGresult *result; /* until the transaction has ended */
};
STAILQ_HEAD(request_list, request);

struct request *request_new(const struct statement *st, request_answer *answer, void (*fn)(void), void *arg);
void request_free(struct request *r);
/* Runs the answer and frees the request. */
void request_finish(struct request *r, const struct err *e);

/* The next argument. Too many is BUG(). Texts, numbers and arrays go as text, bytes as they are. */
void request_null(struct request *r);
void request_text(struct request *r, const char *s); /* NULL: null; what isn't UTF-8 becomes '?' */
void request_bool(struct request *r, bool b);
void request_int(struct request *r, int64_t v);
void request_uint(struct request *r, uint64_t v);
void request_real(struct request *r, double v);
void request_bytes(struct request *r, const void *p, size_t n);
void request_hash(struct request *r, const struct hash *h);
void request_ints(struct request *r, const int32_t *v, size_t n);
void request_reals(struct request *r, const double *v, size_t n);
void request_floats(struct request *r, const float *v, size_t n);

/* An array of texts, one by one. */
void request_texts_begin(struct request *r);
void request_texts_add(struct request *r, const char *s);
void request_texts_end(struct request *r);

/* Sends it through PQsendQueryPrepared; false when the connection doesn't take it. */
bool request_send(const struct request *r, PGconn *c);

#endif
