#include "tests/unit/store_finals.h"

/* Checkpoints, curves, finalists, training jobs: each write once, and in its place. */

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
    buf_release(&late.bytes);
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

int main(void)
{
    Suite *suite = suite_create("store_training");
    TCase *t = tcase_create("store_training");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, only_the_latest_checkpoint_stays);
    tcase_add_test(t, a_state_that_others_refer_to_stays);
    tcase_add_test(t, only_the_attempt_that_counts_leaves_checkpoints);
    tcase_add_test(t, what_diverged_begins_anew);
    tcase_add_test(t, a_finalist_that_is_done_leaves_its_curve);
    tcase_add_test(t, the_finished_model_replaces_an_earlier_export);
    tcase_add_test(t, a_training_from_its_order_to_its_model);
    tcase_add_test(t, a_search_that_ends_drops_its_checkpoints);
    tcase_add_test(t, another_coordinator_is_obeyed);
    suite_add_tcase(suite, t);
    return run_suite(suite, false);
}
