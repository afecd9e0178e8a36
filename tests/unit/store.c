#include "tests/unit/store_trial.h"

START_TEST(opening_twice_changes_nothing)
{
    const char count[] = "select count(*) from espalier.migrations";
    int migrations = atoi(ask(database, count));
    ck_assert_int_gt(migrations, 0);
    int64_t id = put_search(loop, s);
    store_close(s, 1000);
    s = open_store(loop, &lost);
    ck_assert_int_eq(atoi(ask(database, count)), migrations);
    ck_assert_str_eq(ask(database, "select epoch from espalier.coordinator"), "2");
    ck_assert_int_eq(atoi(ask(database, "select max(id) from espalier.searches")), id);
}
END_TEST

START_TEST(newer_schema_is_refused)
{
    struct err e = {0};
    struct store *other = NULL;
    store_close(s, 1000);
    ask(database, "insert into espalier.migrations values (99, '0099_later')");
    ck_assert_int_eq(store_open(&other, loop, database, 100, note_lost, &lost, &e), ERR_UNSUPPORTED);
    ck_assert_ptr_nonnull(strstr(e.text, "schema 99"));
    ask(database, "delete from espalier.migrations where number = 99");
    s = open_store(loop, &lost);
}
END_TEST

START_TEST(a_server_that_is_not_there_and_one_that_refuses)
{
    struct err e = {0};
    struct store *other = NULL;
    int64_t t0 = clock_mono_ns();
    ck_assert_int_eq(store_open(&other, loop, "host=/tmp/nobody-here", 500, note_lost, &lost, &e), ERR_DB);
    ck_assert_int_ge(clock_mono_ns() - t0, 500 * NS_PER_MS);
    char wrong[160];
    pg_conninfo(&server, "no_such_database", wrong, sizeof(wrong));
    t0 = clock_mono_ns();
    ck_assert_int_eq(store_open(&other, loop, wrong, 60000, note_lost, &lost, &e), ERR_DB);
    ck_assert_ptr_nonnull(strstr(e.text, "no_such_database"));
    ck_assert_int_lt(clock_mono_ns() - t0, 5 * NS_PER_S);
}
END_TEST

START_TEST(a_creation_needs_its_blobs_and_counts_once)
{
    struct note n = {0};
    struct recipe r = {.model = hash_of("?", 1)};
    store_search_create(s, "x", "y", &r, false, note_created, &n);
    settle(loop, s);
    expect(&n, 1, ERR_NOTFOUND, "isn't on record");
    int64_t a = put_search(loop, s), b = put_search(loop, s);
    ck_assert_int_ne(a, b);
    ask(database,
        "select espalier.create_search(request, name, spec, seed, model, data, mean, std, reward, "
        "calibrate, selection,"
        " reconstruct, recalibrate, '{}', '{}', '{}', job, precision, null, null, 0) from espalier.searches");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.searches"), "2");
}
END_TEST

START_TEST(states_move_and_the_last_ones_hold)
{
    struct note n = {0};
    int64_t id = put_search(loop, s);
    store_search_state(s, id, SEARCH_RUNNING, SEARCH_RUNNING, NULL, note_done, &n);
    store_search_state(s, id, SEARCH_PAUSED, SEARCH_RUNNING, NULL, note_done, &n);
    store_search_state(s, id, SEARCH_RUNNING, SEARCH_RUNNING, NULL, note_done, &n);
    store_search_state(s, id, SEARCH_FAILED, SEARCH_RUNNING, "the model is gone", note_done, &n);
    store_search_state(s, id, SEARCH_FAILED, SEARCH_RUNNING, "the model is gone", note_done, &n);
    settle(loop, s);
    expect(&n, 5, 0, "");
    store_search_state(s, id, SEARCH_RUNNING, SEARCH_RUNNING, NULL, note_done, &n);
    settle(loop, s);
    expect(&n, 6, ERR_STATE, "is failed");
    store_search_state(s, 77, SEARCH_RUNNING, SEARCH_RUNNING, NULL, note_done, &n);
    settle(loop, s);
    expect(&n, 7, ERR_NOTFOUND, "search 77 isn't known");
    json_t *j = report(REPORT_STATUS, id, 0, NULL);
    ck_assert_str_eq(text(j, "state"), "failed");
    ck_assert_str_eq(text(j, "reason"), "the model is gone");
    ck_assert_ptr_nonnull(strstr(text(j, "finished"), "+00:00"));
    json_decref(j);
}
END_TEST

