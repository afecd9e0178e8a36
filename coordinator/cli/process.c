#include "coordinator/cli/process.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"

#define LOOK_NS (20 * NS_PER_MS) /* between looks at whether something has happened */

/* --- who --- */

static bool read_text(const char *path, char *out, size_t n)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    size_t got = fread(out, 1, n - 1, f);
    fclose(f);
    out[got] = 0;
    return got > 0;
}

static void read_boot(char out[40])
{
    if (!read_text("/proc/sys/kernel/random/boot_id", out, 40))
        strcpy(out, "unknown");
    out[strcspn(out, "\n")] = 0;
}

/* Field 3 and field 22 of /proc/PID/stat; the name in field 2 may hold anything, so the count begins after its ")".
 */
static bool read_stat(pid_t pid, char *state, uint64_t *start)
{
    char path[64], s[1024];
    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    if (!read_text(path, s, sizeof(s)))
        return false;
    const char *p = strrchr(s, ')');
    if (!p || !p[1])
        return false;
    *state = p[2];
    for (int field = 2; p && field < 22; field++)
        p = strchr(p + 1, ' ');
    return p && sscanf(p, " %" SCNu64, start) == 1;
}

bool process_alive(const struct process *p)
{
    char state, boot[40];
    uint64_t start;
    if (p->pid <= 0)
        return false;
    waitpid(p->pid, NULL, WNOHANG); /* in case it is ours */
    read_boot(boot);
    return strcmp(boot, p->boot) == 0 && read_stat(p->pid, &state, &start) && start == p->start && state != 'Z' &&
           state != 'X';
}

struct process process_read(const char *path)
{
    struct process p = {0};
    char s[128];
    int pid;
    if (!read_text(path, s, sizeof(s)) || sscanf(s, "%d %" SCNu64 " %39s", &pid, &p.start, p.boot) != 3)
        return (struct process){0};
    p.pid = pid;
    return process_alive(&p) ? p : (struct process){0};
}

int process_write(const char *path, const struct process *p, struct err *e)
{
    char s[128];
    int n = snprintf(s, sizeof(s), "%d %" PRIu64 " %s\n", (int)p->pid, p->start, p->boot);
    return file_write(path, s, (size_t)n, e);
}

/* --- start --- */

int process_become(const struct user *u)
{
    if (chdir("/") < 0) /* the folder that we are in may not be theirs to see, and may be wanted gone */
        return -1;
    if (!u || !u->set)
        return 0;
    return initgroups(u->name, u->gid) < 0 || setgid(u->gid) < 0 || setuid(u->uid) < 0 ? -1 : 0;
}

/* In the child: never returns. `tell` is closed by a successful exec and carries errno otherwise. */
static _Noreturn void run_child(char *const *argv, const struct user *u, int out, int log, int tell)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    sigset_t none;
    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    if (null >= 0 && dup2(null, 0) >= 0 && dup2(out, 1) >= 0 && dup2(log, 2) >= 0 &&
        fcntl(tell, F_SETFD, FD_CLOEXEC) >= 0 && process_become(u) == 0) {
        if (tell > 3)
            close_range(3, (unsigned)tell - 1, 0);
        close_range((unsigned)tell + 1, ~0u, 0);
        execv(argv[0], argv);
    }
    int failed = errno;
    if (write(tell, &failed, sizeof(failed)) < 0)
        _exit(126);
    _exit(127);
}

static int open_log(const char *path, struct err *e)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    return fd >= 0 ? fd : err_set(e, ERR_IO, "could not open \"%s\": %s", path, strerror(errno));
}

/* out: descriptor for stdout, or -1: the log. */
static int start(pid_t *pid, char *const *argv, const struct user *u, const char *log, int out, struct err *e)
{
    int tell[2], failed = 0, fd = open_log(log, e);
    if (fd < 0)
        return fd;
    if (pipe2(tell, O_CLOEXEC) < 0) {
        close(fd);
        return err_set(e, ERR_IO, "could not make a pipe: %s", strerror(errno));
    }
    *pid = fork();
    if (*pid == 0)
        run_child(argv, u, out >= 0 ? out : fd, fd, tell[1]);
    int forked = errno;
    close(fd);
    close(tell[1]);
    if (*pid < 0)
        err_set(e, ERR_IO, "could not start \"%s\": %s", argv[0], strerror(forked));
    else if (read(tell[0], &failed, sizeof(failed)) == (ssize_t)sizeof(failed)) {
        waitpid(*pid, NULL, 0);
        *pid = -1;
        err_set(e, ERR_IO, "could not start \"%s\": %s", argv[0], strerror(failed));
    }
    close(tell[0]);
    return *pid < 0 ? e->code : 0;
}

