/*
 * job - WORK messages run end to end on the synthetic data and a small network, with a host whose blobs are files
 * in a folder.
 */
#include "common/base/version.h"
#include "common/onnx/load.h"
#include "common/onnx/peek.h"
#include "tests/unit/job_host.h"
#include "worker/images.h"

enum { REWARD = 200, CALIBRATE = 60 };

/* A residual net whose BNs are partly missing. */
static struct hash store_model(struct surroundings *s, uint64_t seed, int width, int side)
{
    struct net n;
    net_init(&n, seed, "job");
    int a = relu(&n, bn(&n, conv(&n, input(&n, 3, side, side), width, 3, 2)));
    int b = relu(&n, conv(&n, a, 12, 3, 1));
    int c = relu(&n, sum(&n, bn(&n, conv(&n, b, width, 3, 1)), a));
    tail(&n, relu(&n, conv_win(&n, c, 12, window(3, 2, 1), 2, true)), 10);
    draw_weights(&n);
    return surround_model(s, &n);
}

static struct msg_work work(enum task_kind kind, const struct hash *model)
{
    struct msg_work w = {
        .task = {.kind = kind, .search = 7, .episode = kind == TASK_PROFILE ? -1 : 4, .attempt = 1},
        .lr_scale = 1,
        .about = {.name = "job",
                  .budget = "flops 0.5",
                  .reward = {.n = 40, .top1 = 30, .top5 = 39},
                  .macs = 1,
                  .params = 3,
                  .dense_macs = 2,
                  .dense_params = 4}};
    w.recipe = (struct recipe){.seed = 5,
                               .model = *model,
                               .data = DATA_SYNTHETIC,
                               .mean = {128},
                               .std = {64},
                               .n_channels = 1,
                               .reward = REWARD,
                               .calibrate = CALIBRATE,
                               .reconstruct = true,
                               .recalibrate = true,
                               .finetune = training_none(),
                               .finish = training_none()};
    return w;
}

/* ---- end to end ---- */

static void check_profile(const struct msg_result *r)
{
    static const int classes[] = {4, 12,
                                  6}; /* the first is read by a conv of two groups, the last is one's output */
    uint32_t at = 0;
    ck_assert_int_eq(r->reward.n, REWARD);
    ck_assert(r->has_blob && r->test.n == 0);
    ck_assert_uint_eq(r->n_groups, 3);
    for (uint32_t g = 0; g < 3; g++) {
        ck_assert_uint_eq(r->n_curve[g], (uint32_t)classes[g] + 1);
        for (uint32_t k = 1; k < r->n_curve[g]; k++)
            ck_assert(r->curve[at + k - 1] >= r->curve[at + k]);
        at += r->n_curve[g];
        ck_assert(r->curve[at - 1] == 0);
    }
    ck_assert_uint_eq(r->n_points, at);
}

static void same_meta(const struct onnx_peek *p, const char *key, const char *want)
{
    const char *got = onnx_peek_meta(p, key);
    ck_assert_msg(got && strcmp(got, want) == 0, "%s: \"%s\", not \"%s\"", key, got ? got : "nothing", want);
}

static void same_fraction(const struct onnx_peek *p, const char *key, int part, int n)
{
    char want[32];
    snprintf(want, sizeof(want), "%.6g", (double)part / n);
    same_meta(p, key, want);
}

