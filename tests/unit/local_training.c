/*
 * training - `espalier-worker train` as a whole, in a process of its own: its lines, what it leaves behind, how it
 * stops and goes on.
 */
#include "worker/training.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "common/base/clock.h"
#include "tests/unit/job_host.h"

/* One command, and where its output goes. */
struct trial {
    struct surroundings s;
    struct message work;
    char out[128], checkpoint[160], model[192], data[128];
    pid_t pid;
    int status;
    char *said, *failed; /* stdout, stderr */
};

static void trial_init(struct trial *t, int epochs)
{
    struct msg_work *w = &t->work.u.work;
    memset(t, 0, sizeof *t);
    surroundings_init(&t->s);
    struct hash model = tiny_model(&t->s, 1);
    char *path = surround_place(&t->s, &model);
    snprintf(t->model, sizeof t->model, "%s", path);
    free(path);
    snprintf(t->out, sizeof t->out, "%s/out.onnx", t->s.dir);
    snprintf(t->checkpoint, sizeof t->checkpoint, "%s.checkpoint", t->out);
    snprintf(t->data, sizeof t->data, "idx:%s", t->s.dir);
    t->work.type = MSG_WORK;
    *w = (struct msg_work){.task = {TASK_TRAIN, 1, -1, 1}, .lr_scale = 1, .about = {.name = "tiny"}};
    w->recipe = tiny_recipe(&t->s, &model);
    w->recipe.reward = w->recipe.calibrate = 0;
    for (int i = 0; i < w->recipe.n_files; i++) /* as the command line sends them: found by name */
        memset(&w->recipe.files[i].hash, 0, sizeof w->recipe.files[i].hash);
    w->recipe.finish.epochs = epochs;
    w->recipe.finish.batch = 20;
    w->recipe.finish.lr = 0.05;
    w->recipe.finish.pad = 1;
}

static void forget_output(struct trial *t)
{
    free(t->said);
    free(t->failed);
    t->said = t->failed = NULL;
}

static void trial_release(struct trial *t)
{
    forget_output(t);
    surroundings_release(&t->s);
}

static char *stream_path(const struct trial *t, const char *name)
{
    return file_join(t->s.dir, name);
}

static void redirect(const struct trial *t, int fd, const char *name, int flags)
{
    char *path = stream_path(t, name);
    int from = open(path, flags, 0666);
    if (from < 0 || dup2(from, fd) < 0)
        _exit(99);
    free(path);
}

/* With these words behind the command; the last is NULL. */
static void start_words(struct trial *t, const char *const *words)
{
    const char *argv[24] = {"train"};
    int argc = 1;
    while (*words)
        argv[argc++] = *words++;
    forget_output(t);
    t->pid = fork();
    ck_assert_int_ge(t->pid, 0);
    if (t->pid)
        return;
    redirect(t, STDIN_FILENO, "stdin", O_RDONLY);
    redirect(t, STDOUT_FILENO, "stdout", O_WRONLY | O_CREAT | O_TRUNC);
    redirect(t, STDERR_FILENO, "stderr", O_WRONLY | O_CREAT | O_TRUNC);
    optind = 0;
    exit(training_main(argc, (char **)argv));
}

static void give_bytes(struct trial *t, const void *p, size_t n)
{
    struct err e;
    char *path = stream_path(t, "stdin");
    must(file_write(path, p, n, &e), &e);
    free(path);
}

static void give_work(struct trial *t)
{
    struct buf b = {0};
    message_encode(&t->work, &b);
    give_bytes(t, b.p, b.n);
    buf_release(&b);
}

static char *read_stream(const struct trial *t, const char *name)
{
    struct buf b = {0};
    struct err e;
    char *path = stream_path(t, name);
    must(file_read(path, 1 << 20, &b, &e), &e);
    free(path);
    return b.p ? (char *)b.p : xstrdup("");
}

static void finish(struct trial *t)
{
    int status;
    ck_assert_int_eq(waitpid(t->pid, &status, 0), t->pid);
    ck_assert_msg(WIFEXITED(status), "ended by signal %d", WTERMSIG(status));
    t->status = WEXITSTATUS(status);
    t->said = read_stream(t, "stdout");
    t->failed = read_stream(t, "stderr");
}

