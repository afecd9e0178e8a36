#include "worker/training.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "worker/bookmark.h"
#include "worker/farewell.h"
#include "worker/job.h"
#include "worker/meter.h"
#include "worker/options.h"
#include "worker/train/pictures.h"

#define RETRY_SCALE 0.25 /* of the learning rates, after a divergence */

static const char usage[] =
    "usage: espalier-worker train --model FILE.onnx -o OUT.onnx [options] <WORK\n"
    "\n"
    "Trains the network as the WORK message on stdin says; it is what \"espalier train\" runs. After each epoch "
    "the\n"
    "state is in OUT.onnx.checkpoint, and the same command goes on from there.\n"
    "\n"
    "  --model FILE.onnx    the network to begin with\n"
    "  --teacher FILE.onnx  the network to learn from, where the work asks for one\n"
    "  --data KIND:PATH     cifar10, cifar100, idx or images, and the folder with its files; or synthetic\n"
    "  --index FILE         of images: their index, which the work names by its hash\n"
    "  --memory SIZE        for images that are kept decoded, such as 512M or 4G (default: 1G)\n"
    "  -o, --output FILE    where the trained network goes\n"
    "  --threads N          compute threads (default: all CPUs)\n"
    "  --fresh              from the beginning, whatever checkpoint is there\n"
    "  --quiet              only the last line\n"
    "  --help\n";

struct trainer {
    const char *model, *teacher, *out, *folder, *index; /* borrowed from argv */
    bool has_data, quiet, fresh;
    enum data_kind kind;
    int threads;
    uint64_t memory;

    struct message work;
    struct hash work_hash; /* of its bytes */
    bool checked_model, checked_teacher;
    char *checkpoint; /* path */
    struct bookmark bookmark;
    char *paths[RECIPE_MAX_FILES]; /* of data files, as they are asked for */
    int n_paths;
    int epoch;    /* that the checkpoint is of; 0: there is none */
    bool retried; /* after a divergence */
    struct meter meter;
};

/* ---- the command line ---- */

static int take(struct trainer *t, int opt, char **argv, struct err *e)
{
    switch (opt) {
    case 'm':
        t->model = optarg;
        return 0;
    case 'T':
        t->teacher = optarg;
        return 0;
    case 'd':
        t->has_data = true;
        return options_data(optarg, &t->kind, &t->folder, e);
    case 'o':
        t->out = optarg;
        return 0;
    case 'i':
        t->index = optarg;
        return 0;
    case 'M':
        return options_bytes("--memory", optarg, &t->memory, e);
    case 't':
        return options_number("--threads", optarg, 1, PROTO_MAX_THREADS, &t->threads, e);
    case 'f':
        t->fresh = true;
        return 0;
    case 'q':
        t->quiet = true;
        return 0;
    case 'h':
        fputs(usage, stdout);
        return OPTIONS_DONE;
    default:
        return options_unknown(argv, opt, e);
    }
}

static int parse(struct trainer *t, int argc, char **argv, struct err *e)
{
    static const struct option known[] = {
        {"model", required_argument, NULL, 'm'},
        {"teacher", required_argument, NULL, 'T'},
        {"data", required_argument, NULL, 'd'},
        {"index", required_argument, NULL, 'i'},
        {"memory", required_argument, NULL, 'M'},
        {"output", required_argument, NULL, 'o'},
        {"threads", required_argument, NULL, 't'},
        {"fresh", no_argument, NULL, 'f'},
        {"quiet", no_argument, NULL, 'q'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    *t = (struct trainer){.threads = options_cores(), .memory = PICTURES_MEMORY};
    opterr = 0;
    for (int opt; (opt = getopt_long(argc, argv, ":o:", known, NULL)) != -1;) {
        int rc = take(t, opt, argv, e);
        if (rc != 0)
            return rc;
    }
    if (optind < argc)
        return err_set(e, ERR_INVALID, "\"%s\" isn't an option", argv[optind]);
    if (!t->model)
        return err_set(e, ERR_INVALID, "--model FILE.onnx is missing (--help says more)");
    if (!t->out)
        return err_set(e, ERR_INVALID, "-o OUT.onnx is missing (--help says more)");
    if (isatty(STDIN_FILENO))
        return err_set(e, ERR_INVALID, "the work comes from stdin, which is a terminal: use espalier train");
    return OPTIONS_RUN;
}

/* ---- the work ---- */

static int read_stdin(struct buf *b, struct err *e)
{
    static uint8_t some[1 << 16];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, some, sizeof(some));
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_set(e, ERR_IO, "could not read stdin: %s", strerror(errno));
        if (n == 0)
            return 0;
        buf_append(b, some, (size_t)n);
        if (b->n > PROTO_MAX_BYTES)
            return err_set(e, ERR_LIMIT, "more than %d bytes on stdin", PROTO_MAX_BYTES);
    }
}

