#include "tests/unit/store_trial.h"

/* Checkpoints, curves, finalists, training jobs: each write once, and in its place. */

static struct hash state_blob(int epoch)
{
    char text[32];
    snprintf(text, sizeof(text), "state after epoch %d", epoch);
    return put_blob(loop, s, text);
}

static void checkpoint(const struct task_id *t, int epoch, struct hash blob, struct note *n)
{
    const struct msg_checkpoint k = {.task = *t,
                                     .epoch = epoch,
                                     .blob = blob,
                                     .lr = 0.1 / epoch,
                                     .loss = 1.0 / epoch,
                                     .top1 = 0.5,
                                     .seconds = 2};
    store_checkpoint(s, &k, "w1", note_done, n);
}

static struct msg_result scored(const struct task_id *t, struct hash blob)
{
    return (struct msg_result){
        .task = *t, .seconds = 9, .test = {1000, 805, 990, 0.75}, .has_blob = true, .blob = blob};
}

/* Finalists 0 ... n - 1, each evaluated; the first attempt of each is under way. */
static int64_t finishing(int n)
{
    struct note done = {0};
    int32_t episodes[8];
    int64_t id = put_search(loop, s);
    for (int i = 0; i < n; i++) {
        episodes[i] = i;
        put_started(s, id, i, &done);
        put_result(s, id, i, 1, note_done, &done);
    }
    for (int i = 0; i < 2; i++)
        store_finalists(s, id, episodes, (size_t)n, note_done, &done);
    for (int i = 0; i < n; i++) {
        struct task_id t = task(TASK_FINAL, id, i, 1);
        store_attempt(s, &t, "w1", note_done, &done);
    }
    settle(loop, s);
    expect(&done, 4 * n + 2, 0, "");
    return id;
}

static int64_t training(bool taught)
{
    struct note n = {0};
    struct recipe r = {
        .data = DATA_SYNTHETIC, .model = put_blob(loop, s, "untrained"), .precision = PRECISION_BF16};
    r.finish.epochs = 5;
    r.finish.distill.other = taught;
    if (taught)
        r.finish.distill.teacher = put_blob(loop, s, "teacher");
    store_search_create(s, "t", "name: t\n", &r, true, note_created, &n);
    settle(loop, s);
    expect(&n, 1, 0, "");
    struct task_id t = task(TASK_TRAIN, n.id, -1, 1);
    store_attempt(s, &t, "w1", note_done, &n);
    settle(loop, s);
    expect(&n, 2, 0, "");
    return n.id;
}

static const char states[] =
    "select coalesce(string_agg(epoch || ' of attempt ' || attempt, ', ' order by episode), '')"
    " from espalier.checkpoints";
static const char points[] = "select coalesce(string_agg(epoch || ':' || attempt, ' ' order by episode, epoch), '')"
                             " from espalier.curves";
static const char blobs_left[] =
    "select count(*) from espalier.blobs b where exists (select from espalier.blob_chunks c"
    " where c.hash = b.hash and convert_from(bytes, 'UTF8') like 'state after%')";

START_TEST(only_the_latest_checkpoint_stays)
{
    struct note n = {0};
    struct task_id t = task(TASK_FINAL, finishing(1), 0, 1);
    for (int epoch = 1; epoch <= 3; epoch++) {
        struct hash h = state_blob(epoch);
        for (int i = 0; i < 2; i++)
            checkpoint(&t, epoch, h, &n);
        settle(loop, s);
        ck_assert_str_eq(ask(database, blobs_left), "1");
    }
    expect(&n, 6, 0, "");
    checkpoint(&t, 2, state_blob(2), &n); /* a repeat that was under way for long */
    settle(loop, s);
    expect(&n, 7, 0, "");
    ck_assert_str_eq(ask(database, states), "3 of attempt 1");
    ck_assert_str_eq(ask(database, points), "1:1 2:1 3:1");
    ck_assert_str_eq(ask(database, "select lr || ' ' || loss || ' ' || top1 || ' ' || seconds || ' ' || worker"
                                   " from espalier.curves where epoch = 2"),
                     "0.05 0.5 0.5 2 w1");
    struct note none = {0};
    checkpoint(&t, 4, hash_of("nowhere", 7), &none);
    settle(loop, s);
    expect(&none, 1, ERR_NOTFOUND, "isn't on record");
    ck_assert_str_eq(ask(database, states), "3 of attempt 1");
}
END_TEST

