/*
 * evaluate - candidates as a whole: a network and the same with its BNs folded away come out alike; and so do the
 * real ones.
 */
#include "worker/compress/evaluate.h"

#include <unistd.h>

#include "common/onnx/load.h"
#include "tests/unit/compress_net.h"

/* What one model goes through. */
struct trial {
    struct model m;
    struct profile p;
    struct dense d;
    struct compress_work cw;
};

/* Takes over the model. */
static void trial_init(struct trial *t, const struct model *m, struct pool *threads, const struct recipe *recipe,
                       const struct scored_set *reward, const struct scored_set *calibrate)
{
    struct err e;
    t->m = *m;
    t->cw = (struct compress_work){
        .pool = threads, .model = &t->m, .recipe = recipe, .reward = reward, .calibrate = calibrate};
    must(profile_make(&t->cw, &t->p, &e), &e);
    must(dense_new(&t->d, &t->m, &t->p, CUT_CHANNELS, &e), &e);
}

static void trial_release(struct trial *t)
{
    dense_release(&t->d);
    profile_release(&t->p);
    model_release(&t->m);
}

static void candidate(const struct trial *t, const int *keep, struct model *out)
{
    struct err e;
    must(evaluate_make(&t->cw, &t->d, &t->p, keep, out, &e), &e);
}

static int *keep_of(const struct groups *gs, double frac)
{
    int *keep = xcalloc((size_t)gs->n, sizeof *keep);
    for (int g = 0; g < gs->n; g++)
        keep[g] = (int)fmax(1, floor(frac * gs->of[g].n + 0.5));
    return keep;
}

/* ---- a small net, with and without BN ---- */

static int unit(struct net *n, int x, int K, int R, int stride, bool with_bn)
{
    int c = conv_win(n, x, K, window(R, stride, R / 2), 1, !with_bn);
    return with_bn ? bn(n, c) : c;
}

static void build(struct net *n, bool with_bn)
{
    net_init(n, 1, "evaluate");
    int a = relu(n, unit(n, input(n, 3, 8, 8), 12, 3, 1, with_bn));
    int b = unit(n, relu(n, unit(n, a, 10, 3, 1, with_bn)), 12, 3, 1, with_bn);
    int c = relu(n, unit(n, relu(n, sum(n, a, b)), 16, 3, 2, with_bn));
    tail(n, c, 5);
    draw_weights(n);
}

/* Folds each BN of `from` into the conv of `to` that stands for the one before it. */
static void fold_by_hand(const struct model *from, struct model *to)
{
    int at = 0;
    for (int i = 0; i < from->graph.n; i++) {
        const struct params *p = &from->weights.of[i];
        if (from->graph.nodes[i].op == OP_BN)
            continue;
        struct params *q = &to->weights.of[at++];
        ck_assert_int_eq(from->graph.nodes[i].op, to->graph.nodes[at - 1].op);
        if (p->w)
            memcpy(q->w, p->w, p->n_w * sizeof(float));
        if (from->graph.nodes[i].op == OP_GEMM)
            memcpy(q->b, p->b, p->n_b * sizeof(float));
        if (from->graph.nodes[i].op != OP_CONV)
            continue;
        const struct params *s = &from->weights.of[i + 1];
        size_t row = p->n_w / p->n_b;
        for (size_t k = 0; k < p->n_b; k++) {
            float f = s->w[k] / sqrtf(s->var[k] + 1e-5F);
            for (size_t c = 0; c < row; c++)
                q->w[k * row + c] *= f;
            q->b[k] = s->b[k] - s->mean[k] * f;
        }
    }
}

