#include "tests/unit/store_trial.h"

/* The life of a search, and what a restart reads of it */

static struct {
    int searches, candidates, snapshots, attempts;
    struct search_row search;
    struct candidate_row candidate[8];
    struct task_row attempt[8];
    char snapshot[16];
} loaded;

static void load_search(void *arg, struct search_row *r)
{
    (void)arg;
    loaded.searches++;
    loaded.search = *r;
}

static void load_candidate(void *arg, struct candidate_row *r)
{
    (void)arg;
    loaded.candidate[loaded.candidates++] = *r;
}

static void load_snapshot(void *arg, int64_t search, int32_t episode, const void *bytes, size_t n)
{
    (void)arg;
    loaded.snapshots++;
    snprintf(loaded.snapshot, sizeof(loaded.snapshot), "%d %d %zu %.4s", (int)search, episode, n,
             (const char *)bytes);
}

static void load_task(void *arg, const struct task_row *t)
{
    (void)arg;
    loaded.attempt[loaded.attempts++] = *t;
}

static const struct store_loader loader = {NULL, load_search, load_candidate, load_snapshot, load_task};
static uint32_t n_curve[2] = {3, 2};
static float curve[5] = {1, 0.3333333432674408F, 0, 1.17549435e-38F, 0};

/* Profiled; episode 0 waits, 1 is done, 2 given up, 3 a finalist, 4 exported. */
static int64_t live(void)
{
    struct note n = {0};
    int64_t id = put_search(loop, s);
    struct hash blob = put_blob(loop, s, "some blob");
    struct task_id profiling = task(TASK_PROFILE, id, -1, 1);
    struct msg_result profile = {.task = profiling,
                                 .seconds = 3,
                                 .reward = {.n = 100, .top1 = 90, .top5 = 99, .loss = 0.5},
                                 .has_blob = true,
                                 .blob = blob,
                                 .n_groups = 2,
                                 .n_curve = n_curve,
                                 .n_points = 5,
                                 .curve = curve};
    store_attempt(s, &profiling, "w1", note_done, &n);
    store_profile(s, id, &profile, note_done, &n);
    store_profile(s, id, &profile, note_done, &n);
    store_search_state(s, id, SEARCH_RUNNING, SEARCH_RUNNING, NULL, note_done, &n);
    for (int i = 0; i < 5; i++)
        put_started(s, id, i, &n);
    for (int i = 1; i < 5; i++)
        if (i != 2)
            put_result(s, id, i, 1, note_done, &n);
    store_candidate_failed(s, id, 2, "no", note_done, &n);
    store_finalists(s, id, (const int32_t[]){3}, 1, note_done, &n);
    for (enum task_kind k = TASK_FINAL; k <= TASK_EXPORT; k++) {
        struct task_id t = task(k, id, k == TASK_FINAL ? 3 : 4, 1);
        struct msg_result r = {.task = t, .seconds = 1, .has_blob = true, .blob = blob};
        r.test = (struct metrics){1000, 805, 990, 0.75};
        store_attempt(s, &t, "w1", note_done, &n);
        store_result(s, &r, "w1", note_done, &n);
        store_result(s, &r, "w1", note_done, &n);
    }
    store_snapshot(s, id, 2, "two\0", 4, note_done, &n);
    store_snapshot(s, id, 3, "thre", 4, note_done, &n);
    store_snapshot(s, id, 2, "late", 4, note_done, &n);
    settle(loop, s);
    expect(&n, 28, 0, "");
    return id;
}