static int read_work(struct trainer *t, struct err *e)
{
    struct buf frame = {0};
    int rc = read_stdin(&frame, e);
    if (rc == 0 && (rc = message_decode(frame.p, frame.n, &t->work, e)) < 0)
        err_wrap(e, "stdin");
    if (rc == 0)
        t->work_hash = hash_of(frame.p, frame.n);
    buf_release(&frame);
    if (rc < 0)
        return rc;
    if (t->work.type != MSG_WORK || t->work.u.work.task.kind != TASK_TRAIN)
        return err_set(e, ERR_INVALID, "stdin has a message %s%s%s, not the work of a training",
                       message_name(t->work.type), t->work.type == MSG_WORK ? " of kind " : "",
                       t->work.type == MSG_WORK ? task_kind_name(t->work.u.work.task.kind) : "");
    enum data_kind wanted = t->work.u.work.recipe.data;
    if (wanted != DATA_SYNTHETIC && !t->has_data)
        return err_set(e, ERR_INVALID, "--data %s:PATH is missing", data_kind_name(wanted));
    if (t->has_data && t->kind != wanted)
        return err_set(e, ERR_INVALID, "--data is %s, the training's is %s", data_kind_name(t->kind),
                       data_kind_name(wanted));
    if (wanted == DATA_IMAGES && !t->index)
        return err_set(e, ERR_INVALID, "--index FILE is missing: the work is about images");
    return 0;
}

/* Found out before the hours, not after them. */
static int check_output(const struct trainer *t, struct err *e)
{
    struct stat st;
    char *dir = xstrdup(t->out), *slash = strrchr(dir, '/');
    if (slash)
        slash[slash == dir] = 0;
    int rc = 0;
    if (access(slash ? dir : ".", W_OK | X_OK) < 0)
        rc = err_set(e, ERR_IO, "could not write \"%s\": %s", t->out, strerror(errno));
    else if (stat(t->out, &st) == 0 && !S_ISREG(st.st_mode))
        rc = err_set(e, ERR_INVALID, "could not write \"%s\": not a regular file", t->out);
    free(dir);
    return rc;
}

/* Where an interrupted run of the same work left off. */
static int look_for_checkpoint(struct trainer *t, struct err *e)
{
    struct msg_work *w = &t->work.u.work;
    t->checkpoint = xasprintf("%s.checkpoint", t->out);
    if (t->fresh)
        return 0;
    int rc = bookmark_open(&t->bookmark, t->checkpoint, &t->work_hash, e);
    if (rc < 0)
        return err_wrap(e, "could not go on (--fresh begins anew)");
    if (rc == 0)
        return 0;
    w->resume = t->bookmark.hash;
    w->resume_epoch = t->epoch = t->bookmark.epoch;
    t->retried = t->bookmark.lr_scale < w->lr_scale;
    w->lr_scale = t->bookmark.lr_scale;
    if (!t->quiet)
        printf("goes on after epoch %d (\"%s\")\n", t->epoch, t->checkpoint);
    fflush(stdout);
    return 0;
}

static void prepare_farewell(const struct trainer *t)
{
    if (t->epoch)
        farewell_prepare("espalier-worker train: stopped; the same command goes on after epoch %d (\"%.300s\")\n",
                         t->epoch, t->checkpoint);
    else
        farewell_prepare("espalier-worker train: stopped before the end of the first epoch\n");
}

/* ---- what the job asks for ---- */

static int check_file(const char *path, const struct hash *want, uint64_t size, const char *what, struct err *e)
{
    static const struct hash any;
    struct hash is;
    uint64_t bytes;
    int rc = hash_file(path, &is, &bytes, e);
    if (rc < 0)
        return rc;
    if ((size && bytes != size) || (!hash_equal(want, &any) && !hash_equal(want, &is)))
        return err_set(e, ERR_INVALID, "\"%s\" isn't %s that the training is about", path, what);
    return 0;
}

static int data_path(struct trainer *t, const struct hash *h, uint64_t size, const char *name, const char **path,
                     struct err *e)
{
    if (t->n_paths == RECIPE_MAX_FILES)
        BUG("more than %d data files", RECIPE_MAX_FILES);
    *path = t->paths[t->n_paths++] = file_join(t->folder, name);
    return check_file(*path, h, size, "the data file", e);
}

/* Only the index: the images are in the folder, one by one, or nowhere. */
static int image_path(struct trainer *t, const struct hash *h, uint64_t size, const char **path, struct err *e)
{
    if (!hash_equal(h, &t->work.u.work.recipe.files[0].hash))
        return err_set(e, ERR_INVALID, "the images in \"%s\" aren't those that the training is about", t->folder);
    *path = t->index;
    return check_file(t->index, h, size, "the index of the images", e);
}

static const char *host_folder(void *arg, const char *data_kind, int nth)
{
    const struct trainer *t = arg;
    (void)data_kind;
    return nth == 0 ? t->folder : NULL;
}