/* The usual command; extra may be NULL. */
static void start(struct trial *t, const char *extra)
{
    const char *const words[] = {"--model", t->model,    "--data", t->data, "-o",
                                 t->out,    "--threads", "1",      extra,   NULL};
    give_work(t);
    start_words(t, words);
}

static void train(struct trial *t, const char *extra)
{
    start(t, extra);
    finish(t);
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

static struct hash out_hash(const struct trial *t)
{
    struct hash h;
    struct err e;
    uint64_t size;
    must(hash_file(t->out, &h, &size, &e), &e);
    return h;
}

static void fails(struct trial *t, const char *extra, int status, const char *line)
{
    train(t, extra);
    char want[600];
    snprintf(want, sizeof want, "espalier-worker train: %s\n", line);
    ck_assert_str_eq(t->failed, want);
    ck_assert_int_eq(t->status, status);
    ck_assert_str_eq(t->said, "");
}

/* ---- */

START_TEST(trains)
{
    struct trial t;
    char last[256];
    trial_init(&t, 3);
    train(&t, NULL);
    ck_assert_str_eq(t.failed, "");
    ck_assert_int_eq(t.status, 0);
    ck_assert(is_there(t.out) && !is_there(t.checkpoint));
    struct hash h = out_hash(&t);

    /* As on a worker, to the last bit. */
    struct worker_state *st = new_state(2);
    struct msg_result r = run(st, &t.work.u.work, &t.s);
    ck_assert(hash_equal(&r.blob, &h));
    job_state_free(st);
    const char *line = t.said;
    for (int i = 1; i <= 3; i++) {
        char begin[32];
        snprintf(begin, sizeof begin, "epoch %d/3  loss ", i);
        ck_assert_msg(strncmp(line, begin, strlen(begin)) == 0, "%s", t.said);
        ck_assert_ptr_nonnull(strstr(line, " images/s  left 0:00\n"));
        line = strchr(line, '\n') + 1;
    }
    snprintf(last, sizeof last, "test %.2f%% (%d of %d right)  loss %.4f  model \"%s\"\n",
             100.0 * r.test.top1 / r.test.n, r.test.top1, TINY_TEST, r.test.loss, t.out);
    ck_assert_str_eq(line, last);
    ck_assert_ptr_null(strchr(t.said, '\r'));
    train(&t, "--quiet");
    ck_assert_str_eq(t.said, last);
    trial_release(&t);
}
END_TEST

static void wait_for_epoch(struct trial *t, int epoch)
{
    char word[32];
    snprintf(word, sizeof word, "epoch %d/", epoch);
    for (int64_t until = clock_mono_ns() + 60 * NS_PER_S; clock_mono_ns() < until; clock_sleep_ns(NS_PER_MS)) {
        char *said = is_there(t->checkpoint) ? read_stream(t, "stdout") : NULL;
        bool there = said && strstr(said, word);
        free(said);
        if (there)
            return;
    }
    ck_abort_msg("no epoch %d within a minute", epoch);
}

static const int signals[] = {SIGTERM, SIGINT, SIGKILL};

START_TEST(stopped_and_resumed)
{
    enum { EPOCHS = 30 };
    struct trial t;
    char line[400];
    trial_init(&t, EPOCHS);
    train(&t, "--quiet");
    ck_assert_int_eq(t.status, 0);
    struct hash whole = out_hash(&t);
    unlink(t.out);

    start(&t, NULL);
    wait_for_epoch(&t, 3);
    int64_t begun = clock_mono_ns();
    kill(t.pid, signals[_i]);
    if (signals[_i] == SIGKILL) {
        ck_assert_int_eq(waitpid(t.pid, &t.status, 0), t.pid);
    } else {
        finish(&t);
        ck_assert_int_lt((clock_mono_ns() - begun) / NS_PER_MS, 1000);
        ck_assert_int_eq(t.status, 1);
        int epoch = 0;
        ck_assert_int_eq(
            sscanf(t.failed, "espalier-worker train: stopped; the same command goes on after epoch %d", &epoch), 1);
        ck_assert(epoch >= 3 && epoch < EPOCHS);
        snprintf(line, sizeof line,
                 "espalier-worker train: stopped; the same command goes on after epoch %d (\"%s\")\n", epoch,
                 t.checkpoint);
        ck_assert_str_eq(t.failed, line);
    }
    ck_assert(is_there(t.checkpoint) && !is_there(t.out));

    train(&t, NULL);
    ck_assert_msg(t.status == 0, "%s", t.failed);
    ck_assert_msg(strncmp(t.said, "goes on after epoch ", 20) == 0, "%s", t.said);
    ck_assert_ptr_null(strstr(t.said, "epoch 1/"));
    struct hash h = out_hash(&t);
    ck_assert(hash_equal(&h, &whole));
    ck_assert(!is_there(t.checkpoint));
    trial_release(&t);
}
END_TEST

/* A checkpoint of a run that was killed at its very end, and one of another training. */
START_TEST(checkpoints_that_are_there)
{
    struct trial t;
    char line[500];
    trial_init(&t, 200);
    start(&t, NULL);
    wait_for_epoch(&t, 2);
    kill(t.pid, SIGTERM);
    finish(&t);
    ck_assert_int_eq(t.status, 1);
    t.work.u.work.recipe.finish.epochs = 2;
    snprintf(line, sizeof line, "could not go on (--fresh begins anew): \"%s\" is of another training",
             t.checkpoint);
    fails(&t, NULL, 1, line);
    ck_assert(is_there(t.checkpoint));
    train(&t, "--fresh");
    ck_assert_msg(t.status == 0, "%s", t.failed);
    ck_assert(strncmp(t.said, "epoch 1/2", 9) == 0 && !is_there(t.checkpoint));
    trial_release(&t);
}
END_TEST

START_TEST(divergence_is_retried)
{
    struct trial t;
    trial_init(&t, 2);
    t.work.u.work.recipe.finish.lr = 20;
    train(&t, NULL);
    ck_assert_msg(t.status == 0, "%s", t.failed);
    ck_assert(is_there(t.out) && !is_there(t.checkpoint));
    ck_assert_ptr_nonnull(strstr(t.failed, "; once more with 0.25 of the learning rate\n"));
    ck_assert_ptr_nonnull(strstr(t.said, "\nepoch 1/2  ")); /* from the beginning */
    struct hash h = out_hash(&t);
    t.work.u.work.recipe.finish.lr = 5;
    train(&t, NULL);
    struct hash quarter = out_hash(&t);
    ck_assert(hash_equal(&h, &quarter));
    trial_release(&t);
}
END_TEST

START_TEST(divergence_is_retried_once)
{
    struct trial t;
    trial_init(&t, 4);
    t.work.u.work.recipe.finish.lr = 500;
    train(&t, NULL);
    ck_assert_int_eq(t.status, 1);
    ck_assert(!is_there(t.out) && !is_there(t.checkpoint));
    char *second = strchr(t.failed, '\n') + 1;
    ck_assert(strncmp(t.failed, "espalier-worker train: training diverged at step ", 49) == 0);
    ck_assert_ptr_nonnull(strstr(t.failed, "; once more with 0.25 of the learning rate\n"));
    ck_assert(strncmp(second, "espalier-worker train: with 0.25 of the learning rate: training diverged at ", 76) ==
              0);
    ck_assert_str_eq(strchr(second, '\n'), "\n");
    trial_release(&t);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(wrong_work)
{
    struct trial t;
    struct msg_work *w = &t.work.u.work;
    struct recipe good;
    char line[500];
    trial_init(&t, 1);
    good = w->recipe;
    w->recipe.model = hash_of("another", 7);
    snprintf(line, sizeof line, "\"%s\" isn't the model that the training is about", t.model);
    fails(&t, NULL, 1, line);
    w->recipe = good;
    w->recipe.files[1].size++;
    snprintf(line, sizeof line, "\"%s/%s\" isn't the data file that the training is about", t.s.dir,
             good.files[1].name);
    fails(&t, NULL, 1, line);
    w->recipe.files[1].size--;
    w->recipe.files[1].hash = hash_of("another", 7);
    fails(&t, NULL, 1, line);
    w->recipe = good;
    w->recipe.finish.distill.kind = DISTILL_KL;
    fails(&t, NULL, 1, "a training has no dense network to learn from: name a teacher");
    w->recipe.finish.distill.other = true;
    w->recipe.finish.distill.teacher = hash_of("another", 7);
    fails(&t, NULL, 1, "teacher: the training wants a teacher: --teacher FILE.onnx is missing");
    w->recipe = good;
    w->recipe.data = DATA_CIFAR10;
    fails(&t, NULL, 1, "--data is idx, the training's is cifar10");
    t.work.type = MSG_BYE;
    fails(&t, NULL, 1, "stdin has a message BYE, not the work of a training");
    ck_assert(!is_there(t.out) && !is_there(t.checkpoint));
    trial_release(&t);
}
END_TEST

START_TEST(wrong_stdin)
{
    struct trial t;
    trial_init(&t, 1);
    const char *const words[] = {"--model", t.model, "--data", t.data, "-o", t.out, NULL};
    uint8_t *big = xcalloc(PROTO_MAX_BYTES + 1, 1);
    const struct {
        size_t n;
        const char *line;
    } rows[] = {{0, "espalier-worker train: stdin: message is empty\n"},
                {1, "espalier-worker train: stdin: message isn't an array\n"},
                {PROTO_MAX_BYTES + 1, "espalier-worker train: more than 2097152 bytes on stdin\n"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        give_bytes(&t, big, rows[i].n);
        start_words(&t, words);
        finish(&t);
        ck_assert_int_eq(t.status, 1);
        ck_assert_str_eq(t.failed, rows[i].line);
    }
    free(big);
    trial_release(&t);
}
END_TEST

static const struct {
    const char *words[8], *line;
    int status;
} commands[] = {
    {{"--model", "m.onnx"}, "-o OUT.onnx is missing (--help says more)", 2},
    {{"-o", "o.onnx"}, "--model FILE.onnx is missing (--help says more)", 2},
    {{"--model"}, "--model needs a value", 2},
    {{"--modell", "x"}, "--modell isn't an option that is known", 2},
    {{"--model", "m.onnx", "-o", "o.onnx", "more"}, "\"more\" isn't an option", 2},
    {{"--data", "cifar11:x"}, "--data \"cifar11:x\": kinds are cifar10, cifar100, idx, images and synthetic", 2},
    {{"--data", "idx"}, "--data \"idx\" isn't KIND:PATH", 2},
    {{"--threads", "0"}, "--threads \"0\" isn't a whole number from 1 to 4096", 2},
    {{"--model", "m.onnx", "-o", "o.onnx"}, "--data idx:PATH is missing", 1},
    {{"--model", "m.onnx", "-o", "/nowhere/o.onnx", "--data", "idx:."},
     "could not write \"/nowhere/o.onnx\": No such file or directory",
     1},
    {{"--model", "m.onnx", "-o", "/tmp", "--data", "idx:."}, "could not write \"/tmp\": not a regular file", 1},
    {{"--model", "/nowhere/m.onnx", "-o", "/tmp/never.onnx", "--data", "idx:/nowhere"},
     "could not open \"/nowhere/m.onnx\": No such file or directory",
     1},
};

START_TEST(wrong_commands)
{
    struct trial t;
    char line[300];
    trial_init(&t, 1);
    give_work(&t);
    start_words(&t, commands[_i].words);
    finish(&t);
    snprintf(line, sizeof line, "espalier-worker train: %s\n", commands[_i].line);
    ck_assert_str_eq(t.failed, line);
    ck_assert_int_eq(t.status, commands[_i].status);
    trial_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("local_training");
    TCase *t = tcase_create("local_training");
    tcase_set_timeout(t, 100);
    tcase_add_test(t, trains);
    tcase_add_loop_test(t, stopped_and_resumed, 0, sizeof signals / sizeof *signals);
    tcase_add_test(t, checkpoints_that_are_there);
    tcase_add_test(t, divergence_is_retried);
    tcase_add_test(t, divergence_is_retried_once);
    tcase_add_test(t, wrong_work);
    tcase_add_test(t, wrong_stdin);
    tcase_add_loop_test(t, wrong_commands, 0, sizeof commands / sizeof *commands);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), run_n = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !run_n;
}
