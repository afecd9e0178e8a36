#include "coordinator/cli/crew.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "coordinator/cli/client.h"

#define READY_S   60
#define CONNECT_S 30
#define STOP_S    10
#define LOOK_NS   (100 * NS_PER_MS)

/* --- the last words of a program, for the message that it is gone --- */

static void last_line(const char *path, char *out, size_t n)
{
    FILE *f = fopen(path, "re");
    char s[512];
    out[0] = 0;
    while (f && fgets(s, sizeof(s), f)) {
        s[strcspn(s, "\n")] = 0;
        if (s[0])
            snprintf(out, n, "%.*s", (int)n - 1, s);
    }
    if (f)
        fclose(f);
}

static int ended(const struct place *p, const char *program, struct err *e)
{
    char *log = place_log(p, program), line[200];
    last_line(log, line, sizeof(line));
    int rc = err_set(e, ERR_IO, "%s ended while it was starting: %s; see %s", program,
                     line[0] ? line : "it said nothing", log);
    free(log);
    return rc;
}

/* --- the coordinator --- */

/* What espalierd wrote, when it is this process that wrote it. */
static json_t *read_state(const struct place *p, const struct process *pr)
{
    char *path = place_path(p, "coordinator.json");
    struct buf b = {0};
    struct err ignored;
    json_t *j = file_read(path, 1 << 16, &b, &ignored) == 0 ? json_loadb((const char *)b.p, b.n, 0, NULL) : NULL;
    if (j && json_integer_value(json_object_get(j, "pid")) != pr->pid) {
        json_decref(j);
        j = NULL;
    }
    buf_release(&b);
    free(path);
    return j;
}

static bool serves(const struct place *p)
{
    const struct cli c = {.dir = p->dir};
    struct client *cl = NULL;
    struct err ignored;
    bool ok = client_open(&cl, &c, &ignored) == 0 && client_get(cl, NULL, &ignored, "health") == 0;
    client_close(cl);
    return ok;
}

static int wait_ready(const struct place *p, const struct process *pr, struct err *e)
{
    int64_t end_ns = clock_mono_ns() + READY_S * NS_PER_S;
    for (;;) {
        json_t *state = read_state(p, pr);
        bool ready = state && serves(p);
        json_decref(state);
        if (ready)
            return 0;
        if (!process_alive(pr))
            return ended(p, CREW_COORDINATOR, e);
        if (process_interrupted())
            return err_set(e, ERR_CANCELLED, "interrupted");
        if (clock_mono_ns() > end_ns) {
            char *log = place_log(p, CREW_COORDINATOR);
            err_set(e, ERR_TIMEOUT, "espalierd isn't ready after %d s; see %s", READY_S, log);
            free(log);
            return e->code;
        }
        clock_sleep_ns(LOOK_NS);
    }
}

static int launch(const struct place *p, const char *conninfo, const char *bind, const char *http,
                  struct process *pr, struct err *e)
{
    char *program = NULL, *state = place_path(p, "coordinator.json");
    int rc = process_find(CREW_COORDINATOR, &program, e);
    unlink(state);
    const char *argv[] = {program, "--db", conninfo, "--bind", bind, "--http", http, "--state", state, NULL};
    if (rc == 0)
        rc = place_spawn(p, CREW_COORDINATOR, (char *const *)argv, NULL, pr, e);
    if (rc == 0 && (rc = wait_ready(p, pr, e)) < 0 && !place_stop(p, CREW_COORDINATOR, SIGTERM, STOP_S))
        rc = err_wrap(e, "process %d is left over", (int)pr->pid);
    free(program);
    free(state);
    return rc;
}

/* At the addresses of last time where they are still free, so that workers and people's ESPALIER_URL find it again.
 */
static int launch_again(const struct place *p, const char *conninfo, struct process *pr, struct err *e)
{
    char *bind = place_note(p, "bind"), *http = place_note(p, "http");
    const char *bare = http && strncmp(http, "http://", 7) == 0 ? http + 7 : NULL;
    int rc = bind && bare ? launch(p, conninfo, bind, bare, pr, e) : ERR_NOTFOUND;
    if (rc == ERR_NOTFOUND || rc == ERR_IO)
        rc = launch(p, conninfo, "tcp://127.0.0.1:0", "127.0.0.1:0", pr, e);
    free(bind);
    free(http);
    return rc;
}

static int note_addresses(const struct place *p, const struct process *pr, bool *moved, struct err *e)
{
    json_t *state = read_state(p, pr);
    const char *bind = json_string_value(json_object_get(state, "bind"));
    const char *http = json_string_value(json_object_get(state, "http"));
    char *before = place_note(p, "bind");
    int rc = bind && http ? 0 : err_set(e, ERR_INVALID, "espalierd doesn't say where it listens");
    *moved = rc == 0 && before && strcmp(before, bind) != 0;
    if (rc == 0)
        rc = place_set_note(p, "bind", bind, e);
    if (rc == 0)
        rc = place_set_note(p, "http", http, e);
    free(before);
    json_decref(state);
    return rc;
}

