/*
 * profile - its bytes there and back, damaged bytes, and a profile that belongs to another network.
 */
#include "worker/compress/profile.h"

#include "tests/unit/compress_net.h"
#include "worker/compress/evaluate.h"

struct trial {
    struct net n;
    struct album album;
    struct recipe recipe;
    struct compress_work cw;
    struct profile p;
    struct buf bytes;
};

/* A residual net with and without BNs, so that every field of the profile is in use. `width` of its first group. */
static void build(struct net *n, uint64_t seed, int width)
{
    net_init(n, seed, "profile");
    int a = relu(n, bn(n, conv(n, input(n, 3, 6, 6), width, 3, 1)));
    int b = relu(n, conv(n, a, 6, 3, 1));
    int c = relu(n, sum(n, bn(n, conv(n, b, width, 3, 1)), a));
    int d = relu(n, conv_win(n, c, 6, window(3, 2, 1), 2, true));
    gemm(n, unary(n, OP_FLATTEN, d), 5, true);
    draw_weights(n);
}

static void trial_init(struct trial *t, int width, int threads)
{
    struct err e;
    *t = (struct trial){.recipe = {.seed = 3, .reconstruct = true, .recalibrate = true}};
    build(&t->n, 1, width);
    album_init(&t->album, &t->n.m.graph.nodes[0], 64, 5, 1);
    t->cw = (struct compress_work){.pool = new_pool(threads),
                                   .model = &t->n.m,
                                   .recipe = &t->recipe,
                                   .reward = &t->album.set,
                                   .calibrate = &t->album.set};
    must(profile_make(&t->cw, &t->p, &e), &e);
    profile_encode(&t->p, &t->bytes);
}

static void trial_release(struct trial *t)
{
    pool_free(t->cw.pool);
    buf_release(&t->bytes);
    profile_release(&t->p);
    album_release(&t->album);
    model_release(&t->n.m);
}

static void check_encodes(const struct profile *p, const void *bytes, size_t n)
{
    struct buf again = {0};
    profile_encode(p, &again);
    ck_assert_uint_eq(again.n, n);
    ck_assert_mem_eq(again.p, bytes, n);
    buf_release(&again);
}

START_TEST(there_and_back)
{
    struct trial t;
    struct profile q;
    struct err e;
    trial_init(&t, 8, 1);
    ck_assert_int_eq(t.p.n_groups, 3);
    ck_assert_int_eq(t.p.stats.n, 4);
    ck_assert_int_eq(t.p.grams.n, 4);
    ck_assert_int_eq(t.p.dense.n, 64);
    must(profile_decode(t.bytes.p, t.bytes.n, &q, &e), &e);
    ck_assert_mem_eq(&q.dense, &t.p.dense, sizeof q.dense);
    for (int g = 0; g < t.p.n_groups; g++) {
        size_t n = (size_t)t.p.size[g];
        ck_assert_int_eq(q.size[g], t.p.size[g]);
        ck_assert_mem_eq(q.order[g], t.p.order[g], n * sizeof(int));
        ck_assert_mem_eq(q.curve[g], t.p.curve[g], (n + 1) * sizeof(float));
    }
    for (int i = 0; i < t.p.stats.n; i++) {
        const struct channel_stats *a = &t.p.stats.of[i], *b = &q.stats.of[i];
        ck_assert(a->node == b->node && a->C == b->C);
        ck_assert_mem_eq(a->mean, b->mean, (size_t)a->C * sizeof(float));
        ck_assert_mem_eq(a->var, b->var, (size_t)a->C * sizeof(float));
    }
    for (int i = 0; i < t.p.grams.n; i++) {
        const struct gram *a = &t.p.grams.of[i], *b = &q.grams.of[i];
        size_t n = (size_t)a->n, groups = (size_t)a->groups;
        ck_assert(a->node == b->node && a->n == b->n && a->groups == b->groups);
        ck_assert_mem_eq(a->cov, b->cov, n * n * groups * sizeof(float));
        ck_assert_mem_eq(a->mean, b->mean, n * groups * sizeof(float));
    }
    check_encodes(&q, t.bytes.p, t.bytes.n);
    profile_release(&q);
    trial_release(&t);
}
END_TEST

