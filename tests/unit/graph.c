#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/base/mem.h"
#include "common/model/weights.h"
#include "tests/unit/nets.h"

#define WIN(k, s, d, p)                                                                                            \
    {                                                                                                              \
        k, k, s, s, d, d, p, p, p, p                                                                               \
    }

static int one[] = {1}, zero[] = {0}, zero_twice[] = {0, 0}, two_first[] = {0, 1}, flat_pair[] = {1, 2}, none[] = {3}, minus[] = {-1};

/* What each node of this small table becomes after input (8,10,12) = n0 and its flattened form = n1. */
static const struct {
    struct node d;
    int C, H, W;
    bool flat;
} good[] = {
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 6, .u.conv = {WIN(3, 2, 1, 1), 2, false}}, 6, 5, 6, false},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 4, .u.conv = {WIN(3, 1, 3, 0), 1, true}}, 4, 4, 6, false},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 4, .u.conv = {{1, 5, 1, 2, 1, 1, 2, 0, 0, 1}, 1, true}},
     4,
     12,
     5,
     false},
    {{.op = OP_BN, .n_in = 1, .in = one}, 960, 1, 1, true},
    {{.op = OP_RELU, .n_in = 1, .in = zero}, 8, 10, 12, false},
    {{.op = OP_CLIP, .n_in = 1, .in = zero, .u.clip = {0, 6}}, 8, 10, 12, false},
    {{.op = OP_MAXPOOL, .n_in = 1, .in = zero, .u.pool = {WIN(3, 2, 1, 1), false}}, 8, 5, 6, false},
    {{.op = OP_AVGPOOL, .n_in = 1, .in = zero, .u.pool = {WIN(2, 2, 1, 0), true}}, 8, 5, 6, false},
    {{.op = OP_GLOBALPOOL, .n_in = 1, .in = zero}, 8, 1, 1, false},
    {{.op = OP_GLOBALPOOL, .n_in = 1, .in = zero, .flat = true}, 8, 1, 1, true},
    {{.op = OP_PAD, .n_in = 1, .in = zero, .u.pad = {1, 2, 3, 4, 5, 6}}, 11, 18, 22, false},
    {{.op = OP_SLICE, .n_in = 1, .in = zero, .u.slice = {{1, 8, 3}, {0, 10, 1}, {1, 12, 2}}}, 3, 10, 6, false},
    {{.op = OP_FLATTEN, .n_in = 1, .in = one}, 960, 1, 1, true},
    {{.op = OP_GEMM, .n_in = 1, .in = one, .C = 10}, 10, 1, 1, true},
    {{.op = OP_SOFTMAX, .n_in = 1, .in = one}, 960, 1, 1, true},
    {{.op = OP_CONCAT, .n_in = 1, .in = zero}, 8, 10, 12, false},
    {{.op = OP_MUL, .n_in = 2, .in = zero_twice}, 8, 10, 12, false},
    {{.op = OP_SIGMOID, .n_in = 1, .in = zero}, 8, 10, 12, false},
    {{.op = OP_PRELU, .n_in = 1, .in = one}, 960, 1, 1, true},
    {{.op = OP_LRN, .n_in = 1, .in = zero, .u.lrn = {5, 1, 1, 1}}, 8, 10, 12, false},
    {{.op = OP_SHUFFLE, .n_in = 1, .in = one, .u.shuffle.groups = 3}, 960, 1, 1, true},
    {{.op = OP_UNFLATTEN, .n_in = 1, .in = one}, 960, 1, 1, false},
    {{.op = OP_GEMM, .n_in = 1, .in = one, .C = 10, .shares = 0}, 10, 1, 1, true},
};

