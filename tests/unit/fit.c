#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "common/base/rng.h"
#include "tests/unit/nets.h"
#include "worker/train/fit.h"

enum { IMAGES = 300, BATCH = 32, PER_EPOCH = IMAGES / BATCH, MOST_POINTS = 32 };

static const double mean[] = {127.5, 127.5, 127.5}, std[] = {54, 54, 54};

static struct dataset synthetic; /* drawn once for all tests */

static void draw_images(void)
{
    struct err e;
    ck_assert_int_eq(dataset_load(&synthetic, DATA_SYNTHETIC, SPLIT_TEST, NULL, 1, &e), 0);
}

static void release_images(void)
{
    dataset_release(&synthetic);
}

/* A network, images, and what a training tells on its way. */
struct trial {
    struct model m;
    struct dataset d; /* a view of `synthetic` */
    struct scored_set set;
    struct pool *pool;
    struct training how;
    struct fit_state st;
    struct fit_work work;
    struct fit_point points[MOST_POINTS];
    int n_points;
    struct buf saved[MOST_POINTS]; /* the state after each epoch */
    uint64_t done, total;          /* of the last report */
    int reports;
    int cancel_at, fail_at; /* report, epoch that ends the run; 0: none */
};

/* He et al. 2015, fan in. */
static void draw_weights(struct model *m, uint64_t seed)
{
    struct rng r;
    rng_init(&r, seed, "fit", 0);
    for (int i = 0; i < m->graph.n; i++) {
        struct params *p = &m->weights.of[i];
        bool bn = m->graph.nodes[i].op == OP_BN;
        double sd = p->w && !bn ? sqrt(2 / ((double)p->n_w / m->graph.nodes[i].C)) : 0;
        for (size_t k = 0; k < p->n_w; k++)
            p->w[k] = bn ? 1 : (float)(sd * rng_normal(&r));
        for (size_t k = 0; bn && k < p->n_b; k++)
            p->var[k] = 1;
    }
}

static void model_init(struct model *m, int width, uint64_t seed)
{
    struct err e;
    graph_init(&m->graph);
    int x = net_op(&m->graph, OP_RELU, net_conv_bn(&m->graph, net_input(&m->graph, 3, 32, 32), width, 3, 2, 1));
    x = net_op(&m->graph, OP_RELU, net_conv_bn(&m->graph, x, 2 * width, 3, 2, 1));
    x = net_op(&m->graph, OP_RELU, net_conv_bn(&m->graph, x, 2 * width, 3, 1, 1));
    x = net_op(&m->graph, OP_FLATTEN, net_op(&m->graph, OP_GLOBALPOOL, x));
    m->graph.output = net_gemm(&m->graph, x, 10);
    ck_assert_int_eq(weights_new(&m->weights, &m->graph, &e), 0);
    draw_weights(m, seed);
}

static int told(void *arg, uint64_t done, uint64_t total, const struct fit_point *so_far, struct err *e)
{
    struct trial *t = arg;
    ck_assert(done > t->done && done <= total);
    ck_assert(isfinite(so_far->loss) && so_far->top1 >= 0 && so_far->top1 <= 1 && so_far->seconds >= 0);
    t->done = done;
    t->total = total;
    return ++t->reports == t->cancel_at ? err_set(e, ERR_CANCELLED, "that's enough") : 0;
}

static int epoch_done(void *arg, const struct fit_state *st, const struct fit_point *p, struct err *e)
{
    struct trial *t = arg;
    ck_assert_int_lt(t->n_points, MOST_POINTS);
    ck_assert_ptr_eq(st, &t->st);
    ck_assert_int_eq(st->epoch, p->epoch);
    fit_encode(st, &t->saved[t->n_points]);
    t->points[t->n_points++] = *p;
    return p->epoch == t->fail_at ? err_set(e, ERR_IO, "nowhere to keep epoch %d", p->epoch) : 0;
}

