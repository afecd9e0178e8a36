/*
 * job - training inside jobs: fine-tuning in evaluations, finalists and trainings with checkpoints, on a data set
 * and a network that take milliseconds an epoch.
 */
#include "common/onnx/load.h"
#include "tests/unit/job_host.h"
#include "worker/images.h"

/* A search with its profile at hand. */
struct ready {
    struct surroundings s;
    struct worker_state *st;
    struct msg_work w; /* EVALUATE, without any training */
    int32_t keep[3];
};

/* Short, and enough to show. */
static struct training some_training(int epochs)
{
    struct training t = training_none();
    t.epochs = epochs;
    t.batch = 20;
    t.lr = 0.05;
    t.pad = 1;
    t.flip = false;
    return t;
}

static void ready_init(struct ready *rd, int threads)
{
    surroundings_init(&rd->s);
    struct hash model = tiny_model(&rd->s, 1);
    rd->st = new_state(threads);
    rd->w = (struct msg_work){.task = {TASK_PROFILE, 7, -1, 1}, .lr_scale = 1, .about = {.name = "tiny"}};
    rd->w.recipe = tiny_recipe(&rd->s, &model);
    struct msg_result r = run(rd->st, &rd->w, &rd->s);
    ck_assert_uint_eq(r.n_groups, 3);
    memcpy(rd->keep, (int32_t[]){5, 6, 7}, sizeof rd->keep);
    rd->w.task = (struct task_id){TASK_EVALUATE, 7, 4, 1};
    rd->w.has_profile = true;
    rd->w.profile = r.blob;
    rd->w.n_keep = 3;
    rd->w.keep = rd->keep;
    free_result(&r);
}

static void ready_release(struct ready *rd)
{
    job_state_free(rd->st);
    surroundings_release(&rd->s);
}

/* In another process, as it were. */
static void renew(struct ready *rd, int threads)
{
    job_state_free(rd->st);
    rd->st = new_state(threads);
}

static struct msg_work work_of(const struct ready *rd, enum task_kind kind)
{
    struct msg_work w = rd->w;
    w.task.kind = kind;
    if (kind != TASK_TRAIN)
        return w;
    w.task.episode = -1;
    w.has_profile = false;
    w.n_keep = 0;
    w.keep = NULL;
    w.recipe.reward = w.recipe.calibrate = 0;
    return w;
}

static void same_outcome(const struct msg_result *a, const struct msg_result *b)
{
    check_metrics(&a->reward, &b->reward);
    check_metrics(&a->test, &b->test);
    ck_assert_int_eq(a->has_blob, b->has_blob);
    ck_assert(!a->has_blob || hash_equal(&a->blob, &b->blob));
}

static void same_curve(const struct msg_checkpoint *a, const struct msg_checkpoint *b, int n)
{
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(a[i].epoch, b[i].epoch);
        ck_assert(a[i].lr == b[i].lr && a[i].loss == b[i].loss && a[i].top1 == b[i].top1);
        ck_assert(hash_equal(&a[i].blob, &b[i].blob));
    }
}

static void load_blob(struct ready *rd, const struct hash *h, struct model *m)
{
    struct err e;
    char *path = surround_place(&rd->s, h);
    must(onnx_load_file(path, m, &e), &e);
    free(path);
}

static struct msg_work long_work(struct ready *rd, enum task_kind kind)
{
    struct msg_work w = work_of(rd, kind);
    struct training *t = &w.recipe.finish;
    *t = some_training(5);
    t->cutout = 2;
    t->warmup = 0.5;
    t->distill.kind = kind == TASK_FINAL ? DISTILL_KL : DISTILL_NONE;
    return w;
}

/* ---- in evaluations ---- */

