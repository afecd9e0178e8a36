#include <check.h>
#include <math.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/unit/nets.h"
#include "worker/train/fit.h"

enum { DIGEST = HASH_BYTES };

struct trial {
    struct model m;
    struct fit_state st;
};

static void build(struct graph *g, int width)
{
    graph_init(g);
    int x = net_op(g, OP_RELU, net_conv_bn(g, net_input(g, 3, 6, 6), width, 3, 1, 1));
    x = net_join(g, OP_ADD, x, net_conv(g, x, width, 1, 1, 1));
    g->output = net_gemm(g, net_op(g, OP_FLATTEN, net_op(g, OP_GLOBALPOOL, x)), 10);
}

static void draw_all(struct weights *w, struct rng *r, bool statistics)
{
    for (int i = 0; i < w->n; i++) {
        struct params *p = &w->of[i];
        for (size_t k = 0; k < p->n_w; k++)
            p->w[k] = (float)rng_normal(r);
        for (size_t k = 0; k < p->n_b; k++) {
            if (p->b)
                p->b[k] = (float)rng_normal(r);
            if (statistics && p->mean) {
                p->mean[k] = (float)rng_normal(r);
                p->var[k] = (float)rng_uniform(r);
            }
        }
    }
}

/* A state drawn from the seed; 0: as it is when new. */
static void trial_init(struct trial *t, int width, uint64_t seed)
{
    struct err e;
    struct rng r;
    *t = (struct trial){0};
    build(&t->m.graph, width);
    ck_assert_int_eq(weights_new(&t->m.weights, &t->m.graph, &e), 0);
    ck_assert_int_eq(fit_state_new(&t->st, &t->m, &e), 0);
    if (!seed)
        return;
    rng_init(&r, seed, "checkpoint", 0);
    draw_all(&t->m.weights, &r, true);
    draw_all(&t->st.velocity, &r, false);
    t->st.epoch = (int)rng_below(&r, 10000);
    t->st.losses.steps = (int64_t)rng_below(&r, UINT64_C(1) << 40);
    t->st.losses.first = rng_normal(&r);
    for (int i = 0; i < FIT_WINDOW; i++)
        t->st.losses.recent[i] = rng_normal(&r);
}

static void trial_release(struct trial *t)
{
    fit_state_release(&t->st);
    model_release(&t->m);
}

static bool same_floats(const float *a, const float *b, size_t n)
{
    return !a == !b && (!a || memcmp(a, b, n * sizeof(*a)) == 0);
}

static bool same_weights(const struct weights *a, const struct weights *b)
{
    for (int i = 0; i < a->n; i++) {
        const struct params *p = &a->of[i], *q = &b->of[i];
        if (!same_floats(p->w, q->w, p->n_w) || !same_floats(p->b, q->b, p->n_b) ||
            !same_floats(p->mean, q->mean, p->n_b) || !same_floats(p->var, q->var, p->n_b))
            return false;
    }
    return a->n == b->n;
}

static bool same(const struct trial *a, const struct trial *b)
{
    return a->st.epoch == b->st.epoch && memcmp(&a->st.losses, &b->st.losses, sizeof a->st.losses) == 0 &&
           same_weights(&a->m.weights, &b->m.weights) && same_weights(&a->st.velocity, &b->st.velocity);
}

START_TEST(new_state)
{
    struct trial t;
    trial_init(&t, 4, 0);
    ck_assert_int_eq(t.st.epoch, 0);
    ck_assert(t.st.losses.steps == 0);
    ck_assert_ptr_eq(t.st.model, &t.m);
    for (int i = 0; i < t.st.velocity.n; i++)
        for (size_t k = 0; k < t.st.velocity.of[i].n_w; k++)
            ck_assert_float_eq(t.st.velocity.of[i].w[k], 0);
    trial_release(&t);
    fit_state_release(&t.st); /* and once more */
}
END_TEST

START_TEST(there_and_back)
{
    struct trial a, b;
    struct buf bytes = {0}, again = {0};
    struct err e;
    for (int width = 1; width < 40; width += 19) {
        trial_init(&a, width, 1);
        trial_init(&b, width, width % 2 ? 0 : 2);
        ck_assert(!same(&a, &b));
        buf_clear(&bytes);
        buf_text(&bytes, "before");
        fit_encode(&a.st, &bytes);
        if (fit_decode(&b.st, bytes.p + 6, bytes.n - 6, &e) < 0)
            ck_abort_msg("%s", e.text);
        ck_assert(same(&a, &b));
        buf_clear(&again);
        fit_encode(&b.st, &again);
        ck_assert_uint_eq(again.n, bytes.n - 6);
        ck_assert_mem_eq(again.p, bytes.p + 6, again.n);
        trial_release(&a);
        trial_release(&b);
    }
    buf_release(&bytes);
    buf_release(&again);
}
END_TEST

