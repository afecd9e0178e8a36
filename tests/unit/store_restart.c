#include "tests/unit/store_finals.h"

/* ---- what a restart reads */

static struct {
    int searches, candidates, tasks;
    struct search_row search[4];
    struct candidate_row candidate[4];
    struct task_row task[8];
} loaded;

static void load_search(void *arg, struct search_row *r)
{
    (void)arg;
    loaded.search[loaded.searches++] = *r;
}

static void load_candidate(void *arg, struct candidate_row *r)
{
    (void)arg;
    loaded.candidate[loaded.candidates++] = *r;
}

static void load_snapshot(void *arg, int64_t search, int32_t episode, const void *bytes, size_t n)
{
    (void)arg, (void)search, (void)episode, (void)bytes, (void)n;
}

static void load_task(void *arg, const struct task_row *r)
{
    (void)arg;
    loaded.task[loaded.tasks++] = *r;
}

static const struct store_loader loader = {NULL, load_search, load_candidate, load_snapshot, load_task};

START_TEST(a_restart_keeps_epochs_and_divergences)
{
    struct note n = {0};
    struct err e = {0};
    int64_t id = finishing(3), job = training(true);
    struct task_id waits = task(TASK_EVALUATE, id, 3, 1), fails = task(TASK_FINAL, id, 1, 1);
    struct task_id first = task(TASK_FINAL, id, 0, 1), second = task(TASK_FINAL, id, 0, 2), third = second;
    struct task_id train = task(TASK_TRAIN, job, -1, 1);
    third.attempt = 3;
    put_started(s, id, 3, &n);
    store_attempt_end(s, &waits, "diverged", "loss is nan", note_done, &n);
    checkpoint(&first, 1, state_blob(1), &n);
    store_attempt_end(s, &first, "diverged", "loss is nan", note_done, &n);
    store_attempt(s, &second, "w1", note_done, &n);
    checkpoint(&second, 1, state_blob(2), &n);
    checkpoint(&second, 2, state_blob(3), &n);
    store_attempt_end(s, &second, "lost", "silent", note_done, &n);
    store_attempt(s, &third, "w1", note_done, &n);
    store_attempt_end(s, &fails, "failed", "no memory", note_done, &n);
    store_final_failed(s, id, 1, "no memory", note_done, &n);
    checkpoint(&train, 1, state_blob(4), &n);
    settle(loop, s);
    expect(&n, 13, 0, "");
    store_close(s, 1000);
    s = open_store(loop, &lost);
    memset(&loaded, 0, sizeof(loaded));
    ck_assert_msg(store_load(s, &loader, &e) == 0, "%s", e.text);
    ck_assert_int_eq(loaded.searches, 2);
    const struct search_row *r = &loaded.search[1];
    struct hash teacher = hash_of("teacher", 7), two = hash_of("state after epoch 3", 19);
    ck_assert(r->id == job && r->state == SEARCH_RUNNING && !r->trained && !r->has_profile);
    ck_assert(r->recipe.precision == PRECISION_BF16 && !r->recipe.finetune.distill.other &&
              r->recipe.finish.distill.other && hash_equal(&r->recipe.finish.distill.teacher, &teacher));
    ck_assert(loaded.search[0].recipe.precision == PRECISION_FP32 && !loaded.search[0].recipe.finish.distill.other);
    ck_assert_int_eq(loaded.candidates, 4);
    for (int i = 0; i < 4; i++)
        ck_assert(loaded.candidate[i].diverged == (i == 3) && loaded.candidate[i].final_failed == (i == 1));
    ck_assert_int_eq(loaded.tasks, 4);
    const struct task_row *t = &loaded.task[0];
    ck_assert(t->highest.kind == TASK_FINAL && t->highest.episode == 0 && t->highest.attempt == 3);
    ck_assert(t->diverged == 1 && t->epoch == 2 && hash_equal(&t->checkpoint, &two));
    ck_assert(loaded.task[1].epoch == 0 && loaded.task[2].epoch == 0 && loaded.task[2].diverged == 0);
    ck_assert(loaded.task[3].highest.kind == TASK_TRAIN && loaded.task[3].epoch == 1);
    for (int i = 0; i < 2; i++)
        search_row_release(&loaded.search[i]);
    for (int i = 0; i < 4; i++)
        candidate_row_release(&loaded.candidate[i]);
}
END_TEST

/* ---- a database that the last version made */

