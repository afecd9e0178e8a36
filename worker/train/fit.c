#include "worker/train/fit.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/base/clock.h"
#include "common/base/mem.h"
#include "worker/autograd/autograd.h"
#include "worker/train/feed.h"
#include "worker/train/loss.h"
#include "worker/train/precision.h"
#include "worker/train/schedule.h"
#include "worker/train/sgd.h"
#include "worker/train/teacher.h"

#define REPORT_NS (NS_PER_S / 4) /* between two reports of progress */
#define EXPLOSION 3

struct fitting {
    const struct fit_work *w;
    struct fit_state *st;
    int batch, K;
    int64_t per_epoch, steps; /* of an epoch, of the run */
    struct autograd *ag;
    struct feed *feed;
    struct teacher *teacher; /* NULL without distillation */
    struct weights grad;
    float *logits, *dlogits;     /* (batch,K) */
    int64_t epoch_ns, report_ns; /* when the epoch began, when progress was last told */
};

static int64_t round_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* ---- before the first step ---- */

static int check_set(const struct graph *g, const struct scored_set *set, int batch, struct err *e)
{
    const struct dataset *d = set->data;
    const struct node *in = &g->nodes[0], *out = &g->nodes[g->output];
    if (batch < 1 || batch > set->n)
        return err_set(e, ERR_INVALID, "batch %d is more than the %d images to train on", batch, set->n);
    if (in->C != d->C || in->H != d->H || in->W != d->W)
        return err_set(e, ERR_INVALID, "the network's input is %dx%dx%d, the images are %dx%dx%d", in->C, in->H,
                       in->W, d->C, d->H, d->W);
    if (out->H != 1 || out->W != 1)
        return err_set(e, ERR_INVALID, "the network's output is %dx%dx%d, expected one number a class", out->C,
                       out->H, out->W);
    if (out->C < d->n_classes)
        return err_set(e, ERR_INVALID, "the network's output has %d classes, the data set %d", out->C,
                       d->n_classes);
    return 0;
}

static int start_teacher(struct fitting *f, const struct augment *a, enum dtype type, struct err *e)
{
    const struct fit_work *w = f->w;
    if (w->training->distill.kind == DISTILL_NONE)
        return 0;
    if (!w->teacher)
        BUG("distillation without a teacher");
    return teacher_new(&f->teacher, w->teacher, &f->st->model->graph, f->batch, w->set->n, a, type, w->pool, e);
}

static int fitting_init(struct fitting *f, struct err *e)
{
    const struct fit_work *w = f->w;
    const struct training *t = w->training;
    const struct graph *g = &f->st->model->graph;
    const struct augment a = {.pad = t->pad, .flip = t->flip, .cutout = t->cutout, .scale = {t->scale[0], t->scale[1]}};
    enum dtype type = precision_dtype(w->precision);
    f->logits = mem_alloc((size_t)f->batch, (size_t)f->K * sizeof(*f->logits));
    f->dlogits = mem_alloc((size_t)f->batch, (size_t)f->K * sizeof(*f->dlogits));
    if (!f->logits || !f->dlogits)
        return err_set(e, ERR_NOMEM, "no memory for the logits of %d images", f->batch);
    int rc = weights_new(&f->grad, g, e);
    if (rc == 0)
        rc = autograd_new(&f->ag, g, f->batch, type, w->pool, e);
    if (rc == 0)
        rc = start_teacher(f, &a, type, e);
    if (rc == 0)
        rc = feed_new(&f->feed, w->set, &a, f->batch, w->seed, f->st->epoch, 0, pool_threads(w->pool), e);
    return rc;
}

static void fitting_release(struct fitting *f)
{
    feed_free(f->feed);
    teacher_free(f->teacher);
    autograd_free(f->ag);
    weights_release(&f->grad);
    mem_free(f->logits);
    mem_free(f->dlogits);
}

/* ---- divergence ---- */

static int diverged(const struct fitting *f, int64_t step, const char *what, double loss, struct err *e)
{
    return err_set(e, ERR_DIVERGED, "training diverged at step %" PRId64 " of %" PRId64 ": %s is %g", step + 1,
                   f->steps, what, loss);
}

static int watch(struct fitting *f, int64_t step, double loss, struct err *e)
{
    struct fit_losses *l = &f->st->losses;
    double sum = 0;
    if (!isfinite(loss))
        return diverged(f, step, "the loss", loss, e);
    if (l->steps == 0)
        l->first = loss;
    l->recent[l->steps++ % FIT_WINDOW] = loss;
    for (int i = 0; i < FIT_WINDOW; i++)
        sum += l->recent[i];
    if (l->steps >= FIT_WINDOW && sum / FIT_WINDOW > EXPLOSION * fmax(l->first, log(f->K)))
        return diverged(f, step, "the mean loss of the last steps", sum / FIT_WINDOW, e);
    return 0;
}

static bool all_finite(const float *x, size_t n)
{
    for (size_t i = 0; x && i < n; i++)
        if (!isfinite(x[i]))
            return false;
    return true;
}

