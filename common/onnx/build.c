#include "common/onnx/build.h"

#include <limits.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "raw_data is little-endian and written as it lies");

struct build_block {
    struct build_block *next;
    max_align_t data[];
};

static void *take(struct build *b, size_t n)
{
    struct build_block *block = xcalloc(1, sizeof *block + n);
    block->next = b->blocks;
    b->blocks = block;
    return block->data;
}

/* Makes room for one more item in a list of n, whose storage doubles. */
static void *more(struct build *b, void *list, size_t n, size_t size)
{
    if (n & (n - 1))
        return list;
    void *longer = take(b, (n ? 2 * n : 1) * size);
    if (n)
        memcpy(longer, list, n * size);
    return longer;
}

#define APPEND(b, m, list, item)                                                                                   \
    ((m)->list = more(b, (m)->list, (m)->n_##list, sizeof *(m)->list), (m)->list[(m)->n_##list++] = (item))

char *build_text(struct build *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (n < 0)
        BUG("bad format \"%s\"", fmt);
    char *s = take(b, (size_t)n + 1);
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

static char *copy(struct build *b, const char *s)
{
    return build_text(b, "%s", s);
}

void build_init(struct build *b, int64_t opset, const char *graph_name)
{
    *b = (struct build){0};
    b->file = take(b, sizeof *b->file);
    onnx__model_proto__init(b->file);
    b->file->has_ir_version = 1;
    b->file->ir_version = opset > 14 ? ONNX__VERSION__IR_VERSION : ONNX__VERSION__IR_VERSION_2020_5_8;
    b->file->producer_name = copy(b, "espalier");
    Onnx__OperatorSetIdProto *o = take(b, sizeof *o);
    onnx__operator_set_id_proto__init(o);
    o->domain = copy(b, "");
    o->has_version = 1;
    o->version = opset;
    APPEND(b, b->file, opset_import, o);
    b->graph = b->file->graph = take(b, sizeof *b->graph);
    onnx__graph_proto__init(b->graph);
    b->graph->name = copy(b, graph_name);
}

void build_release(struct build *b)
{
    while (b->blocks) {
        struct build_block *block = b->blocks;
        b->blocks = block->next;
        free(block);
    }
    *b = (struct build){0};
}

int build_pack(const struct build *b, struct buf *out, struct err *e)
{
    size_t n = onnx__model_proto__get_packed_size(b->file);
    if (n > INT_MAX)
        return err_set(e, ERR_LIMIT, "the ONNX file would have %zu bytes, more than its format can carry", n);
    int rc = buf_reserve(out, out->n + n, e);
    if (rc < 0)
        return rc;
    onnx__model_proto__pack(b->file, out->p + out->n);
    out->n += n;
    out->p[out->n] = 0;
    return 0;
}

static void add_dim(struct build *b, Onnx__TensorShapeProto *shape, const char *name, int size)
{
    Onnx__TensorShapeProto__Dimension *d = take(b, sizeof *d);
    onnx__tensor_shape_proto__dimension__init(d);
    d->value_case = name ? ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM
                         : ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
    if (name)
        d->dim_param = copy(b, name);
    else
        d->dim_value = size;
    APPEND(b, shape, dim, d);
}

static Onnx__ValueInfoProto *value_info(struct build *b, const char *name, bool flat, int C, int H, int W)
{
    Onnx__ValueInfoProto *v = take(b, sizeof *v);
    onnx__value_info_proto__init(v);
    v->name = copy(b, name);
    v->type = take(b, sizeof *v->type);
    onnx__type_proto__init(v->type);
    v->type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    Onnx__TypeProto__Tensor *t = v->type->tensor_type = take(b, sizeof *t);
    onnx__type_proto__tensor__init(t);
    t->has_elem_type = 1;
    t->elem_type = ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT;
    t->shape = take(b, sizeof *t->shape);
    onnx__tensor_shape_proto__init(t->shape);
    add_dim(b, t->shape, "N", 0);
    add_dim(b, t->shape, NULL, C);
    if (!flat) {
        add_dim(b, t->shape, NULL, H);
        add_dim(b, t->shape, NULL, W);
    }
    return v;
}

void build_input(struct build *b, const char *name, bool flat, int C, int H, int W)
{
    APPEND(b, b->graph, input, value_info(b, name, flat, C, H, W));
}

void build_output(struct build *b, const char *name, bool flat, int C, int H, int W)
{
    APPEND(b, b->graph, output, value_info(b, name, flat, C, H, W));
}

Onnx__NodeProto *build_node(struct build *b, const char *op, const char *label, const char *output)
{
    Onnx__NodeProto *n = take(b, sizeof *n);
    onnx__node_proto__init(n);
    n->op_type = copy(b, op);
    n->name = *label ? copy(b, label) : NULL;
    APPEND(b, n, output, copy(b, output));
    APPEND(b, b->graph, node, n);
    return n;
}

void build_read(struct build *b, Onnx__NodeProto *n, const char *value)
{
    APPEND(b, n, input, copy(b, value));
}

static Onnx__AttributeProto *attribute(struct build *b, Onnx__NodeProto *n, const char *name,
                                       Onnx__AttributeProto__AttributeType type)
{
    Onnx__AttributeProto *a = take(b, sizeof *a);
    onnx__attribute_proto__init(a);
    a->name = copy(b, name);
    a->has_type = 1;
    a->type = type;
    APPEND(b, n, attribute, a);
    return a;
}

void build_int(struct build *b, Onnx__NodeProto *n, const char *name, int64_t v)
{
    Onnx__AttributeProto *a = attribute(b, n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT);
    a->has_i = 1;
    a->i = v;
}

void build_ints(struct build *b, Onnx__NodeProto *n, const char *name, const int64_t *v, int count)
{
    Onnx__AttributeProto *a = attribute(b, n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS);
    for (int k = 0; k < count; k++)
        APPEND(b, a, ints, v[k]);
}

void build_float(struct build *b, Onnx__NodeProto *n, const char *name, float v)
{
    Onnx__AttributeProto *a = attribute(b, n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT);
    a->has_f = 1;
    a->f = v;
}

void build_string(struct build *b, Onnx__NodeProto *n, const char *name, const char *v)
{
    Onnx__AttributeProto *a = attribute(b, n, name, ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING);
    a->has_s = 1;
    a->s.data = (uint8_t *)copy(b, v);
    a->s.len = strlen(v);
}

static Onnx__TensorProto *initializer(struct build *b, const char *name, int rank, const int64_t *dims,
                                      Onnx__TensorProto__DataType type, size_t size, const void *data)
{
    Onnx__TensorProto *t = take(b, sizeof *t);
    onnx__tensor_proto__init(t);
    t->name = copy(b, name);
    t->has_data_type = 1;
    t->data_type = (int32_t)type;
    t->has_raw_data = 1;
    t->raw_data.len = size;
    for (int k = 0; k < rank; k++) {
        APPEND(b, t, dims, dims[k]);
        t->raw_data.len *= (size_t)dims[k];
    }
    t->raw_data.data = (uint8_t *)data;
    APPEND(b, b->graph, initializer, t);
    return t;
}

Onnx__TensorProto *build_floats(struct build *b, const char *name, int rank, const int64_t *dims, const float *data)
{
    return initializer(b, name, rank, dims, ONNX__TENSOR_PROTO__DATA_TYPE__FLOAT, sizeof *data, data);
}

Onnx__TensorProto *build_list(struct build *b, const char *name, const int64_t *v, int count)
{
    int64_t dim = count, *own = take(b, (size_t)count * sizeof *own);
    memcpy(own, v, (size_t)count * sizeof *own);
    return initializer(b, name, 1, &dim, ONNX__TENSOR_PROTO__DATA_TYPE__INT64, sizeof *own, own);
}

void build_meta(struct build *b, const char *key, const char *value)
{
    Onnx__StringStringEntryProto *m = take(b, sizeof *m);
    onnx__string_string_entry_proto__init(m);
    m->key = copy(b, key);
    m->value = copy(b, value);
    APPEND(b, b->file, metadata_props, m);
}