START_TEST(finetune_is_the_same_everywhere)
{
    struct ready rd;
    struct msg_result first[2];
    ready_init(&rd, 1);
    struct msg_result before = run(rd.st, &rd.w, &rd.s);
    ck_assert_ptr_null(strstr(rd.s.stages, "finetune"));
    rd.w.recipe.finetune = some_training(3);
    rd.w.recipe.finetune.distill.kind = _i ? DISTILL_KL : DISTILL_NONE;
    for (int threads = 1; threads <= 3; threads += 2) {
        renew(&rd, threads);
        struct msg_work evaluate = rd.w, export = work_of(&rd, TASK_EXPORT);
        evaluate.task.attempt = threads; /* no part of any draw */
        struct msg_result a = run(rd.st, &evaluate, &rd.s);
        if (threads == 1) /* else the calling thread may have nothing to tell of a stage */
            ck_assert_str_eq(rd.s.stages, "fetch cut recalibrate finetune score ");
        ck_assert_int_eq(rd.s.n_kept, 0);
        struct msg_result b = run(rd.st, &export, &rd.s);
        if (threads == 1) {
            first[0] = a;
            first[1] = b;
        }
        same_outcome(&a, &first[0]);
        same_outcome(&b, &first[1]);
    }
    if (_i == 0) { /* from the dense network, which knows nothing yet, there is nothing to learn */
        ck_assert_int_gt(first[0].reward.top1, before.reward.top1);
        ck_assert(first[0].reward.loss < before.reward.loss);
    }

    struct model m; /* the file is the network that was scored */
    struct images im = {0};
    struct score score;
    struct err e;
    struct pool *p = new_pool(1);
    load_blob(&rd, &first[1].blob, &m);
    must(images_load(&im, &rd.w.recipe, IMAGES_CARVED, &rd.s.host, &e), &e);
    struct scored_set set = images_set(&im, &im.reward);
    must(score_model(p, &m.graph, &m.weights, DTYPE_F32, &set, NULL, NULL, &score, &e), &e);
    ck_assert_int_eq(score.top1, first[0].reward.top1);
    ck_assert_double_eq_tol(score.loss, first[0].reward.loss, 1e-4 * score.loss);
    images_release(&im);
    model_release(&m);
    pool_free(p);
    ready_release(&rd);
}
END_TEST

START_TEST(each_candidate_draws_its_own)
{
    struct ready rd;
    ready_init(&rd, 1);
    rd.w.recipe.finetune = some_training(1);
    struct msg_work other = rd.w;
    other.task.episode = 5;
    struct msg_result a = run(rd.st, &rd.w, &rd.s), b = run(rd.st, &other, &rd.s), c = run(rd.st, &rd.w, &rd.s);
    ck_assert(a.reward.loss != b.reward.loss);
    same_outcome(&a, &c);
    ready_release(&rd);
}
END_TEST

/* The recipe's precision reaches the training, and its numbers stay near. */
START_TEST(finetune_in_bf16)
{
    struct ready rd;
    ready_init(&rd, 1);
    rd.w.recipe.finetune = some_training(3);
    struct msg_result a = run(rd.st, &rd.w, &rd.s);
    rd.w.recipe.precision = PRECISION_BF16;
    struct msg_result b = run(rd.st, &rd.w, &rd.s);
    renew(&rd, 3);
    struct msg_result c = run(rd.st, &rd.w, &rd.s);
    ck_assert(a.reward.loss != b.reward.loss);
    ck_assert_double_eq_tol(a.reward.loss, b.reward.loss, 0.2 * a.reward.loss);
    same_outcome(&b, &c);
    struct msg_work w = long_work(&rd, TASK_TRAIN); /* a file says nothing of how it was scored */
    struct msg_result half = run(rd.st, &w, &rd.s);
    w.recipe.precision = PRECISION_FP32;
    struct msg_result full = run(rd.st, &w, &rd.s);
    ck_assert(!hash_equal(&half.blob, &full.blob));
    ready_release(&rd);
}
END_TEST

