/* `espalier train`: on this machine, by turning into the worker's program, or as a job on some worker. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "common/zoo/zoo.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/network.h"
#include "coordinator/cli/order.h"
#include "coordinator/cli/process.h"
#include "coordinator/cli/term.h"
#include "proto/message.h"

struct train { /* the command line */
    const char *spec, *out, *attach;
    long threads; /* 0: not given */
    bool fresh, job;
    struct many set;
};

/* --- what is trained --- */

/* The file that the training begins with, made here where the spec names an architecture. */
static int find_model(const struct order *o, char **path, struct err *e)
{
    const char *name = o->spec.model;
    if (zoo_knows(name)) {
        char *folder = order_data_folder(o);
        int rc = network_build(&o->spec, folder, o->images.index.n_classes, path, e);
        free(folder);
        return rc < 0 ? err_wrap(e, "model") : 0;
    }
    *path = order_path(o, name);
    if (access(*path, F_OK) == 0)
        return 0;
    int rc = err_set(e, ERR_NOTFOUND, "model: neither a file nor an architecture is called \"%s\": %s", name,
                     zoo_names());
    free(*path);
    *path = NULL;
    return rc;
}

static int read_order(struct order *o, const struct train *t, char **model, struct err *e)
{
    int rc = order_read(o, t->spec, &t->set, e);
    if (rc == 0 && !o->spec.training)
        rc = err_set(e, ERR_INVALID, "%s: there is no `train` in it, such as train: {epochs: 100}", t->spec);
    if (rc == 0)
        rc = order_look_at_data(o, e);
    if (rc == 0)
        rc = find_model(o, model, e);
    if (rc == 0)
        rc = order_add_model(o, *model, e);
    if (rc == 0)
        rc = order_add_teachers(o, e);
    if (rc == 0)
        rc = order_add_data(o, e);
    return rc;
}

/* --- on this machine --- */

/* Standard input becomes the WORK message, as a worker would get it; the data's files are named by folder instead.
 */
static int give_work(const struct order *o, struct err *e)
{
    struct message m = {.type = MSG_WORK};
    struct msg_work *w = &m.u.work;
    struct buf frame = {0};
    int fd;
    w->task = (struct task_id){.kind = TASK_TRAIN, .search = 1, .episode = -1, .attempt = 1};
    w->lr_scale = 1;
    spec_recipe(&o->spec, &w->recipe);
    w->recipe.model = o->model.file.hash;
    w->recipe.n_files = o->n_data;
    for (int i = 0; i < o->n_data; i++)
        w->recipe.files[i] = o->data[i].file;
    w->recipe.finish.distill.teacher = o->finish_teacher.file.hash;
    snprintf(w->about.name, sizeof(w->about.name), "%s", o->spec.name);
    message_encode(&m, &frame);
    int rc = network_hold("work", frame.p, frame.n, &fd, e);
    if (rc == 0 && dup2(fd, STDIN_FILENO) < 0)
        rc = err_set(e, ERR_IO, "could not prepare standard input: %s", strerror(errno));
    if (rc == 0 && fd != STDIN_FILENO)
        close(fd);
    buf_release(&frame);
    return rc;
}

/* The worker's program takes our place: its exit code is ours, and Ctrl-C reaches it. */
static int become_worker(const struct train *t, const struct order *o, struct err *e)
{
    char *argv[16], *program, *folder = order_data_folder(o), *threads = xasprintf("%ld", t->threads);
    char *data = xasprintf("%s%s%s", data_kind_name(o->spec.data), folder ? ":" : "", folder ? folder : "");
    int n = 0, rc = process_find("espalier-worker", &program, e);
    if (rc < 0)
        goto out;
    const char *const words[] = {program, "train", "--model", o->model.path, "--data", data, "-o", t->out};
    for (; n < (int)(sizeof(words) / sizeof(*words)); n++)
        argv[n] = (char *)words[n];
    if (o->finish_teacher.path) {
        argv[n++] = (char *)"--teacher";
        argv[n++] = o->finish_teacher.path;
    }
    if (o->spec.data == DATA_IMAGES) {
        argv[n++] = (char *)"--index";
        argv[n++] = o->data[0].path;
    }
    if (t->threads > 0) {
        argv[n++] = (char *)"--threads";
        argv[n++] = threads;
    }
    if (t->fresh)
        argv[n++] = (char *)"--fresh";
    argv[n] = NULL;
    if ((rc = give_work(o, e)) == 0) {
        fflush(stdout);
        execv(program, argv);
        rc = err_set(e, ERR_IO, "could not start \"%s\": %s", program, strerror(errno));
    }
    free(program);
out:
    free(data);
    free(folder);
    free(threads);
    return rc;
}

/* --- as a job --- */

/* A day's training isn't to be lost because its file has no place to go. */
static int check_out(const char *out, struct err *e)
{
    const char *slash = strrchr(out, '/');
    char *folder = slash ? xasprintf("%.*s", (int)(slash - out) + (slash == out), out) : xstrdup(".");
    int rc = access(folder, W_OK | X_OK) == 0
                 ? 0
                 : err_set(e, ERR_IO, "could not write \"%s\": %s", out, strerror(errno));
    free(folder);
    return rc;
}