START_TEST(any_threads)
{
    struct trial one, three;
    trial_init(&one, 8, 1);
    trial_init(&three, 8, 3);
    ck_assert_uint_eq(one.bytes.n, three.bytes.n);
    ck_assert_mem_eq(one.bytes.p, three.bytes.p, one.bytes.n);
    trial_release(&one);
    trial_release(&three);
}
END_TEST

START_TEST(not_profiles)
{
    static const struct {
        const char *bytes;
        size_t n;
        const char *line;
    } bad[] = {
        {"", 0, "not a profile: 0 bytes without its magic"},
        {"ESPF\1\0\0", 7, "not a profile: 7 bytes without its magic"},
        {"ESPG\1\0\0\0....", 12, "not a profile: 12 bytes without its magic"},
        {"ESPF\2\0\0\0....", 12, "profile of version 2, this program reads 1"},
        {"ESPF\1\0\0\0....", 12, "profile of 12 bytes is damaged at byte 12"},
        {"ESPF\1\0\0\0\5\0\0\0\3\0\0\0\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 40,
         "profile of 40 bytes is damaged at byte 28"}, /* top-1 above top-5 */
        {"ESPF\1\0\0\0\5\0\0\0\3\0\0\0\4\0\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\0\0\0\0\0\0\0", 40,
         "profile of 40 bytes is damaged at byte 32"}, /* 65535 groups */
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct profile p;
        struct err e;
        ck_assert_int_lt(profile_decode(bad[i].bytes, bad[i].n, &p, &e), 0);
        ck_assert_str_eq(e.text, bad[i].line);
    }
}
END_TEST

/* Every length that is too short, and one byte too many. */
START_TEST(truncated)
{
    struct trial t;
    struct profile q;
    struct err e;
    trial_init(&t, 8, 1);
    for (size_t n = 0; n < t.bytes.n; n += n < 1500 ? 1 : 97) {
        uint8_t *exact = mem_dup(t.bytes.p, n, 1); /* so that a sanitizer sees a step too far */
        ck_assert_int_eq(profile_decode(exact, n, &q, &e), ERR_INVALID);
        mem_free(exact);
    }
    buf_append(&t.bytes, "", 1);
    ck_assert_int_eq(profile_decode(t.bytes.p, t.bytes.n, &q, &e), ERR_INVALID);
    trial_release(&t);
}
END_TEST

/* What decodes is a profile: it encodes to the same bytes, and either doesn't fit the network or can be worked
 * with. */
static bool check_damaged(const struct trial *t, const uint8_t *bytes, size_t n, bool use)
{
    struct profile q;
    struct dense d;
    struct model m;
    struct err e;
    int keep[3] = {3, 2, 2};
    if (profile_decode(bytes, n, &q, &e) < 0)
        return false;
    check_encodes(&q, bytes, n);
    if (use && dense_new(&d, &t->n.m, &q, CUT_CHANNELS, &e) == 0) {
        if (evaluate_make(&t->cw, &d, &q, keep, &m, &e) == 0)
            model_release(&m);
        dense_release(&d);
    }
    profile_release(&q);
    return true;
}

START_TEST(bits_flipped)
{
    struct trial t;
    struct rng r;
    int taken = 0, refused = 0;
    trial_init(&t, 8, 1);
    rng_init(&r, 1, "flip", 0);
    size_t step = t.bytes.n / 2000 + 1;
    for (size_t at = 8; at < t.bytes.n; at += at < 700 ? 1 : 1 + rng_below(&r, 2 * step)) {
        uint8_t was = t.bytes.p[at];
        t.bytes.p[at] ^= (uint8_t)(1 << rng_below(&r, 8));
        bool ok = check_damaged(&t, t.bytes.p, t.bytes.n, at < 700 || rng_below(&r, 20) == 0);
        taken += ok;
        refused += !ok;
        t.bytes.p[at] = was;
    }
    ck_assert_int_gt(taken, 100);
    ck_assert_int_gt(refused, 100);
    trial_release(&t);
}
END_TEST

