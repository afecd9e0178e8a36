#include "worker/job.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "worker/compress/evaluate.h"
#include "worker/export.h"
#include "worker/images.h"
#include "worker/stopwatch.h"
#include "worker/tuning.h"

#define PROFILE_MAX_BYTES (UINT64_C(4) << 30)

struct network { /* an ONNX file's */
    bool there;
    struct hash hash;
    struct model model;
};

struct worker_state {
    struct pool *pool;
    struct measurer measurer;
    struct network network; /* the recipe's model */
    struct network teacher; /* when it is another one */
    bool has_profile;       /* the profile and dense network made from the model */
    struct hash profile_hash;
    struct profile profile;
    struct dense dense;
    struct images images;
};

int job_state_new(struct worker_state **st, int threads, struct err *e)
{
    *st = xcalloc(1, sizeof(**st));
    int rc = pool_new(&(*st)->pool, threads, e);
    if (rc < 0) {
        free(*st);
        *st = NULL;
        return rc;
    }
    (*st)->images.needs = (struct image_needs){.pool = (*st)->pool, .memory = PICTURES_MEMORY};
    return 0;
}

void job_state_memory(struct worker_state *st, uint64_t bytes)
{
    st->images.needs.memory = bytes;
}

void job_state_name(struct worker_state *st, const char *cpu, const char *kernels)
{
    snprintf(st->measurer.cpu, sizeof(st->measurer.cpu), "%s", cpu);
    snprintf(st->measurer.kernels, sizeof(st->measurer.kernels), "%s", kernels);
}

static void drop_network(struct network *n)
{
    if (n->there)
        model_release(&n->model);
    n->there = false;
}

static void drop_profile(struct worker_state *st)
{
    if (!st->has_profile)
        return;
    dense_release(&st->dense);
    profile_release(&st->profile);
    st->has_profile = false;
}

void job_state_free(struct worker_state *st)
{
    if (!st)
        return;
    drop_profile(st);
    drop_network(&st->network);
    drop_network(&st->teacher);
    images_release(&st->images);
    pool_free(st->pool);
    free(st);
}

/* A blob is what it is; were it to name other files, they would not be opened. */
static int load_network(struct network *n, const struct hash *h, const struct job_host *host, struct err *e)
{
    drop_network(n);
    const char *path;
    struct buf bytes = {0};
    int rc = host->blob(host->arg, h, 0, NULL, NULL, &path, e);
    if (rc == 0)
        rc = file_read(path, ONNX_MAX_BYTES, &bytes, e);
    if (rc == 0 && (rc = onnx_load(bytes.p, bytes.n, &n->model, e)) < 0)
        rc = err_wrap(e, "%s", path);
    buf_release(&bytes);
    if (rc == 0) {
        n->there = true;
        n->hash = *h;
    }
    return rc;
}

static bool is_loaded(const struct network *n, const struct hash *h)
{
    return n->there && hash_equal(&n->hash, h);
}

static int load_model(struct worker_state *st, const struct hash *h, const struct job_host *host, struct err *e)
{
    if (is_loaded(&st->network, h))
        return 0;
    drop_profile(st);
    return load_network(&st->network, h, host, e);
}

/* The teacher stays for as long as jobs speak of it. */
static int load_teacher(struct worker_state *st, const struct msg_work *w, const struct training *t,
                        const struct job_host *host, struct err *e)
{
    const struct recipe *r = &w->recipe;
    if (!r->finetune.distill.other && !r->finish.distill.other)
        drop_network(&st->teacher);
    if (!t || t->distill.kind == DISTILL_NONE || !t->distill.other || is_loaded(&st->teacher, &t->distill.teacher))
        return 0;
    int rc = load_network(&st->teacher, &t->distill.teacher, host, e);
    return rc < 0 ? err_wrap(e, "teacher") : 0;
}

static int load_profile(struct worker_state *st, const struct hash *h, enum cut_kind cut, const struct job_host *host, struct err *e)
{
    if (st->has_profile && hash_equal(h, &st->profile_hash))
        return 0;
    drop_profile(st);
    const char *path;
    struct buf bytes = {0};
    int rc = host->blob(host->arg, h, 0, NULL, NULL, &path, e);
    if (rc == 0)
        rc = file_read(path, PROFILE_MAX_BYTES, &bytes, e);
    if (rc == 0)
        rc = profile_decode(bytes.p, bytes.n, &st->profile, e);
    buf_release(&bytes);
    if (rc < 0)
        return rc;
    if ((rc = dense_new(&st->dense, &st->network.model, &st->profile, cut, e)) < 0) {
        profile_release(&st->profile);
        return rc;
    }
    st->has_profile = true;
    st->profile_hash = *h;
    return 0;
}

