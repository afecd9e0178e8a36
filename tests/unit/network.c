/* The agent's networks: gradients against finite differences, Adam against PyTorch's, DDPG on a task whose answer
 * is known. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "coordinator/policy/adam.h"
#include "coordinator/policy/agent.h"
#include "coordinator/policy/network.h"

enum { N = 7, D = 5, H = 11 };

/* sum of c[n] y[n], in double over the float network */
static double weighted(const struct network *w, const float *x, const float *c, struct trace *t)
{
    float y[N];
    double sum = 0;
    network_forward(w, y, x, N, t);
    for (int n = 0; n < N; n++)
        sum += (double)c[n] * (double)y[n];
    return sum;
}

static double slope(const struct network *w, float *at, const float *x, const float *c, struct trace *t)
{
    const float was = *at, h = 1e-2f;
    *at = was + h;
    double up = weighted(w, x, c, t);
    *at = was - h;
    double down = weighted(w, x, c, t);
    *at = was;
    return (up - down) / (2 * (double)h);
}

START_TEST(gradients_are_slopes)
{
    struct rng r;
    struct network w;
    struct trace t;
    float x[N * D], c[N], y[N], dx[N], *dp;
    rng_init(&r, 3, "gradient", 0);
    network_init(&w, D, H);
    trace_init(&t, N, D, H);
    dp = xcalloc(w.n, sizeof *dp);
    for (size_t i = 0; i < w.n; i++)
        w.p[i] = (float)(0.5 * rng_normal(&r));
    for (int i = 0; i < N * D; i++)
        x[i] = (float)rng_normal(&r);
    for (int n = 0; n < N; n++)
        c[n] = (float)rng_normal(&r);
    for (size_t i = 0; i < w.n; i++)
        dp[i] = 1e6f; /* gradients overwrite */
    network_forward(&w, y, x, N, &t);
    network_backward(&w, dp, c, x, N, &t);
    network_slope(&w, dx, x, N, &t);

    int off = 0; /* where a step of the difference crosses a kink of a ReLU */
    for (size_t i = 0; i < w.n; i++)
        off += fabs(slope(&w, w.p + i, x, c, &t) - (double)dp[i]) > 2e-3 * (1 + fabs((double)dp[i]));
    ck_assert_int_le(off, (int)w.n / 20);
    off = 0;
    for (int n = 0; n < N; n++) { /* of the last input alone, and not yet times c */
        double d = slope(&w, x + n * D + D - 1, x, c, &t);
        off += fabs(d - (double)c[n] * (double)dx[n]) > 2e-3 * (1 + fabs(d));
    }
    ck_assert_int_le(off, 1);
    free(dp);
    trace_release(&t);
    network_release(&w);
}
END_TEST

struct twin {
    double *h1, *h2, *d1, *d2; /* (H) */
    double *dp;                /* (n) */
};

/* The network once more, in double, one row and one unit after the other: its output, its slope in the last input,
 * and what dy times the output adds to the gradients. */
static double twin_row(struct twin *t, const struct network *w, const float *x, double dy, double *dx)
{
    const int h = w->H, d = w->D;
    const size_t w2 = (size_t)h * (size_t)d + (size_t)h, w3 = w2 + (size_t)h * (size_t)h + (size_t)h;
    const float *p1 = w->p, *b1 = p1 + h * d, *p2 = w->p + w2, *b2 = p2 + h * h, *p3 = w->p + w3;
    double y = (double)p3[h];
    for (int k = 0; k < h; k++) {
        t->h1[k] = (double)b1[k];
        for (int i = 0; i < d; i++)
            t->h1[k] += (double)p1[k * d + i] * (double)x[i];
        t->h1[k] = fmax(t->h1[k], 0);
    }
    for (int k = 0; k < h; k++) {
        t->h2[k] = (double)b2[k];
        for (int i = 0; i < h; i++)
            t->h2[k] += (double)p2[i * h + k] * t->h1[i];
        t->h2[k] = fmax(t->h2[k], 0);
        t->d2[k] = t->h2[k] > 0 ? (double)p3[k] : 0;
        y += (double)p3[k] * t->h2[k];
        t->dp[w3 + (size_t)k] += dy * t->h2[k];
        t->dp[w3 - (size_t)h + (size_t)k] += dy * t->d2[k];
    }
    t->dp[w3 + (size_t)h] += dy;
    *dx = 0;
    for (int i = 0; i < h; i++) {
        t->d1[i] = 0;
        for (int k = 0; k < h; k++) {
            t->d1[i] += t->h1[i] > 0 ? (double)p2[i * h + k] * t->d2[k] : 0;
            t->dp[w2 + (size_t)(i * h + k)] += dy * t->h1[i] * t->d2[k];
        }
        *dx += t->d1[i] * (double)p1[i * d + d - 1];
        t->dp[h * d + i] += dy * t->d1[i];
        for (int j = 0; j < d; j++)
            t->dp[i * d + j] += dy * t->d1[i] * (double)x[j];
    }
    return y;
}