START_TEST(a_state_that_others_refer_to_stays)
{
    struct note n = {0};
    int64_t id = finishing(2);
    struct task_id a = task(TASK_FINAL, id, 0, 1), b = task(TASK_FINAL, id, 1, 1);
    struct hash h = state_blob(1);
    checkpoint(&a, 1, h, &n);
    checkpoint(&b, 1, h, &n);
    checkpoint(&a, 2, state_blob(2), &n);
    settle(loop, s);
    ck_assert_str_eq(ask(database, blobs_left), "2");
    checkpoint(&b, 2, state_blob(2), &n);
    settle(loop, s);
    expect(&n, 4, 0, "");
    ck_assert_str_eq(ask(database, blobs_left), "1");
}
END_TEST

START_TEST(only_the_attempt_that_counts_leaves_checkpoints)
{
    struct note n = {0}, late = {0};
    int64_t id = finishing(1);
    struct task_id t = task(TASK_FINAL, id, 0, 1), second = task(TASK_FINAL, id, 0, 2);
    store_attempt_end(s, &t, "lost", "silent", note_done, &n);
    checkpoint(&t, 1, state_blob(1), &n); /* it was only slow, and nobody has its place yet */
    store_attempt(s, &second, "w2", note_done, &n);
    settle(loop, s);
    expect(&n, 3, 0, "");
    checkpoint(&t, 2, state_blob(2), &late);
    settle(loop, s);
    expect(&late, 1, ERR_STATE, "attempt 1 was replaced by 2");
    checkpoint(&second, 2, state_blob(2), &n);
    store_attempt_end(s, &second, "handed back", "worker is stopping", note_done, &n);
    settle(loop, s);
    expect(&n, 5, 0, "");
    checkpoint(&second, 3, state_blob(3), &late);
    settle(loop, s);
    expect(&late, 2, ERR_STATE, "attempt 2 has ended: handed back");
    struct task_id nobody = task(TASK_FINAL, id, 0, 7);
    checkpoint(&nobody, 3, state_blob(3), &late);
    settle(loop, s);
    expect(&late, 3, ERR_NOTFOUND, "has no attempt 7");
    ck_assert_str_eq(ask(database, states), "2 of attempt 2");
    ck_assert_str_eq(ask(database, points), "1:1 2:2");
}
END_TEST

START_TEST(what_diverged_begins_anew)
{
    struct note n = {0};
    int64_t id = finishing(1);
    struct task_id first = task(TASK_FINAL, id, 0, 1), second = task(TASK_FINAL, id, 0, 2);
    checkpoint(&first, 1, state_blob(1), &n);
    checkpoint(&first, 2, state_blob(2), &n);
    for (int i = 0; i < 2; i++)
        store_attempt_end(s, &first, "diverged", "loss 1e9 at step 7", note_done, &n);
    settle(loop, s);
    ck_assert_str_eq(ask(database, states), "");
    ck_assert_str_eq(ask(database, blobs_left), "0");
    ck_assert_str_eq(ask(database, points), "1:1 2:1"); /* to be looked at, until it is tried again */
    store_attempt(s, &second, "w1", note_done, &n);
    settle(loop, s);
    ck_assert_str_eq(ask(database, points), "");
    checkpoint(&second, 1, state_blob(11), &n);
    store_attempt(s, &second, "w1", note_done, &n);
    store_attempt_end(s, &second, "diverged", "loss 1e8 at step 99", note_done, &n);
    for (int i = 0; i < 2; i++)
        store_final_failed(s, id, 0, "loss 1e8 at step 99", note_done, &n);
    settle(loop, s);
    expect(&n, 10, 0, "");
    ck_assert_str_eq(ask(database, points), "1:2");
    struct note late = {0};
    struct msg_result r = scored(&second, state_blob(12));
    struct task_id third = task(TASK_FINAL, id, 0, 3);
    store_result(s, &r, "w1", note_done, &late);
    settle(loop, s);
    expect(&late, 1, ERR_STATE, "finalist 0 was given up");
    store_attempt(s, &third, "w1", note_done, &late);
    settle(loop, s);
    expect(&late, 2, ERR_STATE, "not wanted any more");

    json_t *j = report(REPORT_STATUS, id, 0, NULL), *f = json_array_get(json_object_get(j, "finalists"), 0);
    ck_assert_str_eq(text(f, "state"), "failed");
    ck_assert_str_eq(text(f, "reason"), "loss 1e8 at step 99");
    ck_assert(number(f, "epoch") == 1 && number(j, "finals") == 0);
    json_decref(j);
    j = report(REPORT_CANDIDATE, id, 0, NULL);
    ck_assert_str_eq(text(j, "final_failed"), "loss 1e8 at step 99");
    ck_assert(json_is_null(json_object_get(j, "final")));
    json_decref(j);
    j = report(REPORT_CANDIDATES, id, 0, NULL);
    ck_assert_uint_eq(json_array_size(j), 1);
    json_decref(j);
}
END_TEST