static int put(const struct job_host *host, const struct buf *bytes, struct msg_result *r, struct err *e)
{
    r->has_blob = true;
    r->blob = hash_of(bytes->p, bytes->n);
    return host->put(host->arg, &r->blob, bytes->p, bytes->n, e);
}

static void copy_curves(const struct profile *p, struct msg_result *r)
{
    r->n_groups = (uint32_t)p->n_groups;
    r->n_curve = xcalloc((size_t)p->n_groups, sizeof(*r->n_curve));
    for (int g = 0; g < p->n_groups; g++)
        r->n_points += r->n_curve[g] = (uint32_t)p->size[g] + 1;
    r->curve = xcalloc(r->n_points, sizeof(*r->curve));
    float *at = r->curve;
    for (int g = 0; g < p->n_groups; g++) {
        memcpy(at, p->curve[g], r->n_curve[g] * sizeof(float));
        at += r->n_curve[g];
    }
}

static int run_profile(const struct compress_work *cw, const struct job_host *host, struct msg_result *r,
                       struct err *e)
{
    struct profile p;
    struct buf bytes = {0};
    int rc = profile_make(cw, &p, e);
    if (rc < 0)
        return rc;
    r->reward = p.dense;
    copy_curves(&p, r);
    profile_encode(&p, &bytes);
    rc = put(host, &bytes, r, e);
    buf_release(&bytes);
    profile_release(&p);
    return rc;
}

/* In fp32, whatever the search works in: what is recorded is what the exported file does elsewhere. */
static int score_test(struct worker_state *st, const struct compress_work *cw, const struct model *m,
                      const struct job_host *host, struct metrics *out, struct err *e)
{
    struct dataset test;
    int rc = images_test(&st->images, cw->recipe, host, &test, e);
    if (rc < 0)
        return rc;
    struct scored_set set = images_set(&st->images, &test);
    struct recipe exact = *cw->recipe;
    exact.precision = PRECISION_FP32;
    struct compress_work in_fp32 = *cw;
    in_fp32.recipe = &exact;
    rc = evaluate_score(&in_fp32, m, &set, "test", out, e);
    dataset_release(&test);
    return rc;
}

/* ---- training ---- */

/* A candidate's `finish` takes the place of its `finetune`; without one it is the network that was evaluated. */
static bool has_finish(const struct msg_work *w)
{
    return w->task.kind == TASK_TRAIN || (w->task.kind == TASK_FINAL && training_any(&w->recipe.finish));
}

/* What the task trains by; NULL: it doesn't train. */
static const struct training *training_of(const struct msg_work *w)
{
    const struct training *t = has_finish(w) ? &w->recipe.finish : &w->recipe.finetune;
    return w->task.kind != TASK_PROFILE && !task_kind_quiet(w->task.kind) && training_any(t) ? t : NULL;
}

static int check_training(const struct msg_work *w, const struct training *t, struct err *e)
{
    if (w->task.kind != TASK_TRAIN)
        return 0;
    if (!t)
        return err_set(e, ERR_INVALID, "the training has neither epochs nor steps");
    if (t->distill.kind != DISTILL_NONE && !t->distill.other)
        return err_set(e, ERR_INVALID, "a training has no dense network to learn from: name a teacher");
    return 0;
}

static int tune(struct worker_state *st, const struct msg_work *w, const struct job_host *host, struct model *m,
                struct err *e)
{
    bool finish = has_finish(w);
    const struct training *t = training_of(w);
    if (!t)
        return 0;
    const char *stage = !finish ? "finetune" : w->task.kind == TASK_TRAIN ? "train" : "finish";
    struct scored_set set = images_training(&st->images, finish);
    struct tuning tuning = {
        .work = w, .training = t, .stage = stage, .durable = finish, .set = &set, .pool = st->pool, .host = host};
    if (t->distill.kind != DISTILL_NONE)
        tuning.teacher = t->distill.other ? &st->teacher.model : &st->network.model;
    return tuning_run(&tuning, m, e);
}

/* ---- tasks ---- */

static int run_candidate(struct worker_state *st, const struct compress_work *cw, const struct msg_work *w,
                         const struct job_host *host, struct msg_result *r, struct err *e)
{
    if ((int)w->n_keep != st->profile.n_groups)
        return err_set(e, ERR_INVALID, "the candidate has %u groups, the network %d", w->n_keep,
                       st->profile.n_groups);
    struct model m;
    struct buf file = {0};
    int rc = evaluate_make(cw, &st->dense, &st->profile, w->keep, &m, e);
    if (rc < 0)
        return rc;
    rc = tune(st, w, host, &m, e);
    if (rc == 0 && w->task.kind != TASK_EXPORT)
        rc = evaluate_score(cw, &m, cw->reward, "score", &r->reward, e);
    if (rc == 0 && w->task.kind == TASK_FINAL)
        rc = score_test(st, cw, &m, host, &r->test, e);
    if (rc == 0 && w->task.kind != TASK_EVALUATE)
        rc = export_candidate(&m, &st->dense, &st->profile, w, r, &file, e);
    if (rc == 0 && w->task.kind != TASK_EVALUATE)
        rc = put(host, &file, r, e);
    buf_release(&file);
    model_release(&m);
    return rc;
}

