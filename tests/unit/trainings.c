/* Trainings as the coordinator runs them: checkpoints, restarts, divergence, pauses; and orders that make no sense.
 */
#include "tests/unit/coordinator_trial.h"

static const char state[] = "select state || coalesce(': ' || reason, '') from espalier.searches";
static const char outcomes[] = "select string_agg(coalesce(outcome::text, 'open'), ', ' order by attempt) from"
                               " espalier.attempts where kind in ('train', 'final')";

START_TEST(a_training_goes_on_where_it_was)
{
    begin_training();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    ck_assert(w.task.episode == -1 && !w.has_profile && w.n_keep == 0 && hash_equal(&w.recipe.model, &onnx));
    ck_assert(w.recipe.finish.epochs == 5 && w.recipe.finish.lr == 0.2);
    keep(&w.task, 1);
    keep(&w.task, 1);
    keep(&w.task, 2);
    bye();
    hello();
    struct msg_work again = work(TASK_TRAIN, 2, 1, 2);
    struct hash two = state_of(2);
    ck_assert(hash_equal(&again.resume, &two));
    checkpoint(&w.task, 3);
    cancelled("isn't yours");
    restart();
    hello();
    again = work(TASK_TRAIN, 3, 1, 2);
    ck_assert(hash_equal(&again.resume, &two) && again.recipe.finish.lr == 0.2);
    keep(&again.task, 3);
    keep(&again.task, 4);
    keep(&again.task, 5);
    struct hash made = put_blob(loop, s, "trained");
    const struct msg_result r = {
        .task = again.task, .seconds = 9, .test = {1000, 800, 990, 0.7}, .has_blob = true, .blob = made};
    deliver(&r);
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "done");
    ck_assert_str_eq(ask(database, outcomes), "lost, lost, done");
    ck_assert_str_eq(ask(database, "select top1 from espalier.trainings"), "800");
    ck_assert_str_eq(ask(database, "select string_agg(attempt::text, '' order by epoch) from espalier.curves"),
                     "11333");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.checkpoints"), "0");
}
END_TEST

/* The coordinator dies between the result and the end of the search. */
START_TEST(a_training_that_is_on_record_is_done)
{
    begin_training();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    const struct msg_result r = {.task = w.task,
                                 .seconds = 9,
                                 .test = {1000, 800, 990, 0.7},
                                 .has_blob = true,
                                 .blob = put_blob(loop, s, "trained")};
    scheduler_stop(reception.scheduler);
    struct note n = {0};
    store_result(s, &r, "w", note_done, &n);
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "running");
    restart();
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "done");
}
END_TEST

START_TEST(a_training_diverges_twice)
{
    begin_training();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    keep(&w.task, 1);
    diverge(&w.task);
    w = work(TASK_TRAIN, 2, 0.25, 0);
    keep(&w.task, 1);
    restart(); /* the rate and the epoch are on record */
    hello();
    w = work(TASK_TRAIN, 3, 0.25, 1);
    diverge(&w.task);
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "failed: training failed: loss is nan at step 7");
    ck_assert_str_eq(ask(database, outcomes), "diverged, lost, diverged");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.checkpoints"), "0");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.curves"), "1"); /* of the last */
}
END_TEST

START_TEST(a_pause_stops_a_training_at_its_next_epoch)
{
    begin_training();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    keep(&w.task, 1);
    control(CONTROL_PAUSE);
    checkpoint(&w.task, 2);
    cancelled("paused");
    idle();
    control(CONTROL_RESUME);
    w = work(TASK_TRAIN, 2, 1, 2);
    ck_assert_str_eq(ask(database, outcomes), "handed back, open");
    control(CONTROL_CANCEL);
    cancelled("cancelled");
    checkpoint(&w.task, 3);
    cancelled("isn't yours");
    ck_assert_str_eq(ask(database, state), "cancelled");
}
END_TEST

START_TEST(a_checkpoint_that_is_none)
{
    begin_training();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    checkpoint(&w.task, 6);
    cancelled("checkpoint of epoch 6, there are 5");
    idle();
    w = work(TASK_TRAIN, 2, 1, 0);
    struct message m = {.type = MSG_CHECKPOINT};
    m.u.checkpoint = (struct msg_checkpoint){.task = w.task, .epoch = 1, .blob = hash_of("nowhere", 7)};
    say(&m);
    cancelled("isn't on record");
    idle();
    w = work(TASK_TRAIN, 3, 1, 0);
    ck_assert_str_eq(ask(database, outcomes), "failed, failed, open");
}
END_TEST

/* ---- finalists */

