#include "tests/unit/store_trial.h"

/* ---- sessions killed under way */

static const char kill_sessions[] = "select count(pg_terminate_backend(pid)) from pg_stat_activity"
                                    " where application_name = 'espalierd' and datname = current_database()";

struct storm {
    PGconn *admin;
    int kills;
    void (*more)(struct storm *st); /* sends what comes next; NULL: nothing */
    int sent;
    int64_t search;
};
static struct note notes[1500];

static int on_storm(zloop_t *l, int timer, void *arg)
{
    (void)l, (void)timer;
    struct storm *st = arg;
    if (st->more)
        st->more(st);
    PGresult *res = st->kills-- > 0 ? PQexec(st->admin, kill_sessions) : NULL;
    PQclear(res);
    return 0;
}

/* Kills all sessions every 40 ms, `kills` times. */
static void weather(struct storm *st, int kills)
{
    st->admin = session(database);
    st->kills = kills;
    int timer = zloop_timer(loop, 40, (size_t)kills, on_storm, st);
    const struct note never = {0};
    run_for(loop, s, &never, 40 * kills + 100);
    settle(loop, s);
    zloop_timer_end(loop, timer);
    PQfinish(st->admin);
}

static void send_results(struct storm *st)
{
    for (int i = 0; i < 60 && st->sent < 1500; i++, st->sent++)
        put_result(s, st->search, st->sent, 1, note_done, &notes[st->sent]);
}

START_TEST(results_survive_killed_sessions)
{
    struct note n = {0};
    struct storm st = {.more = send_results, .search = put_search(loop, s)};
    for (int i = 0; i < 1500; i++)
        put_started(s, st.search, i, &n);
    settle(loop, s);
    ck_assert_int_eq(n.calls, 3000);
    while (st.sent < 1500)
        weather(&st, 10);
    for (int i = 0; i < 1500; i++)
        ck_assert_msg(notes[i].calls == 1 && notes[i].code == 0, "%d: %d calls, %s", i, notes[i].calls,
                      notes[i].text);
    ck_assert_str_eq(ask(database, "select count(*) || ' ' || sum(top1) from espalier.results"), "1500 104050");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.attempts where outcome = 'done'"), "1500");
    ck_assert_int_eq(lost.calls, 0);
}
END_TEST

static struct recipe recipe;

static void send_searches(struct storm *st)
{
    for (int i = 0; i < 3; i++)
        store_search_create(s, "once", "spec", &recipe, false, note_created, &notes[st->sent++]);
}

START_TEST(searches_are_created_once)
{
    struct storm st = {.more = send_searches};
    recipe = (struct recipe){.model = put_blob(loop, s, "model")};
    weather(&st, 12);
    ck_assert_int_ge(st.sent, 12);
    ck_assert_int_eq(atoi(ask(database, "select count(*) from espalier.searches")), st.sent);
    for (int i = 0; i < st.sent; i++)
        ck_assert(notes[i].calls == 1 && notes[i].code == 0 && notes[i].id > 0);
}
END_TEST

START_TEST(blobs_survive_killed_sessions)
{
    const size_t size = 24 * PROTO_CHUNK_BYTES - 5;
    uint8_t *p = calloc(1, size);
    for (size_t i = 0; i < size; i += 1000)
        p[i] = (uint8_t)(i >> 8);
    struct hash h = hash_of(p, size);
    struct note n = {0}, seal = {0};
    for (size_t at = 0; at < size; at += PROTO_CHUNK_BYTES)
        store_blob_write(s, &h, at, size, p + at, size - at < PROTO_CHUNK_BYTES ? size - at : PROTO_CHUNK_BYTES,
                         note_done, &n);
    struct storm writing = {0}, sealing = {0};
    weather(&writing, 4);
    ck_assert_int_eq(n.calls, 24);
    store_blob_seal(s, &h, size, note_done, &seal);
    weather(&sealing, 4);
    ck_assert_msg(seal.calls == 1 && seal.code == 0 && n.code == 0, "%s%s", seal.text, n.text);
    struct note piece = {0};
    store_blob_read(s, &h, size - 1000, 1000, note_piece, &piece);
    settle(loop, s);
    ck_assert(piece.bytes.n == 1000 && memcmp(piece.bytes.p, p + size - 1000, 1000) == 0);
    buf_release(&piece.bytes);
    free(p);
}
END_TEST

