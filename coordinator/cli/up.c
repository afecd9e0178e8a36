/* `espalier up` and `espalier down`: everything on this machine, in one folder. */
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "coordinator/cli/args.h"
#include "coordinator/cli/crew.h"
#include "coordinator/cli/postgres.h"

#define STOP_S 10

extern char **environ;

struct arrangement { /* what this call has started, so that a failure undoes that and no more */
    struct place place;
    bool postgres, coordinator;
    struct crew_change workers;
};

static const char *folder(const struct cli *c)
{
    return c->dir ? c->dir : ".espalier";
}

static int cores(void)
{
    cpu_set_t set;
    return sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
}

/* PGHOST, PGOPTIONS and their like are meant for another database. */
static void forget_pg_environment(void)
{
    for (char **v = environ; *v;) {
        char name[64];
        size_t n = strcspn(*v, "=");
        if (strncmp(*v, "PG", 2) == 0 && n < sizeof(name)) {
            memcpy(name, *v, n);
            name[n] = 0;
            unsetenv(name); /* the list moves up */
        } else {
            v++;
        }
    }
}

static int wanted_workers(const struct place *p, long asked)
{
    char *note = place_note(p, "workers");
    int n = asked >= 0 ? (int)asked : note ? atoi(note) : 1;
    free(note);
    return n < 0 || n > PLACE_MAX_WORKERS ? 1 : n;
}

static int note_workers(const struct place *p, int n, struct err *e)
{
    char digits[16];
    snprintf(digits, sizeof(digits), "%d", n);
    return place_set_note(p, "workers", digits, e);
}

static int start_all(struct arrangement *a, int workers, int threads, struct err *e)
{
    char *conninfo = NULL;
    bool moved = false;
    int rc = postgres_start(&a->place, &conninfo, &a->postgres, e);
    if (rc == 0)
        rc = crew_coordinator(&a->place, conninfo, &a->coordinator, &moved, e);
    if (rc == 0 && moved && crew_stop_workers(&a->place, 1) < 0)
        rc = err_set(e, ERR_STATE, "could not stop the workers of the coordinator that was");
    if (rc == 0)
        rc = crew_workers(&a->place, workers, threads, &a->workers, e);
    if (rc == 0)
        rc = note_workers(&a->place, workers, e);
    free(conninfo);
    return rc;
}

static void undo(const struct arrangement *a)
{
    char name[32];
    for (int k = 1; k <= PLACE_MAX_WORKERS; k++) {
        crew_worker_name(k, name);
        if (a->workers.is_new[k])
            place_stop(&a->place, name, SIGTERM, STOP_S);
    }
    if (a->coordinator)
        place_stop(&a->place, CREW_COORDINATOR, SIGTERM, STOP_S);
    if (a->postgres)
        postgres_stop(&a->place);
}

static void tell(const struct arrangement *a, int workers)
{
    char *http = place_note(&a->place, "http");
    printf("database     %s\n", a->postgres ? "started" : "was running");
    printf("coordinator  %s at %s\n", a->coordinator ? "started" : "was running", http ? http : "?");
    printf("workers      %d (%d started, %d stopped)\n", workers, a->workers.started, a->workers.stopped);
    printf("logs         %s/log\n", a->place.dir);
    free(http);
}

int verb_up(struct cli *c, int argc, char **argv, struct err *e)
{
    long workers = -1, threads = 0;
    const struct arg args[] = {
        {"--workers", ARG_INT, "N", "how many workers (as last time, else 1)", &workers, 0, PLACE_MAX_WORKERS},
        {"--threads", ARG_INT, "N", "compute threads of each (all cores shared out)", &threads, 1, 4096},
        {0}};
    const struct usage u = {"up [--workers N] [--threads N] [--dir DIR]",
                            "Starts a private PostgreSQL, a coordinator and N workers on this machine; what "
                            "already runs is left alone,\n"
                            "surplus workers are stopped. Data and logs lie in DIR.",
                            args, 0, 0};
    struct arrangement a = {.postgres = false};
    int rc = args_parse(c, &u, argc, argv, NULL, e);
    if (rc != 0)
        return rc;
    process_catch_signals();
    forget_pg_environment();
    if ((rc = place_open(&a.place, folder(c), true, e)) < 0)
        return rc;
    int n = wanted_workers(&a.place, workers);
    if (threads == 0)
        threads = n > 0 && cores() > n ? cores() / n : 1;
    rc = start_all(&a, n, (int)threads, e);
    if (rc < 0)
        undo(&a);
    else
        tell(&a, n);
    place_close(&a.place);
    return rc;
}

static int stop_all(const struct place *p, struct err *e)
{
    struct process pr = place_process(p, CREW_COORDINATOR), pg = place_process(p, POSTGRES_PROGRAM);
    bool coordinator = process_alive(&pr), postgres = process_alive(&pg);
    char *state = place_path(p, "coordinator.json");
    int workers = crew_stop_workers(p, 1);
    const char *stuck = NULL;
    if (workers < 0)
        stuck = "a worker";
    if (!place_stop(p, CREW_COORDINATOR, SIGTERM, STOP_S))
        stuck = CREW_COORDINATOR;
    else
        unlink(state);
    if (!postgres_stop(p))
        stuck = "PostgreSQL";
    free(state);
    if (stuck)
        return err_set(e, ERR_STATE, "could not stop %s; see %s/log", stuck, p->dir);
    if (workers == 0 && !coordinator && !postgres)
        printf("nothing was running in %s\n", p->dir);
    else
        printf("stopped %d worker%s%s%s; data stay in %s\n", workers, workers == 1 ? "" : "s",
               coordinator ? ", coordinator" : "", postgres ? ", database" : "", p->dir);
    return 0;
}

int verb_down(struct cli *c, int argc, char **argv, struct err *e)
{
    const struct usage u = {"down [--dir DIR]",
                            "Stops what `espalier up` started in DIR: workers, coordinator, PostgreSQL. Data stay.",
                            NULL, 0, 0};
    struct place p;
    int rc = args_parse(c, &u, argc, argv, NULL, e);
    if (rc != 0)
        return rc;
    if ((rc = place_open(&p, folder(c), false, e)) < 0)
        return rc;
    rc = stop_all(&p, e);
    place_close(&p);
    return rc;
}