/* Refused after n0, n1 as above and n2 = Gemm of 960 on n1; the text is the whole of what the person reads. */
static const struct {
    struct node d;
    const char *text;
} bad[] = {
    {{.op = OP_INPUT, .C = 1, .H = 1, .W = 1}, "Input \"n3\": node 3 can't be a second input"},
    {{.op = OP_RELU}, "Relu \"n3\": 0 inputs in place of 1"},
    {{.op = OP_RELU, .n_in = 1, .in = none}, "Relu \"n3\": input 0 is node 3, which isn't before node 3"},
    {{.op = OP_RELU, .n_in = 1, .in = minus}, "Relu \"n3\": input 0 is node -1, which isn't before node 3"},
    {{.op = OP_ADD, .n_in = 1, .in = zero}, "Add \"n3\": 1 inputs in place of 2"},
    {{.op = OP_ADD, .n_in = 2, .in = two_first},
     "Add \"n3\": \"n0\" (8,10,12) and \"n1\" (960,1,1) flat differ in shape"},
    {{.op = OP_CONCAT, .n_in = 2, .in = two_first},
     "Concat \"n3\": \"n0\" (8,10,12) and \"n1\" (960,1,1) flat can't stand side by side"},
    {{.op = OP_CONV, .n_in = 1, .in = one, .C = 4, .u.conv = {WIN(1, 1, 1, 0), 1, false}},
     "Conv \"n3\": input \"n1\" has no height and width"},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 4, .u.conv = {WIN(3, 1, 1, 0), 3, false}},
     "Conv \"n3\": 3 groups don't divide 8 input channels"},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 6, .u.conv = {WIN(3, 1, 1, 0), 4, false}},
     "Conv \"n3\": 4 groups don't divide 6 output channels"},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 0, .u.conv = {WIN(3, 1, 1, 0), 1, false}},
     "Conv \"n3\": 1 groups don't divide 0 output channels"},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 4, .u.conv = {WIN(3, 1, 1, 0), 0, false}},
     "Conv \"n3\": 0 groups don't divide 8 input channels"},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 4, .u.conv = {WIN(3, 0, 1, 0), 1, false}},
     "Conv \"n3\": height: kernel 3, stride 0, dilation 1, padding 0 and 0 are out of range"},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 4, .u.conv = {WIN(3, 1, 1, -1), 1, false}},
     "Conv \"n3\": height: kernel 3, stride 1, dilation 1, padding -1 and -1 are out of range"},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 4, .u.conv = {WIN(6, 1, 2, 0), 1, false}},
     "Conv \"n3\": height: a window of 11 pixels doesn't fit into 10"},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 4, .u.conv = {WIN(GRAPH_MAX_DIM, 1, GRAPH_MAX_DIM, 0), 1, false}},
     "Conv \"n3\": height: a window of 1099510579201 pixels doesn't fit into 10"},
    {{.op = OP_CONV, .n_in = 1, .in = zero, .C = 4, .u.conv = {WIN(1, 1, 1, GRAPH_MAX_DIM), 1, false}},
     "Conv \"n3\": shape (4,2097162,2097164) isn't within 1 ... 1048576"},
    {{.op = OP_MAXPOOL, .n_in = 1, .in = zero, .u.pool = {WIN(2, 2, 1, 2), false}},
     "MaxPool \"n3\": height: kernel 2, dilation 1, padding 2 and 2 leave a window without a pixel of 10"},
    {{.op = OP_AVGPOOL, .n_in = 1, .in = zero, .u.pool = {WIN(2, 1, 11, 3), false}},
     "AveragePool \"n3\": height: kernel 2, dilation 11, padding 3 and 3 leave a window without a pixel of 10"},
    {{.op = OP_GLOBALPOOL, .n_in = 1, .in = one}, "GlobalAveragePool \"n3\": input \"n1\" has no height and width"},
    {{.op = OP_CLIP, .n_in = 1, .in = zero, .u.clip = {6, 0}},
     "Clip \"n3\": lower bound 6 isn't at most upper bound 0"},
    {{.op = OP_PAD, .n_in = 1, .in = zero, .u.pad = {0, 0, -1, 0, 0, 0}},
     "Pad \"n3\": padding of channels 0 and 0, height -1 and 0, width 0 and 0"},
    {{.op = OP_PAD, .n_in = 1, .in = one, .u.pad = {0, 0, 1, 0, 0, 0}},
     "Pad \"n3\": input \"n1\" has no height and width to pad"},
    {{.op = OP_PAD, .n_in = 1, .in = zero, .u.pad = {GRAPH_MAX_DIM, 0, 0, 0, 0, 0}},
     "Pad \"n3\": shape (1048584,10,12) isn't within 1 ... 1048576"},
    {{.op = OP_PAD, .n_in = 1, .in = zero, .u.pad = {0, 0, 100000, 100000, 0, 0}},
     "Pad \"n3\": shape (8,100010,100012) has more than 2147483647 numbers"},
    {{.op = OP_SLICE, .n_in = 1, .in = zero, .u.slice = {{0, 9, 1}, {0, 1, 1}, {0, 1, 1}}},
     "Slice \"n3\": channels: [0,9) by 1 of 8"},
    {{.op = OP_SLICE, .n_in = 1, .in = zero, .u.slice = {{0, 8, 1}, {3, 3, 1}, {0, 1, 1}}},
     "Slice \"n3\": height: [3,3) by 1 of 10"},
    {{.op = OP_SLICE, .n_in = 1, .in = zero, .u.slice = {{0, 8, 1}, {0, 10, 1}, {0, 12, 0}}},
     "Slice \"n3\": width: [0,12) by 0 of 12"},
    {{.op = OP_GEMM, .n_in = 1, .in = zero, .C = 10}, "Gemm \"n3\": input \"n0\" of shape (8,10,12) isn't flat"},
    {{.op = OP_GEMM, .n_in = 1, .in = one, .C = GRAPH_MAX_DIM + 1},
     "Gemm \"n3\": 1048577 output channels, which isn't in 1 ... 1048576"},
    {{.op = OP_MUL, .n_in = 2, .in = two_first},
     "Mul \"n3\": \"n0\" (8,10,12) and \"n1\" (960,1,1) flat differ in shape"},
    {{.op = OP_LRN, .n_in = 1, .in = zero, .u.lrn = {0, 1, 1, 1}}, "LRN \"n3\": size 0, alpha 1, beta 1, bias 1"},
    {{.op = OP_LRN, .n_in = 1, .in = one, .u.lrn = {5, 1, 1, 1}}, "LRN \"n3\": input \"n1\" has no height and width"},
    {{.op = OP_SHUFFLE, .n_in = 1, .in = zero, .u.shuffle.groups = 3}, "ChannelShuffle \"n3\": 3 groups don't divide 8 channels"},
    {{.op = OP_UNFLATTEN, .n_in = 1, .in = zero}, "Unflatten \"n3\": input \"n0\" of shape (8,10,12) isn't flat"},
    {{.op = OP_GEMM, .n_in = 1, .in = one, .C = 10, .shares = 2},
     "Gemm \"n3\": it shares the weight of Gemm \"n2\", which isn't alike"},
    {{.op = OP_GEMM, .n_in = 1, .in = one, .C = 10, .shares = 3},
     "Gemm \"n3\": it shares the weight of node 3, which isn't the first"},
    {{.op = OP_SOFTMAX, .n_in = 1, .in = zero}, "Softmax \"n3\": input \"n0\" of shape (8,10,12) isn't flat"},
};