/* What a file says of itself; the classes that it kept, counted. */
static void check_meta(const struct surroundings *s, const struct msg_work *w, const struct msg_result *r)
{
    struct buf bytes = {0};
    struct onnx_peek *p;
    struct err e;
    char *path = surround_place(s, &r->blob), hex[HASH_HEX];
    bool final = w->task.kind == TASK_FINAL;
    must(file_read(path, 1 << 20, &bytes, &e), &e);
    must(onnx_peek_open(bytes.p, bytes.n, &p, &e), &e);
    same_meta(p, "espalier.version", ESPALIER_VERSION);
    same_meta(p, "espalier.search", "7");
    same_meta(p, "espalier.name", "job");
    same_meta(p, "espalier.episode", "4");
    same_meta(p, "espalier.budget", "flops 0.5");
    same_meta(p, "espalier.macs", "1");
    same_meta(p, "espalier.macs_ratio", "0.5");
    same_meta(p, "espalier.params", "3");
    same_meta(p, "espalier.params_ratio", "0.75");
    same_meta(p, "espalier.stage", final ? "final" : "proxy");
    const struct metrics *m = final ? &r->reward : &w->about.reward;
    same_fraction(p, "espalier.top1", m->top1, m->n);
    same_fraction(p, "espalier.top5", m->top5, m->n);
    if (final)
        same_fraction(p, "espalier.test_top1", r->test.top1, r->test.n);
    else
        ck_assert_ptr_null(onnx_peek_meta(p, "espalier.test_top1"));
    hash_to_hex(&w->recipe.model, hex);
    same_meta(p, "espalier.parent_sha256", hex);
    const char *at = onnx_peek_meta(p, "espalier.kept");
    ck_assert_ptr_nonnull(at);
    for (uint32_t g = 0; g < w->n_keep; g++, at += *at == ';') {
        int n = 0, from, to, used;
        for (; *at && *at != ';'; at += used + (at[used] == ',')) {
            ck_assert_int_eq(sscanf(at, "%d%n", &from, &used), 1);
            to = from;
            if (at[used] == '-') {
                at += used;
                ck_assert_int_eq(sscanf(at, "-%d%n", &to, &used), 1);
            }
            n += to - from + 1;
        }
        ck_assert_int_eq(n, w->keep[g]);
    }
    onnx_peek_close(p);
    buf_release(&bytes);
    free(path);
}

/* The file scores what the result says, on images that are loaded anew. */
static void check_file(struct surroundings *s, const struct msg_work *w, const struct msg_result *r)
{
    struct images im = {0};
    struct dataset test;
    struct model m;
    struct score score;
    struct err e;
    struct pool *p = new_pool(1);
    char *path = surround_place(s, &r->blob);
    check_meta(s, w, r);
    must(onnx_load_file(path, &m, &e), &e);
    for (int i = 0; i < m.graph.n; i++)
        ck_assert_ptr_null(strstr(m.graph.nodes[i].name, "unfolded"));
    must(images_load(&im, &w->recipe, IMAGES_CARVED, &s->host, &e), &e);
    must(images_test(&im, &w->recipe, &s->host, &test, &e), &e);
    for (int i = 0; i < 2; i++) {
        struct scored_set set = images_set(&im, i ? &test : &im.reward);
        const struct metrics *want = i ? &r->test : &r->reward;
        must(score_model(p, &m.graph, &m.weights, DTYPE_F32, &set, NULL, NULL, &score, &e), &e);
        ck_assert_int_eq(want->n, score.n);
        ck_assert_int_eq(want->top1, score.top1);
        ck_assert_int_eq(want->top5, score.top5);
        ck_assert_double_eq_tol(want->loss, score.loss, 1e-4 * score.loss);
    }
    dataset_release(&test);
    images_release(&im);
    model_release(&m);
    pool_free(p);
    free(path);
}

