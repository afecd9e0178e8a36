/*
 * The connection breaks after the server has committed and before the client hears of it: a go-between passes so
 * many bytes of the server's answers on, swallows the rest, and hangs up.
 */
#include "tests/unit/store_trial.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

enum { LINES = 8 };

struct line {
    int client, server; /* 0: free */
    long left;          /* bytes of answers yet to be passed on */
    int64_t hang_up_ns; /* once something has been swallowed */
};

static int at_socket(const char *dir, bool listening)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/.s.PGSQL.5432", dir);
    int rc = listening ? bind(fd, (struct sockaddr *)&a, sizeof(a)) | listen(fd, LINES)
                       : connect(fd, (struct sockaddr *)&a, sizeof(a));
    return rc == 0 ? fd : -1;
}

/* The first line is left alone, the others end after some thousand bytes. */
static void accept_line(struct line *l, int listener, int nr)
{
    l->client = accept(listener, NULL, NULL);
    l->server = at_socket(server.dir, false);
    l->left = nr == 0 ? LONG_MAX : 1500 + nr * 1777L % 9000;
    l->hang_up_ns = INT64_MAX;
}

static void hang_up(struct line *l)
{
    close(l->client);
    close(l->server);
    *l = (struct line){0};
}

static void pass(struct line *l, int from, int to)
{
    char b[65536];
    ssize_t n = read(from, b, sizeof(b)), pass_on = n;
    if (n <= 0) {
        hang_up(l);
        return;
    }
    if (from == l->server) {
        pass_on = n < l->left ? n : l->left;
        l->left -= pass_on;
        if (pass_on < n && l->hang_up_ns == INT64_MAX)
            l->hang_up_ns = clock_mono_ns() + 30 * NS_PER_MS;
    }
    if (pass_on > 0 && send(to, b, (size_t)pass_on, MSG_NOSIGNAL) != pass_on)
        hang_up(l);
}

static void go_between(int listener)
{
    struct line lines[LINES] = {{0}};
    for (int count = 0;;) {
        struct pollfd fds[2 * LINES + 1];
        for (int i = 0; i < LINES; i++) {
            if (lines[i].client && clock_mono_ns() > lines[i].hang_up_ns)
                hang_up(&lines[i]);
            fds[2 * i] = (struct pollfd){.fd = lines[i].client ? lines[i].client : -1, .events = POLLIN};
            fds[2 * i + 1] = (struct pollfd){.fd = lines[i].client ? lines[i].server : -1, .events = POLLIN};
        }
        fds[2 * LINES] = (struct pollfd){.fd = listener, .events = POLLIN};
        poll(fds, 2 * LINES + 1, 10);
        for (int i = 0; i < LINES; i++) {
            if (fds[2 * i].revents)
                pass(&lines[i], lines[i].client, lines[i].server);
            if (lines[i].client && fds[2 * i + 1].revents)
                pass(&lines[i], lines[i].server, lines[i].client);
        }
        for (int i = 0; i < LINES && fds[2 * LINES].revents; i++)
            if (!lines[i].client) {
                accept_line(&lines[i], listener, count++);
                break;
            }
    }
}

static pid_t start_go_between(char *dir)
{
    int listener = mkdtemp(dir) ? at_socket(dir, true) : -1;
    ck_assert_int_ge(listener, 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        go_between(listener);
    }
    close(listener);
    return pid;
}

static struct note notes[1200];

START_TEST(what_was_committed_unheard_is_recorded_once)
{
    char dir[] = "/tmp/espalier-line-XXXXXX", direct[160], path[64];
    struct note n = {0};
    int searches = 0;
    new_database();
    snprintf(direct, sizeof(direct), "%s", database);
    pid_t pid = start_go_between(dir);
    snprintf(database, sizeof(database), "host=%s user=espalier dbname=%s", dir, strstr(direct, "dbname=") + 7);
    loop = zloop_new();
    s = open_store(loop, &lost);
    int64_t id = put_search(loop, s);
    for (int i = 0; i < 1200; i++)
        put_started(s, id, i, &n);
    settle(loop, s);
    ask(direct,
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'espalierd'");
    const struct recipe recipe = {.model = put_blob(loop, s, "model")};
    for (int i = 0; i < 1200; i++) {
        put_result(s, id, i, 1, note_done, &notes[i]);
        if (i % 100 == 0) {
            store_search_create(s, "once", "spec", &recipe, note_created, &n);
            searches++;
            run_for(loop, s, &notes[i], 5000);
        }
    }
    ck_assert(run_for(loop, s, NULL, 50000));
    ck_assert_msg(n.calls == 2400 + searches && n.code == 0, "%d calls, %s", n.calls, n.text);
    for (int i = 0; i < 1200; i++)
        ck_assert_msg(notes[i].calls == 1 && notes[i].code == 0, "%d: %d calls, %s", i, notes[i].calls,
                      notes[i].text);
    ck_assert_int_eq(atoi(ask(direct, "select count(*) from espalier.results")), 1200);
    ck_assert_int_eq(atoi(ask(direct, "select count(*) from espalier.searches")), searches + 1);
    store_close(s, 1000);
    zloop_destroy(&loop);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", dir);
    unlink(path);
    rmdir(dir);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_unheard");
    TCase *t = tcase_create("store_unheard");
    tcase_set_timeout(t, 90);
    tcase_add_test(t, what_was_committed_unheard_is_recorded_once);
    suite_add_tcase(suite, t);
    return run_suite(suite, false);
}
