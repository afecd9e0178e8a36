#include "worker/tuning.h"

#include "common/base/file.h"
#include "common/base/rng.h"
#include "worker/train/fit.h"

#define CHECKPOINT_MAX_BYTES (UINT64_C(8) << 30)

static uint64_t seed_of(const struct tuning *t)
{
    struct rng r;
    int32_t episode = t->work->task.episode; /* -1: a training's */
    rng_init(&r, t->work->recipe.seed, t->stage, episode < 0 ? 0 : (uint64_t)episode);
    return rng_u64(&r);
}

/* More would be a run by steps of an epoch each: no message could speak of its last ones. */
static int check_epochs(const struct tuning *t, struct err *e)
{
    int64_t per_epoch = t->set->n / t->training->batch;
    if (t->durable && per_epoch > 0 && t->training->steps / per_epoch >= TRAINING_MAX_EPOCHS)
        return err_set(e, ERR_INVALID, "%d steps are more than %d epochs of %lld", t->training->steps,
                       TRAINING_MAX_EPOCHS, (long long)per_epoch);
    return 0;
}

static int take_up(const struct tuning *t, struct fit_state *st, struct err *e)
{
    const struct msg_work *w = t->work;
    const char *path;
    struct buf bytes = {0};
    int rc = t->host->blob(t->host->arg, &w->resume, 0, NULL, NULL, &path, e);
    if (rc == 0)
        rc = file_read(path, CHECKPOINT_MAX_BYTES, &bytes, e);
    if (rc == 0)
        rc = fit_decode(st, bytes.p, bytes.n, e);
    buf_release(&bytes);
    if (rc == 0 && st->epoch != w->resume_epoch)
        rc = err_set(e, ERR_INVALID, "the checkpoint is of epoch %d, not %d", st->epoch, w->resume_epoch);
    return rc;
}

static int tell(void *arg, uint64_t done, uint64_t total, const struct fit_point *so_far, struct err *e)
{
    const struct tuning *t = arg;
    if (t->host->point)
        t->host->point(t->host->arg, so_far);
    return t->host->progress(t->host->arg, t->stage, done, total, e);
}

static int leave_checkpoint(void *arg, const struct fit_state *st, const struct fit_point *p, struct err *e)
{
    const struct tuning *t = arg;
    struct msg_checkpoint k = {.task = t->work->task,
                               .epoch = st->epoch,
                               .lr = p->lr,
                               .loss = p->loss,
                               .top1 = p->top1,
                               .seconds = p->seconds};
    struct buf bytes = {0};
    fit_encode(st, &bytes);
    k.blob = hash_of(bytes.p, bytes.n);
    int rc = t->host->checkpoint(t->host->arg, &k, &bytes, e);
    buf_release(&bytes);
    return rc;
}

int tuning_run(const struct tuning *t, struct model *m, struct err *e)
{
    struct fit_state st;
    struct mask mask = {0};
    struct fit_work w = {.training = t->training,
                         .lr_scale = t->work->lr_scale,
                         .seed = seed_of(t),
                         .precision = t->work->recipe.precision,
                         .set = t->set,
                         .teacher = t->teacher,
                         .pool = t->pool,
                         .progress = tell,
                         .epoch = t->durable ? leave_checkpoint : NULL,
                         .arg = (void *)t};
    int rc = check_epochs(t, e);
    if (rc == 0)
        rc = t->host->progress(t->host->arg, t->stage, 0, 1, e);
    if (rc == 0 && t->work->recipe.cut == CUT_FINE) { /* before a checkpoint: as the candidate was made */
        rc = mask_new(&mask, m, e);
        w.mask = &mask;
    }
    if (rc < 0 || (rc = fit_state_new(&st, m, e)) < 0) {
        mask_release(&mask);
        return rc;
    }
    if (t->durable && t->work->resume_epoch > 0)
        rc = take_up(t, &st, e);
    if (rc == 0)
        rc = fit(&w, &st, e);
    fit_state_release(&st);
    mask_release(&mask);
    return rc;
}