START_TEST(a_restart_finds_all_of_it)
{
    struct err e = {0};
    struct note n = {0};
    int64_t id = live(), over = put_search(loop, s);
    store_search_state(s, over, SEARCH_CANCELLED, SEARCH_RUNNING, NULL, note_done, &n);
    store_search_state(s, id, SEARCH_PAUSED, SEARCH_FINISHING, NULL, note_done, &n);
    settle(loop, s);
    store_close(s, 1000);
    s = open_store(loop, &lost);
    memset(&loaded, 0, sizeof(loaded));
    ck_assert_msg(store_load(s, &loader, &e) == 0, "%s", e.text);
    ck_assert_int_eq(loaded.searches, 1);
    const struct search_row *r = &loaded.search;
    ck_assert(r->id == id && r->state == SEARCH_PAUSED && r->paused_from == SEARCH_FINISHING);
    ck_assert_str_eq(r->spec, "name: lenet\n");
    ck_assert(r->recipe.seed == UINT64_MAX && r->recipe.data == DATA_IDX && r->recipe.select == SELECT_GRAM);
    ck_assert(r->recipe.n_channels == 1 && r->recipe.mean[0] == 33.3184 && r->recipe.std[0] == 78.567);
    ck_assert(r->recipe.reward == 100 && r->recipe.calibrate == 50 && !r->recipe.reconstruct &&
              r->recipe.recalibrate);
    ck_assert_int_eq(r->recipe.n_files, 2);
    ck_assert_str_eq(r->recipe.files[0].name, "images, \"train\" {1}\\");
    ck_assert(r->recipe.files[1].size == 6);
    struct hash labels = hash_of("labels", 6), blob = hash_of("some blob", 9);
    ck_assert(hash_equal(&r->recipe.files[1].hash, &labels));
    ck_assert(r->has_profile && hash_equal(&r->profile, &blob) && r->dense.top1 == 90 && r->dense.loss == 0.5);
    ck_assert(r->n_groups == 2 && r->n_points == 5 && memcmp(r->n_curve, n_curve, sizeof(n_curve)) == 0);
    ck_assert(memcmp(r->curve, curve, sizeof(curve)) == 0);
    ck_assert_int_eq(loaded.candidates, 5);
    for (int i = 0; i < 5; i++) {
        const struct candidate_row *c = &loaded.candidate[i];
        int32_t keep[3];
        struct candidate_row was = candidate(id, i, keep);
        ck_assert(c->search == id && c->episode == i && c->n_keep == 3 && memcmp(c->keep, keep, sizeof(keep)) == 0);
        ck_assert(c->budget == 0 && c->budget_kind == COST_FLOPS && c->budget_frac == 0.5 && c->attempts == 1);
        ck_assert(memcmp(&c->cost, &was.cost, sizeof(was.cost)) == 0 &&
                  memcmp(&c->dense, &was.dense, sizeof(was.dense)) == 0);
        ck_assert(c->has_result == (i == 1 || i > 2) && c->failed == (i == 2));
        ck_assert(!c->has_result || (c->reward.top1 == 50 + i && c->reward.loss == 0.1 * i));
        ck_assert(c->has_final == (i == 3) && c->has_model == (i > 2));
        ck_assert(!c->has_model || hash_equal(&c->model, &blob));
    }
    char snapshot[16];
    snprintf(snapshot, sizeof(snapshot), "%d 3 4 thre", (int)id);
    ck_assert_str_eq(loaded.snapshot, snapshot);
    ck_assert_int_eq(loaded.attempts, 3);
    const struct task_id *profile = &loaded.attempt[0].highest, *export = &loaded.attempt[2].highest;
    ck_assert(profile->kind == TASK_PROFILE && profile->episode == -1);
    ck_assert(export->kind == TASK_EXPORT && export->episode == 4 && export->attempt == 1);
}
END_TEST

static void take_export(void *arg, const struct search_row *r, const struct candidate_row *c, const struct err *e)
{
    struct note *n = arg;
    note_error(n, e);
    if (!e)
        snprintf(n->text, sizeof(n->text), "%d %d %d %s", (int)r->id, c->keep[2], c->exports,
                 data_kind_name(r->recipe.data));
}

START_TEST(an_export_finds_its_rows)
{
    struct note n = {0};
    char want[64];
    int64_t id = live();
    store_export_read(s, id, 4, take_export, &n);
    settle(loop, s);
    snprintf(want, sizeof(want), "%d 7 1 idx", (int)id);
    expect(&n, 1, 0, want);
    store_export_read(s, id, 99, take_export, &n);
    settle(loop, s);
    expect(&n, 2, ERR_NOTFOUND, "episode 99");
}
END_TEST

START_TEST(reports_say_it_all)
{
    int64_t id = live();
    json_t *j = report(REPORT_SEARCHES, 0, 0, NULL), *one = json_array_get(j, 0);
    ck_assert_uint_eq(json_array_size(j), 1);
    ck_assert(number(one, "id") == id && number(one, "evaluated") == 3 && number(one, "best") == 0.54);
    json_decref(j);

    j = report(REPORT_STATUS, id, 0, NULL);
    ck_assert_str_eq(text(j, "name"), "lenet's \"first\"");
    ck_assert(number(j, "proposed") == 5 && number(j, "evaluated") == 3 && number(j, "failed") == 1 &&
              number(j, "finals") == 1);
    ck_assert(number(j, "seconds") == 0.25 && json_is_null(json_object_get(j, "reason")));
    json_t *dense = json_object_get(j, "dense");
    ck_assert(number(dense, "top1") == 0.9 && number(dense, "macs") == 1000 && number(dense, "n") == 100);
    json_t *best = json_array_get(json_object_get(j, "best"), 0);
    ck_assert_str_eq(text(best, "budget"), "flops 0.5");
    ck_assert(number(best, "episode") == 4 && number(best, "macs_ratio") == 0.496 &&
              number(best, "bytes_ratio") == 0.5);
    json_decref(j);

    j = report(REPORT_CANDIDATES, id, 0, NULL);
    ck_assert_uint_eq(json_array_size(j), 4);
    one = json_array_get(j, 2);
    ck_assert_str_eq(text(json_array_get(j, 1), "stage"), "proxy");
    ck_assert_str_eq(text(one, "stage"), "final");
    ck_assert(number(one, "episode") == 3 && number(one, "top1") == 0.805 && number(one, "top5") == 0.99);
    ck_assert(json_is_null(json_object_get(one, "latency_ms")) &&
              json_is_null(json_object_get(one, "latency_ratio")));
    ck_assert(json_integer_value(json_array_get(json_object_get(one, "kept"), 2)) == 6);
    ck_assert_uint_eq(json_object_size(one), 12);
    json_decref(j);

    j = report(REPORT_CANDIDATE, id, 3, NULL);
    ck_assert_str_eq(text(j, "state"), "done");
    ck_assert(number(json_object_get(j, "final"), "top1") == 0.805);
    ck_assert_uint_eq(json_array_size(json_object_get(j, "attempts")), 2);
    ck_assert_uint_eq(strlen(text(j, "model")), 64);
    json_decref(j);
}
END_TEST