static void start(struct graph *g)
{
    graph_init(g);
    net_op(g, OP_FLATTEN, net_input(g, 8, 10, 12));
}

START_TEST(shapes)
{
    struct graph g;
    start(&g);
    const struct node *d = &g.nodes[net_add(&g, good[_i].d)];
    ck_assert_msg(d->C == good[_i].C && d->H == good[_i].H && d->W == good[_i].W && d->flat == good[_i].flat,
                  "%s is (%d,%d,%d)%s", op_name(d->op), d->C, d->H, d->W, d->flat ? " flat" : "");
    graph_release(&g);
}
END_TEST

START_TEST(refusals)
{
    struct graph g;
    struct err e;
    start(&g);
    net_gemm(&g, 1, 960);
    int rc = net_try(&g, bad[_i].d, &e);
    ck_assert_msg(rc < 0, "accepted, should say: %s", bad[_i].text);
    ck_assert_str_eq(e.text, bad[_i].text);
    ck_assert_int_eq(rc, e.code);
    ck_assert_int_eq(g.n, 3);
    graph_release(&g);
}
END_TEST

START_TEST(names)
{
    struct graph g;
    struct err e;
    start(&g);
    char taken[] = "n1", empty[] = "", label[] = "of the node";
    struct node d = {.op = OP_RELU, .n_in = 1, .in = zero, .name = taken, .label = label};
    ck_assert_int_lt(graph_add(&g, &d, &e), 0);
    ck_assert_str_eq(e.text, "Relu \"n1\": the name is taken by Flatten node 1");
    d.name = empty;
    ck_assert_int_lt(graph_add(&g, &d, &e), 0);
    ck_assert_str_eq(e.text, "Relu at position 2 has no name");
    d.name = NULL;
    ck_assert_int_lt(graph_add(&g, &d, &e), 0);
    taken[1] = 'x';
    d.name = taken;
    ck_assert_int_eq(graph_add(&g, &d, &e), 2);
    ck_assert_str_eq(g.nodes[2].name, "nx");
    ck_assert_str_eq(g.nodes[2].label, "of the node");
    graph_release(&g);
}
END_TEST

