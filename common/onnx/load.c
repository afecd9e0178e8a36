#include "common/onnx/load.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/onnx/external.h"
#include "common/onnx/loader.h"
#include "common/onnx/text.h"
#include "common/onnx/wire.h"

#define ROOM      ((size_t)1 << 30) /* bytes of numbers that no bytes of the file stand for */
#define MIN_OPSET 7
#define MAX_OPSET 21
#define MIN_IR    3
#define MAX_IR    10

static bool is_onnx(const char *domain)
{
    return !domain || !*domain || strcmp(domain, "ai.onnx") == 0;
}

static int read_versions(const Onnx__ModelProto *file, int64_t *opset, struct err *e)
{
    if (file->ir_version < MIN_IR || file->ir_version > MAX_IR)
        return err_set(e, ERR_UNSUPPORTED, "ir_version %" PRId64 " is not supported, only %d ... %d",
                       file->ir_version, MIN_IR, MAX_IR);
    *opset = 0;
    for (size_t i = 0; i < file->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *o = file->opset_import[i];
        if (!is_onnx(o->domain))
            continue;
        if (*opset != 0)
            return err_set(e, ERR_INVALID, "the file names two versions of the operators");
        *opset = o->version;
    }
    if (*opset < MIN_OPSET || *opset > MAX_OPSET)
        return err_set(e, ERR_UNSUPPORTED, "opset %" PRId64 " is not supported, only %d ... %d", *opset, MIN_OPSET,
                       MAX_OPSET);
    return 0;
}

static int check_graph(const Onnx__GraphProto *g, struct err *e)
{
    if (!g)
        return err_set(e, ERR_INVALID, "the file holds no graph");
    if (g->n_sparse_initializer > 0)
        return err_set(e, ERR_UNSUPPORTED, "sparse initializers are not supported");
    if (g->n_output != 1)
        return err_set(e, ERR_UNSUPPORTED, "%zu outputs (\"%s\", \"%s\" ...), only one is supported", g->n_output,
                       g->n_output > 0 && g->output[0]->name ? g->output[0]->name : "",
                       g->n_output > 1 && g->output[1]->name ? g->output[1]->name : "");
    if (!g->output[0]->name || !*g->output[0]->name)
        return err_set(e, ERR_INVALID, "the output has no name");
    if (g->name && !text_clean(g->name))
        return err_set(e, ERR_INVALID, "the graph's name \"%s\" isn't printable UTF-8", g->name);
    for (size_t i = 0; i < g->n_node; i++)
        if (g->node[i]->name && !text_clean(g->node[i]->name))
            return err_set(e, ERR_INVALID, "the name \"%s\" isn't printable UTF-8", g->node[i]->name);
    return 0;
}

/* The one input that isn't an initializer. */
static int find_input(const struct loader *l, const Onnx__ValueInfoProto **out, struct err *e)
{
    *out = NULL;
    for (size_t i = 0; i < l->src->n_input; i++) {
        const Onnx__ValueInfoProto *in = l->src->input[i];
        if (values_find(&l->values, in->name)->kind == VALUE_TENSOR)
            continue;
        if (*out)
            return err_set(e, ERR_UNSUPPORTED, "several inputs (\"%s\", \"%s\"), only one is supported",
                           (*out)->name, in->name);
        *out = in;
    }
    return *out ? 0 : err_set(e, ERR_UNSUPPORTED, "the graph has no input");
}

/* Dimension k of the input, which must be known. */
static int input_dim(const Onnx__ValueInfoProto *in, size_t k, int *out, struct err *e)
{
    const Onnx__TensorShapeProto__Dimension *d = in->type->tensor_type->shape->dim[k];
    if (d->value_case != ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE)
        return err_set(e, ERR_UNSUPPORTED, "input \"%s\": dimension %zu isn't fixed, which is not supported",
                       in->name, k);
    if (d->dim_value < 1 || d->dim_value > GRAPH_MAX_DIM)
        return err_set(e, ERR_INVALID, "input \"%s\": dimension %zu is %" PRId64, in->name, k, d->dim_value);
    *out = (int)d->dim_value;
    return 0;
}

/* What elementwise preprocessing between the input and its Transpose may be. */
static bool passes_layout_on(const char *op)
{
    static const char *const ops[] = {"Add",  "BatchNormalization", "Cast", "Clip", "Div", "Dropout", "Identity", "Max",
                                      "Min", "Mul", "Pad", "Relu", "Sub"};
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        if (strcmp(op, ops[i]) == 0)
            return true;
    return false;
}

