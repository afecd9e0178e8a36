#include "common/zoo/builder.h"

#include <stdarg.h>
#include <stdio.h>

void builder_at(struct builder *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(b->at, sizeof b->at, fmt, ap);
    va_end(ap);
}

int builder_channels(const struct builder *b, int x)
{
    return b->rc < 0 ? 1 : b->g->nodes[x].C;
}

/* The value and its node have one name, so that the initializers are called as a PyTorch module's parameters are.
 */
static int add(struct builder *b, struct node d, const char *kind, const char *which)
{
    char name[BUILDER_NAME];
    if (b->rc < 0)
        return 0;
    snprintf(name, sizeof name, "%s%s%s", b->at, kind, which);
    d.name = name;
    d.label = d.op == OP_INPUT ? NULL : name;
    int i = graph_add(b->g, &d, b->e);
    b->rc = i < 0 ? i : 0;
    return i < 0 ? 0 : i;
}

/* A node that has one input and nothing else to say. */
static int add_plain(struct builder *b, enum op op, const char *kind, const char *which, int x)
{
    return add(b, (struct node){.op = op, .n_in = 1, .in = &x}, kind, which);
}

static struct window square(int R, int stride)
{
    return (struct window){R, R, stride, stride, 1, 1, (R - 1) / 2, (R - 1) / 2, (R - 1) / 2, (R - 1) / 2};
}

int builder_input(struct builder *b, int C, int H, int W)
{
    return add(b, (struct node){.op = OP_INPUT, .C = C, .H = H, .W = W}, "input", "");
}

int builder_conv_bn(struct builder *b, const char *which, int x, struct filter f)
{
    struct node conv = {.op = OP_CONV, .n_in = 1, .in = &x, .C = f.K};
    conv.u.conv.win = square(f.R, f.stride);
    conv.u.conv.groups = f.depthwise ? f.K : 1;
    int y = add(b, conv, "conv", which);
    struct node bn = {.op = OP_BN, .n_in = 1, .in = &y};
    bn.u.bn.eps = 1e-5F;
    return add(b, bn, "bn", which);
}

int builder_relu(struct builder *b, const char *which, int x)
{
    return add_plain(b, OP_RELU, "relu", which, x);
}

int builder_relu6(struct builder *b, const char *which, int x)
{
    struct node d = {.op = OP_CLIP, .n_in = 1, .in = &x};
    d.u.clip.lo = 0;
    d.u.clip.hi = 6;
    return add(b, d, "clip", which);
}

int builder_conv_bn_relu(struct builder *b, const char *which, int x, struct filter f)
{
    return builder_relu(b, which, builder_conv_bn(b, which, x, f));
}

int builder_conv_bn_relu6(struct builder *b, const char *which, int x, struct filter f)
{
    return builder_relu6(b, which, builder_conv_bn(b, which, x, f));
}

int builder_maxpool(struct builder *b, int x, int R, int stride)
{
    struct node d = {.op = OP_MAXPOOL, .n_in = 1, .in = &x};
    d.u.pool.win = square(R, stride);
    return add(b, d, "maxpool", "");
}

int builder_add(struct builder *b, int x, int y)
{
    int in[] = {x, y};
    return add(b, (struct node){.op = OP_ADD, .n_in = 2, .in = in}, "add", "");
}

int builder_gemm(struct builder *b, const char *which, int x, int K)
{
    struct node d = {.op = OP_GEMM, .n_in = 1, .in = &x, .C = K};
    d.u.gemm.bias = true;
    return add(b, d, "fc", which);
}

/* It ends behind the last pixel that is taken, as the importer has it. */
static struct span every_second(int size)
{
    return (struct span){0, (size - 1) / 2 * 2 + 1, 2};
}

int builder_option_a(struct builder *b, int x, int K)
{
    if (b->rc < 0)
        return 0;
    const struct node *from = &b->g->nodes[x];
    int more = K - from->C;
    struct node half = {.op = OP_SLICE, .n_in = 1, .in = &x};
    half.u.slice.c = (struct span){0, from->C, 1};
    half.u.slice.h = every_second(from->H);
    half.u.slice.w = every_second(from->W);
    int y = add(b, half, "shortcut.slice", "");
    struct node wide = {.op = OP_PAD, .n_in = 1, .in = &y};
    wide.u.pad.front = more / 2;
    wide.u.pad.back = more - more / 2;
    return add(b, wide, "shortcut.pad", "");
}

int builder_mean(struct builder *b, int x)
{
    return builder_flatten(b, add_plain(b, OP_GLOBALPOOL, "avgpool", "", x));
}

int builder_flatten(struct builder *b, int x)
{
    return add_plain(b, OP_FLATTEN, "flatten", "", x);
}
