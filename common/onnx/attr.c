#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "common/onnx/loader.h"

#define MOST 64 /* attributes of a node: one bit each */

#define KIND(x) ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__##x

/* The attribute if it is there and of that type; files of the first versions say no type. */
static const Onnx__AttributeProto *find(struct call *c, const char *name, Onnx__AttributeProto__AttributeType k)
{
    for (size_t i = 0; i < c->src->n_attribute && i < MOST; i++) {
        const Onnx__AttributeProto *a = c->src->attribute[i];
        if (!a->name || strcmp(a->name, name) != 0)
            continue;
        c->seen |= UINT64_C(1) << i;
        if (a->has_type && a->type != KIND(UNDEFINED) && a->type != k) {
            call_fail(c, ERR_INVALID, "attribute \"%s\" of %s has the wrong type", name, c->src->op_type);
            return NULL;
        }
        if (a->ref_attr_name && *a->ref_attr_name) {
            call_fail(c, ERR_UNSUPPORTED, "attribute \"%s\" of %s refers to another, which is not supported", name,
                      c->src->op_type);
            return NULL;
        }
        return a;
    }
    return NULL;
}

int64_t attr_int(struct call *c, const char *name, int64_t absent)
{
    const Onnx__AttributeProto *a = find(c, name, KIND(INT));
    return a ? a->i : absent;
}

float attr_float(struct call *c, const char *name, float absent)
{
    const Onnx__AttributeProto *a = find(c, name, KIND(FLOAT));
    if (a && isnan(a->f))
        call_fail(c, ERR_INVALID, "attribute \"%s\" of %s isn't a number", name, c->src->op_type);
    return a ? a->f : absent;
}

const int64_t *attr_list(struct call *c, const char *name, int *n)
{
    static const int64_t none;
    const Onnx__AttributeProto *a = find(c, name, KIND(INTS));
    *n = a ? (int)a->n_ints : 0;
    if (!a)
        return NULL;
    return a->n_ints ? a->ints : &none;
}

const float *attr_floats(struct call *c, const char *name, int *n)
{
    static const float none;
    const Onnx__AttributeProto *a = find(c, name, KIND(FLOATS));
    *n = a ? (int)a->n_floats : 0;
    if (!a)
        return NULL;
    return a->n_floats ? a->floats : &none;
}

bool attr_ints(struct call *c, const char *name, int64_t *v, int n)
{
    int there;
    const int64_t *list = attr_list(c, name, &there);
    if (!list)
        return false;
    if (there != n)
        call_fail(c, ERR_UNSUPPORTED, "attribute \"%s\" of %s has %d numbers, only %d are supported", name,
                  c->src->op_type, there, n);
    else
        memcpy(v, list, (size_t)n * sizeof *v);
    return true;
}

void attr_text(struct call *c, const char *name, char v[32])
{
    const Onnx__AttributeProto *a = find(c, name, KIND(STRING));
    if (!a)
        return;
    if (a->s.len > 31) {
        call_fail(c, ERR_UNSUPPORTED, "attribute \"%s\" of %s has %zu characters", name, c->src->op_type, a->s.len);
        return;
    }
    if (a->s.len > 0)
        memcpy(v, a->s.data, a->s.len);
    v[a->s.len] = 0;
}

const Onnx__TensorProto *attr_tensor(struct call *c, const char *name)
{
    const Onnx__AttributeProto *a = find(c, name, KIND(TENSOR));
    if (a && !a->t)
        call_fail(c, ERR_INVALID, "attribute \"%s\" of %s holds no tensor", name, c->src->op_type);
    return a ? a->t : NULL;
}

void attr_ignore(struct call *c, const char *name)
{
    for (size_t i = 0; i < c->src->n_attribute && i < MOST; i++)
        if (c->src->attribute[i]->name && strcmp(c->src->attribute[i]->name, name) == 0)
            c->seen |= UINT64_C(1) << i;
}

void attr_only(struct call *c, const char *name, int64_t harmless)
{
    int64_t v = attr_int(c, name, harmless);
    if (v != harmless)
        call_fail(c, ERR_UNSUPPORTED, "attribute \"%s\" = %" PRId64 " of %s is not supported", name, v,
                  c->src->op_type);
}

void attr_end(struct call *c)
{
    if (c->src->n_attribute > MOST)
        call_fail(c, ERR_LIMIT, "%zu attributes, more than %d", c->src->n_attribute, MOST);
    for (size_t i = 0; i < c->src->n_attribute && c->rc == 0; i++) {
        const char *name = c->src->attribute[i]->name;
        if (!(c->seen >> i & 1))
            call_fail(c, ERR_UNSUPPORTED, "attribute \"%s\" of %s is not supported", name ? name : "",
                      c->src->op_type);
    }
}