/* A search in bf16 records what its finalists' files do elsewhere. */
START_TEST(the_test_set_is_scored_in_fp32)
{
    struct ready rd;
    ready_init(&rd, 1);
    struct msg_work final = long_work(&rd, TASK_FINAL);
    final.recipe.precision = PRECISION_BF16;
    struct msg_result r = run(rd.st, &final, &rd.s);
    struct model m;
    struct images im = {0};
    struct dataset test;
    struct score score;
    struct err e;
    struct pool *p = new_pool(1);
    load_blob(&rd, &r.blob, &m);
    must(images_load(&im, &final.recipe, IMAGES_CARVED, &rd.s.host, &e), &e);
    must(images_test(&im, &final.recipe, &rd.s.host, &test, &e), &e);
    struct scored_set set = images_set(&im, &test);
    must(score_model(p, &m.graph, &m.weights, DTYPE_F32, &set, NULL, NULL, &score, &e), &e);
    ck_assert_int_eq(score.top1, r.test.top1);
    ck_assert_double_eq_tol(score.loss, r.test.loss, 1e-6 * score.loss);
    dataset_release(&test);
    images_release(&im);
    model_release(&m);
    pool_free(p);
    ready_release(&rd);
}
END_TEST

/* What was loaded before, or how often, changes nothing; the training set is read once more at most. */
START_TEST(images_are_shared)
{
    struct ready rd;
    ready_init(&rd, 1);
    struct msg_work tuned = rd.w, final = work_of(&rd, TASK_FINAL);
    tuned.recipe.finetune = some_training(1);
    final.recipe.finish = some_training(1);
    struct msg_result plain = run(rd.st, &rd.w, &rd.s), a = run(rd.st, &tuned, &rd.s);
    rd.s.fetched = 0;
    struct msg_result b = run(rd.st, &tuned, &rd.s), c = run(rd.st, &rd.w, &rd.s);
    ck_assert_int_eq(rd.s.fetched, 0);
    struct msg_result d = run(rd.st, &final, &rd.s);
    ck_assert_int_eq(rd.s.fetched, 2); /* the test set */
    same_outcome(&a, &b);
    same_outcome(&plain, &c);
    renew(&rd, 2);
    struct msg_result f = run(rd.st, &final, &rd.s), g = run(rd.st, &tuned, &rd.s);
    same_outcome(&a, &g);
    same_outcome(&d, &f);
    ready_release(&rd);
}
END_TEST

/* Those of another recipe aren't taken for ours. */
START_TEST(images_are_the_recipes)
{
    struct ready rd;
    struct images im = {0};
    struct err e;
    ready_init(&rd, 1);
    for (int i = 0; i < 6; i++) {
        struct recipe r = rd.w.recipe;
        r.finish.lr += i; /* nothing to images */
        if (i == 1)
            r.seed++;
        if (i == 2)
            r.reward--;
        if (i == 3)
            r.calibrate--;
        if (i == 4)
            r.std[0]++;
        if (i == 5)
            r.files[0].hash.b[3] ^= 1;
        for (int k = 0; k < 2; k++) {
            rd.s.fetched = 0;
            must(images_load(&im, k ? &r : &rd.w.recipe, IMAGES_CARVED, &rd.s.host, &e), &e);
            ck_assert_int_eq(rd.s.fetched, i == 0 && k ? 0 : 2);
        }
        if (i == 0)
            images_release(&im);
    }
    images_release(&im);
    ready_release(&rd);
}
END_TEST

