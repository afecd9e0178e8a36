/*
 * Any bytes as a training's checkpoint: refused with a line and the state as it was, or taken and encoded to the
 * same bytes again. The first byte says whether the rest is taken as it is, or laid over a good checkpoint, which
 * is then signed anew.
 */
#include <stdlib.h>
#include <string.h>

#include "worker/train/fit.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int add(struct graph *g, enum op op, const char *name, int x, int C)
{
    struct err e;
    char text[8];
    memcpy(text, name, strlen(name) + 1);
    struct node d = {.op = op, .name = text, .n_in = op != OP_INPUT, .in = &x, .C = C, .H = 2, .W = 2};
    if (op == OP_CONV) {
        d.u.conv.win = (struct window){1, 1, 1, 1, 1, 1, 0, 0, 0, 0};
        d.u.conv.groups = 1;
    }
    int i = graph_add(g, &d, &e);
    if (i < 0)
        BUG("%s", e.text);
    return i;
}

static void model_build(struct model *m)
{
    struct err e;
    struct graph *g = &m->graph;
    graph_init(g);
    int x = add(g, OP_BN, "bn", add(g, OP_CONV, "conv", add(g, OP_INPUT, "x", 0, 2), 3), 0);
    g->output = add(g, OP_GEMM, "y", add(g, OP_FLATTEN, "flat", x, 0), 2);
    if (weights_new(&m->weights, g, &e) < 0)
        BUG("%s", e.text);
}

static void lay_over(struct buf *b, const uint8_t *data, size_t n)
{
    size_t most = b->n - HASH_BYTES, at = n > 1 ? (size_t)(data[0] | data[1] << 8) % most : 0;
    for (size_t i = 2; i < n && at + i - 2 < most; i++)
        b->p[at + i - 2] = data[i];
    struct hash sum = hash_of(b->p, most);
    memcpy(b->p + most, sum.b, HASH_BYTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct model m;
    struct fit_state st;
    struct err e = {.text = ""};
    struct buf before = {0}, input = {0}, after = {0};
    if (n == 0)
        return 0;
    model_build(&m);
    if (fit_state_new(&st, &m, &e) < 0)
        BUG("%s", e.text);
    fit_encode(&st, &before);
    if (data[0] & 1)
        buf_append(&input, data + 1, n - 1);
    else
        buf_append(&input, before.p, before.n);
    if (!(data[0] & 1))
        lay_over(&input, data + 1, n - 1);
    bool taken = fit_decode(&st, input.p, input.n, &e) == 0;
    if (!taken && (!e.text[0] || strchr(e.text, '\n')))
        BUG("refused with \"%s\"", e.text);
    fit_encode(&st, &after);
    const struct buf *want = taken ? &input : &before;
    if (after.n != want->n || memcmp(after.p, want->p, want->n) != 0)
        BUG("%s state is another one", taken ? "decoded" : "refused");
    fit_state_release(&st);
    model_release(&m);
    buf_release(&before);
    buf_release(&input);
    buf_release(&after);
    return 0;
}