/* The last step of an epoch has no loss after it that would show what it did. */
static int check_weights(const struct fitting *f, int64_t step, double loss, struct err *e)
{
    for (int i = 0; i < f->st->model->weights.n; i++) {
        const struct params *p = &f->st->model->weights.of[i];
        if (!all_finite(p->w, p->n_w) || !all_finite(p->b, p->n_b) || !all_finite(p->mean, p->n_b) ||
            !all_finite(p->var, p->n_b))
            return diverged(f, step, "not every weight is finite, the epoch's loss", loss, e);
    }
    return 0;
}

/* ---- steps ---- */

/* Counts the step to the point, whose loss and top1 are sums until the epoch ends. */
static int run_step(struct fitting *f, int64_t step, struct fit_point *sum, struct err *e)
{
    struct model *m = f->st->model;
    const struct training *t = f->w->training;
    const float *teacher = NULL;
    struct feed_batch b;
    struct loss_value loss;
    int rc = feed_next(f->feed, &b, e);
    if (rc == 0 && f->teacher)
        rc = teacher_logits(f->teacher, &b, &teacher, e);
    if (rc == 0)
        rc = autograd_load(f->ag, &m->weights, e);
    if (rc == 0)
        rc = autograd_forward(f->ag, b.x, f->logits, e);
    if (rc < 0)
        return rc;
    loss_of(t, f->logits, teacher, b.labels, f->batch, f->K, f->dlogits, &loss);
    rc = watch(f, step, loss.total, e);
    if (rc == 0)
        rc = autograd_backward(f->ag, f->dlogits, &f->grad, e);
    sum->lr = schedule_rate(t, step, f->steps, f->per_epoch) * f->w->lr_scale;
    sum->loss += loss.total;
    sum->top1 += loss.top1;
    if (rc == 0)
        rc = sgd_step(t, sum->lr, &m->graph, &m->weights, &f->st->velocity, &f->grad, f->w->pool, e);
    if (rc == 0 && f->w->mask)
        rc = mask_apply(f->w->mask, &m->weights, &f->st->velocity, f->w->pool, e);
    return rc;
}

/* The point of an epoch after n of its steps. */
static struct fit_point point_of(const struct fitting *f, const struct fit_point *sum, int64_t n)
{
    struct fit_point p = *sum;
    p.loss /= (double)n;
    p.top1 /= (double)n * f->batch;
    p.seconds = (double)(clock_mono_ns() - f->epoch_ns) / (double)NS_PER_S;
    return p;
}

/* After step number `done` of the run; the last one of an epoch is always told. */
static int report(struct fitting *f, int64_t done, bool always, const struct fit_point *p, struct err *e)
{
    int64_t now_ns = clock_mono_ns();
    if (!f->w->progress || (!always && now_ns - f->report_ns < REPORT_NS))
        return 0;
    f->report_ns = now_ns;
    return f->w->progress(f->w->arg, (uint64_t)done * (uint64_t)f->batch, (uint64_t)f->steps * (uint64_t)f->batch,
                          p, e);
}

static int run_epoch(struct fitting *f, struct err *e)
{
    int64_t first = f->st->epoch * f->per_epoch, end = first + f->per_epoch;
    struct fit_point sum = {.epoch = f->st->epoch + 1}, p = sum;
    int rc = 0;
    end = end < f->steps ? end : f->steps;
    f->epoch_ns = f->report_ns = clock_mono_ns();
    for (int64_t step = first; step < end && rc == 0; step++) {
        rc = run_step(f, step, &sum, e);
        if (rc == 0) {
            p = point_of(f, &sum, step + 1 - first);
            rc = report(f, step + 1, step + 1 == end, &p, e);
        }
    }
    if (rc == 0)
        rc = check_weights(f, end - 1, p.loss, e);
    if (rc < 0)
        return rc;
    f->st->epoch++;
    return f->w->epoch ? f->w->epoch(f->w->arg, f->st, &p, e) : 0;
}

int fit(const struct fit_work *w, struct fit_state *st, struct err *e)
{
    const struct training *t = w->training;
    const struct graph *g = &st->model->graph;
    struct fitting f = {.w = w, .st = st, .batch = t->batch, .K = g->nodes[g->output].C};
    int rc = training_any(t) ? check_set(g, w->set, t->batch, e) : 0;
    if (rc < 0 || !training_any(t))
        return rc;
    f.per_epoch = w->set->n / t->batch;
    f.steps = t->steps > 0 ? t->steps : t->epochs * f.per_epoch;
    int64_t epochs = round_up(f.steps, f.per_epoch);
    if (st->epoch > epochs)
        return err_set(e, ERR_INVALID, "%d epochs are done, the training has %" PRId64, st->epoch, epochs);
    if (st->epoch == epochs)
        return 0;
    rc = fitting_init(&f, e);
    while (rc == 0 && st->epoch < epochs)
        rc = run_epoch(&f, e);
    fitting_release(&f);
    return rc;
}