START_TEST(a_hiccup_is_waited_for)
{
    struct note n = {0};
    int64_t id = put_search(loop, s);
    for (int i = 0; i < 20; i++)
        put_started(s, id, i, &n);
    settle(loop, s);
    ask(database,
        "create sequence hiccups; create function hiccup() returns trigger language plpgsql as $$ begin"
        " if nextval('hiccups') <= 3 then raise exception using errcode = '40P01', message = 'deadlock'; end if;"
        " return new; end $$;"
        " create trigger hiccup before insert on espalier.results for each row execute function hiccup()");
    for (int i = 0; i < 20; i++)
        put_result(s, id, i, 1, note_done, &n);
    settle(loop, s);
    ck_assert_msg(n.calls == 60 && n.code == 0, "%d %s", n.calls, n.text);
    ck_assert_str_eq(ask(database, "select count(*) from espalier.results"), "20");
}
END_TEST

/* ---- the server itself */

static int on_start(zloop_t *l, int timer, void *arg)
{
    (void)l, (void)timer;
    ck_assert(pg_start(arg, false));
    return 0;
}

START_TEST(a_restarted_server_is_found_again)
{
    struct note n = {0};
    struct pg own;
    ck_assert(pg_create(&own, false));
    pg_conninfo(&own, "postgres", database, sizeof(database));
    zloop_t *l = zloop_new();
    struct store *t = open_store(l, &lost);
    int64_t id = put_search(l, t);
    for (int i = 0; i < 300; i++)
        put_started(t, id, i, &n);
    settle(l, t);
    for (int i = 0; i < 300; i++)
        put_result(t, id, i, 1, note_done, &n);
    pg_stop(&own, SIGQUIT);
    zloop_timer(l, 700, 1, on_start, &own);
    run_for(l, t, NULL, 400);
    ck_assert(!store_connected(t));
    ck_assert_uint_gt(store_queued(t), 0);
    settle(l, t);
    ck_assert_msg(n.calls == 900 && n.code == 0, "%d calls, %s", n.calls, n.text);
    ck_assert_str_eq(ask(database, "select count(*) from espalier.results"), "300");
    ck_assert(store_connected(t));

    pg_stop(&own, SIGQUIT);
    struct note late = {0};
    put_started(t, id, 300, &late);
    int64_t t0 = clock_mono_ns();
    store_close(t, 300); /* doesn't wait for a server that is gone */
    ck_assert_int_lt(clock_mono_ns() - t0, 2 * NS_PER_S);
    ck_assert(late.calls == 2 && late.code == ERR_CANCELLED);
    zloop_destroy(&l);
    pg_remove(&own);
}
END_TEST

/* ---- one writes, another waits */

static int on_close(zloop_t *l, int timer, void *arg)
{
    (void)l, (void)timer, (void)arg;
    return -1;
}

/* Another process is the writer until half a second after it was seen to be. */
static pid_t other_writer(void)
{
    int ready[2];
    char byte;
    ck_assert(pipe(ready) == 0);
    pid_t pid = fork();
    if (pid == 0) {
        zloop_t *l = zloop_new();
        struct store *t = open_store(l, &lost);
        zloop_timer(l, 500, 1, on_close, NULL);
        if (write(ready[1], "!", 1) == 1)
            zloop_start(l);
        store_close(t, 1000);
        _exit(0);
    }
    ck_assert(read(ready[0], &byte, 1) == 1);
    return pid;
}

