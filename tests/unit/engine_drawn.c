/*
 * The engine against its naive twin on nets drawn at random, and against itself on several threads.
 */
#include "tests/unit/drawn_ops.h"
#include "worker/engine/pool.h"

/* ---- drawn nets ---- */

static int any_of(struct net *n, const int *list, int count)
{
    return list[rng_below(&n->rng, (uint64_t)count)];
}

/* Some node with pixels; `like` >= 0: of its shape. */
static int pick(struct net *n, int like)
{
    const struct node *nodes = n->m.graph.nodes, *l = &nodes[like < 0 ? 0 : like];
    for (;;) {
        int i = (int)rng_below(&n->rng, (uint64_t)n->m.graph.n);
        bool alike = like < 0 || (nodes[i].C == l->C && nodes[i].H == l->H && nodes[i].W == l->W);
        if (alike && !nodes[i].flat)
            return i;
    }
}

static int drawn_conv(struct net *n, int x)
{
    static const int widths[] = {8, 11, 16, 21, 24, 32, 37, 40}, kernels[] = {1, 3, 3, 3, 5};
    int C = n->m.graph.nodes[x].C, K = any_of(n, widths, 8), R = any_of(n, kernels, 5);
    bool small = n->m.graph.nodes[x].H < 5 || n->m.graph.nodes[x].W < 5;
    int stride = rng_below(&n->rng, 5) == 0 && !small ? 2 : 1;
    if (rng_below(&n->rng, 6) == 0)
        return conv_win(n, x, C, window(3, stride, 1), C, true);
    return conv_win(n, x, K, window(R, stride, R / 2), 1, rng_below(&n->rng, 2) == 0);
}

static int drawn_node(struct net *n)
{
    int x = rng_below(&n->rng, 4) > 0 ? n->last : pick(n, -1), C = n->m.graph.nodes[x].C;
    switch (rng_below(&n->rng, 17)) {
    case 0:
    case 1:
    case 2:
        return drawn_conv(n, x);
    case 3:
        return bn(n, x);
    case 4:
        return relu(n, x);
    case 5:
        return clip(n, x, -0.5F, 1);
    case 6:
    case 7:
        return sum(n, x, pick(n, x));
    case 8: {
        int y = pick(n, x);
        return C + n->m.graph.nodes[y].C < 150 ? concat(n, x, y, -1) : relu(n, x);
    }
    case 9:
        return pool(n, rng_below(&n->rng, 2) ? OP_MAXPOOL : OP_AVGPOOL, x, window(3, 1, 1), false);
    case 10:
    case 11:
        return drawn_act(n, x);
    case 12:
        return drawn_gate(n, x);
    case 13:
        return drawn_shuffle(n, x);
    case 14:
        return mul(n, x, pick(n, x));
    case 15:
        return drawn_lrn(n, x);
    default:
        return slice(n, pad(n, x, (int)rng_below(&n->rng, 9), 1, 0), (struct span){1, C + 1, 1}, 1);
    }
}

static void draw_net(struct net *n)
{
    int more = 6 + (int)rng_below(&n->rng, 14);
    conv(n, input(n, 3, 8 + 4 * (int)rng_below(&n->rng, 2), 8), 16, 3, 1);
    while (more-- > 0) {
        int i = drawn_node(n);
        if (rng_below(&n->rng, 2) && n->m.graph.nodes[i].op == OP_CONV)
            i = bn(n, i);
        if (rng_below(&n->rng, 2))
            relu(n, i);
    }
    if (rng_below(&n->rng, 3) == 0)
        gemm(n, flatten_last(n, n->last), 10, true);
    else
        tail(n, n->last, 10);
}

START_TEST(drawn)
{
    char what[32];
    struct net n;
    snprintf(what, sizeof what, "drawn %d", _i);
    net_init(&n, (uint64_t)_i, "drawn");
    draw_net(&n);
    draw_weights(&n);
    compare_modes(&n, 1 + _i % 4, what);
    model_release(&n.m);
}
END_TEST