static void refuse(const struct trial *t, const struct net *n, const char *line)
{
    struct dense d;
    struct err e = {.text = ""};
    ck_assert_int_eq(dense_new(&d, &n->m, &t->p, CUT_CHANNELS, &e), ERR_INVALID);
    ck_assert_str_eq(e.text, line);
}

START_TEST(of_another_network)
{
    struct trial t;
    struct net other;
    struct dense d;
    struct err e;
    trial_init(&t, 8, 1);
    must(dense_new(&d, &t.n.m, &t.p, CUT_CHANNELS, &e), &e);
    dense_release(&d);
    build(&other, 1, 10);
    refuse(&t, &other, "the profile has statistics of 8 channels at node 1, the network asks for 10 at 1");
    model_release(&other.m);
    net_init(&other, 1, "other");
    tail(&other, conv(&other, input(&other, 3, 6, 6), 4, 3, 1), 5);
    draw_weights(&other);
    refuse(&t, &other, "the profile has statistics of 4 values, the network asks for 1");
    model_release(&other.m);
    net_init(&other, 1, "other");
    int x = input(&other, 3, 6, 6);
    for (int i = 0; i < 4; i++)
        x = conv(&other, x, 8, 3, 1);
    tail(&other, x, 5);
    draw_weights(&other);
    refuse(&t, &other, "the profile has statistics of 6 channels at node 4, the network asks for 8 at 2");
    model_release(&other.m);
    int groups = t.p.n_groups, grams = t.p.grams.n;
    t.p.size[1]--;
    refuse(&t, &t.n, "group 1 of the profile has 5 channels, the network's 6");
    t.p.size[1]++;
    t.p.n_groups = 0;
    refuse(&t, &t.n, "the profile has 0 groups, the network 3");
    t.p.n_groups = groups;
    t.p.grams.n = 0;
    refuse(&t, &t.n, "the profile's Gram matrices aren't those of graph \"\"");
    t.p.grams.n = grams;
    t.p.grams.of[1].groups++;
    refuse(&t, &t.n, "the profile's Gram matrices aren't those of graph \"\"");
    t.p.grams.of[1].groups--;
    trial_release(&t);
}
END_TEST

/* No group at all: a profile all the same. */
START_TEST(nothing_to_cut)
{
    struct trial t = {.recipe = {.seed = 3}};
    struct profile q;
    struct dense d;
    struct model m;
    struct err e;
    net_init(&t.n, 1, "nothing");
    gemm(&t.n, unary(&t.n, OP_FLATTEN, input(&t.n, 3, 6, 6)), 5, true);
    draw_weights(&t.n);
    album_init(&t.album, &t.n.m.graph.nodes[0], 20, 5, 1);
    t.cw = (struct compress_work){new_pool(1), &t.n.m, &t.recipe, &t.album.set, &t.album.set, NULL, NULL};
    must(profile_make(&t.cw, &t.p, &e), &e);
    profile_encode(&t.p, &t.bytes);
    must(profile_decode(t.bytes.p, t.bytes.n, &q, &e), &e);
    must(dense_new(&d, &t.n.m, &q, CUT_CHANNELS, &e), &e);
    must(evaluate_make(&t.cw, &d, &q, NULL, &m, &e), &e);
    model_release(&m);
    dense_release(&d);
    profile_release(&q);
    trial_release(&t);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("profile");
    TCase *t = tcase_create("profile");
    tcase_set_timeout(t, 100);
    tcase_add_test(t, there_and_back);
    tcase_add_test(t, any_threads);
    tcase_add_test(t, not_profiles);
    tcase_add_test(t, truncated);
    tcase_add_test(t, bits_flipped);
    tcase_add_test(t, of_another_network);
    tcase_add_test(t, nothing_to_cut);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
