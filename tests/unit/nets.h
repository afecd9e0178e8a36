/*
 * nets - graphs for tests, built in code. Each helper appends a node, named by its index, and returns the index; a
 * node that graph_add refuses fails the test.
 */
#ifndef TESTS_UNIT_NETS_H
#define TESTS_UNIT_NETS_H

#include <check.h>
#include <stdio.h>

#include "common/model/graph.h"

/* Returns the index or graph_add's error. */
static inline int net_try(struct graph *g, struct node d, struct err *e)
{
    char name[16];
    snprintf(name, sizeof name, "n%d", g->n);
    d.name = name;
    return graph_add(g, &d, e);
}

static inline int net_add(struct graph *g, struct node d)
{
    struct err e;
    int i = net_try(g, d, &e);
    if (i < 0)
        ck_abort_msg("%s", e.text);
    return i;
}

static inline int net_input(struct graph *g, int C, int H, int W)
{
    return net_add(g, (struct node){.op = OP_INPUT, .C = C, .H = H, .W = W});
}

static inline int net_op(struct graph *g, enum op op, int x)
{
    return net_add(g, (struct node){.op = op, .n_in = 1, .in = &x});
}

/* Square and odd kernel R, padded so that stride 1 keeps the size; no bias. */
static inline struct node net_conv_node(int *x, int K, int R, int stride, int groups)
{
    struct node d = {.op = OP_CONV, .n_in = 1, .in = x, .C = K};
    d.u.conv.win = (struct window){R, R, stride, stride, 1, 1, R / 2, R / 2, R / 2, R / 2};
    d.u.conv.groups = groups;
    return d;
}

static inline int net_conv(struct graph *g, int x, int K, int R, int stride, int groups)
{
    return net_add(g, net_conv_node(&x, K, R, stride, groups));
}

static inline int net_conv_bn(struct graph *g, int x, int K, int R, int stride, int groups)
{
    return net_op(g, OP_BN, net_conv(g, x, K, R, stride, groups));
}

static inline int net_join(struct graph *g, enum op op, int x, int y)
{
    int in[] = {x, y};
    return net_add(g, (struct node){.op = op, .n_in = 2, .in = in});
}

static inline int net_gemm(struct graph *g, int x, int K)
{
    struct node d = {.op = OP_GEMM, .n_in = 1, .in = &x, .C = K};
    d.u.gemm.bias = true;
    return net_add(g, d);
}

static inline int net_slice(struct graph *g, int x, struct span c, struct span h, struct span w)
{
    struct node d = {.op = OP_SLICE, .n_in = 1, .in = &x};
    d.u.slice.c = c;
    d.u.slice.h = h;
    d.u.slice.w = w;
    return net_add(g, d);
}

static inline int net_pad_channels(struct graph *g, int x, int front, int back)
{
    struct node d = {.op = OP_PAD, .n_in = 1, .in = &x};
    d.u.pad.front = front;
    d.u.pad.back = back;
    return net_add(g, d);
}

/* Every second pixel, and zero channels on both sides: the shortcut without weights of He et al. 2015, option A. */
static inline int net_shortcut(struct graph *g, int x, int K)
{
    const struct node *d = &g->nodes[x];
    int C = d->C, H = d->H, W = d->W;
    int half = net_slice(g, x, (struct span){0, C, 1}, (struct span){0, H, 2}, (struct span){0, W, 2});
    return net_pad_channels(g, half, (K - C) / 2, K - C - (K - C) / 2);
}

/* The CIFAR ResNet of 6 * blocks + 2 layers with option-A shortcuts; g is empty. */
static inline void net_resnet(struct graph *g, int blocks)
{
    int x = net_input(g, 3, 32, 32);
    x = net_op(g, OP_RELU, net_conv_bn(g, x, 16, 3, 1, 1));
    for (int stage = 0; stage < 3; stage++)
        for (int b = 0; b < blocks; b++) {
            int K = 16 << stage, stride = stage > 0 && b == 0 ? 2 : 1;
            int y = net_op(g, OP_RELU, net_conv_bn(g, x, K, 3, stride, 1));
            y = net_conv_bn(g, y, K, 3, 1, 1);
            x = net_op(g, OP_RELU, net_join(g, OP_ADD, y, stride == 2 ? net_shortcut(g, x, K) : x));
        }
    x = net_op(g, OP_FLATTEN, net_op(g, OP_GLOBALPOOL, x));
    g->output = net_gemm(g, x, 10);
}

#endif
