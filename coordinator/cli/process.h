/*
 * process - the programs that `up` starts and `down` ends. A process is known by its number and its start time, so
 * that a number that the system gave to another process since is never taken for it, and never killed.
 */
#ifndef COORDINATOR_CLI_PROCESS_H
#define COORDINATOR_CLI_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "common/base/err.h"

struct process {
    pid_t pid;      /* 0: none */
    uint64_t start; /* clock ticks after boot */
    char boot[40];  /* which boot */
};

struct user { /* whom to run as; `set` false: ourselves */
    bool set;
    uid_t uid;
    gid_t gid;
    const char *name;
};

/* For a child alone: turns into the user, in folder /. -1 with errno. */
MUST_CHECK int process_become(const struct user *u);

bool process_alive(const struct process *p); /* a zombie isn't */

/* The pid file's process; none when there is no such file, or what it names is no longer running. */
struct process process_read(const char *path);
MUST_CHECK int process_write(const char *path, const struct process *p, struct err *e);

/*
 * Starts argv[0] (a path) in a session of its own, without our descriptors, output appended to `log`, which is made
 * before the user changes. It has begun to run, or failed to, when this returns.
 */
MUST_CHECK int process_spawn(struct process *p, char *const *argv, const struct user *u, const char *log,
                             struct err *e);

/* Signals it, waits at most `seconds`, and kills it if it is still there then. False: even that didn't end it. */
bool process_stop(const struct process *p, int signal, int seconds);

/*
 * Runs it to its end, at most `seconds`. Output goes to `log`, or, when `out` isn't NULL, the first n - 1 bytes of
 * stdout go there. Returns the exit code, or an error.
 */
MUST_CHECK int process_run(char *const *argv, const struct user *u, const char *log, int seconds, char *out,
                           size_t n, struct err *e);

/* The path of a program: beside the running one, then in PATH; the caller frees it. */
MUST_CHECK int process_find(const char *name, char **path, struct err *e);

/* From here on SIGINT and SIGTERM don't end us but make process_interrupted true, so that what was begun can be
 * undone. */
void process_catch_signals(void);
bool process_interrupted(void);

#endif
