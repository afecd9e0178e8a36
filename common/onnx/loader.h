/*
 * loader - the insides of onnx_load, shared by its operators.
 *
 * The nodes of the file that the output depends on are met in their order. Each is a `struct call`; the handler of
 * its operator reads attributes and inputs, and makes its first output one of: a node of `draft`, another name of
 * an input, or a constant. What is read of a call never fails by itself: the first mistake is kept in `rc` and `e`,
 * and what comes after it is harmless, so a handler asks for all that it needs and then looks at `rc` once.
 * Attributes that no handler asked for are refused afterwards.
 *
 * A value is a node seen through a view (view.h). Where its layout is one of the graph's, (N,C,H,W) or (N,C), the node
 * has that shape; call_node accepts no other, and handlers that can work on others say so by call_any.
 *
 * Names of draft nodes don't change; names and biases that later nodes give them are in `parts`, and finish.c makes
 * the graph that people get.
 */
#ifndef COMMON_ONNX_LOADER_H
#define COMMON_ONNX_LOADER_H

#include "common/model/weights.h"
#include "common/onnx/tensor.h"
#include "common/onnx/value.h"

struct part {
    const char *name; /* of the value in the end; borrowed from the draft or the message */
    const struct tensor *weight; /* that it was made of, for those that share it */
    bool turned;
    const char *names[NAME_COUNT]; /* as a node's; borrowed from the message */
    struct params p;
};

struct loader {
    const Onnx__GraphProto *src;
    int64_t opset;
    int64_t batch; /* that the input is declared for, or 0 */
    struct values values;
    struct tensors tensors;
    struct graph draft;
    struct part *parts; /* (GRAPH_MAX_NODES) */
};

struct call;

struct op_row {
    const char *name;
    void (*node)(struct call *c); /* some input is computed; NULL: that isn't supported */
    void (*fold)(struct call *c); /* all inputs are constant; NULL: `node` is asked */
};

/* NULL when the operator isn't known. */
const struct op_row *op_find(const char *name);

struct call {
    struct loader *l;
    const Onnx__NodeProto *src;
    const struct op_row *row;
    struct value **in; /* (n_in) NULL where an optional one is absent */
    int n_in;
    struct value *out;
    uint64_t seen; /* attributes that were asked for */
    int rc;
    struct err *e;
};

void call_fail(struct call *c, enum err_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);

/* Fails unless there are least ... most inputs, the first `least` of them present. */
void call_inputs(struct call *c, int least, int most);
bool call_has(const struct call *c, int i);
bool call_constant(const struct call *c, int i);

/* Input i as a node of the draft, whose shape is copied to *x, in whatever view; -1 and zeros when that isn't so. */
int call_any(struct call *c, int i, struct node *x, struct view *v);
/* The same for one of the graph's own layouts. */
int call_node(struct call *c, int i, struct node *x);
/* The same for (N,C), (N,C,H,W) and (N,H,W,C); a node that is flat though its value isn't gets an OP_UNFLATTEN. */
int call_layout(struct call *c, int i, struct node *x, enum layout *layout);

/* Input i as a constant of either type, of integers without a batch size in a list, of finite floats; or NULL. */
const struct tensor *call_tensor(struct call *c, int i);
const struct tensor *call_ints(struct call *c, int i);
const struct tensor *call_floats(struct call *c, int i);
float call_scalar(struct call *c, int i); /* one float, not NaN */

/*
 * Numbers of a list, either an input (i >= 0) or an attribute (name): at most `most` into v. Returns how many, -1
 * when absent or wrong.
 */
int call_list(struct call *c, int i, const char *name, int64_t *v, int most);

/* An axis in -rank ... rank-1 as 0 ... rank-1. */
int call_axis(struct call *c, int64_t axis, int rank);

/* Appends `d` (op, inputs, shape where it must be given) under the name of the output; its index, or -1. */
int call_add(struct call *c, struct node *d);
/* The same for the output `value`, which may be another than the first, in a layout that isn't LAYOUT_OTHER; the file's
 * name of the node goes to the first. */
int call_add_to(struct call *c, struct node *d, struct value *value, enum layout layout);
/* The same for a step in between, named after the output. */
int call_add_step(struct call *c, struct node *d, const char *suffix);
void call_alias(struct call *c, int i);
void call_view(struct call *c, const struct view *v); /* of the output that call_add has made */
/* Makes the output draft node `in` seen through v, with whatever node its layout needs. */
void call_settle(struct call *c, int in, struct view v);
/* Hands over a constant made with tensor_new; NULL when that failed. */
void call_result(struct call *c, struct tensor *t);
struct tensor *call_new(struct call *c, enum tensor_type type, int rank, const int64_t *dims);

/* Room for n numbers of node i's parameters, from those that the file may ask for; or NULL. */
float *call_room(struct call *c, size_t n);
float *call_copy(struct call *c, const float *from, size_t n);
struct params *call_params(struct call *c, int node);

/*
 * Input i is parameter `which` of the node, once call_params knows its size: that has its name, if it is stored in the file
 * under one and isn't one number for all. Copies of a long name that many read count as what the file may ask for.
 */
void call_name(struct call *c, int node, int which, int i);

/* t, which broadcasts to one number a channel of x seen through `view`, into v (C); in no other way. */
void call_channels(struct call *c, const struct tensor *t, const struct node *x, const struct view *view, float *v);
/* Node i's weight is t (turned: its rows are columns here): its node shares it with those before. */
void call_shares(struct call *c, int i, const struct tensor *t, bool turned);

/* Attributes (attr.c). A default stands for one that is absent; a wrong type is a failure. */
int64_t attr_int(struct call *c, const char *name, int64_t absent);
float attr_float(struct call *c, const char *name, float absent);
bool attr_ints(struct call *c, const char *name, int64_t *v, int n); /* exactly n; v stays when absent: false */
const int64_t *attr_list(struct call *c, const char *name, int *n);  /* any number; NULL when absent */
const float *attr_floats(struct call *c, const char *name, int *n);
void attr_text(struct call *c, const char *name, char v[32]); /* v stays when absent */
const Onnx__TensorProto *attr_tensor(struct call *c, const char *name);
void attr_ignore(struct call *c, const char *name);
/* One that old files carry: only `harmless` is accepted. */
void attr_only(struct call *c, const char *name, int64_t harmless);
void attr_end(struct call *c); /* fails for one that nobody asked for */

/* Makes the model of a walked draft (finish.c). */
MUST_CHECK int loader_finish(struct loader *l, const struct value *output, struct model *m, struct err *e);

#endif