START_TEST(a_result_is_recorded_once)
{
    struct note n = {0};
    int64_t id = put_search(loop, s);
    for (int i = 0; i < 2; i++) {
        put_started(s, id, 7, &n);
        settle(loop, s);
        put_result(s, id, 7, 1, note_done, &n);
        put_result(s, id, 7, 1, note_done, &n);
        if (i == 0)
            settle(loop, s);
    }
    settle(loop, s);
    expect(&n, 8, 0, "");
    ck_assert_str_eq(ask(database, "select count(*) || ' ' || max(top1) from espalier.results"), "1 57");
    ck_assert_str_eq(ask(database, "select count(*) || ' ' || max(outcome) from espalier.attempts"), "1 done");
}
END_TEST

START_TEST(a_replaced_attempt_is_refused_and_a_late_one_counts)
{
    struct note n = {0}, late = {0};
    int64_t id = put_search(loop, s);
    struct task_id first = task(TASK_EVALUATE, id, 0, 1);
    put_started(s, id, 0, &n);
    store_attempt_end(s, &first, "lost", "no heartbeat for 30 s", note_done, &n);
    store_attempt_end(s, &first, "lost", "no heartbeat for 30 s", note_done, &n);
    put_attempt(s, id, 0, 2, note_done, &n);
    settle(loop, s);
    expect(&n, 5, 0, "");
    put_result(s, id, 0, 1, note_done, &late);
    settle(loop, s);
    expect(&late, 1, ERR_STATE, "attempt 1 was replaced by 2");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.results"), "0");
    struct task_id second = task(TASK_EVALUATE, id, 0, 2);
    store_attempt_end(s, &second, "lost", "gone", note_done, &n);
    put_result(s, id, 0, 2, note_done, &n); /* it was only slow */
    settle(loop, s);
    expect(&n, 7, 0, "");
    store_attempt_end(s, &second, "lost", "gone", note_done, &late);
    put_attempt(s, id, 0, 3, note_done, &late);
    settle(loop, s);
    expect(&late, 3, ERR_STATE, "not wanted any more");
}
END_TEST

START_TEST(a_reason_of_any_bytes_is_recorded)
{
    struct note n = {0};
    int64_t id = put_search(loop, s);
    struct task_id t = task(TASK_EVALUATE, id, 0, 1);
    put_started(s, id, 0, &n);
    store_attempt_end(s, &t, "failed",
                      "caf\xc3\xa9 \xff caf\xe9 \xed\xa0\x80 \xc0\x80 \xf0\x9f\x8c\xb3 \xf4\x90\x80\x80 \xe2\x82",
                      note_done, &n);
    settle(loop, s);
    expect(&n, 3, 0, "");
    ck_assert_str_eq(ask(database, "select reason from espalier.attempts"),
                     "caf\xc3\xa9 ? caf? ??? ?? \xf0\x9f\x8c\xb3 ???? ??");
}
END_TEST

START_TEST(attempts_have_no_gaps)
{
    struct note n = {0};
    int64_t id = put_search(loop, s);
    put_started(s, id, 0, &n);
    struct note gap = {0}, taken = {0};
    put_attempt(s, id, 0, 3, note_done, &gap);
    settle(loop, s);
    expect(&n, 2, 0, "");
    expect(&gap, 1, ERR_INVALID, "attempts_search_kind_episode_previous_fkey");
    struct task_id t = task(TASK_EVALUATE, id, 0, 1);
    store_attempt(s, &t, "another", note_done, &taken);
    settle(loop, s);
    expect(&taken, 1, ERR_STATE, "attempt 1 is taken");
}
END_TEST