static void run_script(PGconn *c, const char *path)
{
    static char sql[1 << 16];
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "%s", path);
    sql[fread(sql, 1, sizeof(sql) - 1, f)] = 0;
    fclose(f);
    PGresult *res = PQexec(c, sql);
    ck_assert_msg(PQresultStatus(res) == PGRES_COMMAND_OK, "%s: %s", path, PQerrorMessage(c));
    PQclear(res);
}

#define OLD_SCRIPTS 4
static const char old_rows[] =
    "insert into espalier.blobs values (sha256('m'), 1, true);"
    "insert into espalier.searches (request, name, spec, state, seed, model, data, mean, std, reward, calibrate,"
    " selection, reconstruct, recalibrate, dense_macs, dense_params, dense_bytes)"
    " values (gen_random_uuid(), 'old', 'x', 'finishing', 1, sha256('m'), 'synthetic', '{}', '{}', 9, 9, 'gram', "
    "true,"
    " true, 100, 100, 100);"
    "insert into espalier.budgets values (1, 0, 'flops', 1, 100);"
    "insert into espalier.candidates select 1, e, 0, 'flops', 100, '{1}', 5, 5, 5 from generate_series(0, 1) e;"
    "insert into espalier.attempts (search, kind, episode, attempt, worker) select 1, 'evaluate', e, 1, 'w'"
    " from generate_series(0, 1) e;"
    "insert into espalier.results select 1, e, 'evaluate', 1, 'w', 1, 9, 5, 9, 1 from generate_series(0, 1) e;"
    "insert into espalier.models values (1, 0, sha256('m')), (1, 1, sha256('m'));"
    "insert into espalier.finals values (1, 1, 'w', 1, 9, 4, 9, 1)";

START_TEST(the_last_versions_database_is_brought_up_to_date)
{
    glob_t g = {0};
    struct err e = {0};
    struct note n = {0};
    new_database();
    if (glob("coordinator/store/schema/*.sql", 0, NULL, &g) != 0) {
        printf("skipped: the schema's scripts aren't here\n");
        globfree(&g);
        return;
    }
    PGconn *c = session(database);
    PQclear(PQexec(c, "create schema espalier; create table espalier.migrations (number integer primary key check"
                      " (number > 0), name text not null, applied timestamptz not null default now());"
                      "insert into espalier.migrations select n, 'x' from generate_series(1, 4) n"));
    for (int i = 0; i < OLD_SCRIPTS; i++)
        run_script(c, g.gl_pathv[i]);
    globfree(&g);
    PGresult *res = PQexec(c, old_rows);
    ck_assert_msg(PQresultStatus(res) == PGRES_COMMAND_OK, "%s", PQerrorMessage(c));
    PQclear(res);
    PQfinish(c);
    loop = zloop_new();
    s = open_store(loop, &lost);
    memset(&loaded, 0, sizeof(loaded));
    ck_assert_msg(store_load(s, &loader, &e) == 0, "%s", e.text);
    ck_assert(loaded.searches == 1 && loaded.candidates == 2 && loaded.search[0].state == SEARCH_FINISHING);
    ck_assert(!loaded.candidate[0].has_final && loaded.candidate[1].has_final && !loaded.candidate[1].final_failed);
    store_finalists(s, 1, (const int32_t[]){0, 1}, 2, note_done, &n);
    struct task_id t = task(TASK_FINAL, 1, 0, 1);
    store_attempt(s, &t, "w1", note_done, &n);
    struct msg_result r = scored(&t, put_blob(loop, s, "finished"));
    store_result(s, &r, "w1", note_done, &n);
    settle(loop, s);
    expect(&n, 3, 0, "");
    json_t *j = report(REPORT_STATUS, 1, 0, NULL);
    ck_assert_uint_eq(json_array_size(json_object_get(j, "finalists")), 2);
    ck_assert(number(j, "finals") == 2 && number(j, "epochs") == 0);
    json_decref(j);
    search_row_release(&loaded.search[0]);
    for (int i = 0; i < 2; i++)
        candidate_row_release(&loaded.candidate[i]);
    end();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_restart");
    TCase *t = tcase_create("store_restart"), *old = tcase_create("old");
    tcase_set_timeout(t, 60);
    tcase_set_timeout(old, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_restart_keeps_epochs_and_divergences);
    tcase_add_test(old, the_last_versions_database_is_brought_up_to_date);
    suite_add_tcase(suite, t);
    suite_add_tcase(suite, old);
    return run_suite(suite, false);
}
