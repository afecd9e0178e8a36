/*
 * pipeline - requests go to PostgreSQL many at a time, each batch one round trip and one transaction, and their
 * answers run from the loop after it has ended.
 *
 * One batch is under way at a time; what arrives meanwhile makes up the next, in the order of arrival, so batches
 * grow with the load. When a statement is refused, the transaction is gone: that request gets the error at once,
 * the others are sent again without it. When the connection breaks, it is made again and all that was under way is
 * sent again, whether or not it was committed: every write is idempotent. A batch that writes begins with the fence
 * on the epoch.
 */
#ifndef COORDINATOR_STORE_PIPELINE_H
#define COORDINATOR_STORE_PIPELINE_H

#include <czmq.h>

#include "coordinator/store/link.h"
#include "coordinator/store/request.h"

struct pipeline;

struct pipeline_setting {
    zloop_t *loop;
    const char *conninfo; /* borrowed, like the others */
    int64_t epoch;        /* what the fence checks */
    const char *lock;     /* the advisory lock that this one's session must hold, as text, or NULL */
    void (*on_fenced)(void *arg, const struct err *why); /* once, from the loop */
    void *arg;
};

struct pipeline *pipeline_new(const struct pipeline_setting *s);
/* Answers what is left with ERR_CANCELLED; what those answers send in turn is dropped. */
void pipeline_close(struct pipeline *p);

/* Uses a connection that was made, and locked, elsewhere; owned by the pipeline on success. */
MUST_CHECK int pipeline_adopt(struct pipeline *p, PGconn *conn, struct err *e);

/* Queues it; the pipeline owns it now. Never answers before it returns. */
void pipeline_send(struct pipeline *p, struct request *r);

/* To be called every 100 ms or so: connects, gives up on a silent server, retries. */
void pipeline_tick(struct pipeline *p);
/* What the loop calls when its socket is ready; who waits without the loop polls pipeline_item and calls it too. */
void pipeline_work(struct pipeline *p);
const zmq_pollitem_t *pipeline_item(const struct pipeline *p); /* fd -1: none at the moment */

bool pipeline_connected(const struct pipeline *p);
size_t pipeline_queued(const struct pipeline *p);

#endif
