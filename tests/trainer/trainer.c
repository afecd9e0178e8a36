#include "tests/trainer/trainer.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/trainer/tape.h"

struct shard {
    struct tape tape;
    struct weights grad;
    float *images; /* (N,C,H,W), on their way into the tape */
    double loss;
    int correct;
};

struct trainer {
    struct pool *pool;
    struct model *m;
    struct training how;
    struct weights speed; /* of the descent: momentum * speed + gradient */
    int *order;           /* (data->n), drawn for each epoch */
    int step;
    struct shard shards[TRAINER_SHARDS];
};

static int steps_of_epoch(const struct trainer *t)
{
    return t->how.data->n / TRAINER_BATCH;
}

int trainer_steps(const struct trainer *t)
{
    return t->how.epochs * steps_of_epoch(t);
}

static int shard_init(struct shard *s, const struct model *m, struct err *e)
{
    const struct node *in = &m->graph.nodes[0];
    s->images = mem_alloc((size_t)TRAINER_SHARD * (size_t)in->C, (size_t)in->H * (size_t)in->W * sizeof(float));
    if (!s->images)
        return err_set(e, ERR_NOMEM, "no memory for %d images", TRAINER_SHARD);
    int rc = weights_new(&s->grad, &m->graph, e);
    return rc < 0 ? rc : tape_init(&s->tape, &m->graph, TRAINER_SHARD, e);
}

static int check_data(const struct graph *g, const struct dataset *d, struct err *e)
{
    const struct node *in = &g->nodes[0];
    if (d->n < TRAINER_BATCH || d->C != in->C || d->H != in->H || d->W != in->W)
        return err_set(e, ERR_INVALID, "can't train on %d images of %dx%dx%d", d->n, d->C, d->H, d->W);
    return 0;
}

int trainer_new(struct trainer **out, struct pool *pool, struct model *m, const struct training *how, struct err *e)
{
    int rc = check_data(&m->graph, how->data, e);
    if (rc < 0)
        return rc;
    struct trainer *t = xcalloc(1, sizeof(*t));
    t->pool = pool;
    t->m = m;
    t->how = *how;
    t->order = mem_alloc((size_t)how->data->n, sizeof(*t->order));
    rc = t->order ? weights_new(&t->speed, &m->graph, e)
                  : err_set(e, ERR_NOMEM, "no memory for %d images", how->data->n);
    for (int s = 0; s < TRAINER_SHARDS && rc == 0; s++)
        rc = shard_init(&t->shards[s], m, e);
    if (rc < 0)
        trainer_free(t);
    else
        *out = t;
    return rc;
}

void trainer_free(struct trainer *t)
{
    if (!t)
        return;
    for (int s = 0; s < TRAINER_SHARDS; s++) {
        tape_release(&t->shards[s].tape);
        weights_release(&t->shards[s].grad);
        mem_free(t->shards[s].images);
    }
    weights_release(&t->speed);
    mem_free(t->order);
    free(t);
}

/* Images into the tape, channel by channel. */
static void feed(const struct trainer *t, struct shard *s, const int *index)
{
    const struct dataset *d = t->how.data;
    size_t area = (size_t)d->H * (size_t)d->W, C = (size_t)d->C;
    dataset_fill(d, index, TRAINER_SHARD, t->how.mean, t->how.std, s->images);
    for (size_t i = 0; i < TRAINER_SHARD; i++)
        for (size_t c = 0; c < C; c++)
            memcpy(s->tape.value[0] + (c * TRAINER_SHARD + i) * area, s->images + (i * C + c) * area,
                   area * sizeof(float));
}

static void zero(struct weights *w)
{
    for (int i = 0; i < w->n; i++) {
        struct params *p = &w->of[i];
        if (p->w)
            memset(p->w, 0, p->n_w * sizeof(float));
        if (p->b)
            memset(p->b, 0, p->n_b * sizeof(float));
    }
}

/* A shard's own loss is a mean over its images, so 1 / TRAINER_SHARDS of its gradient belongs to the batch's mean.
 */