/* The four tasks of a search with one and with two threads: the same numbers and files, bit for bit. */
START_TEST(end_to_end)
{
    struct surroundings s;
    struct msg_result first[TASK_EXPORT + 1];
    int32_t keep[] = {2, 5, 3};
    surroundings_init(&s);
    struct hash model = store_model(&s, 1, 8, 32);
    for (int threads = 1; threads <= 2; threads++) {
        struct worker_state *st = new_state(threads);
        for (int kind = 0; kind <= TASK_EXPORT; kind++) {
            struct msg_work w = work((enum task_kind)kind, &model);
            if (kind != TASK_PROFILE) {
                w.has_profile = true;
                w.profile = first[TASK_PROFILE].blob;
                w.n_keep = 3;
                w.keep = keep;
            }
            struct msg_result r = run(st, &w, &s);
            ck_assert_int_eq(r.has_blob, kind != TASK_EVALUATE);
            if (threads == 1) {
                first[kind] = r;
                if (kind == TASK_PROFILE)
                    check_profile(&r);
                if (kind == TASK_FINAL)
                    check_file(&s, &w, &r);
                if (kind == TASK_EXPORT)
                    check_meta(&s, &w, &r);
                continue;
            }
            check_metrics(&r.reward, &first[kind].reward);
            check_metrics(&r.test, &first[kind].test);
            ck_assert(hash_equal(&r.blob, &first[kind].blob));
            ck_assert_uint_eq(r.n_points, first[kind].n_points);
            ck_assert(r.n_points == 0 || memcmp(r.curve, first[kind].curve, r.n_points * sizeof(float)) == 0);
            free_result(&r);
        }
        job_state_free(st);
    }
    check_metrics(&first[TASK_FINAL].reward, &first[TASK_EVALUATE].reward);
    same_networks(&s, &first[TASK_FINAL].blob, &first[TASK_EXPORT].blob);
    ck_assert_int_eq(first[TASK_EXPORT].reward.n, 0);
    ck_assert_int_eq(first[TASK_EVALUATE].test.n, 0);
    ck_assert_double_gt(first[TASK_EVALUATE].reward.loss, 0);
    ck_assert(first[TASK_EVALUATE].reward.loss != first[TASK_PROFILE].reward.loss);
    for (int kind = 0; kind <= TASK_EXPORT; kind++)
        free_result(&first[kind]);
    surroundings_release(&s);
}
END_TEST

/* ---- with a profile at hand ---- */

struct ready {
    struct surroundings s;
    struct worker_state *st;
    struct hash model;
    struct msg_work w; /* EVALUATE */
    int32_t keep[3];
};

static void ready_init(struct ready *rd)
{
    surroundings_init(&rd->s);
    rd->model = store_model(&rd->s, 1, 8, 32);
    rd->st = new_state(1);
    struct msg_work w = work(TASK_PROFILE, &rd->model);
    struct msg_result r = run(rd->st, &w, &rd->s);
    rd->keep[0] = 3;
    rd->keep[1] = 7;
    rd->keep[2] = 4;
    rd->w = work(TASK_EVALUATE, &rd->model);
    rd->w.has_profile = true;
    rd->w.profile = r.blob;
    rd->w.n_keep = 3;
    rd->w.keep = rd->keep;
    free_result(&r);
}

static void ready_release(struct ready *rd)
{
    job_state_free(rd->st);
    surroundings_release(&rd->s);
}

/* Each evaluation starts from the stored weights, and finds everything warm. */
START_TEST(again)
{
    struct ready rd;
    ready_init(&rd);
    struct msg_result a = run(rd.st, &rd.w, &rd.s);
    ck_assert_str_eq(rd.s.stages, "fetch cut recalibrate score ");
    rd.s.fetched = 0;
    rd.keep[0] = 1;
    struct msg_result b = run(rd.st, &rd.w, &rd.s);
    rd.keep[0] = 3;
    struct msg_result c = run(rd.st, &rd.w, &rd.s);
    ck_assert(a.reward.loss != b.reward.loss);
    check_metrics(&a.reward, &c.reward);
    ck_assert_int_eq(rd.s.fetched, 0);
    ready_release(&rd);
}
END_TEST

START_TEST(bad_keep)
{
    struct ready rd;
    ready_init(&rd);
    rd.w.n_keep = 2;
    refuse(rd.st, &rd.w, &rd.s, ERR_INVALID, "the candidate has 2 groups, the network 3");
    rd.w.n_keep = 3;
    rd.keep[1] = 13;
    refuse(rd.st, &rd.w, &rd.s, ERR_INVALID, "group 1 can't keep 13 of its 12 channels");
    rd.keep[1] = 0;
    refuse(rd.st, &rd.w, &rd.s, ERR_INVALID, "group 1 can't keep 0 of its 12 channels");
    ready_release(&rd);
}
END_TEST