static void give_profile(const struct msg_work *w)
{
    const struct search *search = scheduler_search(reception.scheduler, 1);
    static uint32_t n_curve[8];
    static float curve[512];
    struct msg_result r = {.task = w->task, .reward = {100, 90, 99, 1}, .has_blob = true};
    r.blob = put_blob(loop, s, "profile");
    r.n_groups = (uint32_t)search->groups.n;
    for (int g = 0; g < search->groups.n; g++)
        r.n_points += n_curve[g] = (uint32_t)search->groups.of[g].n + 1;
    r.n_curve = n_curve;
    r.curve = curve;
    deliver(&r);
}

/* The next work that isn't the timing of a finalist, which is answered: as fast as its budget asks. */
static struct msg_work past_times(void)
{
    for (;;) {
        const struct msg_work w = hear(MSG_WORK)->u.work;
        if (w.task.kind != TASK_TIME)
            return w;
        const struct msg_result r = {.task = w.task, .n_times = 2, .times = {{1, 1, 2, 0.5, 0.01}, {32, 16, 32, 0.5, 0.01}}};
        deliver(&r);
    }
}

static struct msg_work final(int attempt, double lr_scale, int resume_epoch)
{
    const struct msg_work w = past_times();
    ck_assert_msg(w.task.kind == TASK_FINAL && w.task.attempt == attempt && w.lr_scale == lr_scale &&
                      w.resume_epoch == resume_epoch,
                  "%s attempt %d at %g from epoch %d", task_kind_name(w.task.kind), w.task.attempt, w.lr_scale,
                  w.resume_epoch);
    return w;
}

/* Two episodes of a search; the first one's training diverges once, so it is scored at the lower rate. Ends with
 * the first finalist's work. */
static struct msg_work begin_finals(void)
{
    ck_assert_str_eq(submit_it(with_head("split: {reward: 100}\nbudgets: {flops: [0.5, 0.9]}\n"
                                         "search: {policy: random, episodes: 2}\nfinetune: {steps: 10}\n"
                                         "finish: {epochs: 3}\n"),
                               &onnx, NULL, NULL),
                     "{\"id\": 1}");
    hello();
    struct msg_work w = work(TASK_PROFILE, 1, 1, 0);
    give_profile(&w);
    w = work(TASK_EVALUATE, 1, 1, 0);
    ck_assert_int_eq(w.recipe.finetune.steps, 10);
    diverge(&w.task);
    for (int i = 0; i < 2; i++) {
        w = work(TASK_EVALUATE, i == 0 ? 2 : 1, i == 0 ? 0.25 : 1, 0);
        ck_assert_int_eq(w.task.episode, i);
        const struct msg_result r = {.task = w.task, .reward = {100, 60 + 10 * i, 99, 1}};
        deliver(&r);
    }
    return final(1, 1, 0);
}

static const char finals[] = "select string_agg(episode || coalesce(' ' || failed, ''), ', ' order by episode)"
                             " from espalier.finals";

START_TEST(a_finalist_that_diverges_twice_is_failed_for_good)
{
    struct msg_work w = begin_finals();
    ck_assert_int_eq(w.task.episode, 0);
    keep(&w.task, 1);
    diverge(&w.task);
    w = final(2, 0.25, 0);
    keep(&w.task, 1);
    restart();
    hello();
    w = final(3, 0.25, 1);
    ck_assert_int_eq(w.task.episode, 0);
    diverge(&w.task);
    w = past_times();
    ck_assert(w.task.kind == TASK_FINAL && w.task.episode == 1);
    ck_assert_str_eq(ask(database, finals), "0 loss is nan at step 7");
    ck_assert_str_eq(ask(database, state), "finishing");
    restart(); /* and it isn't tried again */
    hello();
    w = past_times();
    ck_assert(w.task.kind == TASK_FINAL && w.task.episode == 1 && w.lr_scale == 1);
    const struct msg_result r = {.task = w.task,
                                 .reward = {100, 70, 99, 1},
                                 .test = {1000, 800, 990, 0.7},
                                 .has_blob = true,
                                 .blob = put_blob(loop, s, "finished")};
    deliver(&r);
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "done");
    ck_assert_str_eq(ask(database, finals), "0 loss is nan at step 7, 1");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.attempts where kind = 'final' and episode = 0"),
                     "3");
}
END_TEST

START_TEST(all_finalists_fail)
{
    struct msg_work w = begin_finals();
    struct msg_failed f = {.task = w.task, .permanent = true, .reason = "no room"};
    report_failure(&f);
    w = final(1, 1, 0);
    ck_assert_int_eq(w.task.episode, 1);
    restart(); /* the first isn't tried again */
    hello();
    w = final(2, 1, 0);
    ck_assert_int_eq(w.task.episode, 1);
    f.task = w.task;
    report_failure(&f);
    settle(loop, s);
    ck_assert_str_eq(ask(database, state), "done");
    ck_assert_str_eq(ask(database, finals), "0 no room, 1 no room");
    ck_assert_str_eq(ask(database, "select count(*) from espalier.attempts where kind = 'final' and episode = 0"),
                     "1");
}
END_TEST

