#include "common/onnx/save.h"

#include <string.h>

#include "common/onnx/build.h"
#include "common/onnx/naming.h"

#define OLDEST_OPSET 7 /* that onnx_load reads, and so that a source may have */
#define NEWEST_OPSET 21

struct saver {
    struct build b;
    int64_t opset;
    const struct graph *g;
    const struct weights *w;
    struct naming names;
};

static const char *name_of(struct saver *s, const struct node *d, const char *what)
{
    return naming_between(&s->names, &s->b, d, what);
}

/* What reads value i reads this: an input that came with its channels last is turned first. */
static const char *value_of(struct saver *s, int i)
{
    const struct node *d = &s->g->nodes[i];
    return d->op == OP_INPUT && d->u.input.last ? name_of(s, d, "turned") : d->name;
}

/* The initializer that is this one number already, such as a bound of all ReLU6. */
static const char *stored(const struct saver *s, float v)
{
    const Onnx__GraphProto *g = s->b.graph;
    for (size_t i = 0; i < g->n_initializer; i++) {
        const Onnx__TensorProto *t = g->initializer[i];
        if (t->data_type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT && t->n_dims == 0 &&
            memcmp(t->raw_data.data, &v, sizeof v) == 0)
            return t->name;
    }
    return NULL;
}

static void read_number(struct saver *s, Onnx__NodeProto *n, const struct node *d, const char *what, const float *v)
{
    const char *name = stored(s, *v);
    if (!name)
        build_floats(&s->b, name = name_of(s, d, what), 0, NULL, v);
    build_read(&s->b, n, name);
}

static void read_list(struct saver *s, Onnx__NodeProto *n, const struct node *d, const char *what, const int64_t *v,
                      int count)
{
    const char *name = name_of(s, d, what);
    build_list(&s->b, name, v, count);
    build_read(&s->b, n, name);
}

static void write_window(struct saver *s, Onnx__NodeProto *n, const struct window *w, bool dilations)
{
    build_ints(&s->b, n, "kernel_shape", (int64_t[]){w->R, w->S}, 2);
    build_ints(&s->b, n, "strides", (int64_t[]){w->stride_h, w->stride_w}, 2);
    build_ints(&s->b, n, "pads", (int64_t[]){w->pad_t, w->pad_l, w->pad_b, w->pad_r}, 4);
    if (dilations)
        build_ints(&s->b, n, "dilations", (int64_t[]){w->dil_h, w->dil_w}, 2);
}

static void read_param(struct saver *s, Onnx__NodeProto *n, const struct node *d, int which, int rank,
                       const int64_t *dims)
{
    int i = (int)(d - s->g->nodes);
    size_t count;
    bool here;
    const char *name = naming_param(&s->names, &s->b, i, which, &here);
    if (here)
        build_floats(&s->b, name, rank, dims, params_of(&s->w->of[i], which, &count));
    build_read(&s->b, n, name);
}

static void read_vector(struct saver *s, Onnx__NodeProto *n, const struct node *d, int which)
{
    read_param(s, n, d, which, 1, &(int64_t){d->C});
}

static void write_conv(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    const struct window *w = &d->u.conv.win;
    int64_t C = s->g->nodes[d->in[0]].C / d->u.conv.groups;
    read_param(s, n, d, NAME_W, 4, (int64_t[]){d->C, C, w->R, w->S});
    if (d->u.conv.bias)
        read_vector(s, n, d, NAME_B);
    write_window(s, n, w, true);
    build_int(&s->b, n, "group", d->u.conv.groups);
}

static void write_bn(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    for (int which = 0; which < NAME_COUNT; which++)
        read_vector(s, n, d, which);
    build_float(&s->b, n, "epsilon", d->u.bn.eps);
}

static void write_gemm(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    read_param(s, n, d, NAME_W, 2, (int64_t[]){d->C, s->g->nodes[d->in[0]].C});
    if (d->u.gemm.bias)
        read_vector(s, n, d, NAME_B);
    build_int(&s->b, n, "transB", 1);
}

static void write_clip(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    if (s->opset < 11) {
        build_float(&s->b, n, "min", d->u.clip.lo);
        build_float(&s->b, n, "max", d->u.clip.hi);
        return;
    }
    read_number(s, n, d, "min", &d->u.clip.lo);
    read_number(s, n, d, "max", &d->u.clip.hi);
}

static bool dilated(const struct node *d)
{
    return d->u.pool.win.dil_h != 1 || d->u.pool.win.dil_w != 1;
}

static void write_maxpool(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    write_window(s, n, &d->u.pool.win, dilated(d));
}

/* AveragePool has no dilations before opset 19, and graph nodes none either. */
static void write_avgpool(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    write_window(s, n, &d->u.pool.win, false);
    build_int(&s->b, n, "count_include_pad", d->u.pool.count_pad);
}