/* 0 where it isn't a number. */
static int64_t dim_of(const Onnx__TensorShapeProto *shape, size_t k)
{
    const Onnx__TensorShapeProto__Dimension *d = shape->dim[k];
    return d->value_case == ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE ? d->dim_value : 0;
}

/* Transpose from (N,H,W,C), or where there is one channel, the Reshape that does the same. */
static bool turns_channels(const Onnx__NodeProto *n, const Onnx__TensorShapeProto *shape)
{
    static const int64_t perm[] = {0, 3, 1, 2};
    if (strcmp(n->op_type, "Reshape") == 0)
        return dim_of(shape, 3) == 1 && dim_of(shape, 1) > 1 && dim_of(shape, 2) > 1;
    for (size_t i = 0; i < n->n_attribute && strcmp(n->op_type, "Transpose") == 0; i++) {
        const Onnx__AttributeProto *a = n->attribute[i];
        if (a->name && strcmp(a->name, "perm") == 0 && a->n_ints == 4 && memcmp(a->ints, perm, sizeof perm) == 0)
            return true;
    }
    return false;
}

static bool reads(const Onnx__NodeProto *n, const char *name)
{
    return n->n_input > 0 && (strcmp(n->input[0], name) == 0 || (n->n_input > 1 && strcmp(n->input[1], name) == 0));
}

/* Is the input (N,H,W,C)? Its shape doesn't say so, but who reads it first does. */
static bool is_last(const Onnx__GraphProto *g, const char *name, const Onnx__TensorShapeProto *shape)
{
    for (size_t i = 0; i < g->n_node; i++) {
        const Onnx__NodeProto *n = g->node[i];
        if (!n->op_type || n->n_output == 0 || !reads(n, name))
            continue;
        if (!passes_layout_on(n->op_type))
            return turns_channels(n, shape);
        name = n->output[0];
    }
    return false;
}

static bool is_float(int32_t type)
{
    return type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT || type == ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT16 ||
           type == ONNX__TENSOR_PROTO__DATA_TYPE__BFLOAT16 || type == ONNX__TENSOR_PROTO__DATA_TYPE__DOUBLE;
}

static int check_input(const Onnx__ValueInfoProto *in, struct err *e)
{
    const Onnx__TypeProto *type = in->type;
    if (!type || type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE || !type->tensor_type)
        return err_set(e, ERR_UNSUPPORTED, "input \"%s\" isn't a tensor", in->name);
    if (!is_float(type->tensor_type->elem_type))
        return err_set(e, ERR_UNSUPPORTED, "input \"%s\": data type %s (%d) is not supported, only floats", in->name,
                       tensor_type_name(type->tensor_type->elem_type), (int)type->tensor_type->elem_type);
    const Onnx__TensorShapeProto *shape = type->tensor_type->shape;
    if (!shape || (shape->n_dim != 4 && shape->n_dim != 2))
        return err_set(e, ERR_UNSUPPORTED,
                       "input \"%s\" has %zu dimensions, only 4 (N,C,H,W) or 2 (N,C) are supported", in->name,
                       shape ? shape->n_dim : 0);
    return 0;
}

static int add_input(struct loader *l, const Onnx__ValueInfoProto *in, struct err *e)
{
    struct node d = {.op = OP_INPUT, .name = in->name, .H = 1, .W = 1};
    int rc = check_input(in, e);
    if (rc < 0)
        return rc;
    const Onnx__TensorShapeProto *shape = in->type->tensor_type->shape;
    d.flat = shape->n_dim == 2;
    bool last = !d.flat && is_last(l->src, in->name, shape);
    rc = input_dim(in, last ? 3 : 1, &d.C, e);
    if (rc == 0 && !d.flat && (rc = input_dim(in, last ? 1 : 2, &d.H, e)) == 0)
        rc = input_dim(in, last ? 2 : 3, &d.W, e);
    if (rc < 0)
        return rc;
    if (dim_of(shape, 0) > 0)
        l->batch = dim_of(shape, 0);
    d.u.input.last = last;
    rc = graph_add(&l->draft, &d, e);
    if (rc < 0)
        return rc;
    l->parts[0].name = l->draft.nodes[0].name;
    struct value *v = values_find(&l->values, in->name);
    v->kind = VALUE_NODE;
    view_init(&v->view, &l->draft.nodes[0], d.flat ? LAYOUT_FLAT : last ? LAYOUT_LAST : LAYOUT_IMAGE);
    return 0;
}

/* Puts what a message about node `n` begins with before the text. */
static int blame(const Onnx__NodeProto *n, struct err *e)
{
    if (n->name && *n->name)
        return err_wrap(e, "node \"%s\"", n->name);
    return err_wrap(e, "unnamed node that makes \"%s\"", n->n_output > 0 ? n->output[0] : "");
}

