/*
 * request - one HTTP request from its headers to its answer. Private to http/.
 *
 * It belongs to libmicrohttpd's connection until that is over (`c` is NULL then) and to every answer that service
 * or store still owe it (`owed`); the last of them to go frees it. So a client may leave, and the API may close, at
 * any moment.
 */
#ifndef COORDINATOR_HTTP_REQUEST_H
#define COORDINATOR_HTTP_REQUEST_H

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>

#include "common/base/buf.h"
#include "common/base/hash.h"
#include "coordinator/service.h"

#define REQUEST_MAX_BODY (1 << 20) /* bytes of a JSON body */

struct http;
struct request;

struct route {
    const char *method, *path;        /* "#": a number, "@": 64 hexadecimal digits */
    void (*start)(struct request *r); /* all of the body is there, or it was fed */
    bool (*feed)(struct request *r, const uint8_t *p,
                 size_t *n); /* NULL: the body is kept; else takes some, sets *n to what is left; false: suspend */
};

/* The route, with numbers and hash put into `r`; NULL after answering 404 or 405. */
const struct route *route_find(struct request *r, const char *method, const char *path);

struct request {
    struct http *http;        /* NULL once the API is closed */
    struct service *service;  /* NULL: closing, ask nobody */
    struct MHD_Connection *c; /* NULL once it is over */
    const struct route *route;
    int64_t search;  /* first "#" */
    int32_t episode; /* second "#" */
    struct hash hash;
    const char *x; /* ?x=, or "flops"; borrowed from the connection */
    struct buf body;
    uint64_t seen; /* bytes of it, kept or dropped */
    bool started, suspended;
    bool late;           /* it slept longer than a request may take */
    int owed;            /* answers on their way */
    int64_t deadline_ns; /* while suspended */

    int status; /* 0: none yet */
    struct buf answer;
    struct MHD_Response *response; /* instead of `answer`; owned */

    struct stream *stream; /* of a blob; owned */
    struct request *next, **link;
};

/* Answers and, when it was suspended, lets the connection go on. The first answer counts; later ones are dropped.
 */
void request_answer(struct request *r, int status, const char *json, size_t n);
void request_fail(struct request *r, const struct err *e);
void request_respond(struct request *r, int status, struct MHD_Response *response); /* takes it */

/* An answer will come from elsewhere: request_arrived says whether anyone still waits for it, and frees `r` when
 * not. */
void request_expect(struct request *r);
bool request_arrived(struct request *r);

/* Suspends until request_wake, for at most so long as a request may take. */
void request_sleep(struct request *r);
void request_wake(struct request *r);

#endif
