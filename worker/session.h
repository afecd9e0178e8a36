/*
 * session - the thread that keeps the worker in touch with its coordinator: HELLO, beats, offers, reports, pieces
 * of blobs. It owns the socket; what it knows and needs of the work lies on the desk.
 *
 * It connects again for as long as it lives. A report stays on the desk and is offered on each new connection until
 * it is acknowledged; a task whose lease can't be renewed for lease_ms is dropped.
 */
#ifndef WORKER_SESSION_H
#define WORKER_SESSION_H

#include "worker/desk.h"

struct session_options {  /* texts are borrowed for the session's life */
    const char *endpoint; /* see dealer_check */
    const char *name, *cpu, *kernels, *host;
    int threads;
    int stop_fd;           /* when it becomes readable, the work is handed back and the session ends; -1: never */
    unsigned kill_after_s; /* from then on the whole process has that long, 0: for ever */
};

struct session;

MUST_CHECK int session_start(struct session **s, const struct session_options *o, struct desk *d, struct err *e);

/* Waits for the thread's end, which comes within 2 s of the stop. NULL is fine. */
void session_join(struct session *s);

#endif
