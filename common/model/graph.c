#include "common/model/graph.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/model/shape.h"

static const char *const op_names[OP_COUNT] = {
    [OP_INPUT] = "Input",
    [OP_CONV] = "Conv",
    [OP_BN] = "BatchNormalization",
    [OP_RELU] = "Relu",
    [OP_CLIP] = "Clip",
    [OP_MAXPOOL] = "MaxPool",
    [OP_AVGPOOL] = "AveragePool",
    [OP_GLOBALPOOL] = "GlobalAveragePool",
    [OP_ADD] = "Add",
    [OP_MUL] = "Mul",
    [OP_SIGMOID] = "Sigmoid",
    [OP_TANH] = "Tanh",
    [OP_HARDSIGMOID] = "HardSigmoid",
    [OP_HARDSWISH] = "HardSwish",
    [OP_LEAKYRELU] = "LeakyRelu",
    [OP_ELU] = "Elu",
    [OP_PRELU] = "PRelu",
    [OP_LRN] = "LRN",
    [OP_SHUFFLE] = "ChannelShuffle",
    [OP_CONCAT] = "Concat",
    [OP_PAD] = "Pad",
    [OP_SLICE] = "Slice",
    [OP_FLATTEN] = "Flatten",
    [OP_UNFLATTEN] = "Unflatten",
    [OP_GEMM] = "Gemm",
    [OP_SOFTMAX] = "Softmax",
};

const char *op_name(enum op op)
{
    if ((int)op < 0 || op >= OP_COUNT)
        BUG("operator %d", (int)op);
    return op_names[op];
}

bool op_has_params(enum op op)
{
    return op == OP_CONV || op == OP_BN || op == OP_GEMM || op == OP_PRELU;
}

bool op_elementwise(enum op op)
{
    return op == OP_RELU || op == OP_CLIP || (op >= OP_SIGMOID && op <= OP_PRELU);
}

void graph_init(struct graph *g)
{
    *g = (struct graph){.output = -1};
}

static void node_release(struct node *d)
{
    mem_free(d->name);
    mem_free(d->label);
    for (int k = 0; k < NAME_COUNT; k++)
        mem_free(d->names[k]);
    mem_free(d->in);
}

void graph_release(struct graph *g)
{
    for (int i = 0; i < g->n; i++)
        node_release(&g->nodes[i]);
    mem_free(g->nodes);
    mem_free(g->slots);
    mem_free(g->name);
    graph_init(g);
}

static char *text_dup(const char *s)
{
    return mem_dup(s, strlen(s) + 1, 1);
}

/* The slot that holds `name`, or the empty one where it belongs. */
static int *slot_of(const struct graph *g, const char *name)
{
    uint32_t h = UINT32_C(2166136261); /* FNV-1a */
    for (const char *s = name; *s; s++)
        h = (h ^ (unsigned char)*s) * UINT32_C(16777619);
    int at = (int)(h & (uint32_t)(g->n_slots - 1));
    while (g->slots[at] >= 0 && strcmp(g->nodes[g->slots[at]].name, name) != 0)
        at = (at + 1) & (g->n_slots - 1);
    return &g->slots[at];
}

/* Room for `cap` nodes, with at least twice as many slots. */
static int grow(struct graph *g, int cap, struct err *e)
{
    int n_slots = 16;
    while (n_slots < 2 * cap)
        n_slots *= 2;
    struct node *nodes = mem_alloc((size_t)cap, sizeof *nodes);
    int *slots = mem_alloc((size_t)n_slots, sizeof *slots);
    if (!nodes || !slots) {
        mem_free(nodes);
        mem_free(slots);
        return err_set(e, ERR_NOMEM, "no memory for %d nodes", cap);
    }
    if (g->n > 0)
        memcpy(nodes, g->nodes, (size_t)g->n * sizeof *nodes);
    mem_free(g->nodes);
    mem_free(g->slots);
    g->nodes = nodes;
    g->cap = cap;
    g->slots = slots;
    g->n_slots = n_slots;
    for (int s = 0; s < n_slots; s++)
        slots[s] = -1;
    for (int i = 0; i < g->n; i++)
        *slot_of(g, nodes[i].name) = i;
    return 0;
}