static int check_is_training(struct client *cl, long long id, struct err *e)
{
    json_t *status = NULL;
    int rc = client_get(cl, &status, e, "searches/%lld", id);
    if (rc == 0 && strcmp(field_text(json_object_get(status, "search"), "job"), "training") != 0)
        rc = err_set(e, ERR_INVALID, "search %lld is no training; espalier export writes its candidates", id);
    json_decref(status);
    return rc;
}

static int download(struct client *cl, long long id, const char *out, struct err *e)
{
    struct buf bytes = {0};
    json_t *status = NULL;
    char s[TERM_TEXT];
    int rc = client_get_bytes(cl, ONNX_MAX_BYTES, &bytes, e, "searches/%lld/model", id);
    if (rc == 0)
        rc = file_write(out, bytes.p, bytes.n, e);
    if (rc == 0)
        rc = client_get(cl, &status, e, "searches/%lld", id);
    if (rc == 0) {
        const json_t *test = json_object_get(json_object_get(status, "search"), "test");
        double n = field_number(test, "n", 0), top1 = field_number(test, "top1", 0);
        printf("test %s (%.0f of %.0f right)  loss %.4f  model \"%s\"\n", term_percent(s, top1), top1 * n, n,
               field_number(test, "loss", 0), out);
    }
    json_decref(status);
    buf_release(&bytes);
    return rc;
}

static int wait_job(const struct cli *c, long long id, const char *out, struct err *e)
{
    struct client *cl = NULL;
    int rc = check_out(out, e);
    if (rc == 0)
        rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = check_is_training(cl, id, e);
    client_close(cl);
    cl = NULL;
    if (rc == 0)
        rc = watch_search(c, id, e);
    if (rc == 0)
        rc = client_open(&cl, c, e); /* its address may have changed meanwhile */
    if (rc == 0)
        rc = download(cl, id, out, e);
    client_close(cl);
    return rc;
}

static int run_job(const struct cli *c, const struct train *t, struct order *o, struct err *e)
{
    long long id;
    int rc = check_out(t->out, e);
    if (rc == 0)
        rc = order_submit(o, c, &id, e);
    if (rc < 0)
        return rc;
    fprintf(stderr, "training %lld: %s; if this is interrupted: espalier train --attach %lld -o %s\n", id,
            o->spec.name, id, t->out);
    printf("%lld\n", id);
    fflush(stdout);
    return wait_job(c, id, t->out, e);
}

/* --- the verb --- */

static int check(struct cli *c, const struct train *t, struct err *e)
{
    if (!t->out)
        return args_wrong(c, e, "-o FILE is missing");
    if (t->attach && (t->spec || t->set.n > 0 || t->job))
        return args_wrong(c, e, "--attach %s: the job has its spec already", t->attach);
    if (!t->attach && !t->spec)
        return args_wrong(c, e, "SPEC is missing");
    if ((t->job || t->attach) && (t->threads > 0 || t->fresh))
        return args_wrong(c, e, "%s: only a training on this machine takes it", t->fresh ? "--fresh" : "--threads");
    return 0;
}

int verb_train(struct cli *c, int argc, char **argv, struct err *e)
{
    struct train t = {.spec = NULL};
    const struct arg args[] = {
        {"-o", ARG_TEXT, "FILE", "where the trained network goes (needed)", &t.out, 0, 0},
        {"--set", ARG_MANY, "KEY=VALUE", "over the spec's own: --set train.epochs=50 --set model=resnet-56", &t.set,
         0, 0},
        {"--threads", ARG_INT, "N", "compute threads (all CPUs)", &t.threads, 1, PROTO_MAX_THREADS},
        {"--fresh", ARG_FLAG, NULL, "begin anew, though there is something to go on with", &t.fresh, 0, 0},
        {"--job", ARG_FLAG, NULL, "on a worker of the coordinator; prints the job's id", &t.job, 0, 0},
        {"--attach", ARG_TEXT, "ID", "wait for a job that was begun before, and write its network", &t.attach, 0,
         0},
        {0}};
    char *about = xasprintf(
        "Trains what the YAML file SPEC describes in `train`, scores it on the test set and writes it as\n"
        "ONNX. The spec's model is an ONNX file to go on from, or an architecture to begin with:\n%s.\n"
        "On this machine, the same command goes on where an interrupted one was; a job goes on by itself.",
        zoo_names());
    const struct usage u = {"train SPEC -o FILE.onnx [--set KEY=VALUE ...] [--threads N] [--fresh] [--job]", about,
                            args, 0, 1};
    struct order o = {0};
    char *model = NULL;
    long long id;
    int rc = args_parse(c, &u, argc, argv, &t.spec, e);
    free(about);
    if (rc == 0)
        rc = check(c, &t, e);
    if (rc != 0)
        return rc;
    if (t.attach) {
        rc = args_number(c, "training", t.attach, 1, &id, e);
        return rc < 0 ? rc : wait_job(c, id, t.out, e);
    }
    rc = read_order(&o, &t, &model, e);
    if (rc == 0)
        rc = t.job ? run_job(c, &t, &o, e) : become_worker(&t, &o, e);
    free(model);
    order_release(&o);
    return rc;
}