/* An export makes the network that was scored, at the rate at which it was. */
START_TEST(an_export_has_the_rate_of_the_evaluation)
{
    struct msg_work w = begin_finals();
    bool done = false;
    control(CONTROL_CANCEL);
    cancelled("cancelled");
    service_export(service, 1, 0, on_reply, &done);
    go_on(&done);
    ck_assert_msg(strstr(answer, "pending") != NULL, "%s", answer);
    idle();
    w = work(TASK_EXPORT, 1, 0.25, 0);
    ck_assert_int_eq(w.recipe.finetune.steps, 10);
    diverge(&w.task);
    settle(loop, s);
    done = false;
    service_export(service, 1, 0, on_reply, &done);
    go_on(&done);
    ck_assert_msg(strstr(answer, "loss is nan") != NULL, "%s", answer);
}
END_TEST

START_TEST(an_evaluation_diverges_twice)
{
    submit_it(with_head("split: {reward: 100}\nbudgets: {flops: [0.5]}\nsearch: {policy: random, episodes: 1}\n"
                        "finetune: {epochs: 1}\n"),
              &onnx, NULL, NULL);
    hello();
    struct msg_work w = work(TASK_PROFILE, 1, 1, 0);
    give_profile(&w);
    w = work(TASK_EVALUATE, 1, 1, 0);
    bye();
    hello();
    w = work(TASK_EVALUATE, 2, 1, 0); /* a worker that goes says nothing of the rate */
    diverge(&w.task);
    w = work(TASK_EVALUATE, 3, 0.25, 0);
    restart();
    hello();
    w = work(TASK_EVALUATE, 4, 0.25, 0);
    diverge(&w.task);
    settle(loop, s);
    ck_assert_str_eq(ask(database, "select failed from espalier.results"), "loss is nan at step 7");
    ck_assert_str_eq(ask(database, state), "failed: no candidate could be evaluated");
}
END_TEST

/* ---- orders */

START_TEST(orders_that_make_no_sense)
{
    static const char taught[] = "train: {epochs: 2, distill: {teacher: big.onnx}}\n";
    static const char tuned[] = "budgets: {flops: [0.5]}\nfinetune: {epochs: 1, distill: {teacher: big.onnx}}\n";
    const struct hash nowhere = hash_of("nowhere", 7), text = put_blob(loop, s, "no network");
    const struct {
        const char *more;
        const struct hash *model, *finetune, *finish;
        const char *line;
    } bad[] = {
        {taught, &onnx, NULL, NULL, "finish_teacher is missing: the spec names the teacher \"big.onnx\""},
        {tuned, &onnx, NULL, &onnx, "finetune_teacher is missing"},
        {tuned, &onnx, &onnx, &onnx, "finish_teacher is given, but the spec names no such teacher"},
        {"train: {epochs: 2}\n", &onnx, &onnx, NULL,
         "finetune_teacher is given, but the spec names no such teacher"},
        {taught, &onnx, NULL, &nowhere, "teacher: blob"},
        {taught, &onnx, NULL, &text, "teacher: "},
        {taught, &onnx, NULL, &wider, "teacher tells 12 classes apart, the model 10"},
        {"train: {epochs: 2}\n", &text, NULL, NULL, "model: "},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        submit_it(with_head(bad[i].more), bad[i].model, bad[i].finetune, bad[i].finish);
        ck_assert_msg(strstr(answer, bad[i].line) != NULL, "%s, not %s", answer, bad[i].line);
    }
    submit_it(with_head(taught), &onnx, NULL, &onnx);
    ck_assert_str_eq(answer, "{\"id\": 1}");
    hello();
    struct msg_work w = work(TASK_TRAIN, 1, 1, 0);
    ck_assert(w.recipe.finish.distill.other && hash_equal(&w.recipe.finish.distill.teacher, &onnx));
    restart();
    hello();
    w = work(TASK_TRAIN, 2, 1, 0);
    ck_assert(w.recipe.finish.distill.kind == DISTILL_KL && hash_equal(&w.recipe.finish.distill.teacher, &onnx));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("trainings");
    TCase *t = tcase_create("trainings");
    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_test(t, a_training_goes_on_where_it_was);
    tcase_add_test(t, a_training_that_is_on_record_is_done);
    tcase_add_test(t, a_training_diverges_twice);
    tcase_add_test(t, a_pause_stops_a_training_at_its_next_epoch);
    tcase_add_test(t, a_checkpoint_that_is_none);
    tcase_add_test(t, a_finalist_that_diverges_twice_is_failed_for_good);
    tcase_add_test(t, all_finalists_fail);
    tcase_add_test(t, an_export_has_the_rate_of_the_evaluation);
    tcase_add_test(t, an_evaluation_diverges_twice);
    tcase_add_test(t, orders_that_make_no_sense);
    suite_add_tcase(suite, t);
    return run_suite(suite, false);
}