static int host_blob(void *arg, const struct hash *h, uint64_t size, const char *data_name, const char *data_kind,
                     const char **path, struct err *e)
{
    struct trainer *t = arg;
    const struct recipe *r = &t->work.u.work.recipe;
    (void)data_kind;
    if (data_name && r->data == DATA_IMAGES)
        return image_path(t, h, size, path, e);
    if (data_name)
        return data_path(t, h, size, data_name, path, e);
    if (t->bookmark.is_open && hash_equal(h, &t->bookmark.hash)) {
        *path = t->bookmark.path;
        return 0;
    }
    bool is_model = hash_equal(h, &r->model);
    *path = is_model ? t->model : t->teacher;
    if (!*path)
        return err_set(e, ERR_INVALID, "the training wants a teacher: --teacher FILE.onnx is missing");
    return check_file(*path, h, 0, is_model ? "the model" : "the teacher", e);
}

static int host_put(void *arg, const struct hash *h, const void *bytes, size_t n, struct err *e)
{
    struct trainer *t = arg;
    (void)h;
    return file_write(t->out, bytes, n, e);
}

static int host_progress(void *arg, const char *stage, uint64_t done, uint64_t total, struct err *e)
{
    struct trainer *t = arg;
    if (strcmp(stage, "train") == 0)
        meter_progress(&t->meter, done, total);
    return farewell_due() ? err_set(e, ERR_CANCELLED, "stopped in %s", stage) : 0;
}

static void host_point(void *arg, const struct fit_point *so_far)
{
    struct trainer *t = arg;
    meter_point(&t->meter, so_far);
}

static int host_checkpoint(void *arg, const struct msg_checkpoint *k, const struct buf *bytes, struct err *e)
{
    struct trainer *t = arg;
    int rc = bookmark_write(t->checkpoint, &t->work_hash, t->work.u.work.lr_scale, k->epoch, bytes, e);
    if (rc < 0)
        return rc;
    t->epoch = k->epoch;
    prepare_farewell(t);
    meter_epoch(&t->meter, k);
    return 0;
}

static void forget_paths(struct trainer *t)
{
    while (t->n_paths)
        free(t->paths[--t->n_paths]);
}

/* ---- the run ---- */

static int run_once(struct trainer *t, struct worker_state *st, struct msg_result *r, struct err *e)
{
    const struct job_host host = {.arg = t,
                                  .blob = host_blob,
                                  .folder = host_folder,
                                  .put = host_put,
                                  .progress = host_progress,
                                  .checkpoint = host_checkpoint,
                                  .point = host_point};
    meter_init(&t->meter, t->quiet ? NULL : stdout, t->work.u.work.recipe.finish.epochs);
    farewell_bar(t->meter.bar);
    prepare_farewell(t);
    int rc = job_run(st, &t->work.u.work, &host, r, e);
    meter_clear(&t->meter);
    forget_paths(t);
    return rc;
}

/* A divergence is tried once more from the beginning. */
static int run(struct trainer *t, struct worker_state *st, struct msg_result *r, struct err *e)
{
    struct msg_work *w = &t->work.u.work;
    int rc = run_once(t, st, r, e);
    if (rc == ERR_DIVERGED && !t->retried) {
        fprintf(stderr, "espalier-worker train: %s; once more with %g of the learning rate\n", e->text,
                RETRY_SCALE);
        unlink(t->checkpoint);
        t->retried = true;
        w->lr_scale *= RETRY_SCALE;
        w->resume_epoch = t->epoch = 0;
        rc = run_once(t, st, r, e);
    }
    if (rc == ERR_DIVERGED) {
        unlink(t->checkpoint);
        err_wrap(e, "with %g of the learning rate", RETRY_SCALE);
    }
    return rc;
}

static void print_result(const struct trainer *t, const struct msg_result *r)
{
    char right[32], all[32];
    printf("test %.2f%% (%s of %s right)  loss %.4f  model \"%s\"\n", 100.0 * r->test.top1 / r->test.n,
           meter_number((uint64_t)r->test.top1, right), meter_number((uint64_t)r->test.n, all), r->test.loss,
           t->out);
}

static int train(struct trainer *t, struct err *e)
{
    struct worker_state *st = NULL;
    struct msg_result r;
    int rc = read_work(t, e);
    if (rc < 0 || (rc = check_output(t, e)) < 0 || (rc = farewell_catch(e)) < 0)
        return rc;
    if ((rc = look_for_checkpoint(t, e)) < 0 || (rc = job_state_new(&st, t->threads, e)) < 0)
        return rc;
    job_state_memory(st, t->memory);
    rc = run(t, st, &r, e);
    job_state_free(st);
    if (rc == 0) {
        unlink(t->checkpoint);
        print_result(t, &r);
    }
    return rc;
}

static void trainer_release(struct trainer *t)
{
    bookmark_close(&t->bookmark);
    message_release(&t->work);
    free(t->checkpoint);
}

int training_main(int argc, char **argv)
{
    struct trainer t;
    struct err e;
    int rc = parse(&t, argc, argv, &e);
    if (rc == OPTIONS_DONE)
        return 0;
    if (rc < 0) {
        fprintf(stderr, "espalier-worker train: %s\n", e.text);
        return 2;
    }
    rc = train(&t, &e);
    if (rc == ERR_CANCELLED)
        farewell_say();
    else if (rc < 0)
        fprintf(stderr, "espalier-worker train: %s\n", e.text);
    trainer_release(&t);
    return rc < 0;
}