static int check_operator(const Onnx__NodeProto *n, struct err *e)
{
    if (!n->op_type || !*n->op_type)
        return err_set(e, ERR_INVALID, "no operator is named");
    if (!is_onnx(n->domain))
        return err_set(e, ERR_UNSUPPORTED, "operator %s of domain \"%s\" is not supported", n->op_type, n->domain);
    if (!op_find(n->op_type))
        return err_set(e, ERR_UNSUPPORTED, "operator %s is not supported", n->op_type);
    if (n->n_output == 0 || !*n->output[0])
        return err_set(e, ERR_INVALID, "%s has no first output", n->op_type);
    return 0;
}

/* Marks what the output depends on, from the end; a node that reads what comes after it is refused in its turn. */
static void mark_needed(struct loader *l, struct value *output, bool *needed)
{
    output->needed = output->last = true;
    output->readers = 1;
    for (size_t i = l->src->n_node; i-- > 0;) {
        const Onnx__NodeProto *n = l->src->node[i];
        for (size_t k = 0; k < n->n_output && !needed[i]; k++)
            needed[i] = *n->output[k] && values_find(&l->values, n->output[k])->needed;
        for (size_t k = 0; k < n->n_input && needed[i]; k++) {
            struct value *v = values_find(&l->values, n->input[k]);
            if (v) {
                v->needed = true;
                v->readers++;
            }
        }
    }
}

/* Looks the inputs up, without those that are left out at the end. */
static int find_inputs(struct call *c, struct err *e)
{
    size_t n = c->src->n_input;
    while (n > 0 && !*c->src->input[n - 1])
        n--;
    for (size_t k = 0; k < n; k++) {
        const char *name = c->src->input[k];
        c->in[k] = *name ? values_find(&c->l->values, name) : NULL;
        if (*name && (!c->in[k] || c->in[k]->kind == VALUE_LATER))
            return err_set(e, ERR_INVALID, "input \"%s\" of %s isn't made by anything before it", name,
                           c->src->op_type);
        if (*name && c->in[k]->kind == VALUE_SIDE)
            return err_set(e, ERR_UNSUPPORTED,
                           "input \"%s\" of %s is another node's second output, which is not supported", name,
                           c->src->op_type);
    }
    c->n_in = (int)n;
    return 0;
}

static int run_node(struct loader *l, const Onnx__NodeProto *n, struct value **in, struct err *e)
{
    struct call c = {.l = l, .src = n, .row = op_find(n->op_type), .in = in, .e = e};
    bool constant = true;
    int rc = find_inputs(&c, e);
    if (rc < 0)
        return rc;
    for (int k = 0; k < c.n_in; k++)
        constant = constant && (!in[k] || in[k]->kind == VALUE_TENSOR);
    c.out = values_find(&l->values, n->output[0]);
    for (size_t k = 1; k < n->n_output; k++)
        if (*n->output[k])
            values_find(&l->values, n->output[k])->kind = VALUE_SIDE;
    if (constant && c.row->fold)
        c.row->fold(&c);
    else if (c.row->node)
        c.row->node(&c);
    else
        call_fail(&c, ERR_UNSUPPORTED, "%s of a computed value is not supported", n->op_type);
    attr_end(&c);
    return c.rc;
}

static int most_inputs(const Onnx__GraphProto *g, size_t *most, struct err *e)
{
    *most = 1;
    for (size_t i = 0; i < g->n_node; i++)
        if (g->node[i]->n_input > *most)
            *most = g->node[i]->n_input;
    return *most > INT32_MAX ? err_set(e, ERR_LIMIT, "a node with %zu inputs", *most) : 0;
}

static int run_nodes(struct loader *l, struct value *output, struct err *e)
{
    const Onnx__GraphProto *g = l->src;
    size_t most;
    int rc = most_inputs(g, &most, e);
    if (rc < 0)
        return rc;
    bool *needed = mem_zalloc(g->n_node, sizeof *needed);
    struct value **in = mem_alloc(most, sizeof *in);
    if (!needed || !in)
        rc = err_set(e, ERR_NOMEM, "no memory for %zu nodes", g->n_node);
    else
        mark_needed(l, output, needed);
    for (size_t i = 0; i < g->n_node && rc == 0; i++)
        if (needed[i] && (rc = check_operator(g->node[i], e)) < 0)
            rc = blame(g->node[i], e);
    for (size_t i = 0; i < g->n_node && rc == 0; i++)
        if (needed[i] && (rc = run_node(l, g->node[i], in, e)) < 0)
            rc = blame(g->node[i], e);
    mem_free(needed);
    mem_free(in);
    return rc;
}

