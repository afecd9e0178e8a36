/*
 * place - the folder of `espalier up`: where things lie in it, and what is recorded about what runs.
 *
 *   DIR/coordinator.json   written by espalierd when it is ready: pid and addresses
 *   DIR/pg/                PostgreSQL: data/, and its socket
 *   DIR/cache/             what workers have fetched
 *   DIR/log/               postgresql.log, espalierd.log, worker-1.log ...
 *   DIR/run/               a pid file each, and small notes that `up` leaves for the next `up` and `down`
 */
#ifndef COORDINATOR_CLI_PLACE_H
#define COORDINATOR_CLI_PLACE_H

#include "coordinator/cli/process.h"

#define PLACE_MAX_WORKERS 256

struct place {
    char *dir; /* absolute */
    int lock;  /* descriptor of DIR/run/lock */
};

/* Makes the folders where they are missing (create) and takes the lock, which another `up` or `down` may hold for a
 * while. ERR_NOTFOUND when it isn't there and shall not be made. */
MUST_CHECK int place_open(struct place *p, const char *dir, bool create, struct err *e);
void place_close(struct place *p);

char *place_path(const struct place *p, const char *name); /* DIR/name; the caller frees it */
char *place_pid(const struct place *p, const char *program);
char *place_log(const struct place *p, const char *program);

struct process place_process(const struct place *p, const char *program); /* none when it doesn't run */
/* process_spawn with the program's own log, and on record; not running when it fails. */
MUST_CHECK int place_spawn(const struct place *p, const char *program, char *const *argv, const struct user *u,
                           struct process *pr, struct err *e);
/* Ends it and forgets it; also when it didn't run. False: it can't be ended. */
bool place_stop(const struct place *p, const char *program, int signal, int seconds);

/* A note is one line of text; the caller frees it, NULL when there is none. */
char *place_note(const struct place *p, const char *name);
MUST_CHECK int place_set_note(const struct place *p, const char *name, const char *text, struct err *e);

#endif