START_TEST(a_standby_waits_its_turn)
{
    struct err e = {0};
    struct store *none = NULL;
    ck_assert_int_eq(store_open(&none, loop, database, 300, note_lost, &lost, &e), ERR_TIMEOUT);
    ck_assert_ptr_nonnull(strstr(e.text, "another coordinator is the writer"));
    store_close(s, 1000);
    pid_t pid = other_writer();
    int64_t t0 = clock_mono_ns();
    s = open_store(loop, &lost);
    ck_assert_int_gt(clock_mono_ns() - t0, 200 * NS_PER_MS);
    put_search(loop, s);
    ck_assert_str_eq(ask(database, "select epoch from espalier.coordinator"), "3");
    waitpid(pid, NULL, 0);
}
END_TEST

START_TEST(who_was_replaced_is_fenced)
{
    struct err e = {0};
    struct note n = {0}, fine = {0}, second_lost = {0};
    struct store *second = NULL;
    int64_t id = put_search(loop, s);
    put_started(s, id, 0, &fine);
    settle(loop, s);
    ask(database, kill_sessions); /* the first writer's machine has hung; it doesn't know yet */
    ck_assert_msg(store_open(&second, loop, database, 2000, note_lost, &second_lost, &e) == 0, "%s", e.text);
    put_result(s, id, 0, 1, note_done, &n);
    put_candidate(s, id, 1, note_done, &n);
    settle(loop, s);
    ck_assert_msg(n.calls == 2 && n.code == ERR_STATE && strstr(n.text, "another coordinator has taken over"), "%s",
                  n.text);
    ck_assert_int_eq(lost.calls, 1);
    ck_assert_str_eq(ask(database, "select count(*) from espalier.results"), "0");
    put_result(s, id, 0, 1, note_done, &n); /* still */
    put_result(second, id, 0, 1, note_done, &fine);
    settle(loop, s);
    settle(loop, second);
    ck_assert(n.calls == 3 && n.code == ERR_STATE && fine.calls == 3 && fine.code == 0);
    ck_assert_str_eq(ask(database, "select count(*) from espalier.results"), "1");
    ck_assert(lost.calls == 1 && second_lost.calls == 0 && !store_connected(s) && store_connected(second));
    store_close(second, 1000);
}
END_TEST

START_TEST(the_epoch_is_checked_in_each_batch)
{
    struct note n = {0};
    struct hash h = hash_of("x", 1);
    int64_t id = put_search(loop, s);
    ask(database, "update espalier.coordinator set epoch = epoch + 1"); /* while the session lives on */
    put_candidate(s, id, 0, note_done, &n);
    store_blob_write(s, &h, 0, 1, "x", 1, note_done, &n);
    settle(loop, s);
    ck_assert(n.calls == 2 && n.code == ERR_STATE);
    ck_assert_int_eq(lost.calls, 1);
    ck_assert_str_eq(ask(database, "select (select count(*) from espalier.candidates) + (select count(*) from "
                                   "espalier.blobs where size = 1)"),
                     "0");
}
END_TEST

START_TEST(what_is_left_of_a_session_is_ended)
{
    char sql[200];
    PGconn *left = session(database);
    PGresult *res = PQexec(
        left,
        "begin; lock espalier.results; select backend_start from pg_stat_activity where pid = pg_backend_pid()");
    snprintf(sql, sizeof(sql), "select espalier.join_session(1, %d, '%s', null)", PQbackendPID(left),
             PQgetvalue(res, 0, 0));
    PQclear(res);
    ask(database, sql);
    res = PQexec(left, "select 1");
    ck_assert_int_eq(PQresultStatus(res), PGRES_FATAL_ERROR);
    PQclear(res);
    PQfinish(left);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_faults");
    TCase *t = tcase_create("store_faults");
    tcase_set_timeout(t, 90);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, results_survive_killed_sessions);
    tcase_add_test(t, searches_are_created_once);
    tcase_add_test(t, blobs_survive_killed_sessions);
    tcase_add_test(t, a_hiccup_is_waited_for);
    tcase_add_test(t, a_restarted_server_is_found_again);
    tcase_add_test(t, a_standby_waits_its_turn);
    tcase_add_test(t, who_was_replaced_is_fenced);
    tcase_add_test(t, the_epoch_is_checked_in_each_batch);
    tcase_add_test(t, what_is_left_of_a_session_is_ended);
    suite_add_tcase(suite, t);
    return run_suite(suite, false);
}