START_TEST(joins)
{
    struct graph g;
    start(&g);
    net_gemm(&g, 1, 960);
    int sum = net_add(&g, (struct node){.op = OP_ADD, .n_in = 2, .in = flat_pair});
    ck_assert(g.nodes[sum].C == 960 && g.nodes[sum].flat);
    int both = net_add(&g, (struct node){.op = OP_CONCAT, .n_in = 2, .in = flat_pair});
    ck_assert(g.nodes[both].C == 1920 && g.nodes[both].flat);
    graph_release(&g);
}
END_TEST

/* Limits that need a graph of their own. */
START_TEST(limits)
{
    struct graph g;
    struct err e;
    graph_init(&g);
    int x = 0;
    ck_assert_int_lt(net_try(&g, (struct node){.op = OP_RELU, .n_in = 1, .in = &x}, &e), 0);
    ck_assert_str_eq(e.text, "Relu \"n0\": node 0 can't be anything but the input");
    ck_assert_int_lt(net_try(&g, (struct node){.op = OP_INPUT, .C = 3, .H = 0, .W = 4}, &e), 0);
    ck_assert_str_eq(e.text, "Input \"n0\": shape (3,0,4) isn't within 1 ... 1048576");
    ck_assert_int_lt(net_try(&g, (struct node){.op = OP_INPUT, .C = 3, .H = 2, .W = 1, .flat = true}, &e), 0);
    ck_assert_str_eq(e.text, "Input \"n0\": a flat value of height 2 and width 1");
    net_input(&g, 1024, 64, 32);
    ck_assert_int_lt(net_try(&g, net_conv_node(&x, 1 << 18, 3, 1, 1), &e), 0);
    ck_assert_str_eq(e.text, "Conv \"n1\": a weight of shape (262144,1024,3,3) has more than 2147483647 numbers");
    ck_assert_int_lt(net_try(&g, (struct node){.op = OP_FLATTEN, .n_in = 1, .in = &x}, &e), 0);
    ck_assert_str_eq(e.text, "Flatten \"n1\": (1024,64,32) has 2097152 numbers, more than 1048576");
    graph_release(&g);

    net_input(&g, 31, 1 << 13, 1 << 13);
    ck_assert_int_lt(net_try(&g, net_conv_node(&x, 31, 513, 1, 1), &e), 0);
    ck_assert_int_eq(e.code, ERR_LIMIT);
    ck_assert_str_eq(e.text,
                     "Conv \"n1\": 2080374784 outputs of 8158239 multiply-adds each are more than 281474976710656");
    graph_release(&g);
}
END_TEST

/* The largest graph is built in well under a second: names are looked up, not compared with all others. */
START_TEST(largest)
{
    struct graph g, h;
    struct err e;
    graph_init(&g);
    clock_t t = clock();
    int x = net_input(&g, 4, 4, 4);
    while (g.n < GRAPH_MAX_NODES)
        x = net_op(&g, OP_RELU, x);
    ck_assert_int_lt(net_try(&g, (struct node){.op = OP_RELU, .n_in = 1, .in = &x}, &e), 0);
    ck_assert_str_eq(e.text, "Relu \"n20000\" is one node more than 20000");
    ck_assert_int_eq(graph_copy(&g, &h, &e), 0);
    ck_assert_str_eq(h.nodes[19999].name, "n19999");
    ck_assert_double_lt((double)(clock() - t) / CLOCKS_PER_SEC, 2);
    graph_release(&h);
    graph_release(&g);
}
END_TEST

START_TEST(copy)
{
    struct graph g, h;
    struct err e;
    graph_init(&g);
    net_resnet(&g, 1);
    g.opset = 13;
    g.nodes[1].names[NAME_W] = mem_dup("weight", 7, 1);
    ck_assert_int_eq(graph_copy(&g, &h, &e), 0);
    ck_assert_str_eq(h.nodes[1].names[NAME_W], "weight");
    ck_assert_ptr_ne(h.nodes[1].names[NAME_W], g.nodes[1].names[NAME_W]);
    ck_assert_ptr_null(h.nodes[1].names[NAME_B]);
    ck_assert_int_eq(h.n, g.n);
    ck_assert_int_eq(h.output, g.output);
    ck_assert_int_eq(h.opset, 13);
    for (int i = 0; i < g.n; i++) {
        ck_assert_str_eq(h.nodes[i].name, g.nodes[i].name);
        ck_assert_ptr_ne(h.nodes[i].name, g.nodes[i].name);
        ck_assert_str_eq(h.nodes[i].label, "");
        ck_assert_int_eq(h.nodes[i].C, g.nodes[i].C);
        ck_assert_mem_eq(h.nodes[i].in, g.nodes[i].in, (size_t)g.nodes[i].n_in * sizeof(int));
    }
    graph_release(&g);
    net_op(&h, OP_SOFTMAX, h.output); /* it can grow by itself */
    ck_assert_int_lt(graph_add(&h, &(struct node){.op = OP_RELU, .name = h.nodes[3].name}, &e), 0);
    ck_assert_str_eq(e.text, "Relu \"n3\": the name is taken by Relu node 3");
    graph_release(&h);
}
END_TEST

