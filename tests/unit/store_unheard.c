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
static char dir[40], direct[160]; /* the go-between's folder; conninfo past it */
static pid_t between;

static void begin_between(void)
{
    snprintf(dir, sizeof(dir), "/tmp/espalier-line-XXXXXX");
    new_database();
    snprintf(direct, sizeof(direct), "%s", database);
    between = start_go_between(dir);
    snprintf(database, sizeof(database), "host=%s user=espalier dbname=%s", dir, strstr(direct, "dbname=") + 7);
    loop = zloop_new();
    s = open_store(loop, &lost);
}

static void end_between(void)
{
    char path[64];
    store_close(s, 1000);
    zloop_destroy(&loop);
    kill(between, SIGKILL);
    waitpid(between, NULL, 0);
    snprintf(path, sizeof(path), "%s/.s.PGSQL.5432", dir);
    unlink(path);
    rmdir(dir);
}

START_TEST(what_was_committed_unheard_is_recorded_once)
{
    struct note n = {0};
    int searches = 0;
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
            store_search_create(s, "once", "spec", &recipe, false, note_created, &n);
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
}
END_TEST

#define FINALISTS 20
#define EPOCHS    40

static void put_epoch(int64_t id, int epoch, const struct hash *blob)
{
    for (int i = 0; i < FINALISTS; i++) {
        struct msg_checkpoint k = {task(TASK_FINAL, id, i, 1), epoch, blob[i], 0.1, 1, 0.5, 1};
        store_checkpoint(s, &k, "w1", note_done, &notes[EPOCHS * i + epoch]);
    }
}

/* Every epoch once on its curve, the last checkpoint alone, and of all the others' bytes nothing. */
START_TEST(checkpoints_committed_unheard_count_once)
{
    struct note n = {0};
    struct hash blob[EPOCHS + 1][FINALISTS];
    int64_t id = put_search(loop, s);
    int32_t episodes[FINALISTS];
    memset(notes, 0, sizeof(notes));
    for (int i = 0; i < FINALISTS; i++) {
        put_started(s, id, i, &n);
        put_result(s, id, i, 1, note_done, &n);
        episodes[i] = i;
    }
    store_finalists(s, id, episodes, FINALISTS, note_done, &n);
    for (int i = 0; i < FINALISTS; i++)
        store_attempt(s, &(struct task_id){TASK_FINAL, id, i, 1}, "w1", note_done, &n);
    for (int epoch = 1; epoch <= EPOCHS; epoch++)
        for (int i = 0; i < FINALISTS; i++) {
            char text[32];
            snprintf(text, sizeof(text), "state %d of %d", epoch, i);
            blob[epoch][i] = hash_of(text, strlen(text));
        }
    settle(loop, s);
    expect(&n, 4 * FINALISTS + 1, 0, "");
    ask(direct,
        "insert into espalier.blobs select sha256(convert_to(format('state %s of %s', e, i), 'UTF8')), 99, true"
        " from generate_series(1, 40) e, generate_series(0, 19) i");
    ask(direct,
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'espalierd'");
    for (int epoch = 1; epoch <= EPOCHS; epoch++) {
        put_epoch(id, epoch, blob[epoch]);
        if (epoch % 4 == 0)
            run_for(loop, s, &notes[epoch], 5000);
    }
    ck_assert(run_for(loop, s, NULL, 50000));
    for (int i = 0; i < FINALISTS; i++)
        for (int epoch = 1; epoch <= EPOCHS; epoch++)
            ck_assert_msg(notes[EPOCHS * i + epoch].calls == 1 && notes[EPOCHS * i + epoch].code == 0, "%d, %d: %s",
                          i, epoch, notes[EPOCHS * i + epoch].text);
    ck_assert_str_eq(ask(direct, "select count(*) from espalier.curves"), "800");
    ck_assert_str_eq(ask(direct, "select count(*) || ' ' || min(epoch) from espalier.checkpoints"), "20 40");
    ck_assert_str_eq(ask(direct, "select count(*) from espalier.blobs where size = 99"), "20");
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_unheard");
    TCase *t = tcase_create("store_unheard");
    tcase_set_timeout(t, 90);
    tcase_add_checked_fixture(t, begin_between, end_between);
    tcase_add_test(t, what_was_committed_unheard_is_recorded_once);
    tcase_add_test(t, checkpoints_committed_unheard_count_once);
    suite_add_tcase(suite, t);
    return run_suite(suite, false);
}