int process_spawn(struct process *p, char *const *argv, const struct user *u, const char *log, struct err *e)
{
    char state;
    int rc = start(&p->pid, argv, u, log, -1, e);
    if (rc < 0)
        return rc;
    read_boot(p->boot);
    if (!read_stat(p->pid, &state, &p->start))
        return err_set(e, ERR_IO, "\"%s\" ended at once; see %s", argv[0], log);
    return 0;
}

/* --- end --- */

static bool wait_gone(const struct process *p, int seconds)
{
    int64_t end_ns = clock_mono_ns() + seconds * NS_PER_S;
    while (process_alive(p)) {
        if (clock_mono_ns() > end_ns)
            return false;
        clock_sleep_ns(LOOK_NS);
    }
    return true;
}

bool process_stop(const struct process *p, int signal, int seconds)
{
    if (!process_alive(p) || kill(p->pid, signal) < 0)
        return !process_alive(p);
    if (wait_gone(p, seconds))
        return true;
    kill(p->pid, SIGKILL);
    return wait_gone(p, 5);
}

/* --- run and wait --- */

static void read_some(int fd, char *out, size_t n, size_t *used, int64_t end_ns)
{
    struct pollfd pfd = {.fd = fd, .events = POLLIN};
    char rest[256];
    for (;;) {
        int64_t left_ns = end_ns - clock_mono_ns();
        if (left_ns <= 0 || poll(&pfd, 1, (int)(left_ns / NS_PER_MS) + 1) == 0)
            return;
        bool room = *used < n - 1;
        ssize_t got = read(fd, room ? out + *used : rest, room ? n - 1 - *used : sizeof(rest));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return;
        *used += room ? (size_t)got : 0;
    }
}

static int wait_end(pid_t pid, const char *name, int64_t end_ns, struct err *e)
{
    int status;
    while (waitpid(pid, &status, WNOHANG) == 0) {
        if (clock_mono_ns() > end_ns || process_interrupted()) {
            kill(pid, SIGKILL);
            waitpid(pid, &status, 0);
            return process_interrupted() ? err_set(e, ERR_CANCELLED, "interrupted")
                                         : err_set(e, ERR_TIMEOUT, "\"%s\" took too long", name);
        }
        clock_sleep_ns(LOOK_NS / 4);
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int process_run(char *const *argv, const struct user *u, const char *log, int seconds, char *out, size_t n,
                struct err *e)
{
    int64_t end_ns = clock_mono_ns() + seconds * NS_PER_S;
    int pipes[2] = {-1, -1};
    size_t used = 0;
    pid_t pid;
    if (out && pipe2(pipes, O_CLOEXEC) < 0)
        return err_set(e, ERR_IO, "could not make a pipe: %s", strerror(errno));
    int rc = start(&pid, argv, u, log, pipes[1], e);
    if (out)
        close(pipes[1]);
    if (rc == 0 && out)
        read_some(pipes[0], out, n, &used, end_ns);
    if (out) {
        out[used] = 0;
        close(pipes[0]);
    }
    return rc < 0 ? rc : wait_end(pid, argv[0], end_ns, e);
}

/* --- programs --- */

static char *in_folders(const char *folders, const char *name)
{
    while (folders && *folders) {
        size_t n = strcspn(folders, ":");
        char *path = xasprintf("%.*s/%s", (int)n, folders, name);
        if (n > 0 && access(path, X_OK) == 0)
            return path;
        free(path);
        folders += n + (folders[n] == ':');
    }
    return NULL;
}

int process_find(const char *name, char **path, struct err *e)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
    if (n > 0) {
        self[n] = 0;
        char *slash = strrchr(self, '/');
        if (slash) {
            *slash = 0;
            *path = xasprintf("%s/%s", self, name);
            if (access(*path, X_OK) == 0)
                return 0;
            free(*path);
        }
    }
    *path = in_folders(getenv("PATH"), name);
    if (!*path)
        return err_set(e, ERR_NOTFOUND, "program \"%s\" lies neither beside espalier nor in PATH", name);
    return 0;
}

/* --- signals --- */

static volatile sig_atomic_t interrupted;

static void on_signal(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

void process_catch_signals(void)
{
    struct sigaction a = {.sa_handler = on_signal};
    sigaction(SIGINT, &a, NULL);
    sigaction(SIGTERM, &a, NULL);
}

bool process_interrupted(void)
{
    return interrupted;
}