static void write_globalpool(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    if (!d->flat)
        return;
    if (s->opset < 18)
        build_ints(&s->b, n, "axes", (int64_t[]){2, 3}, 2);
    else
        read_list(s, n, d, "axes", (int64_t[]){2, 3}, 2);
    build_int(&s->b, n, "keepdims", 0);
}

static void write_axis(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    (void)d;
    build_int(&s->b, n, "axis", 1);
}

static void write_pad(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    int64_t flat[] = {0, d->u.pad.front, 0, d->u.pad.back};
    int64_t all[] = {0, d->u.pad.front, d->u.pad.top,    d->u.pad.left,
                     0, d->u.pad.back,  d->u.pad.bottom, d->u.pad.right};
    if (s->opset < 11)
        build_ints(&s->b, n, "pads", d->flat ? flat : all, d->flat ? 4 : 8);
    else
        read_list(s, n, d, "pads", d->flat ? flat : all, d->flat ? 4 : 8);
}

static void write_slice(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    int count = d->flat ? 1 : 3;
    const struct span *c = &d->u.slice.c, *h = &d->u.slice.h, *w = &d->u.slice.w;
    read_list(s, n, d, "starts", (int64_t[]){c->begin, h->begin, w->begin}, count);
    read_list(s, n, d, "ends", (int64_t[]){c->end, h->end, w->end}, count);
    read_list(s, n, d, "axes", (int64_t[]){1, 2, 3}, count);
    read_list(s, n, d, "steps", (int64_t[]){c->step, h->step, w->step}, count);
}

static void write_act(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    build_float(&s->b, n, "alpha", d->u.act.alpha);
    if (d->op == OP_HARDSIGMOID)
        build_float(&s->b, n, "beta", d->u.act.beta);
}

static void write_prelu(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    read_param(s, n, d, NAME_W, d->flat ? 1 : 3, (int64_t[]){d->C, 1, 1});
}

static void write_lrn(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    build_int(&s->b, n, "size", d->u.lrn.size);
    build_float(&s->b, n, "alpha", d->u.lrn.alpha);
    build_float(&s->b, n, "beta", d->u.lrn.beta);
    build_float(&s->b, n, "bias", d->u.lrn.bias);
}

/* As a Reshape, which more readers know than Unsqueeze. */
static void write_unflatten(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    read_list(s, n, d, "shape", (int64_t[]){0, d->C, 1, 1}, 4);
}

/* The last of a shuffle's three. */
static void write_shuffle(struct saver *s, Onnx__NodeProto *n, const struct node *d)
{
    read_list(s, n, d, "shape", (int64_t[]){0, d->C, d->H, d->W}, d->flat ? 2 : 4);
}

/* Operators that aren't here have nothing to say beside their inputs. */
static void (*const writers[OP_COUNT])(struct saver *, Onnx__NodeProto *, const struct node *) = {
    [OP_CONV] = write_conv,       [OP_BN] = write_bn,           [OP_CLIP] = write_clip,
    [OP_MAXPOOL] = write_maxpool, [OP_AVGPOOL] = write_avgpool, [OP_GLOBALPOOL] = write_globalpool,
    [OP_CONCAT] = write_axis,     [OP_PAD] = write_pad,         [OP_SLICE] = write_slice,
    [OP_FLATTEN] = write_axis,    [OP_GEMM] = write_gemm,       [OP_SOFTMAX] = write_axis,
    [OP_HARDSIGMOID] = write_act, [OP_LEAKYRELU] = write_act,   [OP_ELU] = write_act,
    [OP_PRELU] = write_prelu,     [OP_LRN] = write_lrn,         [OP_UNFLATTEN] = write_unflatten,
    [OP_SHUFFLE] = write_shuffle,
};

/* The ONNX operator of a node, the last where it takes several. A mean that is flat at once is what ReduceMean without
 * keepdims makes; so one node stays one node. */
static const char *operator_of(const struct node *d)
{
    if (d->op == OP_GLOBALPOOL && d->flat)
        return "ReduceMean";
    return d->op == OP_UNFLATTEN || d->op == OP_SHUFFLE ? "Reshape" : op_name(d->op);
}

static const char *write_turn(struct saver *s, const struct node *d, const char *what, const char *from,
                              const int64_t *perm, int rank)
{
    const char *name = name_of(s, d, what);
    Onnx__NodeProto *n = build_node(&s->b, "Transpose", "", name);
    build_read(&s->b, n, from);
    build_ints(&s->b, n, "perm", perm, rank);
    return name;
}

/* The first two of a shuffle's three: the channels as groups, and those changed over. */
static const char *write_halves(struct saver *s, const struct node *d, const char *from)
{
    int64_t groups = d->u.shuffle.groups;
    const char *name = name_of(s, d, "groups");
    Onnx__NodeProto *n = build_node(&s->b, "Reshape", "", name);
    build_read(&s->b, n, from);
    read_list(s, n, d, "split", (int64_t[]){0, groups, d->C / groups, d->H, d->W}, d->flat ? 3 : 5);
    return write_turn(s, d, "turned", name, (int64_t[]){0, 2, 1, 3, 4}, d->flat ? 3 : 5);
}