/* Copies of those that there are; false when memory is gone. */
static bool names_dup(char *const *from, char **to)
{
    bool whole = true;
    for (int k = 0; k < NAME_COUNT; k++) {
        to[k] = from[k] ? text_dup(from[k]) : NULL;
        whole = whole && (to[k] || !from[k]);
    }
    return whole;
}

/* Puts a copy of `from` at the end; its shape is right and its name is new. */
static int append(struct graph *g, const struct node *from, struct err *e)
{
    if (g->n == g->cap) {
        int rc = grow(g, g->cap ? 2 * g->cap : 32, e);
        if (rc < 0)
            return rc;
    }
    struct node d = *from;
    d.name = text_dup(from->name);
    d.label = text_dup(from->label ? from->label : "");
    d.in = mem_dup(from->in, (size_t)from->n_in, sizeof *d.in);
    bool named = names_dup(from->names, d.names);
    if (!named || !d.name || !d.label || !d.in) {
        node_release(&d);
        return err_set(e, ERR_NOMEM, "no memory for node \"%s\"", from->name);
    }
    int i = g->n++;
    g->nodes[i] = d;
    *slot_of(g, d.name) = i;
    return i;
}

int graph_add(struct graph *g, const struct node *proto, struct err *e)
{
    if (!proto->name || !*proto->name)
        return err_set(e, ERR_INVALID, "%s at position %d has no name", op_name(proto->op), g->n);
    if (g->n >= GRAPH_MAX_NODES)
        return err_set(e, ERR_LIMIT, "%s \"%s\" is one node more than %d", op_name(proto->op), proto->name,
                       GRAPH_MAX_NODES);
    if (g->n > 0 && *slot_of(g, proto->name) >= 0)
        return err_set(e, ERR_INVALID, "%s \"%s\": the name is taken by %s node %d", op_name(proto->op),
                       proto->name, op_name(g->nodes[*slot_of(g, proto->name)].op), *slot_of(g, proto->name));
    struct node d = *proto;
    int rc = shape_infer(g, &d, g->n, e);
    return rc < 0 ? rc : append(g, &d, e);
}

int graph_infer(struct graph *g, int i, struct err *e)
{
    if (i < 0 || i >= g->n)
        BUG("node %d of %d", i, g->n);
    struct node d = g->nodes[i];
    int rc = shape_infer(g, &d, i, e);
    if (rc == 0)
        g->nodes[i] = d;
    return rc;
}

int graph_copy(const struct graph *g, struct graph *out, struct err *e)
{
    graph_init(out);
    int rc = g->n > 0 ? grow(out, g->n, e) : 0;
    for (int i = 0; i < g->n && rc >= 0; i++)
        rc = append(out, &g->nodes[i], e);
    if (rc >= 0 && g->name && !(out->name = text_dup(g->name)))
        rc = err_set(e, ERR_NOMEM, "no memory for graph \"%s\"", g->name);
    if (rc < 0) {
        graph_release(out);
        return rc;
    }
    out->output = g->output;
    out->opset = g->opset;
    return 0;
}

bool graph_can_share(const struct graph *g, int i, int j)
{
    return shape_can_share(g, &g->nodes[i], &g->nodes[j]);
}

void graph_readers(const struct graph *g, int *readers)
{
    memset(readers, 0, (size_t)g->n * sizeof *readers);
    for (int i = 0; i < g->n; i++)
        for (int j = 0; j < g->nodes[i].n_in; j++)
            readers[g->nodes[i].in[j]]++;
    if (g->output >= 0)
        readers[g->output]++;
}