/* The reward split isn't trained on by an evaluation, all images are by a finalist. */
START_TEST(reward_split_is_left_out)
{
    struct ready rd;
    struct images im = {0};
    struct err e;
    ready_init(&rd, 1);
    must(images_load(&im, &rd.w.recipe, IMAGES_CARVED + IMAGES_TRAINING, &rd.s.host, &e), &e);
    struct scored_set rest = images_training(&im, false), all = images_training(&im, true);
    ck_assert_int_eq(rest.n, TINY_TRAIN - TINY_REWARD);
    ck_assert(all.n == TINY_TRAIN && !all.index);
    size_t size = (size_t)TINY_SIDE * TINY_SIDE;
    rd.w.recipe.finetune = some_training(1); /* fit tells how many it was given */
    rd.w.recipe.finetune.batch = TINY_TRAIN;
    refuse(rd.st, &rd.w, &rd.s, ERR_INVALID, "batch 240 is more than the 180 images to train on");
    for (int i = 0; i < rest.n; i++) {
        const uint8_t *p = im.training.pixels + (size_t)rest.index[i] * size;
        ck_assert(i == 0 || rest.index[i] > rest.index[i - 1]);
        for (int k = 0; k < TINY_REWARD; k++)
            ck_assert(memcmp(p, im.reward.pixels + (size_t)k * size, size) != 0);
    }
    images_release(&im);
    ready_release(&rd);
}
END_TEST

/* ---- finalists and trainings, which can be interrupted ---- */

static const enum task_kind durable[] = {TASK_FINAL, TASK_TRAIN};

START_TEST(resumed_ends_with_the_same_bits)
{
    struct ready rd;
    struct msg_result r;
    struct err e;
    struct msg_checkpoint curve[5];
    ready_init(&rd, 1);
    struct msg_work w = long_work(&rd, durable[_i]);
    struct msg_result whole = run(rd.st, &w, &rd.s);
    ck_assert_str_eq(rd.s.stages,
                     durable[_i] == TASK_FINAL ? "fetch cut recalibrate finish score test " : "fetch train test ");
    ck_assert_int_eq(rd.s.n_kept, 5);
    memcpy(curve, rd.s.kept, sizeof curve);
    for (int i = 0; i < 5; i++)
        ck_assert(curve[i].epoch == i + 1 && task_id_equal(&curve[i].task, &w.task));
    ck_assert(curve[4].loss < curve[0].loss);

    for (int stop = 1; stop <= 5; stop += 2) { /* as a killed worker leaves it; the last one has all but the end */
        w = long_work(&rd, durable[_i]);
        renew(&rd, 1);
        rd.s.n_kept = 0;
        rd.s.stop_after = stop;
        ck_assert_int_eq(job_run(rd.st, &w, &rd.s.host, &r, &e), ERR_CANCELLED);
        rd.s.stop_after = 0;
        ck_assert_int_eq(rd.s.n_kept, stop);
        w.resume_epoch = stop;
        w.resume = rd.s.kept[stop - 1].blob;
        w.task.attempt++;
        renew(&rd, stop);
        r = run(rd.st, &w, &rd.s);
        same_outcome(&r, &whole);
        ck_assert_int_eq(rd.s.n_kept, 5 - stop);
        same_curve(rd.s.kept, curve + stop, 5 - stop);
    }
    ready_release(&rd);
}
END_TEST

START_TEST(final_is_a_trained_candidate)
{
    struct ready rd;
    ready_init(&rd, 1);
    struct msg_work w = long_work(&rd, TASK_FINAL);
    w.recipe.finish.distill.kind = DISTILL_NONE; /* the dense network knows nothing yet */
    struct msg_result before = run(rd.st, &rd.w, &rd.s), a = run(rd.st, &w, &rd.s);
    ck_assert_int_eq(a.test.n, TINY_TEST);
    ck_assert_int_gt(a.reward.top1, before.reward.top1);

    w.recipe.finetune = some_training(1); /* isn't where it begins */
    struct msg_result b = run(rd.st, &w, &rd.s);
    same_outcome(&a, &b);

    w.recipe.finish.epochs = 0; /* the evaluated network, then */
    struct msg_work export = work_of(&rd, TASK_EXPORT), evaluate = rd.w;
    export.recipe.finetune = evaluate.recipe.finetune = w.recipe.finetune;
    struct msg_result c = run(rd.st, &w, &rd.s);
    ck_assert_int_eq(rd.s.n_kept, 0);
    struct msg_result d = run(rd.st, &export, &rd.s), f = run(rd.st, &evaluate, &rd.s);
    same_networks(&rd.s, &c.blob, &d.blob);
    check_metrics(&c.reward, &f.reward);
    ready_release(&rd);
}
END_TEST

