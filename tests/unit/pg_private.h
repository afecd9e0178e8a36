/*
 * pg_private - a PostgreSQL server of the test's own: a new cluster in a temporary folder, reached through a socket
 * there, which is ended and removed by pg_remove, and ends with the test. It doesn't run as root, so root's tests
 * run it as "postgres".
 */
#ifndef TESTS_UNIT_PG_PRIVATE_H
#define TESTS_UNIT_PG_PRIVATE_H

#include <glob.h>
#include <grp.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"

struct pg {
    char dir[64], bin[128];
    pid_t pid; /* 0: not running */
};

/* Where initdb is: what pg_config says, else Debian's place. */
static inline bool pg_find(char *bin, size_t n)
{
    char path[256] = "";
    FILE *f = popen("pg_config --bindir 2>/dev/null", "r");
    if (f && fgets(path, sizeof(path), f))
        path[strcspn(path, "\n")] = 0;
    if (f)
        pclose(f);
    char initdb[300];
    snprintf(initdb, sizeof(initdb), "%s/initdb", path);
    glob_t g = {0};
    if (access(initdb, X_OK) != 0 && glob("/usr/lib/postgresql/*/bin", 0, NULL, &g) == 0)
        snprintf(path, sizeof(path), "%s", g.gl_pathv[g.gl_pathc - 1]);
    globfree(&g);
    snprintf(initdb, sizeof(initdb), "%s/initdb", path);
    snprintf(bin, n, "%.100s", path);
    return access(initdb, X_OK) == 0 && (getuid() != 0 || getpwnam("postgres"));
}

/* Runs a program of the server's, as a user that it accepts, silent; it ends when the test does. */
static inline pid_t pg_spawn(const struct pg *p, const char *program, const char *argv[])
{
    char path[160];
    snprintf(path, sizeof(path), "%s/%s", p->bin, program);
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    const struct passwd *u = getpwnam("postgres");
    if (getuid() == 0 && (initgroups(u->pw_name, u->pw_gid) < 0 || setgid(u->pw_gid) < 0 || setuid(u->pw_uid) < 0))
        _exit(126);
    prctl(PR_SET_PDEATHSIG, SIGQUIT);
    if (chdir("/") < 0 || !freopen("/dev/null", "r", stdin) || !freopen("/dev/null", "w", stdout) ||
        !freopen("/dev/null", "w", stderr))
        _exit(126);
    argv[0] = path; /* initdb looks for postgres beside itself */
    execv(path, (char *const *)argv);
    _exit(127);
}

static inline void pg_conninfo(const struct pg *p, const char *database, char *out, size_t n)
{
    snprintf(out, n, "host=%s user=espalier dbname=%s", p->dir, database);
}

static inline bool pg_answers(const struct pg *p)
{
    char conninfo[160];
    pg_conninfo(p, "postgres", conninfo, sizeof(conninfo));
    return PQping(conninfo) == PQPING_OK;
}

/* Starts the server over the cluster that is there. durable: with fsync, for measurements. */
static inline bool pg_start(struct pg *p, bool durable)
{
    char data[80], fsync[] = "fsync=off";
    snprintf(data, sizeof(data), "%s/data", p->dir);
    if (durable)
        strcpy(fsync, "fsync=on");
    const char *argv[] = {"postgres", "-D", data, "-k", p->dir, "-c", "listen_addresses=", "-c", fsync, NULL};
    p->pid = pg_spawn(p, "postgres", argv);
    for (int i = 0; i < 200 && p->pid > 0; i++) {
        if (pg_answers(p))
            return true;
        clock_sleep_ns(50 * NS_PER_MS);
    }
    return false;
}

static inline bool pg_create(struct pg *p, bool durable)
{
    int status;
    char data[80];
    *p = (struct pg){.dir = "/tmp/espalier-pg-XXXXXX"};
    if (!pg_find(p->bin, sizeof(p->bin)) || !mkdtemp(p->dir))
        return false;
    const struct passwd *u = getpwnam("postgres");
    if (getuid() == 0 && chown(p->dir, u->pw_uid, u->pw_gid) < 0)
        return false;
    snprintf(data, sizeof(data), "%s/data", p->dir);
    const char *argv[] = {"initdb",   "-D",        data, "-A",   "trust",      "-U",
                          "espalier", "--no-sync", "-E", "UTF8", "--locale=C", NULL};
    pid_t pid = pg_spawn(p, "initdb", argv);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0 && pg_start(p, durable);
}

/* SIGINT: ends sessions and stops; SIGQUIT: at once, as in a crash. */
static inline void pg_stop(struct pg *p, int signal)
{
    if (p->pid > 0 && kill(p->pid, signal) == 0)
        waitpid(p->pid, NULL, 0);
    p->pid = 0;
}

static inline void pg_remove(struct pg *p)
{
    char command[96];
    pg_stop(p, SIGINT);
    snprintf(command, sizeof(command), "rm -rf '%s'", p->dir);
    if (strncmp(p->dir, "/tmp/espalier-pg-", 17) == 0 && system(command) != 0)
        printf("could not remove %s\n", p->dir);
}

#endif