/* Refused, with what it says, and nothing changed. */
static void check_refused(const struct buf *bytes, size_t n, const char *text)
{
    struct trial t, untouched;
    struct err e = {.text = ""};
    trial_init(&t, 4, 3);
    trial_init(&untouched, 4, 3);
    ck_assert_int_eq(fit_decode(&t.st, bytes->p, n, &e), ERR_INVALID);
    ck_assert_msg(strstr(e.text, text) != NULL, "\"%s\" isn't in \"%s\"", text, e.text);
    ck_assert(same(&t, &untouched));
    trial_release(&t);
    trial_release(&untouched);
}

static void encode(struct buf *bytes, int width)
{
    struct trial t;
    trial_init(&t, width, 1);
    fit_encode(&t.st, bytes);
    trial_release(&t);
}

/* What a writer of such bytes would have signed them with. */
static void sign(struct buf *bytes)
{
    struct hash sum = hash_of(bytes->p, bytes->n - DIGEST);
    memcpy(bytes->p + bytes->n - DIGEST, sum.b, DIGEST);
}

START_TEST(cut_short)
{
    struct buf bytes = {0};
    encode(&bytes, 4);
    for (size_t n = 0; n < bytes.n; n += n < 300 || n > bytes.n - 100 ? 1 : 13)
        check_refused(&bytes, n, "checkpoint");
    buf_append(&bytes, "x", 1);
    check_refused(&bytes, bytes.n, "expected");
    buf_release(&bytes);
}
END_TEST

START_TEST(one_bit_off)
{
    struct buf bytes = {0};
    encode(&bytes, 4);
    for (size_t i = 0; i < bytes.n; i += 7) {
        bytes.p[i] ^= (uint8_t)(1 << i % 8);
        check_refused(&bytes, bytes.n, "checkpoint");
        bytes.p[i] ^= (uint8_t)(1 << i % 8);
    }
    buf_release(&bytes);
}
END_TEST

START_TEST(another_network)
{
    struct buf bytes = {0};
    encode(&bytes, 5);
    check_refused(&bytes, bytes.n, "of another network");
    buf_release(&bytes);
}
END_TEST

START_TEST(another_version)
{
    struct buf bytes = {0};
    encode(&bytes, 4);
    bytes.p[4] = 9;
    sign(&bytes);
    check_refused(&bytes, bytes.n, "version 9");
    buf_release(&bytes);
}
END_TEST

/* Well signed, and wrong: numbers that no training has. */
START_TEST(not_finite)
{
    static const uint8_t nan[] = {0, 0, 0xc0, 0x7f}, inf[] = {0, 0, 0x80, 0xff};
    static const uint8_t double_nan[] = {0, 0, 0, 0, 0, 0, 0xf8, 0x7f};
    enum { HEADER = 8 + DIGEST + 4 + 8 + 8 * (1 + FIT_WINDOW) };
    struct buf bytes = {0};
    for (int i = 0; i < 2; i++) {
        const uint8_t *bad = i ? inf : nan;
        buf_clear(&bytes);
        encode(&bytes, 4);
        size_t floats = (bytes.n - HEADER - DIGEST) / 4, at[] = {0, floats / 2, floats - 1};
        for (size_t k = 0; k < 3; k++) {
            uint8_t was[4];
            memcpy(was, bytes.p + HEADER + 4 * at[k], 4);
            memcpy(bytes.p + HEADER + 4 * at[k], bad, 4);
            sign(&bytes);
            check_refused(&bytes, bytes.n, "not finite");
            memcpy(bytes.p + HEADER + 4 * at[k], was, 4);
        }
    }
    memcpy(bytes.p + HEADER - 8, double_nan, 8);
    sign(&bytes);
    check_refused(&bytes, bytes.n, "out of range");
    buf_release(&bytes);
}
END_TEST

START_TEST(epoch_out_of_range)
{
    struct buf bytes = {0};
    encode(&bytes, 4);
    bytes.p[8 + DIGEST + 3] = 0x80;
    sign(&bytes);
    check_refused(&bytes, bytes.n, "out of range");
    buf_clear(&bytes);
    encode(&bytes, 4);
    bytes.p[8 + DIGEST + 4 + 7] = 0x7f;
    sign(&bytes);
    check_refused(&bytes, bytes.n, "out of range");
    buf_release(&bytes);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("checkpoint");
    TCase *t = tcase_create("checkpoint");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, new_state);
    tcase_add_test(t, there_and_back);
    tcase_add_test(t, cut_short);
    tcase_add_test(t, one_bit_off);
    tcase_add_test(t, another_network);
    tcase_add_test(t, another_version);
    tcase_add_test(t, not_finite);
    tcase_add_test(t, epoch_out_of_range);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_ENV);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