/* A narrower conv's shape reaches the nodes behind it, and a misfit leaves the node as it was. */
START_TEST(infer_again)
{
    struct graph g;
    struct err e;
    graph_init(&g);
    int x = net_input(&g, 3, 8, 8), a = net_conv(&g, x, 8, 3, 1, 1), b = net_conv(&g, x, 8, 1, 1, 1);
    int bn = net_op(&g, OP_BN, a), sum = net_join(&g, OP_ADD, bn, b);
    g.nodes[a].C = 5;
    ck_assert_int_eq(graph_infer(&g, a, &e), 0);
    ck_assert_int_eq(graph_infer(&g, bn, &e), 0);
    ck_assert_int_eq(g.nodes[bn].C, 5);
    ck_assert_int_lt(graph_infer(&g, sum, &e), 0);
    ck_assert_str_eq(e.text, "Add \"n4\": \"n3\" (5,8,8) and \"n2\" (8,8,8) differ in shape");
    ck_assert_int_eq(g.nodes[sum].C, 8);
    graph_release(&g);
}
END_TEST

START_TEST(readers)
{
    struct graph g;
    graph_init(&g);
    int x = net_input(&g, 3, 8, 8), a = net_op(&g, OP_RELU, x), b = net_join(&g, OP_ADD, a, a);
    g.output = net_join(&g, OP_ADD, b, a);
    int n[4], want[] = {1, 3, 1, 1};
    graph_readers(&g, n);
    ck_assert_mem_eq(n, want, sizeof n);
    graph_release(&g);
}
END_TEST

START_TEST(weights)
{
    struct graph g;
    struct weights w, v;
    struct err e;
    graph_init(&g);
    int x = net_input(&g, 4, 8, 8), a = net_conv(&g, x, 6, 3, 1, 2), b = net_op(&g, OP_BN, a);
    int f = net_op(&g, OP_FLATTEN, b), y = net_gemm(&g, f, 7);
    ck_assert_int_eq(weights_new(&w, &g, &e), 0);
    ck_assert_int_eq(w.n, 5);
    ck_assert(!w.of[x].w && !w.of[f].w && w.of[f].n_w == 0);
    ck_assert_uint_eq(w.of[a].n_w, 6 * 2 * 9);
    ck_assert(w.of[a].w && !w.of[a].b && !w.of[a].mean);
    ck_assert_uint_eq(w.of[b].n_w, 6);
    ck_assert(w.of[b].b && w.of[b].mean && w.of[b].var && w.of[b].n_b == 6);
    ck_assert_uint_eq(w.of[y].n_w, 7 * 6 * 64);
    ck_assert(w.of[y].b && w.of[y].n_b == 7 && w.of[y].w[7 * 6 * 64 - 1] == 0);
    w.of[a].w[107] = 3;
    w.of[b].var[5] = 4;
    ck_assert_int_eq(weights_copy(&w, &v, &e), 0);
    weights_release(&w);
    ck_assert(v.of[a].w[107] == 3 && !v.of[a].b && v.of[b].var[5] == 4 && v.of[y].b[6] == 0);
    struct model m = {g, v};
    model_release(&m);
    model_release(&m);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("graph");
    TCase *t = tcase_create("graph");
    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, shapes, 0, sizeof good / sizeof *good);
    tcase_add_loop_test(t, refusals, 0, sizeof bad / sizeof *bad);
    tcase_add_test(t, names);
    tcase_add_test(t, joins);
    tcase_add_test(t, limits);
    tcase_add_test(t, largest);
    tcase_add_test(t, copy);
    tcase_add_test(t, infer_again);
    tcase_add_test(t, readers);
    tcase_add_test(t, weights);
    suite_add_tcase(s, t);
    SRunner *r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    int failed = srunner_ntests_failed(r) > 0 || srunner_ntests_run(r) == 0;
    srunner_free(r);
    return failed;
}