START_TEST(given_up_means_no_result)
{
    struct note n = {0}, late = {0};
    int64_t id = put_search(loop, s);
    put_started(s, id, 0, &n);
    store_candidate_failed(s, id, 0, "singular matrix", note_done, &n);
    store_candidate_failed(s, id, 0, "singular matrix", note_done, &n);
    settle(loop, s);
    expect(&n, 4, 0, "");
    put_result(s, id, 0, 1, note_done, &late);
    settle(loop, s);
    expect(&late, 1, ERR_STATE, "given up");
    put_started(s, id, 1, &n);
    put_result(s, id, 1, 1, note_done, &n);
    store_candidate_failed(s, id, 1, "too late", note_done, &late);
    store_candidate_failed(s, id, 9, "nobody", note_done, &late);
    settle(loop, s);
    expect(&late, 3, ERR_NOTFOUND, "no episode 9");
    json_t *j = report(REPORT_STATUS, id, 0, NULL);
    ck_assert(number(j, "proposed") == 2 && number(j, "evaluated") == 1 && number(j, "failed") == 1);
    json_decref(j);
    j = report(REPORT_CANDIDATE, id, 0, NULL);
    ck_assert_str_eq(text(j, "state"), "failed");
    ck_assert_str_eq(text(j, "reason"), "singular matrix");
    json_decref(j);
}
END_TEST

START_TEST(candidates_fit_their_budget)
{
    struct note n = {0};
    int32_t keep[3];
    int64_t id = put_search(loop, s);
    struct candidate_row c = candidate(id, 0, keep);
    store_candidate(s, &c, note_done, &n);
    settle(loop, s);
    expect(&n, 1, 0, "");
    c.episode = 1;
    c.cost.of[COST_FLOPS] = 501;
    store_candidate(s, &c, note_done, &n);
    settle(loop, s);
    expect(&n, 2, ERR_INVALID, "candidate_within_budget");
    c.cost.of[COST_FLOPS] = 500;
    c.dense.of[COST_FLOPS] = 2000;
    store_candidate(s, &c, note_done, &n);
    settle(loop, s);
    expect(&n, 3, ERR_STATE, "another budget");
    c.dense.of[COST_FLOPS] = 1000;
    keep[1] = 0;
    store_candidate(s, &c, note_done, &n);
    settle(loop, s);
    expect(&n, 4, ERR_INVALID, "candidate_keeps_something");
    c.episode = 0;
    keep[1] = 9;
    store_candidate(s, &c, note_done, &n);
    settle(loop, s);
    expect(&n, 5, ERR_STATE, "other channels");
    c.search = 99;
    store_candidate(s, &c, note_done, &n);
    settle(loop, s);
    expect(&n, 6, ERR_NOTFOUND, "search 99");
}
END_TEST

START_TEST(one_bad_write_among_many_fails_alone)
{
    enum { N = 200 };
    static struct note notes[N];
    struct note n = {0};
    int64_t id = put_search(loop, s);
    for (int i = 0; i < N; i++)
        put_started(s, id, i, &n);
    settle(loop, s);
    expect(&n, 2 * N, 0, "");
    memset(notes, 0, sizeof(notes));
    for (int i = 0; i < N; i++) {
        struct msg_result r = result(id, i, 1);
        if (i % 20 == 3)
            r.reward.top5 = 101;
        if (i % 20 == 4)
            r.reward.loss = NAN;
        if (i % 20 == 5)
            r.task.attempt = 2;
        store_result(s, &r, "w1", note_done, &notes[i]);
    }
    settle(loop, s);
    for (int i = 0; i < N; i++)
        expect(&notes[i], 1,
               i % 20 == 3 || i % 20 == 4 ? ERR_INVALID
               : i % 20 == 5              ? ERR_NOTFOUND
                                          : 0,
               i % 20 == 3 ? "result_counts" : "");
    ck_assert_int_eq(atoi(ask(database, "select count(*) from espalier.results")), N - 3 * N / 20);
}
END_TEST