/* Images of the synthetic set; all kinds of augmentation. */
static void trial_init(struct trial *t, int threads)
{
    struct err e;
    *t = (struct trial){0};
    model_init(&t->m, 12, 1);
    t->d = synthetic;
    t->set = (struct scored_set){&t->d, NULL, IMAGES, mean, std};
    ck_assert_int_eq(pool_new(&t->pool, threads, &e), 0);
    t->how = training_none();
    t->how.epochs = 4;
    t->how.batch = BATCH;
    t->how.lr = 0.05;
    t->how.warmup = 1;
    t->how.smoothing = 0.05;
    t->how.pad = 2;
    t->how.cutout = 6;
    t->work = (struct fit_work){.training = &t->how,
                                .lr_scale = 1,
                                .seed = 3,
                                .set = &t->set,
                                .pool = t->pool,
                                .progress = told,
                                .epoch = epoch_done,
                                .arg = t};
    ck_assert_int_eq(fit_state_new(&t->st, &t->m, &e), 0);
}

static void trial_release(struct trial *t)
{
    for (int i = 0; i < MOST_POINTS; i++)
        buf_release(&t->saved[i]);
    fit_state_release(&t->st);
    pool_free(t->pool);
    model_release(&t->m);
}

/* False where the CPU hasn't the kernels. */
static bool trains(struct trial *t)
{
    struct err e;
    int rc = fit(&t->work, &t->st, &e);
    if (rc == ERR_UNSUPPORTED && t->work.precision == PRECISION_BF16) {
        printf("bf16 skipped: %s\n", e.text);
        return false;
    }
    if (rc < 0)
        ck_abort_msg("%s", e.text);
    return true;
}

static void train(struct trial *t)
{
    ck_assert(trains(t));
}

static void check_fails(struct trial *t, int code, const char *text)
{
    struct err e = {.text = ""};
    ck_assert_int_eq(fit(&t->work, &t->st, &e), code);
    ck_assert_msg(strstr(e.text, text) != NULL, "\"%s\" isn't in \"%s\"", text, e.text);
}

/* All that is told of an epoch but the time. */
static void check_same_point(const struct fit_point *a, const struct fit_point *b)
{
    ck_assert_int_eq(a->epoch, b->epoch);
    ck_assert_double_eq(a->lr, b->lr);
    ck_assert_double_eq(a->loss, b->loss);
    ck_assert_double_eq(a->top1, b->top1);
}

static void check_same_end(struct trial *a, struct trial *b)
{
    struct buf x = {0}, y = {0};
    fit_encode(&a->st, &x);
    fit_encode(&b->st, &y);
    ck_assert_uint_eq(x.n, y.n);
    ck_assert_mem_eq(x.p, y.p, x.n);
    check_same_point(&a->points[a->n_points - 1], &b->points[b->n_points - 1]);
    buf_release(&x);
    buf_release(&y);
}

/* What it learned shows when the engine scores it with the running statistics. */
START_TEST(learns)
{
    struct trial t;
    struct score before, after;
    struct err e;
    trial_init(&t, 2);
    t.how.epochs = 12;
    t.how.lr = 0.1;
    t.how.cutout = 0;
    t.how.flip = false; /* a mirror image is one of another class here */
    t.set.n = 1024;
    ck_assert_int_eq(score_model(t.pool, &t.m.graph, &t.m.weights, DTYPE_F32, &t.set, NULL, NULL, &before, &e), 0);
    train(&t);
    ck_assert_int_eq(score_model(t.pool, &t.m.graph, &t.m.weights, DTYPE_F32, &t.set, NULL, NULL, &after, &e), 0);
    ck_assert_msg(before.top1 < 200 && after.top1 > 300, "%d, then %d of 1024", before.top1, after.top1);
    ck_assert_int_eq(t.n_points, 12);
    ck_assert(t.points[11].loss < t.points[0].loss - 0.3);
    ck_assert(t.points[0].top1 < 0.25 && t.points[11].top1 > 0.35);
    ck_assert_int_eq(t.st.epoch, 12);
    trial_release(&t);
}
END_TEST

static const struct way {
    enum distill_kind kind;
    int pad; /* 0: the teacher's logits are kept */
    enum precision precision;
} ways[] = {
    {DISTILL_NONE, 2, PRECISION_FP32}, {DISTILL_KL, 0, PRECISION_FP32},   {DISTILL_MSE, 2, PRECISION_FP32},
    {DISTILL_DKD, 0, PRECISION_FP32},  {DISTILL_NONE, 2, PRECISION_BF16}, {DISTILL_KL, 0, PRECISION_BF16},
};