START_TEST(a_finalist_that_is_done_leaves_its_curve)
{
    struct note n = {0}, late = {0};
    int64_t id = finishing(2);
    struct task_id t = task(TASK_FINAL, id, 0, 1);
    checkpoint(&t, 1, state_blob(1), &n);
    struct msg_result r = scored(&t, put_blob(loop, s, "finished"));
    for (int i = 0; i < 2; i++)
        store_result(s, &r, "w1", note_done, &n);
    settle(loop, s);
    expect(&n, 3, 0, "");
    checkpoint(&t, 1, hash_of("state after epoch 1", 19), &n); /* the connection broke before anybody heard of it */
    settle(loop, s);
    expect(&n, 4, 0, "");
    ck_assert_str_eq(ask(database, states), "");
    ck_assert_str_eq(ask(database, blobs_left), "0");
    store_final_failed(s, id, 0, "no", note_done, &late);
    settle(loop, s);
    expect(&late, 1, ERR_STATE, "has its score");

    json_t *j = report(REPORT_STATUS, id, 0, NULL), *all = json_object_get(j, "finalists");
    ck_assert_uint_eq(json_array_size(all), 2);
    ck_assert_str_eq(text(json_array_get(all, 0), "state"), "done");
    ck_assert_str_eq(text(json_array_get(all, 1), "state"), "running");
    ck_assert(number(json_array_get(all, 0), "epoch") == 1 && number(json_array_get(all, 1), "epoch") == 0);
    ck_assert_str_eq(text(j, "job"), "search");
    ck_assert(json_is_null(json_object_get(j, "test")) && json_is_null(json_object_get(j, "epochs_done")));
    json_decref(j);
    j = report(REPORT_CURVE, id, -1, NULL);
    json_t *one = json_array_get(j, 0);
    ck_assert_uint_eq(json_array_size(j), 1);
    ck_assert_uint_eq(json_object_size(one), 8);
    ck_assert(number(one, "episode") == 0 && number(one, "epoch") == 1 && number(one, "lr") == 0.1);
    json_decref(j);
    j = report(REPORT_CURVE, id, 1, NULL);
    ck_assert_uint_eq(json_array_size(j), 0);
    json_decref(j);
    store_report(s, REPORT_CURVE, id, 5, NULL, note_report, &late);
    settle(loop, s);
    expect(&late, 2, ERR_NOTFOUND, "has no episode 5");
}
END_TEST

START_TEST(the_finished_model_replaces_an_earlier_export)
{
    struct note n = {0};
    int64_t id = finishing(1);
    struct task_id export = task(TASK_EXPORT, id, 0, 1), final = task(TASK_FINAL, id, 0, 1);
    struct hash finished = put_blob(loop, s, "finished");
    struct msg_result e = scored(&export, put_blob(loop, s, "cut alone")), f = scored(&final, finished);
    char hex[HASH_HEX];
    store_attempt(s, &export, "w1", note_done, &n);
    store_result(s, &e, "w1", note_done, &n);
    store_result(s, &f, "w1", note_done, &n);
    store_result(s, &e, "w1", note_done, &n);
    settle(loop, s);
    expect(&n, 4, 0, "");
    hash_to_hex(&finished, hex);
    ck_assert_str_eq(ask(database, "select encode(blob, 'hex') from espalier.models"), hex);
}
END_TEST

static void note_model(void *arg, const struct hash *h, const struct err *e)
{
    struct note *n = arg;
    note_error(n, e);
    if (h)
        hash_to_hex(h, n->text);
}

