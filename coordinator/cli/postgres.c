#include "coordinator/cli/postgres.h"

#include <dirent.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/hash.h"
#include "common/base/mem.h"

#define DEBIAN_BINARIES "/usr/lib/postgresql"
#define ELSEWHERE       "/var/lib/espalier" /* for clusters whose own folder the user postgres can't reach */
#define SOCKET_NAME     ".s.PGSQL.5432"
#define SOCKET_MOST     107 /* bytes of a socket's path */
#define INIT_S          120
#define START_S         60
#define STOP_S          60
#define AGAIN           10 /* tries to start, half a second apart */

struct cluster {
    const struct place *place;
    struct user user;
    char *bin;    /* folder of initdb and postgres */
    char *base;   /* owned by the user */
    char *data;   /* base/data */
    char *socket; /* folder */
    char *log;
};

static void cluster_release(struct cluster *c)
{
    free(c->bin);
    free(c->base);
    free(c->data);
    free(c->socket);
    free(c->log);
    *c = (struct cluster){.place = NULL};
}

/* --- which program --- */

/* Looks for BIN/initdb in Debian's folders, newest first, or that of the major version that made the data. */
static char *debian_bin(const char *version)
{
    DIR *d = opendir(DEBIAN_BINARIES);
    int best = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        char *initdb = xasprintf(DEBIAN_BINARIES "/%s/bin/initdb", f->d_name);
        int major = atoi(f->d_name);
        if (major > best && access(initdb, X_OK) == 0 && (!version || atoi(version) == major))
            best = major;
        free(initdb);
    }
    if (d)
        closedir(d);
    return best ? xasprintf(DEBIAN_BINARIES "/%d/bin", best) : NULL;
}

static int find_bin(struct cluster *c, struct err *e)
{
    struct buf version = {0};
    char *path = xasprintf("%s/PG_VERSION", c->data), *initdb = NULL;
    struct err ignored;
    bool made = file_read(path, 64, &version, &ignored) == 0 && version.n > 0;
    c->bin = debian_bin(made ? (char *)version.p : NULL);
    if (!c->bin && process_find("initdb", &initdb, &ignored) == 0) {
        *strrchr(initdb, '/') = 0;
        c->bin = initdb;
    }
    int rc = 0;
    if (!c->bin && made)
        rc = err_set(e, ERR_NOTFOUND, "the data in \"%s\" is of PostgreSQL %.*s, which isn't installed", c->data,
                     (int)strcspn((char *)version.p, "\n"), (char *)version.p);
    else if (!c->bin)
        rc = err_set(e, ERR_NOTFOUND, "PostgreSQL's server isn't installed (as root: apt-get install postgresql)");
    buf_release(&version);
    free(path);
    return rc;
}

/* --- whose, and where --- */

static int find_user(struct user *u, struct err *e)
{
    *u = (struct user){.set = false};
    if (geteuid() != 0)
        return 0;
    struct passwd *pw = getpwnam("postgres");
    if (!pw)
        return err_set(e, ERR_NOTFOUND,
                       "PostgreSQL doesn't run as root, and there is no user \"postgres\" to run it as");
    *u = (struct user){.set = true, .uid = pw->pw_uid, .gid = pw->pw_gid, .name = "postgres"};
    return 0;
}