/* Sizes whose products OpenBLAS gets whole, and in pieces with and without a rest. */
static const int sizes[][3] = {{N, D, H}, {1, 1, 1}, {1, 10, 300}, {64, 10, 300}, {64, 11, 288}, {67, 3, 301}};

START_TEST(network_is_its_naive_twin)
{
    const int n = sizes[_i][0], d = sizes[_i][1], h = sizes[_i][2];
    struct rng r;
    struct network w;
    struct trace t;
    struct twin twin;
    rng_init(&r, 4, "twin", (uint64_t)_i);
    network_init(&w, d, h);
    trace_init(&t, n + 3, d, h);
    for (size_t i = 0; i < w.n; i++)
        w.p[i] = (float)(rng_normal(&r) / sqrt(h));
    float *x = xcalloc((size_t)(n * d), sizeof *x), *dp = xcalloc(w.n, sizeof *dp);
    float *y = xcalloc((size_t)n, sizeof *y), *dy = xcalloc((size_t)n, sizeof *y),
          *dx = xcalloc((size_t)n, sizeof *y);
    double **rooms[] = {&twin.h1, &twin.h2, &twin.d1, &twin.d2};
    for (int i = 0; i < 4; i++)
        *rooms[i] = xcalloc((size_t)h, sizeof(double));
    twin.dp = xcalloc(w.n, sizeof(double));
    for (int i = 0; i < n * d; i++)
        x[i] = (float)rng_normal(&r);
    for (int i = 0; i < n; i++)
        dy[i] = (float)rng_normal(&r);

    network_forward(&w, y, x, n, &t);
    network_backward(&w, dp, dy, x, n, &t);
    network_slope(&w, dx, x, n, &t);
    for (int i = 0; i < n; i++) {
        double slope_i;
        ck_assert_double_eq_tol((double)y[i], twin_row(&twin, &w, x + i * d, (double)dy[i], &slope_i), 1e-5);
        ck_assert_double_eq_tol((double)dx[i], slope_i, 1e-5);
    }
    for (size_t i = 0; i < w.n; i++)
        ck_assert_double_eq_tol((double)dp[i], twin.dp[i], 1e-4);
    for (int i = 0; i < 4; i++)
        free(*rooms[i]);
    free(twin.dp);
    free(x);
    free(dp);
    free(y);
    free(dy);
    free(dx);
    trace_release(&t);
    network_release(&w);
}
END_TEST

static void read_line(FILE *f, float *x, int n)
{
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(fscanf(f, "%f", x + i), 1);
}

START_TEST(adam_walks_as_pytorchs)
{
    const char *dir = getenv("ESPALIER_TESTS");
    char path[512];
    snprintf(path, sizeof path, "%s/golden/adam.txt", dir ? dir : "tests");
    FILE *f = fopen(path, "r");
    ck_assert_msg(f != NULL, "could not open %s", path);
    int n, steps;
    ck_assert_int_eq(fscanf(f, "%d %d", &n, &steps), 2);
    ck_assert(n == 8 && steps == 40);
    float p[8], g[8], want[8], target[8] = {0}, follows[8] = {0};
    struct adam a;
    adam_init(&a, (size_t)n, 1e-3);
    read_line(f, p, n);
    for (int s = 0; s < steps; s++) {
        read_line(f, g, n);
        read_line(f, want, n);
        adam_step(&a, p, g, target, 0.01f);
        for (int i = 0; i < n; i++) {
            follows[i] += 0.01f * (p[i] - follows[i]);
            ck_assert(fabsf(target[i] - follows[i]) <= 1e-6f);
        }
        for (int i = 0; i < n; i++)
            ck_assert_msg(fabsf(p[i] - want[i]) <= 2e-6f * fmaxf(1, fabsf(want[i])), "step %d, %d: %.9g, not %.9g",
                          s, i, (double)p[i], (double)want[i]);
    }
    adam_release(&a);
    fclose(f);
}
END_TEST