/* Adds a teacher, or none. */
static void set_way(struct trial *t, struct model *teacher, const struct way *c)
{
    t->work.precision = c->precision;
    t->how.distill.kind = c->kind;
    t->how.distill.weight = 0.5;
    t->how.pad = c->pad;
    t->how.cutout = c->pad;
    if (c->kind == DISTILL_NONE)
        return;
    model_init(teacher, 20, 2);
    t->work.teacher = teacher;
}

/* After each epoch the bytes of a checkpoint, in another state, end in the same network. */
START_TEST(interrupted)
{
    struct trial a, b;
    struct model teacher = {0};
    struct err e;
    trial_init(&a, 1);
    set_way(&a, &teacher, &ways[_i]);
    for (int k = trains(&a) ? 0 : 3; k < 3; k++) {
        trial_init(&b, 1);
        b.how = a.how;
        b.work.teacher = a.work.teacher;
        b.work.precision = a.work.precision;
        draw_weights(&b.m, 5); /* whatever was there */
        ck_assert_int_eq(fit_decode(&b.st, a.saved[k].p, a.saved[k].n, &e), 0);
        train(&b);
        ck_assert_int_eq(b.n_points, 3 - k);
        for (int i = 0; i < b.n_points; i++)
            check_same_point(&a.points[k + 1 + i], &b.points[i]);
        check_same_end(&a, &b);
        trial_release(&b);
    }
    trial_release(&a);
    model_release(&teacher);
}
END_TEST

/* ---- weights that stay zero ---- */

/* Zeroes what the trial begins without: every third weight of all layers but the first, which stays whole. */
static void thin_out(struct trial *t, struct mask *mask)
{
    struct err e;
    bool first = true;
    for (int i = 0; i < t->m.graph.n; i++) {
        enum op op = t->m.graph.nodes[i].op;
        if (op != OP_CONV && op != OP_GEMM)
            continue;
        for (size_t k = 0; !first && k < t->m.weights.of[i].n_w; k += 3)
            t->m.weights.of[i].w[k] = 0;
        first = false;
    }
    ck_assert_int_eq(mask_new(mask, &t->m, &e), 0);
    t->work.mask = mask;
}

/* Zeros where they were, of weights and their velocity, and all others trained. */
static void check_thin(const struct trial *t)
{
    bool first = true;
    for (int i = 0; i < t->m.graph.n; i++) {
        enum op op = t->m.graph.nodes[i].op;
        const struct params *p = &t->m.weights.of[i], *v = &t->st.velocity.of[i];
        if (op != OP_CONV && op != OP_GEMM)
            continue;
        size_t zeros = 0;
        for (size_t k = 0; k < p->n_w; k++) {
            zeros += p->w[k] == 0;
            if (!first && k % 3 == 0)
                ck_assert(p->w[k] == 0 && v->w[k] == 0);
        }
        ck_assert_uint_eq(zeros, first ? 0 : (p->n_w + 2) / 3);
        first = false;
    }
}

/* In either precision, with any threads, and from a checkpoint: the same bits, and zeros stay zeros. */
START_TEST(masked)
{
    struct trial a, b, c;
    struct mask m[3];
    struct err e;
    trial_init(&a, 1);
    trial_init(&b, 3);
    trial_init(&c, 1);
    a.work.precision = b.work.precision = c.work.precision = _i ? PRECISION_BF16 : PRECISION_FP32;
    a.how.decay_all = b.how.decay_all = c.how.decay_all = true;
    thin_out(&a, &m[0]);
    thin_out(&b, &m[1]);
    thin_out(&c, &m[2]);
    if (trains(&a)) {
        check_thin(&a);
        train(&b);
        check_same_end(&a, &b);
        draw_weights(&c.m, 5); /* the checkpoint brings its own, zeros too */
        ck_assert_int_eq(fit_decode(&c.st, a.saved[1].p, a.saved[1].n, &e), 0);
        train(&c);
        check_same_end(&a, &c);
    }
    for (int i = 0; i < 3; i++)
        mask_release(&m[i]);
    trial_release(&a);
    trial_release(&b);
    trial_release(&c);
}
END_TEST