/* Whether that user gets to the folder; tried in a process that is them. */
static bool reachable(const struct user *u, const char *dir)
{
    int status;
    if (!u->set)
        return true;
    pid_t pid = fork();
    if (pid == 0)
        _exit(process_become(u) == 0 && access(dir, X_OK) == 0 ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A folder of the user's that nobody else may enter. */
static int make_private(const char *path, const struct user *u, struct err *e)
{
    struct stat st;
    uid_t owner = u->set ? u->uid : geteuid();
    if (mkdir(path, 0700) == 0 && u->set && chown(path, u->uid, u->gid) < 0)
        return err_set(e, ERR_IO, "could not give \"%s\" to user %s: %s", path, u->name, strerror(errno));
    if (lstat(path, &st) < 0)
        return err_set(e, ERR_IO, "could not make folder \"%s\": %s", path, strerror(errno));
    if (!S_ISDIR(st.st_mode) || st.st_uid != owner || (st.st_mode & 077) != 0)
        return err_set(e, ERR_STATE, "\"%s\" isn't a folder that belongs to user %u alone", path, (unsigned)owner);
    return 0;
}

/* In the place, or, where the user can't get there, in a folder whose name follows from the place's. */
static int find_base(struct cluster *c, struct err *e)
{
    int rc = 0;
    c->base = place_path(c->place, "pg");
    if (access(c->base, F_OK) < 0 && !reachable(&c->user, c->place->dir)) {
        struct hash h = hash_of(c->place->dir, strlen(c->place->dir));
        char hex[HASH_HEX];
        hash_to_hex(&h, hex);
        free(c->base);
        c->base = xasprintf(ELSEWHERE "/%.16s", hex);
        if (access(c->base, F_OK) < 0)
            fprintf(stderr, "espalier: user postgres can't enter \"%s\": PostgreSQL's data lie in \"%s\"\n",
                    c->place->dir, c->base);
        rc = file_mkdirs(ELSEWHERE, e);
    }
    if (rc == 0)
        rc = make_private(c->base, &c->user, e);
    c->data = file_join(c->base, "data");
    return rc;
}

/* PostgreSQL and libpq both take lists of folders, so only plain letters pass unquoted. */
static bool plain_and_short(const char *dir)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._+-";
    size_t n = strlen(dir);
    return strspn(dir, letters) == n && n + 1 + strlen(SOCKET_NAME) <= SOCKET_MOST;
}

static int find_socket(struct cluster *c, struct err *e)
{
    struct err ignored;
    c->socket = place_note(c->place, "socket");
    if (c->socket && access(c->socket, F_OK) == 0 && make_private(c->socket, &c->user, &ignored) == 0)
        return 0;
    free(c->socket);
    if (plain_and_short(c->base)) {
        c->socket = xstrdup(c->base);
    } else {
        c->socket = xstrdup("/tmp/espalier-XXXXXX");
        if (!mkdtemp(c->socket))
            return err_set(e, ERR_IO, "could not make a folder in /tmp for PostgreSQL's socket: %s",
                           strerror(errno));
        if (c->user.set && chown(c->socket, c->user.uid, c->user.gid) < 0)
            return err_set(e, ERR_IO, "could not give \"%s\" to user %s: %s", c->socket, c->user.name,
                           strerror(errno));
    }
    return place_set_note(c->place, "socket", c->socket, e);
}

static int cluster_find(struct cluster *c, const struct place *p, struct err *e)
{
    *c = (struct cluster){.place = p, .log = place_log(p, POSTGRES_PROGRAM)};
    int rc = find_user(&c->user, e);
    if (rc == 0)
        rc = find_base(c, e);
    if (rc == 0)
        rc = find_bin(c, e);
    if (rc == 0)
        rc = find_socket(c, e);
    return rc;
}

/* --- its programs --- */

/* argv[0]: a program of PostgreSQL's. */
static int run(const struct cluster *c, const char **argv, int seconds, char *out, size_t n, struct err *e)
{
    char *program = xasprintf("%s/%s", c->bin, argv[0]);
    argv[0] = program;
    int rc = process_run((char *const *)argv, &c->user, c->log, seconds, out, n, e);
    free(program);
    return rc;
}

static int must_run(const struct cluster *c, const char **argv, int seconds, char *out, size_t n, struct err *e)
{
    const char *name = argv[0];
    int rc = run(c, argv, seconds, out, n, e);
    return rc <= 0 ? rc : err_set(e, ERR_IO, "PostgreSQL's %s failed; see %s", name, c->log);
}

/* Made beside its place and moved there when whole, so that what an interruption leaves is never taken for a
 * cluster. */
static int init_cluster(const struct cluster *c, struct err *e)
{
    char *version = xasprintf("%s/PG_VERSION", c->data), *fresh = xasprintf("%s.new", c->data);
    const char *clean[] = {"/bin/rm", "-rf", fresh, NULL};
    const char *init[] = {"initdb", "-D", fresh,  "-U",          "espalier", "-A",
                          "trust",  "-E", "UTF8", "--no-locale", NULL};
    int rc = 0;
    if (access(version, F_OK) != 0) {
        rc = process_run((char *const *)clean, &c->user, c->log, INIT_S, NULL, 0, e);
        if (rc >= 0)
            rc = must_run(c, init, INIT_S, NULL, 0, e);
        if (rc == 0 && rename(fresh, c->data) < 0)
            rc = err_set(e, ERR_IO, "could not rename \"%s\" to \"%s\": %s", fresh, c->data, strerror(errno));
    }
    free(fresh);
    free(version);
    return rc;
}

static int launch(const struct cluster *c, struct process *pr, struct err *e)
{
    char *program = xasprintf("%s/postgres", c->bin);
    const char *argv[] = {program,
                          "-D",
                          c->data,
                          "-k",
                          c->socket,
                          "-p",
                          "5432",
                          "-c",
                          "listen_addresses=",
                          "-c",
                          "unix_socket_permissions=0700",
                          "-c",
                          "max_connections=20",
                          NULL};
    int rc = place_spawn(c->place, POSTGRES_PROGRAM, (char *const *)argv, &c->user, pr, e);
    free(program);
    return rc;
}

static int wait_accepts(const struct cluster *c, const struct process *pr, struct err *e)
{
    int64_t end_ns = clock_mono_ns() + START_S * NS_PER_S;
    for (;;) {
        const char *ask[] = {"pg_isready", "-q",       "-h", c->socket,  "-p", "5432",
                             "-U",         "espalier", "-d", "postgres", NULL};
        int rc = run(c, ask, START_S, NULL, 0, e);
        if (rc <= 0)
            return rc;
        if (!process_alive(pr))
            return err_set(e, ERR_IO, "PostgreSQL ended while it was starting; see %s", c->log);
        if (clock_mono_ns() > end_ns)
            return err_set(e, ERR_TIMEOUT, "PostgreSQL doesn't accept connections after %d s; see %s", START_S,
                           c->log);
        clock_sleep_ns(50 * NS_PER_MS);
    }
}

static int make_database(const struct cluster *c, struct err *e)
{
    char out[64];
    const char *ask[] = {"psql", "-XAtq",    "-h", c->socket,
                         "-p",   "5432",     "-U", "espalier",
                         "-d",   "postgres", "-c", "select count(*) from pg_database where datname = 'espalier'",
                         NULL};
    const char *make[] = {"createdb", "-h", c->socket, "-p", "5432", "-U", "espalier", "espalier", NULL};
    int rc = must_run(c, ask, START_S, out, sizeof(out), e);
    return rc < 0 || out[0] != '0' ? rc : must_run(c, make, START_S, NULL, 0, e);
}

int postgres_start(const struct place *p, char **conninfo, bool *started, struct err *e)
{
    struct cluster c;
    struct process pr = place_process(p, POSTGRES_PROGRAM);
    *started = false;
    int rc = cluster_find(&c, p, e);
    if (rc == 0 && !process_alive(&pr)) {
        rc = init_cluster(&c, e);
        if (rc == 0)
            rc = launch(&c, &pr, e);
        *started = rc == 0;
    }
    bool launched = rc == 0;
    if (rc == 0)
        rc = wait_accepts(&c, &pr, e);
    /* Of a server that was killed, processes live on for a moment and keep its memory in use. */
    for (int i = 0; launched && rc == ERR_IO && !process_alive(&pr) && i < AGAIN; i++) {
        clock_sleep_ns(NS_PER_S / 2);
        rc = launch(&c, &pr, e);
        *started = rc == 0;
        if (rc == 0)
            rc = wait_accepts(&c, &pr, e);
    }
    if (rc == 0)
        rc = make_database(&c, e);
    if (rc == 0)
        *conninfo = xasprintf("host=%s port=5432 user=espalier dbname=espalier", c.socket);
    cluster_release(&c);
    return rc;
}

bool postgres_stop(const struct place *p)
{
    if (!place_stop(p, POSTGRES_PROGRAM, SIGINT, STOP_S)) /* fast shutdown */
        return false;
    char *socket = place_note(p, "socket");
    if (socket && strncmp(socket, "/tmp/espalier-", 14) == 0)
        rmdir(socket);
    free(socket);
    return true;
}