static void write_input(struct saver *s, const struct node *d)
{
    if (!d->u.input.last) {
        build_input(&s->b, d->name, d->flat, d->C, d->H, d->W);
        return;
    }
    build_input(&s->b, d->name, false, d->H, d->W, d->C);
    write_turn(s, d, "turned", d->name, (int64_t[]){0, 3, 1, 2}, 4);
}

/* A gate is written first: OpenCV 4.6 takes x * HardSigmoid(y) for HardSwish(y), and HardSigmoid(y) * x for what it is. */
static bool is_gated(const struct graph *g, const struct node *d)
{
    if (d->op != OP_MUL)
        return false;
    const struct node *x = &g->nodes[d->in[0]], *gate = &g->nodes[d->in[1]];
    return x->H * x->W > gate->H * gate->W;
}

static void write_node(struct saver *s, int i)
{
    const struct node *d = &s->g->nodes[i];
    if (d->op == OP_INPUT) {
        write_input(s, d);
        return;
    }
    const char *first = value_of(s, d->in[0]);
    if (d->op == OP_SHUFFLE)
        first = write_halves(s, d, first);
    else if (d->op == OP_FLATTEN && d->u.flatten.last)
        first = write_turn(s, d, "turned", first, (int64_t[]){0, 2, 3, 1}, 4);
    Onnx__NodeProto *n = build_node(&s->b, operator_of(d), d->label, d->name);
    if (is_gated(s->g, d))
        build_read(&s->b, n, value_of(s, d->in[1]));
    build_read(&s->b, n, first);
    for (int k = 1; k < d->n_in && !is_gated(s->g, d); k++)
        build_read(&s->b, n, value_of(s, d->in[k]));
    if (writers[d->op])
        writers[d->op](s, n, d);
}

/* The first opset in which the node can be written as it is written here. */
static int opset_of(const struct node *d)
{
    switch (d->op) {
    case OP_INPUT:
    case OP_CONV:
    case OP_BN:
    case OP_RELU:
    case OP_CLIP:
    case OP_AVGPOOL:
    case OP_GLOBALPOOL:
    case OP_ADD:
    case OP_MUL:
    case OP_SIGMOID:
    case OP_TANH:
    case OP_HARDSIGMOID:
    case OP_LEAKYRELU:
    case OP_ELU:
    case OP_PRELU:
    case OP_LRN:
    case OP_SHUFFLE:
    case OP_CONCAT:
    case OP_PAD:
    case OP_FLATTEN:
    case OP_UNFLATTEN:
    case OP_SOFTMAX:
        return OLDEST_OPSET;
    case OP_HARDSWISH:
        return 14;
    case OP_MAXPOOL:
        return dilated(d) ? 10 : OLDEST_OPSET;
    case OP_SLICE:
        return 10;
    case OP_GEMM:
        return d->u.gemm.bias ? OLDEST_OPSET : 11;
    default:
        return 13;
    }
}

/* For a network that comes from no file. OpenCV 4.6 reads a Clip only as it was before 11. */
static int64_t opset_of_ours(const struct graph *g)
{
    for (int i = 0; i < g->n; i++)
        if (g->nodes[i].op == OP_CLIP)
            return 10;
    return 13;
}

/* The source's opset, or the first later one that has all that is to be written: a gemm got a bias, a step was added. */
static int64_t opset_for(const struct graph *g)
{
    int64_t opset = g->opset > NEWEST_OPSET ? NEWEST_OPSET : g->opset < 1 ? opset_of_ours(g) : g->opset;
    for (int i = 0; i < g->n; i++)
        if (opset < opset_of(&g->nodes[i]))
            opset = opset_of(&g->nodes[i]);
    return opset;
}

int onnx_save(const struct model *m, const struct onnx_meta *meta, int n_meta, struct buf *out, struct err *e)
{
    struct saver s = {.g = &m->graph, .w = &m->weights};
    if (m->graph.output < 0 || m->weights.n != m->graph.n)
        BUG("%d nodes, %d weights, output %d", m->graph.n, m->weights.n, m->graph.output);
    naming_init(&s.names, &m->graph, &m->weights);
    s.opset = opset_for(&m->graph);
    build_init(&s.b, s.opset, m->graph.name ? m->graph.name : "graph");
    for (int i = 0; i < m->graph.n; i++)
        write_node(&s, i);
    const struct node *last = &m->graph.nodes[m->graph.output];
    build_output(&s.b, last->name, last->flat, last->C, last->H, last->W);
    for (int i = 0; i < n_meta; i++)
        build_meta(&s.b, meta[i].key, meta[i].value);
    int rc = build_pack(&s.b, out, e);
    build_release(&s.b);
    naming_release(&s.names);
    return rc;
}