START_TEST(same_with_any_threads)
{
    struct trial one, three;
    struct model teacher = {0};
    trial_init(&one, 1);
    trial_init(&three, 3);
    set_way(&one, &teacher, &ways[_i]);
    three.how = one.how;
    three.work.teacher = one.work.teacher;
    three.work.precision = one.work.precision;
    if (trains(&one)) {
        train(&three);
        for (int i = 0; i < 4; i++)
            check_same_point(&one.points[i], &three.points[i]);
        check_same_end(&one, &three);
    }
    trial_release(&one);
    trial_release(&three);
    model_release(&teacher);
}
END_TEST

/* Another seed, another network. */
START_TEST(seeded)
{
    struct trial a, b;
    trial_init(&a, 1);
    trial_init(&b, 1);
    a.how.epochs = b.how.epochs = 1;
    b.work.seed++;
    train(&a);
    train(&b);
    ck_assert(a.points[0].loss != b.points[0].loss);
    trial_release(&a);
    trial_release(&b);
}
END_TEST

/* Images (2,1,1), two classes: softmax regression, in double. One batch is the whole set, in any order. */
START_TEST(by_hand)
{
    enum { N = 6, STEPS = 9 };
    uint8_t pixels[] = {3, 1, 2, 2, 0, 4, 1, 1, 5, 0, 2, 3}, labels[] = {0, 1, 1, 0, 0, 1};
    double w[] = {0.1, -0.2, 0.3, 0.4}, b[] = {0, 0.5}, vw[4] = {0}, vb[2] = {0};
    struct trial t;
    struct err e;
    trial_init(&t, 2);
    fit_state_release(&t.st);
    model_release(&t.m);
    graph_init(&t.m.graph);
    int gemm = net_gemm(&t.m.graph, net_op(&t.m.graph, OP_FLATTEN, net_input(&t.m.graph, 2, 1, 1)), 2);
    t.m.graph.output = gemm;
    ck_assert_int_eq(weights_new(&t.m.weights, &t.m.graph, &e), 0);
    for (int i = 0; i < 4; i++)
        t.m.weights.of[gemm].w[i] = (float)w[i];
    t.m.weights.of[gemm].b[1] = 0.5F;
    ck_assert_int_eq(fit_state_new(&t.st, &t.m, &e), 0);
    t.d = (struct dataset){.n = N, .C = 2, .H = 1, .W = 1, .n_classes = 2, .pixels = pixels, .labels = labels};
    t.set = (struct scored_set){&t.d, NULL, N, NULL, NULL};
    t.how = training_none();
    t.how.steps = STEPS;
    t.how.batch = N;
    t.how.pad = 0;
    t.how.flip = false;
    t.how.lr = 0.3;
    t.how.weight_decay = 0.1;
    train(&t);
    for (int s = 0; s < STEPS; s++) {
        double gw[4] = {0}, gb[2] = {0}, loss = 0, lr = 0.15 * (1 + cos(acos(-1) * s / STEPS)) * 1;
        for (int n = 0; n < N; n++) {
            const uint8_t *x = pixels + 2 * n;
            double z0 = w[0] * x[0] + w[1] * x[1] + b[0], z1 = w[2] * x[0] + w[3] * x[1] + b[1];
            double p[] = {1 / (1 + exp(z1 - z0)), 1 / (1 + exp(z0 - z1))};
            loss -= log(p[labels[n]]) / N;
            for (int k = 0; k < 2; k++) {
                double d = (p[k] - (k == labels[n])) / N;
                gw[2 * k] += d * x[0];
                gw[2 * k + 1] += d * x[1];
                gb[k] += d;
            }
        }
        ck_assert_double_eq_tol(t.points[s].loss, loss, 1e-5);
        ck_assert_double_eq_tol(t.points[s].lr, lr, 1e-12);
        for (int i = 0; i < 4; i++) {
            gw[i] += 0.1 * w[i];
            vw[i] = 0.9 * vw[i] + gw[i];
            w[i] -= lr * (gw[i] + 0.9 * vw[i]);
        }
        for (int k = 0; k < 2; k++) {
            vb[k] = 0.9 * vb[k] + gb[k];
            b[k] -= lr * (gb[k] + 0.9 * vb[k]);
        }
    }
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq_tol((double)t.m.weights.of[gemm].w[i], w[i], 1e-5);
    ck_assert_double_eq_tol((double)t.m.weights.of[gemm].b[0], b[0], 1e-5);
    trial_release(&t);
}
END_TEST

