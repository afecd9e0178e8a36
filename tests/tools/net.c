/*
 * net - the network of the integration tests, untrained: small enough that they may train it, with residual adds,
 * 1x1 convolutions on shortcuts and everything else that ties channels together.
 *
 *   net -o FILE.onnx
 *
 *   3x3 conv by 2 -> three stages of two blocks of two 3x3 convs, the later two by 2 and with a 1x1 conv on their
 * first shortcut -> mean over the picture -> ten logits; for (3,32,32) pictures
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/onnx/save.h"

enum { STAGES = 3, BLOCKS = 2, CLASSES = 10, SEED = 1 };
static const int width[STAGES] = {16, 32, 64};

/* Adds nodes until one fails; then the rest is skipped, and finish() says what it was. */
struct builder {
    struct graph *g;
    struct err *e;
    int rc;
};

/* `in` (and `in2`, unless it is negative) are value indices. The value gets the node's name. */
static int add(struct builder *b, struct node node, const char *name, int in, int in2)
{
    if (b->rc < 0)
        return 0;
    int ins[] = {in, in2};
    node.name = node.label = (char *)(uintptr_t)name;
    node.in = ins;
    node.n_in = (in >= 0) + (in2 >= 0);
    int i = graph_add(b->g, &node, b->e);
    b->rc = i < 0 ? i : 0;
    return i < 0 ? 0 : i;
}

static int conv_bn(struct builder *b, const char *at, const char *which, int in, int K, int size, int stride)
{
    char name[64];
    int pad = size / 2;
    struct node conv = {.op = OP_CONV, .C = K};
    conv.u.conv.groups = 1;
    conv.u.conv.win = (struct window){size, size, stride, stride, 1, 1, pad, pad, pad, pad};
    struct node bn = {.op = OP_BN};
    bn.u.bn.eps = 1e-5F;
    snprintf(name, sizeof(name), "%sconv%s", at, which);
    int x = add(b, conv, name, in, -1);
    snprintf(name, sizeof(name), "%sbn%s", at, which);
    return add(b, bn, name, x, -1);
}

static int relu(struct builder *b, const char *at, const char *which, int in)
{
    char name[64];
    snprintf(name, sizeof(name), "%srelu%s", at, which);
    return add(b, (struct node){.op = OP_RELU}, name, in, -1);
}

/* relu(bn(conv(relu(bn(conv(x))))) + shortcut(x)); the shortcut is x itself where the shapes allow. */
static int block(struct builder *b, int stage, int index, int in, int K, int stride)
{
    char at[32], name[64];
    snprintf(at, sizeof(at), "stage%d.%d.", stage + 1, index + 1);
    int x = conv_bn(b, at, "1", in, K, 3, stride);
    x = conv_bn(b, at, "2", relu(b, at, "1", x), K, 3, 1);
    bool same = b->rc == 0 && stride == 1 && b->g->nodes[in].C == K;
    int shortcut = same ? in : conv_bn(b, at, "_shortcut", in, K, 1, stride);
    snprintf(name, sizeof(name), "%sadd", at);
    return relu(b, at, "2", add(b, (struct node){.op = OP_ADD}, name, x, shortcut));
}

static int build(struct graph *g, struct err *e)
{
    struct builder b = {g, e, 0};
    int x = add(&b, (struct node){.op = OP_INPUT, .C = 3, .H = 32, .W = 32}, "input", -1, -1);
    x = relu(&b, "stem.", "", conv_bn(&b, "stem.", "", x, width[0], 3, 2));
    for (int s = 0; s < STAGES; s++)
        for (int k = 0; k < BLOCKS; k++)
            x = block(&b, s, k, x, width[s], s > 0 && k == 0 ? 2 : 1);
    x = add(&b, (struct node){.op = OP_GLOBALPOOL}, "pool", x, -1);
    x = add(&b, (struct node){.op = OP_FLATTEN}, "flat", x, -1);
    struct node gemm = {.op = OP_GEMM, .C = CLASSES};
    gemm.u.gemm.bias = true;
    g->output = add(&b, gemm, "logits", x, -1);
    return b.rc;
}

/* Normal with variance 2 / inputs for conv, 1 / inputs for gemm; BN starts as the identity. */
static void draw(const struct graph *g, struct weights *w, uint64_t seed)
{
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        struct params *p = &w->of[i];
        struct rng rng;
        if (!p->w)
            continue;
        if (d->op == OP_BN) {
            for (size_t c = 0; c < p->n_w; c++)
                p->w[c] = p->var[c] = 1;
            continue;
        }
        double inputs = (double)(p->n_w / (size_t)d->C);
        double sd = sqrt((d->op == OP_CONV ? 2 : 1) / inputs);
        rng_init(&rng, seed, "weights", (uint64_t)i);
        for (size_t k = 0; k < p->n_w; k++)
            p->w[k] = (float)(sd * rng_normal(&rng));
    }
}

static int make(struct model *m, struct err *e)
{
    *m = (struct model){0};
    graph_init(&m->graph);
    int rc = build(&m->graph, e);
    if (rc == 0 && !(m->graph.name = mem_dup("striped_shapes", sizeof("striped_shapes"), 1)))
        rc = err_set(e, ERR_NOMEM, "no memory for a name");
    if (rc == 0)
        rc = weights_new(&m->weights, &m->graph, e);
    if (rc == 0)
        draw(&m->graph, &m->weights, SEED);
    return rc;
}

int main(int argc, char **argv)
{
    struct model m;
    struct buf bytes = {0};
    struct err e;
    if (argc != 3 || strcmp(argv[1], "-o") != 0) {
        fputs("usage: net -o FILE.onnx\n", stderr);
        return 2;
    }
    int rc = make(&m, &e);
    if (rc == 0)
        rc = onnx_save(&m, NULL, 0, &bytes, &e);
    if (rc == 0)
        rc = file_write(argv[2], bytes.p, bytes.n, &e);
    if (rc < 0)
        fprintf(stderr, "net: %s\n", e.text);
    buf_release(&bytes);
    model_release(&m);
    return rc < 0;
}