int crew_coordinator(const struct place *p, const char *conninfo, bool *started, bool *moved, struct err *e)
{
    struct process pr = place_process(p, CREW_COORDINATOR);
    *started = !process_alive(&pr);
    int rc = *started ? launch_again(p, conninfo, &pr, e) : wait_ready(p, &pr, e);
    *started = *started && rc == 0;
    return rc < 0 ? rc : note_addresses(p, &pr, moved, e);
}

/* --- workers --- */

void crew_worker_name(int k, char name[32])
{
    snprintf(name, 32, "worker-%d", k);
}

/* What it is called among the coordinator's workers. */
static void full_name(int k, char out[64])
{
    char host[40] = "";
    if (gethostname(host, sizeof(host) - 1) < 0 || !host[0])
        strcpy(host, "host");
    snprintf(out, 64, "%s-worker-%d", host, k);
}

static int start_worker(const struct place *p, int k, int threads, struct err *e)
{
    char name[32], full[64], digits[16], *program = NULL;
    char *cache = place_path(p, "cache"), *bind = place_note(p, "bind");
    struct process pr;
    crew_worker_name(k, name);
    full_name(k, full);
    snprintf(digits, sizeof(digits), "%d", threads);
    int rc = process_find("espalier-worker", &program, e);
    const char *argv[] = {program, "--connect", bind, "--threads", digits, "--cache", cache, "--name", full, NULL};
    if (rc == 0)
        rc = place_spawn(p, name, (char *const *)argv, NULL, &pr, e);
    free(program);
    free(cache);
    free(bind);
    return rc;
}

/* Seconds since it was started. */
static double age_s(const struct process *pr)
{
    struct timespec now; /* the same clock as /proc's start times */
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9 - (double)pr->start / (double)sysconf(_SC_CLK_TCK);
}

/* A connection that is older than the process was that of one before it, which was killed a moment ago. */
static bool is_connected(const json_t *workers, int k, const struct process *pr)
{
    char full[64];
    size_t i;
    json_t *w;
    full_name(k, full);
    json_array_foreach(workers, i, w)
    {
        const char *name = json_string_value(json_object_get(w, "name"));
        if (name && strcmp(name, full) == 0)
            return json_number_value(json_object_get(w, "connected_s")) <= age_s(pr);
    }
    return false;
}

/* 1 when all n are there, 0 when not yet. */
static int look(const struct place *p, struct client *cl, int n, struct err *e)
{
    json_t *workers = NULL;
    char name[32];
    int rc = client_get(cl, &workers, e, "workers");
    if (rc < 0)
        return rc;
    bool all = true;
    for (int k = 1; all && rc == 0 && k <= n; k++) {
        crew_worker_name(k, name);
        struct process pr = place_process(p, name);
        all = is_connected(workers, k, &pr);
        if (!all && !process_alive(&pr))
            rc = ended(p, name, e);
    }
    json_decref(workers);
    return rc < 0 ? rc : all;
}

static int wait_connected(const struct place *p, int n, struct err *e)
{
    const struct cli c = {.dir = p->dir};
    struct client *cl = NULL;
    int64_t end_ns = clock_mono_ns() + CONNECT_S * NS_PER_S;
    int rc = client_open(&cl, &c, e);
    while (rc == 0 && (rc = look(p, cl, n, e)) == 0) {
        if (process_interrupted())
            rc = err_set(e, ERR_CANCELLED, "interrupted");
        else if (clock_mono_ns() > end_ns)
            rc = err_set(e, ERR_TIMEOUT, "not all workers are connected after %d s; see %s/log", CONNECT_S, p->dir);
        else
            clock_sleep_ns(LOOK_NS);
    }
    client_close(cl);
    return rc < 0 ? rc : 0;
}

int crew_workers(const struct place *p, int n, int threads, struct crew_change *change, struct err *e)
{
    char name[32];
    int rc = 0;
    *change = (struct crew_change){.started = 0};
    change->stopped = crew_stop_workers(p, n + 1);
    if (change->stopped < 0)
        return err_set(e, ERR_STATE, "could not stop all surplus workers");
    for (int k = 1; rc == 0 && k <= n; k++) {
        crew_worker_name(k, name);
        struct process pr = place_process(p, name);
        if (process_alive(&pr))
            continue;
        rc = start_worker(p, k, threads, e);
        change->is_new[k] = rc == 0;
        change->started += rc == 0;
    }
    return rc < 0 ? rc : wait_connected(p, n, e);
}

int crew_stop_workers(const struct place *p, int from)
{
    char name[32];
    int n = 0;
    for (int k = from; k <= PLACE_MAX_WORKERS; k++) { /* all at once, so that they end side by side */
        crew_worker_name(k, name);
        struct process pr = place_process(p, name);
        if (process_alive(&pr)) {
            kill(pr.pid, SIGTERM);
            n++;
        }
    }
    for (int k = from; k <= PLACE_MAX_WORKERS; k++) {
        crew_worker_name(k, name);
        if (!place_stop(p, name, SIGTERM, STOP_S))
            return -1;
    }
    return n;
}