START_TEST(diverges)
{
    struct trial t;
    trial_init(&t, 2);
    t.how.epochs = 10;
    t.how.lr = 1e6;
    t.how.warmup = 0;
    struct err e = {.text = ""};
    int step;
    double loss;
    ck_assert_int_eq(fit(&t.work, &t.st, &e), ERR_DIVERGED);
    ck_assert_msg(sscanf(e.text, "training diverged at step %d of 90: ", &step) == 1, "%s", e.text);
    ck_assert_int_ge(step, 2);
    ck_assert_int_le(step, FIT_WINDOW);
    const char *told_loss = strstr(e.text, "loss is ");
    ck_assert_msg(told_loss && sscanf(told_loss, "loss is %lf", &loss) == 1, "%s", e.text);
    ck_assert_msg(!(loss < 7), "%s", e.text);
    trial_release(&t);
}
END_TEST

/* Losses that stay numbers: as soon as there are enough of them for a mean, and not before. */
START_TEST(explodes)
{
    struct trial t;
    trial_init(&t, 2);
    t.set.n = 2000;
    t.how.lr = 100;
    t.how.warmup = 0;
    check_fails(&t, ERR_DIVERGED, "training diverged at step 20 of 248: the mean loss of the last steps is ");
    ck_assert_int_eq(t.st.losses.steps, 20);
    trial_release(&t);
}
END_TEST

/* A loss that isn't a number is seen at the step itself. */
START_TEST(diverges_at_once)
{
    struct trial t;
    trial_init(&t, 1);
    t.m.weights.of[t.m.graph.output].b[2] = NAN;
    check_fails(&t, ERR_DIVERGED, "training diverged at step 1 of 36: the loss is ");
    trial_release(&t);
}
END_TEST

/* After the last step of an epoch no loss would show that the weights are gone. */
START_TEST(diverges_in_the_end)
{
    struct trial t;
    trial_init(&t, 1);
    t.how.epochs = 0;
    t.how.steps = 1;
    t.how.lr = 1e39; /* no float */
    t.how.warmup = 0;
    check_fails(&t, ERR_DIVERGED, "training diverged at step 1 of 1: not every weight is finite");
    ck_assert_int_eq(t.n_points, 0);
    trial_release(&t);
}
END_TEST

/* Twenty-four steps: two epochs of nine and a part of one. */
START_TEST(steps)
{
    struct trial t;
    trial_init(&t, 2);
    t.how.epochs = 0;
    t.how.steps = 24;
    t.how.warmup = 0;
    train(&t);
    ck_assert_int_eq(PER_EPOCH, 9);
    ck_assert_int_eq(t.n_points, 3);
    ck_assert_int_eq(t.st.epoch, 3);
    ck_assert(t.st.losses.steps == 24);
    ck_assert_uint_eq(t.total, 24 * BATCH);
    ck_assert_uint_eq(t.done, 24 * BATCH);
    for (int i = 0; i < 3; i++) {
        const int last = i < 2 ? 9 * i + 8 : 23;
        ck_assert_double_eq_tol(t.points[i].lr, 0.025 * (1 + cos(acos(-1) * last / 24)), 1e-12);
    }
    struct buf end = {0};
    fit_encode(&t.st, &end);
    train(&t); /* nothing is left to do */
    ck_assert_int_eq(t.n_points, 3);
    ck_assert_uint_eq(t.saved[2].n, end.n);
    ck_assert_mem_eq(t.saved[2].p, end.p, end.n);
    buf_release(&end);
    trial_release(&t);
}
END_TEST

START_TEST(tells)
{
    struct trial t;
    trial_init(&t, 1);
    t.work.lr_scale = 0.25;
    t.how.schedule = SCHEDULE_CONSTANT;
    train(&t);
    ck_assert_int_ge(t.reports, 4);
    ck_assert_uint_eq(t.done, 4 * PER_EPOCH * BATCH);
    ck_assert_uint_eq(t.total, 4 * PER_EPOCH * BATCH);
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(t.points[i].epoch, i + 1);
        ck_assert_double_eq_tol(t.points[i].lr, 0.0125, 1e-12);
        double right = t.points[i].top1 * PER_EPOCH * BATCH;
        ck_assert_double_eq_tol(right, round(right), 1e-9);
        ck_assert(t.points[i].seconds > 0);
    }
    trial_release(&t);
}
END_TEST