START_TEST(folded_or_not)
{
    struct recipe recipe = {
        .seed = 1, .select = (enum select_kind)(_i % 2), .reconstruct = _i < 4, .recalibrate = true};
    struct net n, f;
    struct album album;
    struct trial bn_net, folded;
    struct model a, b;
    struct pool *threads = new_pool(1);
    build(&n, true);
    build(&f, false);
    album_init(&album, &n.m.graph.nodes[0], 100, 5, 1);
    fold_by_hand(&n.m, &f.m);
    trial_init(&bn_net, &n.m, threads, &recipe, &album.set, &album.set);
    trial_init(&folded, &f.m, threads, &recipe, &album.set, &album.set);
    ck_assert_int_eq(bn_net.p.stats.n, 4);
    ck_assert_int_eq(folded.p.stats.n, 4);
    ck_assert_int_eq(bn_net.p.n_groups, folded.p.n_groups);
    float *x = album_floats(&album, 0, 20);
    for (int g = 0; g < bn_net.p.n_groups && recipe.select == SELECT_GRAM; g++) {
        size_t size = (size_t)bn_net.p.size[g];
        ck_assert_mem_eq(bn_net.p.order[g], folded.p.order[g], size * sizeof(int));
        for (size_t k = 0; k < size; k++)
            ck_assert_double_eq_tol((double)bn_net.p.curve[g][k], (double)folded.p.curve[g][k],
                                    1e-3 * (double)bn_net.p.curve[g][0]);
    }
    int *keep = keep_of(&bn_net.d.groups, 0.4 + 0.1 * _i);
    for (int g = 0; g < bn_net.p.n_groups; g++) /* L1 norms differ: the same channels, then */
        memcpy(folded.p.order[g], bn_net.p.order[g], (size_t)bn_net.p.size[g] * sizeof(int));
    candidate(&bn_net, keep, &a);
    candidate(&folded, keep, &b);
    ck_assert_double_lt(model_distance(&a, &b, x, 20), 5e-3);
    ck_assert_double_gt(model_distance(&a, &bn_net.m, x, 20), 1e-2);
    free(keep);
    free(x);
    model_release(&a);
    model_release(&b);
    trial_release(&bn_net);
    trial_release(&folded);
    album_release(&album);
    pool_free(threads);
}
END_TEST

/* Keeping everything is the dense network, whatever its running statistics saw. */
START_TEST(all_kept)
{
    struct recipe recipe = {.seed = 1, .reconstruct = true, .recalibrate = true};
    struct net n;
    struct album album;
    struct trial t;
    struct model a;
    struct pool *threads = new_pool(1);
    build(&n, true);
    album_init(&album, &n.m.graph.nodes[0], 100, 5, 1);
    trial_init(&t, &n.m, threads, &recipe, &album.set, &album.set);
    int *keep = keep_of(&t.d.groups, 1);
    candidate(&t, keep, &a);
    float *x = album_floats(&album, 0, 20);
    ck_assert_double_lt(model_distance(&a, &t.m, x, 20), 1e-4);
    free(x);
    free(keep);
    model_release(&a);
    trial_release(&t);
    album_release(&album);
    pool_free(threads);
}
END_TEST

/* The recipe's precision is that of recalibration and scores: nearly the same, and not quite. */
START_TEST(in_bf16)
{
    struct recipe recipe[2] = {{.seed = 1, .reconstruct = true, .recalibrate = true}};
    struct album album;
    struct trial t[2];
    struct model a[2];
    struct metrics s[2];
    struct err e;
    struct pool *threads = new_pool(1);
    if (!has_type(DTYPE_BF16))
        return;
    recipe[1] = recipe[0];
    recipe[1].precision = PRECISION_BF16;
    for (int i = 0; i < 2; i++) {
        struct net n;
        build(&n, true);
        if (i == 0)
            album_init(&album, &n.m.graph.nodes[0], 100, 5, 1);
        trial_init(&t[i], &n.m, threads, &recipe[i], &album.set, &album.set);
        int *keep = keep_of(&t[i].d.groups, 0.6);
        candidate(&t[i], keep, &a[i]);
        must(evaluate_score(&t[i].cw, &a[i], &album.set, "score", &s[i], &e), &e);
        free(keep);
    }
    float *x = album_floats(&album, 0, 20);
    double off = model_distance(&a[0], &a[1], x, 20);
    ck_assert(off > 1e-5 && off < 2e-2);
    ck_assert(s[0].loss != s[1].loss && fabs(s[0].loss - s[1].loss) < 0.02 * s[0].loss);
    ck_assert(t[0].p.dense.loss != t[1].p.dense.loss);
    const struct gram *g = t[0].p.grams.of;
    ck_assert_mem_eq(g->cov, t[1].p.grams.of->cov, sizeof(float) * (size_t)(g->n * g->n));
    for (int i = 0; i < 2; i++) {
        model_release(&a[i]);
        trial_release(&t[i]);
    }
    free(x);
    album_release(&album);
    pool_free(threads);
}
END_TEST

