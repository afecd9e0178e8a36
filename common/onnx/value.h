/*
 * value - everything that has a name in an ONNX graph: the input, initializers, and what nodes make. The names are
 * borrowed from the unpacked message.
 */
#ifndef COMMON_ONNX_VALUE_H
#define COMMON_ONNX_VALUE_H

#include "common/onnx/tensor.h"
#include "common/onnx/view.h"

enum value_kind {
    VALUE_LATER,  /* its node's turn hasn't come */
    VALUE_NODE,   /* computed by node `node` of our graph */
    VALUE_TENSOR, /* a constant, decoded when it is first read */
    VALUE_SIDE,   /* a second output: nothing may read it */
};

struct value {
    const char *name;
    enum value_kind kind;
    int node;
    struct view view;             /* VALUE_NODE: how the file lays it out */
    const struct tensor *t;       /* VALUE_TENSOR, once decoded */
    const Onnx__TensorProto *src; /* VALUE_TENSOR, an initializer */
    const char *stored;           /* VALUE_TENSOR: the initializer or Constant whose numbers these are; NULL: computed */
    bool input;                   /* the graph lists it among its inputs */
    bool last;                    /* the network puts it out */
    bool needed;                  /* the output depends on it */
    int readers;                  /* how often needed nodes and the output name it */
};

struct values {
    struct value *of; /* (n) sorted by name */
    int n;
};

/* Collects the names; one that is defined twice or isn't clean text is refused. */
MUST_CHECK int values_new(struct values *vs, const Onnx__GraphProto *g, struct err *e);
void values_release(struct values *vs);

/* NULL when there is none. */
struct value *values_find(const struct values *vs, const char *name);

#endif