START_TEST(ended_from_outside)
{
    struct trial t;
    trial_init(&t, 1);
    t.cancel_at = 2;
    check_fails(&t, ERR_CANCELLED, "that's enough");
    ck_assert_int_eq(t.reports, 2);
    trial_release(&t);
    trial_init(&t, 1);
    t.fail_at = 2;
    check_fails(&t, ERR_IO, "nowhere to keep epoch 2");
    ck_assert_int_eq(t.n_points, 2);
    trial_release(&t);
    trial_init(&t, 1);
    t.work.progress = NULL;
    t.work.epoch = NULL;
    t.how.epochs = 1;
    train(&t);
    ck_assert_int_eq(t.st.epoch, 1);
    trial_release(&t);
}
END_TEST

/* A student who hears nothing but the teacher comes to say the same. */
START_TEST(distils)
{
    struct trial t;
    struct model teacher;
    trial_init(&t, 2);
    model_init(&teacher, 20, 2);
    for (size_t k = 0; k < teacher.weights.of[teacher.graph.output].n_w; k++)
        teacher.weights.of[teacher.graph.output].w[k] *= 4; /* one with opinions */
    t.work.teacher = &teacher;
    t.how.distill.kind = (enum distill_kind)_i;
    t.how.distill.weight = 1;
    t.how.epochs = 12;
    t.how.smoothing = 0;
    t.how.pad = t.how.cutout = 0;
    t.how.lr = 0.02;
    train(&t);
    const struct fit_point *first = &t.points[0], *last = &t.points[11];
    if (_i == DISTILL_DKD) /* the labels' term stays, and disagrees */
        ck_assert_msg(last->loss < 0.8 * first->loss, "%g, then %g", first->loss, last->loss);
    else
        ck_assert_msg(last->loss < 0.4 * first->loss, "%g, then %g", first->loss, last->loss);
    trial_release(&t);
    model_release(&teacher);
}
END_TEST

START_TEST(refused)
{
    struct trial t;
    trial_init(&t, 1);
    t.how.batch = IMAGES + 1;
    check_fails(&t, ERR_INVALID, "batch 301 is more than the 300 images to train on");
    t.how.batch = BATCH;
    t.d.n_classes = 11;
    check_fails(&t, ERR_INVALID, "the network's output has 10 classes, the data set 11");
    t.d.n_classes = 10;
    t.d.H = 16;
    check_fails(&t, ERR_INVALID, "the network's input is 3x32x32, the images are 3x16x32");
    t.d.H = 32;
    t.st.epoch = 5;
    check_fails(&t, ERR_INVALID, "5 epochs are done, the training has 4");
    t.st.epoch = 4;
    train(&t);
    t.how.epochs = 0; /* no training */
    train(&t);
    ck_assert_int_eq(t.n_points + t.reports, 0);
    trial_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fit");
    TCase *t = tcase_create("fit");
    int n_ways = (int)(sizeof ways / sizeof *ways);
    tcase_set_timeout(t, 120);
    tcase_add_unchecked_fixture(t, draw_images, release_images);
    tcase_add_test(t, learns);
    tcase_add_loop_test(t, interrupted, 0, n_ways);
    tcase_add_loop_test(t, same_with_any_threads, 0, n_ways);
    tcase_add_loop_test(t, masked, 0, 2);
    tcase_add_test(t, seeded);
    tcase_add_test(t, by_hand);
    tcase_add_test(t, diverges);
    tcase_add_test(t, explodes);
    tcase_add_test(t, diverges_at_once);
    tcase_add_test(t, diverges_in_the_end);
    tcase_add_test(t, steps);
    tcase_add_test(t, tells);
    tcase_add_test(t, ended_from_outside);
    tcase_add_loop_test(t, distils, DISTILL_KL, DISTILL_KINDS);
    tcase_add_test(t, refused);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