/* ---- real networks ---- */

/* CIFAR-10's first training file from $ESPALIER_DATA/cifar10. */
static bool load_cifar(struct dataset *d)
{
    struct err e;
    char path[5][512];
    const char *paths[5], *data = getenv("ESPALIER_DATA");
    for (int i = 0; i < 5; i++) {
        snprintf(path[i], sizeof path[i], "%s/cifar10/data_batch_%d.bin", data ? data : "", i + 1);
        paths[i] = path[i];
        if (!data || access(path[i], R_OK) != 0)
            return false;
    }
    must(dataset_load(d, DATA_CIFAR10, SPLIT_TRAIN, paths, 1, &e), &e);
    return true;
}

static bool find_model(const char *kind, char *path, size_t room)
{
    const char *shared = getenv("ESPALIER_SHARED");
    snprintf(path, room, "%s/data/models/cifar10_resnet20_akamaster.%s.onnx", shared ? shared : "../shared", kind);
    return access(path, R_OK) == 0;
}

/* Correct answers of one uniform candidate on the reward split. */
static int real_top1(const char *path, const struct scored_set *reward, const struct scored_set *calibrate)
{
    struct recipe recipe = {.seed = 1, .reconstruct = true, .recalibrate = true};
    struct trial t;
    struct model m, a;
    struct metrics got;
    struct err e;
    struct pool *threads = new_pool(2);
    must(onnx_load_file(path, &m, &e), &e);
    trial_init(&t, &m, threads, &recipe, reward, calibrate);
    ck_assert_int_gt(t.p.dense.top1, reward->n * 97 / 100);
    int *keep = keep_of(&t.d.groups, 0.75);
    candidate(&t, keep, &a);
    must(evaluate_score(&t.cw, &a, reward, "score", &got, &e), &e);
    free(keep);
    model_release(&a);
    trial_release(&t);
    pool_free(threads);
    return got.top1;
}

START_TEST(resnet20)
{
    enum { REWARD = 2000, CALIBRATE = 500 };
    static const double mean[] = {123.675, 116.28, 103.53}, std[] = {58.395, 57.12, 57.375};
    struct dataset d;
    struct err e;
    int reward[REWARD], calibrate[CALIBRATE];
    char with_bn[512], folded[512];
    if (!find_model("bn", with_bn, sizeof with_bn) || !find_model("fold", folded, sizeof folded) ||
        !load_cifar(&d)) {
        printf(
            "skipped: ResNet-20 (needs the models of $ESPALIER_SHARED and CIFAR-10 in $ESPALIER_DATA/cifar10)\n");
        return;
    }
    must(dataset_carve(&d, 1, REWARD, CALIBRATE, reward, calibrate, &e), &e);
    struct scored_set r = {&d, reward, REWARD, mean, std}, c = {&d, calibrate, CALIBRATE, mean, std};
    int a = real_top1(with_bn, &r, &c), b = real_top1(folded, &r, &c);
    printf("ResNet-20, three quarters of all channels: %d of %d correct with BN, %d folded\n", a, REWARD, b);
    ck_assert_int_gt(a, REWARD / 2);
    ck_assert_int_le(abs(a - b), REWARD / 100);
    dataset_release(&d);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("evaluate");
    TCase *t = tcase_create("evaluate");
    tcase_set_timeout(t, 100);
    tcase_add_loop_test(t, folded_or_not, 0, 6);
    tcase_add_test(t, all_kept);
    tcase_add_test(t, in_bf16);
    tcase_add_test(t, resnet20);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