/* ---- threads ---- */

#define PIECES 12

struct parallel {
    struct engine_run *run[3]; /* one a thread */
    const float *x;            /* (PIECES)(N,C,H,W) */
    float *y;                  /* (PIECES)(N,K) */
    size_t x_floats, y_floats; /* of a piece */
};

static int one_piece(void *arg, int piece, int thread, struct err *e)
{
    struct parallel *p = arg;
    return engine_forward(p->run[thread], p->x + (size_t)piece * p->x_floats, p->y + (size_t)piece * p->y_floats,
                          e);
}

/* All pieces on `threads` threads with an engine of its own, into y. */
static void run_pieces(const struct net *n, int batch, enum engine_mode mode, enum dtype type, int threads,
                       struct parallel *p)
{
    struct engine *eng;
    struct pool *workers;
    struct err e;
    must(engine_new(&eng, &n->m.graph, &n->m.weights, batch, mode, type, NULL, 0, &e), &e);
    must(pool_new(&workers, threads, &e), &e);
    for (int i = 0; i < threads; i++)
        must(engine_run_new(&p->run[i], eng, &e), &e);
    must(pool_run(workers, PIECES, one_piece, p, &e), &e);
    for (int i = 0; i < threads; i++)
        engine_run_free(p->run[i]);
    pool_free(workers);
    engine_free(eng);
}

START_TEST(threads_agree)
{
    enum engine_mode mode = _i % 2 ? ENGINE_BATCH : ENGINE_INFER;
    enum dtype type = _i / 2 % 2 && has_type(DTYPE_BF16) ? DTYPE_BF16 : DTYPE_F32;
    struct net n;
    net_init(&n, (uint64_t)_i, "threads");
    draw_net(&n);
    draw_weights(&n);
    struct parallel p = {.x_floats = 4 * naive_image(&n.m.graph.nodes[0]), .y_floats = 40};
    float *x = draw_images(&n.rng, &n.m.graph, 4 * PIECES), *one = xcalloc(PIECES, 40 * sizeof *one),
          *three = xcalloc(PIECES, 40 * sizeof *three);
    p.x = x;
    p.y = one;
    run_pieces(&n, 4, mode, type, 1, &p);
    p.y = three;
    run_pieces(&n, 4, mode, type, 3, &p);
    ck_assert_mem_eq(one, three, PIECES * 40 * sizeof *one);
    ck_assert_mem_ne(one, one + 40, 40 * sizeof *one);
    free(x);
    free(one);
    free(three);
    model_release(&n.m);
}
END_TEST

#define DRAWN 120

/* A CPU that can't says so; fp32 goes on. */
START_TEST(no_bf16)
{
    struct net n;
    struct engine *eng;
    struct err e;
    const char *fork = getenv("CK_FORK");
    if (fork && !strcmp(fork, "no")) /* oneDNN asks for the environment once a process */
        return;
    setenv("ONEDNN_MAX_CPU_ISA", "AVX2", 1);
    net_init(&n, 5, "plain");
    draw_net(&n);
    draw_weights(&n);
    ck_assert_int_eq(engine_new(&eng, &n.m.graph, &n.m.weights, 2, ENGINE_INFER, DTYPE_BF16, NULL, 0, &e),
                     ERR_UNSUPPORTED);
    ck_assert_msg(strstr(e.text, "this CPU has no bf16 kernels"), "%s", e.text);
    compare_modes(&n, 2, "without AVX-512");
    model_release(&n.m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("engine_drawn");
    TCase *t = tcase_create("engine_drawn");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, drawn, 0, DRAWN);
    tcase_add_loop_test(t, threads_agree, 0, 8);
    tcase_add_test(t, no_bf16);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r), ran = srunner_ntests_run(r);
    srunner_free(r);
    return failed || !ran;
}