static int work_shard(void *arg, int piece, int thread, struct err *e)
{
    (void)thread;
    (void)e;
    struct trainer *t = arg;
    struct shard *s = &t->shards[piece];
    const int *index = t->order + (t->step % steps_of_epoch(t)) * TRAINER_BATCH + piece * TRAINER_SHARD;
    int label[TRAINER_SHARD];
    for (int i = 0; i < TRAINER_SHARD; i++)
        label[i] = t->how.data->labels[index[i]];
    feed(t, s, index);
    zero(&s->grad);
    tape_forward(&s->tape, &t->m->weights);
    s->loss = tape_loss(&s->tape, label, 1.0F / TRAINER_SHARDS, &s->correct);
    tape_backward(&s->tape, &t->m->weights, &s->grad);
    return 0;
}

static double rate_now(const struct trainer *t)
{
    double at = (t->step + 1.0) / trainer_steps(t), top = 0.25;
    return t->how.peak_rate * (at < top ? at / top : (1 - at) / (1 - top));
}

/* One array of parameters: part[s] is shard s's gradient of it. */
static void descend(float *w, float *speed, const float *part[TRAINER_SHARDS], size_t n, float rate, float momentum,
                    float decay)
{
    for (size_t k = 0; k < n; k++) {
        float g = decay * w[k];
        for (int s = 0; s < TRAINER_SHARDS; s++)
            g += part[s][k];
        speed[k] = momentum * speed[k] + g;
        w[k] -= rate * speed[k];
    }
}

static void update(struct trainer *t)
{
    float rate = (float)rate_now(t), momentum = (float)t->how.momentum, decay = (float)t->how.decay;
    for (int i = 0; i < t->m->weights.n; i++) {
        struct params *p = &t->m->weights.of[i], *v = &t->speed.of[i];
        const float *w[TRAINER_SHARDS], *b[TRAINER_SHARDS];
        for (int s = 0; s < TRAINER_SHARDS; s++) {
            w[s] = t->shards[s].grad.of[i].w;
            b[s] = t->shards[s].grad.of[i].b;
        }
        if (p->w)
            descend(p->w, v->w, w, p->n_w, rate, momentum, t->m->graph.nodes[i].op == OP_BN ? 0 : decay);
        if (p->b)
            descend(p->b, v->b, b, p->n_b, rate, momentum, 0);
    }
}

/* Running statistics for inference: a tenth of the step's, mean over its shards, variance unbiased. */
static void track(struct trainer *t)
{
    const float part = 0.1F;
    for (int i = 0; i < t->m->graph.n; i++) {
        const struct node *d = &t->m->graph.nodes[i];
        if (d->op != OP_BN)
            continue;
        struct params *p = &t->m->weights.of[i];
        float M = (float)(TRAINER_SHARD * d->H * d->W), unbias = M / (M - 1);
        for (int c = 0; c < d->C; c++) {
            float mean = 0, var = 0;
            for (int s = 0; s < TRAINER_SHARDS; s++) {
                mean += t->shards[s].tape.mean[i][c] / TRAINER_SHARDS;
                var += t->shards[s].tape.var[i][c] / TRAINER_SHARDS;
            }
            p->mean[c] += part * (mean - p->mean[c]);
            p->var[c] += part * (unbias * var - p->var[c]);
        }
    }
}

static void draw_order(struct trainer *t)
{
    struct rng rng;
    rng_init(&rng, t->how.seed, "order", (uint64_t)(t->step / steps_of_epoch(t)));
    for (int i = 0; i < t->how.data->n; i++)
        t->order[i] = i;
    rng_shuffle(&rng, t->order, (size_t)t->how.data->n);
}

int trainer_step(struct trainer *t, double *loss, int *correct, struct err *e)
{
    if (t->step >= trainer_steps(t))
        BUG("step %d of %d", t->step, trainer_steps(t));
    if (t->step % steps_of_epoch(t) == 0)
        draw_order(t);
    int rc = pool_run(t->pool, TRAINER_SHARDS, work_shard, t, e);
    if (rc < 0)
        return rc;
    update(t);
    track(t);
    t->step++;
    *loss = 0;
    *correct = 0;
    for (int s = 0; s < TRAINER_SHARDS; s++) {
        *loss += t->shards[s].loss / TRAINER_SHARDS;
        *correct += t->shards[s].correct;
    }
    return 0;
}