/* On a copy: the model as it came is the next attempt's beginning. */
static int run_training(struct worker_state *st, const struct compress_work *cw, const struct msg_work *w,
                        const struct job_host *host, struct msg_result *r, struct err *e)
{
    struct model m = {0};
    struct buf file = {0};
    int rc = graph_copy(&st->network.model.graph, &m.graph, e);
    if (rc == 0)
        rc = weights_copy(&st->network.model.weights, &m.weights, e);
    if (rc == 0)
        rc = tune(st, w, host, &m, e);
    if (rc == 0)
        rc = score_test(st, cw, &m, host, &r->test, e);
    if (rc == 0)
        rc = export_trained(&m, w, r, &file, e);
    if (rc == 0)
        rc = put(host, &file, r, e);
    buf_release(&file);
    model_release(&m);
    return rc;
}

/* What follows fills buffers of the network's input size with the data set's images. */
static int check_images(const struct graph *g, const struct dataset *d, struct err *e)
{
    const struct node *in = &g->nodes[0], *out = &g->nodes[g->output];
    if (in->C != d->C || in->H != d->H || in->W != d->W)
        return err_set(e, ERR_INVALID, "the network's input is %dx%dx%d, the images are %dx%dx%d", in->C, in->H,
                       in->W, d->C, d->H, d->W);
    if (out->H != 1 || out->W != 1)
        return err_set(e, ERR_INVALID, "the network's output is %dx%dx%d, expected one number a class", out->C,
                       out->H, out->W);
    return 0;
}

static int prepare(struct worker_state *st, const struct msg_work *w, const struct job_host *host, struct err *e)
{
    const struct training *t = training_of(w);
    bool quiet = task_kind_quiet(w->task.kind), candidate = !quiet && !task_kind_dense(w->task.kind);
    int images = (w->task.kind == TASK_TRAIN ? 0 : IMAGES_CARVED) + (t ? IMAGES_TRAINING : 0);
    int rc = check_training(w, t, e);
    if (rc == 0)
        rc = host->progress(host->arg, "fetch", 0, 1, e);
    if (rc == 0)
        rc = load_model(st, &w->recipe.model, host, e);
    if (rc < 0 || quiet) /* looks at no pictures */
        return rc;
    if (rc == 0)
        rc = load_teacher(st, w, t, host, e);
    st->images.needs.graph = &st->network.model.graph;
    if (rc == 0)
        rc = images_load(&st->images, &w->recipe, images, host, e);
    if (rc == 0)
        rc = check_images(&st->network.model.graph, images_any(&st->images), e);
    if (rc == 0 && candidate)
        rc = w->has_profile
                 ? load_profile(st, &w->profile, w->recipe.cut, host, e)
                 : err_set(e, ERR_INVALID, "task %s came without a profile", task_kind_name(w->task.kind));
    return rc;
}

static int run_task(struct worker_state *st, const struct compress_work *cw, const struct msg_work *w,
                    const struct job_host *host, struct msg_result *r, struct err *e)
{
    switch (w->task.kind) {
    case TASK_PROFILE:
        return run_profile(cw, host, r, e);
    case TASK_TRAIN:
        return run_training(st, cw, w, host, r, e);
    case TASK_MEASURE:
        return stopwatch_table(&st->network.model, w, &st->measurer, host, r, e);
    case TASK_TIME:
        return stopwatch_candidate(&st->network.model, w, host, r, e);
    default:
        return run_candidate(st, cw, w, host, r, e);
    }
}

int job_run(struct worker_state *st, const struct msg_work *w, const struct job_host *host, struct msg_result *r,
            struct err *e)
{
    *r = (struct msg_result){.task = w->task};
    int rc = prepare(st, w, host, e);
    if (rc < 0)
        return rc;
    int64_t start = clock_mono_ns();
    struct scored_set reward = images_set(&st->images, &st->images.reward);
    struct scored_set calibrate = images_set(&st->images, &st->images.calibrate);
    struct compress_work cw = {.pool = st->pool,
                               .model = &st->network.model,
                               .recipe = &w->recipe,
                               .reward = &reward,
                               .calibrate = &calibrate,
                               .progress = host->progress,
                               .arg = host->arg};
    rc = run_task(st, &cw, w, host, r, e);
    r->seconds = (double)(clock_mono_ns() - start) / NS_PER_S;
    if (rc < 0) {
        free(r->n_curve);
        free(r->curve);
        mem_free(r->table);
        *r = (struct msg_result){.task = w->task};
    }
    return rc;
}
