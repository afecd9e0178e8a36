#include "coordinator/cli/place.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define LOCK_S 60 /* how long another `up` or `down` is waited for */

static int take_lock(struct place *p, struct err *e)
{
    char *path = place_path(p, "run/lock");
    int64_t end_ns = clock_mono_ns() + LOCK_S * NS_PER_S;
    int rc = 0;
    p->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (p->lock < 0)
        rc = err_set(e, ERR_IO, "could not open \"%s\": %s", path, strerror(errno));
    while (rc == 0 && flock(p->lock, LOCK_EX | LOCK_NB) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            rc = err_set(e, ERR_IO, "could not lock \"%s\": %s", path, strerror(errno));
        else if (clock_mono_ns() > end_ns)
            rc = err_set(e, ERR_TIMEOUT, "another `espalier up` or `down` has been at work in \"%s\" for %d s",
                         p->dir, LOCK_S);
        else if (process_interrupted())
            rc = err_set(e, ERR_CANCELLED, "interrupted");
        else
            clock_sleep_ns(50 * NS_PER_MS);
    }
    free(path);
    return rc;
}

static int make_folders(const struct place *p, struct err *e)
{
    static const char *const names[] = {"run", "log", "cache"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof(names) / sizeof(*names); i++) {
        char *path = place_path(p, names[i]);
        rc = file_mkdirs(path, e);
        free(path);
    }
    return rc;
}

int place_open(struct place *p, const char *dir, bool create, struct err *e)
{
    *p = (struct place){.lock = -1};
    int rc = create ? file_mkdirs(dir, e) : 0;
    char *run = file_join(dir, "run");
    if (rc == 0 && !create && access(run, F_OK) < 0)
        rc = err_set(e, ERR_NOTFOUND, "\"%s\" isn't a folder of `espalier up`", dir);
    free(run);
    if (rc == 0 && !(p->dir = realpath(dir, NULL)))
        rc = err_set(e, ERR_IO, "could not find folder \"%s\": %s", dir, strerror(errno));
    if (rc == 0)
        rc = make_folders(p, e);
    if (rc == 0)
        rc = take_lock(p, e);
    if (rc < 0)
        place_close(p);
    return rc;
}

void place_close(struct place *p)
{
    if (p->lock >= 0)
        close(p->lock);
    free(p->dir);
    *p = (struct place){.lock = -1};
}

char *place_path(const struct place *p, const char *name)
{
    return file_join(p->dir, name);
}

char *place_pid(const struct place *p, const char *program)
{
    return xasprintf("%s/run/%s.pid", p->dir, program);
}

char *place_log(const struct place *p, const char *program)
{
    return xasprintf("%s/log/%s.log", p->dir, program);
}

struct process place_process(const struct place *p, const char *program)
{
    char *path = place_pid(p, program);
    struct process pr = process_read(path);
    free(path);
    return pr;
}

int place_spawn(const struct place *p, const char *program, char *const *argv, const struct user *u,
                struct process *pr, struct err *e)
{
    char *log = place_log(p, program), *pid = place_pid(p, program);
    int rc = process_spawn(pr, argv, u, log, e);
    if (rc == 0 && (rc = process_write(pid, pr, e)) < 0 && !process_stop(pr, SIGTERM, 10))
        rc = err_wrap(e, "process %d is left over", (int)pr->pid);
    free(log);
    free(pid);
    return rc;
}

bool place_stop(const struct place *p, const char *program, int signal_number, int seconds)
{
    struct process pr = place_process(p, program);
    if (process_alive(&pr) && !process_stop(&pr, signal_number, seconds))
        return false;
    char *path = place_pid(p, program);
    unlink(path);
    free(path);
    return true;
}

char *place_note(const struct place *p, const char *name)
{
    char *path = xasprintf("%s/run/%s", p->dir, name), *text = NULL;
    struct buf b = {0};
    struct err e;
    if (file_read(path, PATH_MAX, &b, &e) == 0 && b.n > 0) {
        b.p[strcspn((char *)b.p, "\n")] = 0;
        text = xstrdup((char *)b.p);
    }
    buf_release(&b);
    free(path);
    return text;
}

int place_set_note(const struct place *p, const char *name, const char *text, struct err *e)
{
    char *path = xasprintf("%s/run/%s", p->dir, name), *line = xasprintf("%s\n", text);
    int rc = file_write(path, line, strlen(line), e);
    free(line);
    free(path);
    return rc;
}