static bool file_has(struct ready *rd, const struct hash *h, const char *word)
{
    struct buf bytes = {0};
    struct err e;
    char *path = surround_place(&rd->s, h);
    must(file_read(path, 1 << 20, &bytes, &e), &e);
    bool has = memmem(bytes.p, bytes.n, word, strlen(word));
    buf_release(&bytes);
    free(path);
    return has;
}

START_TEST(training_keeps_the_graph)
{
    struct ready rd;
    struct model from, to;
    char hex[HASH_HEX];
    ready_init(&rd, 1);
    struct msg_work w = long_work(&rd, TASK_TRAIN);
    struct msg_result r = run(rd.st, &w, &rd.s);
    ck_assert(r.reward.n == 0 && r.test.n == TINY_TEST && r.has_blob && r.n_groups == 0);
    ck_assert_int_gt(r.test.top1, TINY_TEST / 2);
    load_blob(&rd, &w.recipe.model, &from);
    load_blob(&rd, &r.blob, &to);
    ck_assert_int_eq(from.graph.n, to.graph.n);
    for (int i = 0; i < to.graph.n; i++) {
        ck_assert_int_eq(from.graph.nodes[i].op, to.graph.nodes[i].op);
        ck_assert_str_eq(from.graph.nodes[i].name, to.graph.nodes[i].name);
    }
    hash_to_hex(&w.recipe.model, hex);
    ck_assert(file_has(&rd, &r.blob, "espalier.trained_from") && file_has(&rd, &r.blob, hex));
    ck_assert(file_has(&rd, &r.blob, w.about.name));
    struct msg_result again = run(rd.st, &w, &rd.s); /* the model in memory is as it came */
    same_outcome(&r, &again);
    model_release(&from);
    model_release(&to);
    ready_release(&rd);
}
END_TEST

/* Another network as the teacher is that network, and none other. */
START_TEST(other_teacher)
{
    struct ready rd;
    ready_init(&rd, 1);
    struct msg_work w = long_work(&rd, TASK_TRAIN);
    w.recipe.finish.distill.kind = DISTILL_MSE;
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "a training has no dense network to learn from: name a teacher");
    w.recipe.finish.distill.other = true;
    w.recipe.finish.distill.teacher = hash_of("nowhere", 7);
    refuse(rd.st, &w, &rd.s, ERR_NOTFOUND, "teacher: no such blob");
    w.recipe.finish.distill.teacher = tiny_model(&rd.s, 2);
    struct msg_result a = run(rd.st, &w, &rd.s);
    w.recipe.finish.distill.teacher = tiny_model(&rd.s, 3);
    struct msg_result b = run(rd.st, &w, &rd.s);
    ck_assert(!hash_equal(&a.blob, &b.blob));

    w = long_work(&rd, TASK_FINAL); /* the dense network by either name */
    struct msg_result c = run(rd.st, &w, &rd.s);
    w.recipe.finish.distill.other = true;
    w.recipe.finish.distill.teacher = w.recipe.model;
    struct msg_result d = run(rd.st, &w, &rd.s);
    same_outcome(&c, &d);
    ready_release(&rd);
}
END_TEST