START_TEST(the_digest_is_of_a_text_that_can_be_told)
{
    char hex[HASH_HEX];
    int64_t id = live();
    static const char told[] = "1 2,3,4 51 95\n3 4,5,6 53 95\n4 5,6,7 54 95\n";
    struct hash h = hash_of(told, strlen(told));
    hash_to_hex(&h, hex);
    json_t *j = report(REPORT_DIGEST, id, 0, NULL);
    ck_assert_str_eq(text(j, "digest"), hex);
    ck_assert(number(j, "episodes") == 3);
    json_decref(j);
}
END_TEST

START_TEST(unknown_searches_and_episodes_are_named)
{
    struct note n = {0};
    int64_t id = put_search(loop, s);
    static const enum report all[] = {REPORT_STATUS, REPORT_CANDIDATES, REPORT_PARETO, REPORT_CANDIDATE,
                                      REPORT_DIGEST};
    for (int i = 0; i < 5; i++) {
        store_report(s, all[i], 12, 0, "flops", note_report, &n);
        settle(loop, s);
        expect(&n, i + 1, ERR_NOTFOUND, "search 12 isn't known");
    }
    store_report(s, REPORT_CANDIDATE, id, 3, NULL, note_report, &n);
    settle(loop, s);
    expect(&n, 6, ERR_NOTFOUND, "has no episode 3");
    store_report(s, REPORT_PARETO, id, 0, "speed", note_report, &n);
    settle(loop, s);
    expect(&n, 7, ERR_INVALID, "\"speed\" isn't one of flops, params, bytes, latency");
    buf_release(&n.bytes);
}
END_TEST

START_TEST(the_front_is_what_nothing_beats)
{
    int64_t id = put_search(loop, s);
    char sql[1024];
    snprintf(sql, sizeof(sql),
             "update espalier.searches set (dense_macs, dense_params, dense_bytes) = (100, 100, 100);"
             "insert into espalier.budgets values (%d, 0, 'flops', 1, 100);"
             "select setseed(0.5);"
             "insert into espalier.candidates select %d, e, 0, 'flops', 100, array[1], 1 + floor(random() * 30), 1 "
             "+ floor(random() * 30), 9"
             "  from generate_series(0, 399) e;"
             "insert into espalier.attempts (search, kind, episode, attempt, worker) select %d, 'evaluate', e, 1, "
             "'w' from generate_series(0, 399) e;"
             "insert into espalier.results select %d, episode, 'evaluate', 1, 'w', 1, 40,"
             "  floor(4 * sqrt(least(macs, params)) + random() * 15), 40, 1 from espalier.candidates",
             (int)id, (int)id, (int)id, (int)id);
    ask(database, sql);
    static const char *const axes[][2] = {{"flops", "macs"}, {"params", "params"}, {"bytes", "bytes"}};
    for (int i = 0; i < 3; i++) {
        snprintf(sql, sizeof(sql),
                 "with s as (select episode, top1, %s as cost from espalier.scores),"
                 " f as (select episode from s where not exists (select from s b where b.cost <= s.cost and b.top1 "
                 ">= s.top1"
                 " and (b.cost < s.cost or b.top1 > s.top1 or b.episode < s.episode))),"
                 " p as (select episode from espalier.pareto(%d, '%s'))"
                 " select (select count(*) from p) || ' ' || (select count(*) from f) || ' ' ||"
                 " (select count(*) from (select * from p except select * from f) d)",
                 axes[i][1], (int)id, axes[i][0]);
        int p = 0, f = 0, d = -1;
        ck_assert_int_eq(sscanf(ask(database, sql), "%d %d %d", &p, &f, &d), 3);
        ck_assert_msg(p == f && d == 0 && p > (i < 2 ? 3 : 0), "%s: %d, %d, %d", axes[i][0], p, f, d);
        json_t *j = report(REPORT_PARETO, id, 0, axes[i][0]);
        ck_assert_int_eq((int)json_array_size(j), p);
        for (int k = 1; k < p; k++)
            ck_assert(number(json_array_get(j, (size_t)k - 1), axes[i][1]) <
                      number(json_array_get(j, (size_t)k), axes[i][1]));
        json_decref(j);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("store_reports");
    TCase *t = tcase_create("store_reports");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, a_restart_finds_all_of_it);
    tcase_add_test(t, an_export_finds_its_rows);
    tcase_add_test(t, reports_say_it_all);
    tcase_add_test(t, the_digest_is_of_a_text_that_can_be_told);
    tcase_add_test(t, unknown_searches_and_episodes_are_named);
    tcase_add_test(t, the_front_is_what_nothing_beats);
    suite_add_tcase(suite, t);
    return run_suite(suite, false);
}