/* Episodes of one step: reward -(a - s_0)^2, so the actor has to say s_0. */
static void bandit(struct batch *b, struct rng *r)
{
    for (int n = 0; n < AGENT_BATCH; n++) {
        for (int i = 0; i < 3; i++)
            b->s[n * 3 + i] = b->s2[n * 3 + i] = (float)rng_uniform(r);
        b->a[n] = (float)rng_uniform(r);
        b->r[n] = -powf(b->a[n] - b->s[n * 3], 2);
        b->going[n] = 0;
    }
}

START_TEST(agent_learns_a_bandit)
{
    struct rng r;
    rng_init(&r, 5, "bandit", 0);
    struct agent *a = agent_new(3, 0, &r);
    struct batch b;
    batch_init(&b, 3);
    for (int i = 0; i < 1500; i++) {
        bandit(&b, &r);
        agent_update(a, &b);
    }
    float s[15], act[5];
    for (int i = 0; i < 5; i++) {
        s[3 * i] = 0.1f + 0.2f * (float)i;
        s[3 * i + 1] = s[3 * i + 2] = 0.5f;
    }
    agent_act(a, act, s, 5);
    for (int i = 0; i < 5; i++)
        ck_assert_double_eq_tol((double)act[i], (double)s[3 * i], 0.1);
    batch_release(&b);
    agent_free(a);
}
END_TEST

START_TEST(agent_goes_on_from_its_bytes)
{
    struct rng r, r2;
    struct batch b;
    struct buf bytes = {0}, one = {0}, two = {0};
    rng_init(&r, 6, "bytes", 0);
    struct agent *a = agent_new(3, 0, &r), *copy = agent_new(3, 0, &r);
    batch_init(&b, 3);
    for (int i = 0; i < 5; i++) {
        bandit(&b, &r);
        agent_update(a, &b);
    }
    agent_save(a, &(struct writer){&bytes});
    struct reader in = {.p = bytes.p, .left = bytes.n};
    agent_restore(copy, &in);
    ck_assert(reader_fine(&in) && in.left == 0);
    r2 = r;
    for (int i = 0; i < 5; i++) {
        bandit(&b, &r);
        agent_update(a, &b);
        bandit(&b, &r2);
        agent_update(copy, &b);
    }
    agent_save(a, &(struct writer){&one});
    agent_save(copy, &(struct writer){&two});
    ck_assert(one.n == two.n && memcmp(one.p, two.p, one.n) == 0);
    ck_assert(memcmp(one.p, bytes.p, one.n) != 0);
    batch_release(&b);
    agent_free(a);
    agent_free(copy);
    buf_release(&bytes);
    buf_release(&one);
    buf_release(&two);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("network");
    TCase *t = tcase_create("network");
    tcase_set_timeout(t, 60);
    tcase_add_test(t, gradients_are_slopes);
    tcase_add_loop_test(t, network_is_its_naive_twin, 0, (int)(sizeof sizes / sizeof *sizes));
    tcase_add_test(t, adam_walks_as_pytorchs);
    tcase_add_test(t, agent_learns_a_bandit);
    tcase_add_test(t, agent_goes_on_from_its_bytes);
    suite_add_tcase(s, t);
    SRunner *run = srunner_create(s);
    srunner_run_all(run, CK_NORMAL);
    int bad = srunner_ntests_failed(run) > 0 || srunner_ntests_run(run) == 0;
    srunner_free(run);
    return bad;
}