START_TEST(a_training_from_its_order_to_its_model)
{
    struct note n = {0}, asked = {0};
    int64_t id = training(true), search = put_search(loop, s);
    struct task_id t = task(TASK_TRAIN, id, -1, 1);
    char hex[HASH_HEX];
    store_training_model(s, id, note_model, &asked);
    settle(loop, s);
    expect(&asked, 1, ERR_STATE, "has no model: it is running");
    store_training_model(s, search, note_model, &asked);
    settle(loop, s);
    expect(&asked, 2, ERR_NOTFOUND, "trains no model");
    store_training_model(s, 99, note_model, &asked);
    settle(loop, s);
    expect(&asked, 3, ERR_NOTFOUND, "search 99 isn't known");
    store_search_state(s, id, SEARCH_PROFILING, SEARCH_RUNNING, NULL, note_done, &asked);
    settle(loop, s);
    expect(&asked, 4, ERR_INVALID, "training_has_no_profile");

    checkpoint(&t, 1, state_blob(1), &n);
    checkpoint(&t, 2, state_blob(2), &n);
    settle(loop, s);
    json_t *j = report(REPORT_STATUS, id, 0, NULL);
    ck_assert_str_eq(text(j, "job"), "training");
    ck_assert_str_eq(text(j, "state"), "running");
    ck_assert(number(j, "epochs") == 5 && number(j, "epochs_done") == 2 &&
              json_is_string(json_object_get(j, "started")));
    ck_assert(json_is_null(json_object_get(j, "test")));
    json_decref(j);
    struct hash made = put_blob(loop, s, "trained");
    struct msg_result r = scored(&t, made);
    for (int i = 0; i < 2; i++)
        store_result(s, &r, "w1", note_done, &n);
    store_search_state(s, id, SEARCH_DONE, SEARCH_DONE, NULL, note_done, &n);
    settle(loop, s);
    expect(&n, 5, 0, "");
    ck_assert_str_eq(ask(database, states), "");
    hash_to_hex(&made, hex);
    store_training_model(s, id, note_model, &n);
    settle(loop, s);
    expect(&n, 6, 0, hex);
    j = report(REPORT_STATUS, id, 0, NULL);
    ck_assert(number(json_object_get(j, "test"), "top1") == 0.805 && number(j, "epochs_done") == 2);
    json_decref(j);
    j = report(REPORT_SEARCHES, id, 0, NULL);
    json_t *one = json_array_get(j, 1);
    ck_assert_str_eq(text(one, "job"), "training");
    ck_assert(number(one, "best") == 0.805 && number(one, "epochs") == 5 && number(one, "epochs_done") == 2);
    json_decref(j);
    j = report(REPORT_CURVE, id, -1, NULL);
    ck_assert_uint_eq(json_array_size(j), 2);
    ck_assert(json_is_null(json_object_get(json_array_get(j, 0), "episode")));
    json_decref(j);
    store_attempt(s, &(struct task_id){TASK_TRAIN, id, -1, 2}, "w1", note_done, &asked);
    settle(loop, s);
    expect(&asked, 5, ERR_STATE, "not wanted any more");
}
END_TEST

START_TEST(a_search_that_ends_drops_its_checkpoints)
{
    struct note n = {0};
    int64_t a = training(false), b = training(false);
    struct task_id ta = task(TASK_TRAIN, a, -1, 1), tb = task(TASK_TRAIN, b, -1, 1);
    checkpoint(&ta, 1, state_blob(1), &n);
    checkpoint(&tb, 1, state_blob(2), &n);
    store_search_state(s, a, SEARCH_CANCELLED, SEARCH_RUNNING, NULL, note_done, &n);
    settle(loop, s);
    ck_assert_str_eq(ask(database, "select count(*) || ' ' || max(search) from espalier.checkpoints") + 2,
                     ask(database, "select max(id) from espalier.searches"));
    ck_assert_str_eq(ask(database, blobs_left), "1");
    store_search_state(s, b, SEARCH_FAILED, SEARCH_RUNNING, "training failed: loss 1e9", note_done, &n);
    settle(loop, s);
    expect(&n, 4, 0, "");
    ck_assert_str_eq(ask(database, blobs_left), "0");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.curves"), "2");
}
END_TEST

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

START_TEST(another_coordinator_is_obeyed)
{
    struct note n = {0};
    struct task_id t = task(TASK_FINAL, finishing(1), 0, 1);
    struct hash h = state_blob(1);
    ask(database, "update espalier.coordinator set epoch = epoch + 1");
    checkpoint(&t, 1, h, &n);
    settle(loop, s);
    expect(&n, 1, ERR_STATE, "another coordinator");
    ck_assert_str_eq(ask(database, points), "");
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
    Suite *suite = suite_create("store_training");
    TCase *t = tcase_create("store_training"), *old = tcase_create("old");
    tcase_set_timeout(t, 60);
    tcase_set_timeout(old, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, only_the_latest_checkpoint_stays);
    tcase_add_test(t, a_state_that_others_refer_to_stays);
    tcase_add_test(t, only_the_attempt_that_counts_leaves_checkpoints);
    tcase_add_test(t, what_diverged_begins_anew);
    tcase_add_test(t, a_finalist_that_is_done_leaves_its_curve);
    tcase_add_test(t, the_finished_model_replaces_an_earlier_export);
    tcase_add_test(t, a_training_from_its_order_to_its_model);
    tcase_add_test(t, a_search_that_ends_drops_its_checkpoints);
    tcase_add_test(t, a_restart_keeps_epochs_and_divergences);
    tcase_add_test(t, another_coordinator_is_obeyed);
    tcase_add_test(old, the_last_versions_database_is_brought_up_to_date);
    suite_add_tcase(suite, t);
    suite_add_tcase(suite, old);
    return run_suite(suite, false);
}
