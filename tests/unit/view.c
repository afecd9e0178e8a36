/* What `status`, `watch` and `train --job` show of the coordinator's JSON. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/cli/view.h"

#define SEARCH_SPEC                                                                                                \
    "spec_version: 1\\nname: x\\nmodel: m.onnx\\ndata: {kind: synthetic}\\nbudgets: {flops: [0.5]}\\n"             \
    "search: {episodes: 40}\\nfinish: {top: 3, epochs: 20}\\n"
#define TRAIN_SPEC "spec_version: 1\\nname: t\\nmodel: resnet-20\\ndata: {kind: synthetic}\\ntrain: {epochs: 10}\\n"

static const char finishing[] =
    "{\"search\": {\"id\": 3, \"name\": \"x\", \"job\": \"search\", \"state\": \"finishing\", \"spec\": "
    "\"" SEARCH_SPEC
    "\", \"evaluated\": 39, \"failed\": 1, \"finals\": 1, \"epochs\": 20, \"epochs_done\": null, \"test\": null,"
    " \"best\": [], \"dense\": {}, \"finalists\": ["
    "{\"episode\": 4, \"epoch\": 20, \"epochs\": 20, \"state\": \"done\", \"reason\": null},"
    "{\"episode\": 17, \"epoch\": 6, \"epochs\": 20, \"state\": \"running\", \"reason\": null},"
    "{\"episode\": 20, \"epoch\": 2, \"epochs\": 20, \"state\": \"running\", \"reason\": null},"
    "{\"episode\": 30, \"epoch\": 0, \"epochs\": 20, \"state\": \"waiting\", \"reason\": null},"
    "{\"episode\": 31, \"epoch\": 3, \"epochs\": 20, \"state\": \"failed\", \"reason\": \"loss nan\"}]},"
    " \"live\": {\"workers\": 2, \"working\": 2, \"waiting\": \"\", \"note\": \"\"}}";

static const char training[] =
    "{\"search\": {\"id\": 4, \"name\": \"t\", \"job\": \"training\", \"state\": \"running\", \"spec\": "
    "\"" TRAIN_SPEC
    "\", \"evaluated\": 0, \"failed\": 0, \"finals\": 0, \"epochs\": 10, \"epochs_done\": 4, \"test\": null,"
    " \"best\": [], \"dense\": {}, \"finalists\": []},"
    " \"live\": {\"workers\": 1, \"working\": 1, \"waiting\": \"\", \"note\": \"\"}}";

static const char trained[] =
    "{\"search\": {\"id\": 4, \"name\": \"t\", \"job\": \"training\", \"state\": \"done\", \"spec\": \"" TRAIN_SPEC
    "\", \"epochs\": 10, \"epochs_done\": 10, \"finalists\": [],"
    " \"test\": {\"n\": 2000, \"top1\": 0.915, \"top5\": 0.9975, \"loss\": 0.25}}, \"live\": {}}";

static const char stepping[] =
    "{\"search\": {\"id\": 5, \"name\": \"t\", \"job\": \"training\", \"state\": \"running\", \"spec\": \"\","
    " \"epochs\": null, \"epochs_done\": 2, \"test\": null, \"finalists\": []}, \"live\": {\"workers\": 1}}";

/* The worker counts the images of all epochs: 4 epochs and a half are done. */
static const char workers[] =
    "[{\"name\": \"other\", \"search\": 3, \"stage\": \"finish\", \"done\": 1, \"total\": 2},"
    " {\"name\": \"w\", \"search\": 4, \"stage\": \"train\", \"done\": 45000, \"total\": 100000}]";
static const char curve[] = "[{\"epoch\": 3, \"lr\": 0.09, \"loss\": 0.7, \"top1\": 0.75, \"seconds\": 20},"
                            " {\"epoch\": 4, \"lr\": 0.08, \"loss\": 0.625, \"top1\": 0.8, \"seconds\": 30}]";

static json_t *parse(const char *text)
{
    json_error_t je;
    json_t *j = json_loads(text, 0, &je);
    ck_assert_msg(j != NULL, "line %d: %s", je.line, je.text);
    return j;
}

/* The view's text, and its one line, of a status and what stands aside of it. */
static void check(const char *status, const char *of_workers, const char *of_curve, const char *text,
                  const char *line)
{
    json_t *s = parse(status), *w = of_workers ? parse(of_workers) : NULL, *c = of_curve ? parse(of_curve) : NULL;
    struct view v;
    struct err e;
    struct buf b = {0}, one = {0};
    ck_assert_msg(view_read(&v, s, &e) == 0, "%s", e.text);
    if (v.training)
        view_training(&v, w, c);
    view_text(&v, 0, false, &b);
    view_line(&v, &one);
    ck_assert_str_eq((char *)b.p, text);
    ck_assert_str_eq((char *)one.p, line);
    buf_release(&b);
    buf_release(&one);
    json_decref(s);
    json_decref(w);
    json_decref(c);
}

START_TEST(finalists_are_told_one_by_one)
{
    check(finishing, NULL, NULL,
          "search 3  x  finishing  2 workers, 2 at work on it\n"
          "episodes  40 of 40  [########################]  100%  1 failed\n"
          "finalists 1 scored on the test set, of at most 3\n"
          "          episode 17: running, 6 of 20 epochs done\n"
          "          episode 20: running, 2 of 20 epochs done\n"
          "          episode 30: waiting\n"
          "          episode 31: failed: loss nan\n",
          "search 3 finishing 40/40 finalists 1/3 (17: 6/20, 20: 2/20)");
}
END_TEST

START_TEST(training_under_way)
{
    check(training, workers, curve,
          "training 4  t  running  1 worker, 1 at work on it\n"
          "epochs    4 of 10  [#########...............]  40%  30 s an epoch, 2 min 18 s left\n"
          "last      rate 0.08, loss 0.6250, top-1 80.00% of its augmented images\n"
          "worker    w: train 45.0k of 100k\n",
          "training 4 running 4/10 rate 0.08, loss 0.6250, top-1 80.00%");
    check(training, NULL, NULL,
          "training 4  t  running  1 worker, 1 at work on it\n"
          "epochs    4 of 10  [#########...............]  40%\n",
          "training 4 running 4/10");
}
END_TEST

START_TEST(training_in_steps)
{
    check(stepping, NULL, curve,
          "training 5  t  running  1 worker, 0 at work on it\n"
          "epochs    2  30 s an epoch\n"
          "last      rate 0.08, loss 0.6250, top-1 80.00% of its augmented images\n",
          "training 5 running 2 rate 0.08, loss 0.6250, top-1 80.00%");
}
END_TEST

START_TEST(training_that_is_done)
{
    check(trained, NULL, NULL,
          "training 4  t  done\n"
          "epochs    10 of 10  [########################]  100%\n"
          "test      top-1 91.50%, top-5 99.75%, loss 0.2500, 2000 images\n",
          "training 4 done 10/10, test top-1 91.50%");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("view");
    TCase *t = tcase_create("view");
    tcase_set_timeout(t, 10);
    tcase_add_test(t, finalists_are_told_one_by_one);
    tcase_add_test(t, training_under_way);
    tcase_add_test(t, training_in_steps);
    tcase_add_test(t, training_that_is_done);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run;
}