static void loader_release(struct loader *l)
{
    for (int i = 0; l->parts && i < l->draft.n; i++) {
        mem_free(l->parts[i].p.w);
        mem_free(l->parts[i].p.b);
        mem_free(l->parts[i].p.mean);
        mem_free(l->parts[i].p.var);
    }
    mem_free(l->parts);
    graph_release(&l->draft);
    tensors_release(&l->tensors);
    values_release(&l->values);
}

static int load_file(const Onnx__ModelProto *file, size_t n, struct model *m, struct err *e)
{
    struct loader l = {.src = file->graph, .tensors.room = ROOM + 2 * n};
    const Onnx__ValueInfoProto *input;
    graph_init(&l.draft);
    int rc = read_versions(file, &l.opset, e);
    if (rc == 0)
        rc = check_graph(file->graph, e);
    if (rc == 0)
        rc = values_new(&l.values, file->graph, e);
    if (rc == 0 && !(l.parts = mem_zalloc(GRAPH_MAX_NODES, sizeof *l.parts)))
        rc = err_set(e, ERR_NOMEM, "no memory for %d nodes", GRAPH_MAX_NODES);
    if (rc == 0)
        rc = find_input(&l, &input, e);
    if (rc == 0)
        rc = add_input(&l, input, e);
    if (rc < 0)
        goto out;
    struct value *output = values_find(&l.values, file->graph->output[0]->name);
    if (!output)
        rc = err_set(e, ERR_INVALID, "the output \"%s\" isn't made by any node", file->graph->output[0]->name);
    if (rc == 0)
        rc = run_nodes(&l, output, e);
    if (rc == 0)
        rc = loader_finish(&l, output, m, e);
out:
    loader_release(&l);
    return rc;
}

static int unpack(const void *bytes, size_t n, Onnx__ModelProto **file, struct err *e)
{
    if (n > ONNX_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "%zu bytes are more than an ONNX file can have", n);
    int rc = wire_check(bytes, n, &onnx__model_proto__descriptor, e);
    if (rc < 0)
        return rc;
    *file = onnx__model_proto__unpack(NULL, n, bytes);
    return *file ? 0 : err_set(e, ERR_INVALID, "not an ONNX file: its %zu bytes could not be unpacked", n);
}

int onnx_load(const void *bytes, size_t n, struct model *m, struct err *e)
{
    Onnx__ModelProto *file;
    *m = (struct model){0};
    graph_init(&m->graph);
    int rc = unpack(bytes, n, &file, e);
    if (rc < 0)
        return rc;
    rc = load_file(file, n, m, e);
    onnx__model_proto__free_unpacked(file, NULL);
    if (rc < 0)
        text_scrub(e->text);
    return rc;
}

/* Packs a message whose tensors have come together in the place of the bytes that it was. */
static int repack(Onnx__ModelProto *file, const char *path, size_t start, struct buf *out, struct err *e)
{
    int rc = external_read(file->graph, path, out->n - start, e);
    if (rc < 0) {
        text_scrub(e->text);
        return rc;
    }
    size_t n = onnx__model_proto__get_packed_size(file);
    if (n > ONNX_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "with its data the model has %zu bytes, more than an ONNX file can", n);
    out->n = start;
    rc = buf_reserve(out, start + n, e);
    if (rc < 0)
        return rc;
    onnx__model_proto__pack(file, out->p + start);
    out->n = start + n;
    return 0;
}

int onnx_read_file(const char *path, struct buf *out, bool *joined, struct err *e)
{
    Onnx__ModelProto *file;
    size_t start = out->n;
    *joined = false;
    int rc = file_read(path, ONNX_MAX_BYTES, out, e);
    if (rc < 0)
        return rc;
    rc = unpack(out->p + start, out->n - start, &file, e);
    if (rc == 0) {
        *joined = external_any(file->graph);
        if (*joined)
            rc = repack(file, path, start, out, e);
        onnx__model_proto__free_unpacked(file, NULL);
    }
    return rc < 0 ? err_wrap(e, "%s", path) : 0;
}

int onnx_load_file(const char *path, struct model *m, struct err *e)
{
    struct buf b = {0};
    bool joined;
    *m = (struct model){0};
    graph_init(&m->graph);
    int rc = onnx_read_file(path, &b, &joined, e);
    if (rc == 0 && (rc = onnx_load(b.p, b.n, m, e)) < 0)
        rc = err_wrap(e, "%s", path);
    buf_release(&b);
    return rc;
}
