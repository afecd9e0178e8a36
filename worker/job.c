#include "worker/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "common/onnx/save.h"
#include "worker/compress/evaluate.h"
#include "worker/images.h"

#define PROFILE_MAX_BYTES (UINT64_C(4) << 30)

struct worker_state {
    struct pool *pool;
    bool has_model, has_profile; /* the network, and the profile and dense network made from it */
    struct hash model_hash, profile_hash;
    struct model model;
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
    }
    return rc;
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
    if (st->has_model)
        model_release(&st->model);
    images_release(&st->images);
    pool_free(st->pool);
    free(st);
}

static int load_model(struct worker_state *st, const struct hash *h, const struct job_host *host, struct err *e)
{
    if (st->has_model && hash_equal(h, &st->model_hash))
        return 0;
    drop_profile(st);
    if (st->has_model)
        model_release(&st->model);
    st->has_model = false;
    const char *path;
    int rc = host->blob(host->arg, h, 0, NULL, NULL, &path, e);
    if (rc == 0)
        rc = onnx_load_file(path, &st->model, e);
    if (rc == 0) {
        st->has_model = true;
        st->model_hash = *h;
    }
    return rc;
}

static int load_profile(struct worker_state *st, const struct hash *h, const struct job_host *host, struct err *e)
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
    if ((rc = dense_new(&st->dense, &st->model, &st->profile, e)) < 0) {
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

/* The candidate as a file: as the model came, with what it is and whose child in its metadata. */
static int export_model(const struct model *m, const struct msg_work *w, const struct job_host *host,
                        struct msg_result *r, struct err *e)
{
    struct model out;
    struct buf bytes = {0};
    char episode[16], parent[HASH_HEX];
    snprintf(episode, sizeof(episode), "%d", w->task.episode);
    hash_to_hex(&w->recipe.model, parent);
    const struct onnx_meta meta[] = {
        {"espalier.search", w->note}, {"espalier.episode", episode}, {"espalier.parent_sha256", parent}};
    int rc = fold(m, &out, e);
    if (rc < 0)
        return rc;
    if ((rc = onnx_save(&out, meta, 3, &bytes, e)) == 0)
        rc = put(host, &bytes, r, e);
    buf_release(&bytes);
    model_release(&out);
    return rc;
}

static int score_test(struct worker_state *st, const struct compress_work *cw, const struct model *m,
                      const struct job_host *host, struct metrics *out, struct err *e)
{
    struct dataset test;
    int rc = images_test(cw->recipe, host, &test, e);
    if (rc < 0)
        return rc;
    struct scored_set set = images_set(&st->images, &test);
    rc = evaluate_score(cw, m, &set, "test", out, e);
    dataset_release(&test);
    return rc;
}

static int run_candidate(struct worker_state *st, const struct compress_work *cw, const struct msg_work *w,
                         const struct job_host *host, struct msg_result *r, struct err *e)
{
    if ((int)w->n_keep != st->dense.groups.n)
        return err_set(e, ERR_INVALID, "the candidate has %u groups, the network %d", w->n_keep,
                       st->dense.groups.n);
    struct model m;
    int rc = evaluate_make(cw, &st->dense, &st->profile, w->keep, &m, e);
    if (rc < 0)
        return rc;
    if (w->task.kind != TASK_EXPORT)
        rc = evaluate_score(cw, &m, cw->reward, "score", &r->reward, e);
    if (rc == 0 && w->task.kind == TASK_FINAL)
        rc = score_test(st, cw, &m, host, &r->test, e);
    if (rc == 0 && w->task.kind != TASK_EVALUATE)
        rc = export_model(&m, w, host, r, e);
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
    int rc = host->progress(host->arg, "fetch", 0, 1, e);
    if (rc == 0)
        rc = load_model(st, &w->recipe.model, host, e);
    if (rc == 0)
        rc = images_load(&st->images, &w->recipe, host, e);
    if (rc == 0)
        rc = check_images(&st->model.graph, &st->images.reward, e);
    if (rc == 0 && w->task.kind != TASK_PROFILE)
        rc = w->has_profile
                 ? load_profile(st, &w->profile, host, e)
                 : err_set(e, ERR_INVALID, "task %s came without a profile", task_kind_name(w->task.kind));
    return rc;
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
                               .model = &st->model,
                               .recipe = &w->recipe,
                               .reward = &reward,
                               .calibrate = &calibrate,
                               .progress = host->progress,
                               .arg = host->arg};
    rc = w->task.kind == TASK_PROFILE ? run_profile(&cw, host, r, e) : run_candidate(st, &cw, w, host, r, e);
    r->seconds = (double)(clock_mono_ns() - start) / NS_PER_S;
    if (rc < 0) {
        free(r->n_curve);
        free(r->curve);
        *r = (struct msg_result){.task = w->task};
    }
    return rc;
}