START_TEST(bad_trainings)
{
    struct ready rd;
    ready_init(&rd, 1);
    struct msg_work w = long_work(&rd, TASK_TRAIN);
    struct msg_result r = run(rd.st, &w, &rd.s);
    struct hash third = rd.s.kept[2].blob;
    ck_assert(r.has_blob);
    w.resume_epoch = 2;
    w.resume = third;
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "the checkpoint is of epoch 3, not 2");
    w.resume = surround_store(&rd.s, "rubbish", 7);
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "not a checkpoint: 7 bytes without its magic");
    w.resume = hash_of("nowhere", 7);
    refuse(rd.st, &w, &rd.s, ERR_NOTFOUND, "no such blob");
    w.resume_epoch = 0;
    w.recipe.finish.epochs = 0;
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "the training has neither epochs nor steps");
    w.recipe.finish.steps = 12 * TRAINING_MAX_EPOCHS;
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "120000 steps are more than 10000 epochs of 12");
    w.recipe.finish.steps = 5;
    w.recipe.finish.batch = TINY_TRAIN + 1;
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "batch 241 is more than the 240 images to train on");
    ready_release(&rd);
}
END_TEST

/* ---- divergence ---- */

static const enum task_kind training_kinds[] = {TASK_EVALUATE, TASK_EXPORT, TASK_FINAL, TASK_TRAIN};

START_TEST(divergence)
{
    struct ready rd;
    struct msg_result r;
    struct err e;
    ready_init(&rd, 1);
    struct msg_work w = work_of(&rd, training_kinds[_i]);
    w.recipe.finetune = w.recipe.finish = some_training(5);
    w.recipe.finetune.lr = w.recipe.finish.lr = 500;
    ck_assert_int_eq(job_run(rd.st, &w, &rd.s.host, &r, &e), ERR_DIVERGED);
    ck_assert_ptr_nonnull(strstr(e.text, "diverged at step"));
    ck_assert(!r.has_blob && r.reward.n == 0 && r.test.n == 0);
    w.lr_scale = 1e-4; /* 0.05 */
    struct msg_result a = run(rd.st, &w, &rd.s);
    w.lr_scale = 1;
    w.recipe.finetune.lr = w.recipe.finish.lr = 500 * 1e-4;
    struct msg_result b = run(rd.st, &w, &rd.s);
    if (training_kinds[_i] != TASK_EVALUATE)
        ck_assert(a.has_blob && b.has_blob);
    else
        ck_assert_double_eq_tol(a.reward.loss, b.reward.loss, 1e-3 * a.reward.loss);
    ready_release(&rd);
}
END_TEST

/* Stopped at any of its calls a training says so, and runs the next time. */
START_TEST(cancelled)
{
    struct ready rd;
    struct msg_result r;
    struct err e;
    ready_init(&rd, 2);
    struct msg_work w = long_work(&rd, durable[_i]);
    struct msg_result whole = run(rd.st, &w, &rd.s);
    int rc = ERR_CANCELLED, calls = 1;
    while (rc < 0) {
        rd.s.calls = rd.s.n_kept = 0;
        rd.s.stop_at = calls;
        calls += 1 + calls / 3;
        rc = job_run(rd.st, &w, &rd.s.host, &r, &e);
        ck_assert(rc == 0 || rc == ERR_CANCELLED);
        ck_assert(rc == 0 || !r.has_blob);
    }
    ck_assert_int_gt(calls, 5);
    same_outcome(&r, &whole);
    ready_release(&rd);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("job_train");
    TCase *t = tcase_create("job_train");
    tcase_set_timeout(t, 100);
    tcase_add_loop_test(t, finetune_is_the_same_everywhere, 0, 2);
    tcase_add_test(t, each_candidate_draws_its_own);
    tcase_add_test(t, finetune_in_bf16);
    tcase_add_test(t, the_test_set_is_scored_in_fp32);
    tcase_add_test(t, images_are_shared);
    tcase_add_test(t, images_are_the_recipes);
    tcase_add_test(t, reward_split_is_left_out);
    tcase_add_loop_test(t, resumed_ends_with_the_same_bits, 0, 2);
    tcase_add_test(t, final_is_a_trained_candidate);
    tcase_add_test(t, training_keeps_the_graph);
    tcase_add_test(t, other_teacher);
    tcase_add_test(t, bad_trainings);
    tcase_add_loop_test(t, divergence, 0, 4);
    tcase_add_loop_test(t, cancelled, 0, 2);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