/* Rows that can't be, straight into the tables. */
static const char *const impossible[] = {
    "insert into espalier.results (search, episode, attempt, worker, seconds, n, top1, top5, loss) values "
    "(1,1,1,'w',1,10,5,6,1)",
    "update espalier.results set top1 = -1",
    "update espalier.results set top1 = top5 + 1",
    "update espalier.results set top5 = n + 1",
    "update espalier.results set n = 0, top1 = 0, top5 = 0",
    "update espalier.results set loss = 'NaN'",
    "update espalier.results set loss = 'infinity'",
    "update espalier.results set loss = null",
    "update espalier.results set seconds = -1",
    "update espalier.results set failed = 'both'",
    "update espalier.results set attempt = 2",
    "update espalier.results set episode = 5",
    "insert into espalier.results select * from espalier.results",
    "update espalier.candidates set keep = '{}'",
    "update espalier.candidates set keep = '{1,0,2}'",
    "update espalier.candidates set keep = '{{1,2},{3,4}}'",
    "update espalier.candidates set macs = most + 1",
    "update espalier.candidates set most = most + 100",
    "update espalier.candidates set episode = -1",
    "update espalier.candidates set search = 5",
    "update espalier.budgets set frac = 1.5",
    "update espalier.budgets set frac = 'NaN'",
    "update espalier.attempts set attempt = 0",
    "update espalier.attempts set attempt = 2",
    "update espalier.attempts set outcome = null",
    "update espalier.attempts set kind = 'profile'",
    "insert into espalier.attempts (search, kind, episode, attempt, worker) values (1, 'final', 8, 1, 'w')",
    "update espalier.searches set state = 'paused'",
    "update espalier.searches set state = 'paused', paused_from = 'done'",
    "update espalier.searches set state = 'failed', finished = now()",
    "update espalier.searches set state = 'done'",
    "update espalier.searches set seed = -1",
    "update espalier.searches set seed = 18446744073709551616",
    "update espalier.searches set std = '{0}'",
    "update espalier.searches set mean = '{1,2}'",
    "update espalier.searches set mean = '{NaN}'",
    "update espalier.searches set data = 'anything'",
    "update espalier.searches set dense_params = null",
    "update espalier.search_files set name = '../etc/passwd'",
    "delete from espalier.blobs",
    "insert into espalier.blobs values ('\\x00', 1)",
    "insert into espalier.blob_chunks select hash, 1, '' from espalier.blobs",
    "insert into espalier.finals select search, 3, 'w', 1, 10, 5, 6, 1 from espalier.results",
    "insert into espalier.profiles select 1, hash, 10, 5, 6, 1, '{2}', '{0,NaN}', 1 from espalier.blobs limit 1",
    "insert into espalier.coordinator values (false)",
    "insert into espalier.coordinator values (true)",
};

START_TEST(impossible_rows_are_refused)
{
    struct note n = {0};
    int64_t id = put_search(loop, s);
    ck_assert_int_eq(id, 1);
    put_started(s, id, 0, &n);
    put_result(s, id, 0, 1, note_done, &n);
    settle(loop, s);
    expect(&n, 3, 0, "");
    PGconn *c = session(database);
    for (size_t i = 0; i < sizeof(impossible) / sizeof(impossible[0]); i++) {
        PGresult *res = PQexec(c, impossible[i]);
        const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);
        ck_assert_msg(state && (strncmp(state, "23", 2) == 0 || strcmp(state, "22003") == 0), "%s: %s %s",
                      impossible[i], state ? state : "taken", PQresultErrorMessage(res));
        PQclear(res);
    }
    PQfinish(c);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store");
    TCase *t = tcase_create("store");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, opening_twice_changes_nothing);
    tcase_add_test(t, newer_schema_is_refused);
    tcase_add_test(t, a_server_that_is_not_there_and_one_that_refuses);
    tcase_add_test(t, a_creation_needs_its_blobs_and_counts_once);
    tcase_add_test(t, states_move_and_the_last_ones_hold);
    tcase_add_test(t, a_result_is_recorded_once);
    tcase_add_test(t, a_replaced_attempt_is_refused_and_a_late_one_counts);
    tcase_add_test(t, a_reason_of_any_bytes_is_recorded);
    tcase_add_test(t, attempts_have_no_gaps);
    tcase_add_test(t, given_up_means_no_result);
    tcase_add_test(t, candidates_fit_their_budget);
    tcase_add_test(t, one_bad_write_among_many_fails_alone);
    tcase_add_test(t, impossible_rows_are_refused);
    suite_add_tcase(suite, t);
    return run_suite(suite, false);
}