START_TEST(bad_profile)
{
    struct ready rd;
    ready_init(&rd);
    struct msg_work w = rd.w;
    w.has_profile = false;
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "task evaluate came without a profile");
    w.has_profile = true;
    w.profile.b[0] ^= 1;
    refuse(rd.st, &w, &rd.s, ERR_NOTFOUND, "no such blob");
    w.profile = surround_store(&rd.s, "rubbish", 7);
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "not a profile: 7 bytes without its magic");
    w = rd.w;
    w.recipe.model = store_model(&rd.s, 1, 12, 32);
    refuse(rd.st, &w, &rd.s, ERR_INVALID,
           "the profile has statistics of 8 channels at node 1, the network asks for 12 at 1");
    struct msg_result r = run(rd.st, &rd.w, &rd.s); /* none of it stayed */
    ck_assert_int_eq(r.reward.n, REWARD);
    ready_release(&rd);
}
END_TEST

START_TEST(bad_model_and_images)
{
    struct ready rd;
    ready_init(&rd);
    struct msg_work w = rd.w;
    char line[256], hex[HASH_HEX];
    w.recipe.model.b[0] ^= 1;
    refuse(rd.st, &w, &rd.s, ERR_NOTFOUND, "no such blob");
    w.recipe.model = store_model(&rd.s, 1, 8, 28);
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "the network's input is 3x28x28, the images are 3x32x32");
    w = rd.w;
    w.recipe.calibrate = 0;
    snprintf(line, sizeof line, "split wants %d reward and 0 calibrate images, the training set has 10000", REWARD);
    refuse(rd.st, &w, &rd.s, ERR_INVALID, line);
    w.recipe.calibrate = 9900;
    snprintf(line, sizeof line, "split wants %d reward and 9900 calibrate images, the training set has 10000",
             REWARD);
    refuse(rd.st, &w, &rd.s, ERR_INVALID, line);
    w.recipe.calibrate = INT32_MAX;
    snprintf(line, sizeof line, "split wants %d reward and %d calibrate images, the training set has 10000", REWARD,
             INT32_MAX);
    refuse(rd.st, &w, &rd.s, ERR_INVALID, line);
    w = rd.w;
    w.recipe.n_channels = 4;
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "normalize has 4 numbers for mean and std, the images have 3 channels");
    w = rd.w;
    w.recipe.data = DATA_IDX;
    refuse(rd.st, &w, &rd.s, ERR_INVALID, "the search has no data file \"train-images-idx3-ubyte\"");
    w = rd.w;
    w.recipe.model = surround_store(&rd.s, "rubbish", 7);
    hash_to_hex(&w.recipe.model, hex);
    struct msg_result r;
    struct err e = {.text = ""};
    ck_assert_int_eq(job_run(rd.st, &w, &rd.s.host, &r, &e), ERR_INVALID);
    ck_assert_ptr_nonnull(strstr(e.text, hex));
    ready_release(&rd);
}
END_TEST

/* Stopped at whichever of its calls a job says so, leaves nothing behind and runs the next time. */
START_TEST(cancelled)
{
    struct ready rd;
    ready_init(&rd);
    for (int kind = TASK_PROFILE; kind <= TASK_FINAL; kind += TASK_FINAL - TASK_PROFILE) {
        struct msg_work w = kind == TASK_PROFILE ? work(TASK_PROFILE, &rd.model) : rd.w;
        w.task.kind = (enum task_kind)kind;
        int rc = ERR_CANCELLED, calls = 1;
        while (rc < 0) {
            struct msg_result r;
            struct err e;
            rd.s.calls = 0;
            rd.s.stop_at = calls;
            calls += 1 + calls / 3;
            rc = job_run(rd.st, &w, &rd.s.host, &r, &e);
            ck_assert(rc == 0 || rc == ERR_CANCELLED);
            ck_assert(rc == 0 || (!r.has_blob && !r.curve));
            if (rc == 0)
                free_result(&r);
        }
        ck_assert_int_gt(calls, 5);
    }
    ready_release(&rd);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("job");
    TCase *t = tcase_create("job");
    tcase_set_timeout(t, 100);
    tcase_add_test(t, end_to_end);
    tcase_add_test(t, again);
    tcase_add_test(t, bad_keep);
    tcase_add_test(t, bad_profile);
    tcase_add_test(t, bad_model_and_images);
    tcase_add_test(t, cancelled);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
