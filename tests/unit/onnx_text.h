/*
 * onnx_text - ONNX files and graphs as text, for the tests of common/onnx.
 *
 * onnx_text_pack makes a file of lines "WORD ARGUMENTS":
 *
 *   opset 9
 *   input x 3,8,8                        (C,H,W), or (C) for a flat one; "batch 1" before it: a fixed batch
 *   floats w 4,3,3,3 [V ...]             an initializer; without values it counts 0.01, 0.02 ...
 *   ints t 0,-1                          a list of int64
 *   Conv n1 x,w -> c strides=2,2 group=1 alpha=0.5 mode=constant
 *   output y
 *
 * A value with a comma is a list of integers, one with a point a float, one of digits an integer, any other a
 * string. "_" stands for an empty name.
 */
#ifndef TESTS_UNIT_ONNX_TEXT_H
#define TESTS_UNIT_ONNX_TEXT_H

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/weights.h"
#include "common/onnx/build.h"

/* At most 16 numbers out of "1,2,3". */
static inline int onnx_text_list(const char *s, int64_t v[16])
{
    int n = 0;
    while (*s && n < 16) {
        char *end;
        v[n++] = strtoll(s, &end, 10);
        s = *end == ',' ? end + 1 : end;
        if (s == end && *end)
            BUG("bad list \"%s\"", end);
    }
    return n;
}

static inline const char *onnx_text_name(const char *s)
{
    return strcmp(s, "_") == 0 ? "" : s;
}

static inline void onnx_text_attribute(struct build *b, Onnx__NodeProto *n, char *word)
{
    int64_t v[16];
    char *value = strchr(word, '=');
    if (!value)
        BUG("\"%s\" isn't KEY=VALUE", word);
    *value++ = 0;
    bool number = isdigit((unsigned char)*value) || *value == '-';
    if (number && strchr(value, ','))
        build_ints(b, n, word, v, onnx_text_list(value, v));
    else if (number && strchr(value, '.'))
        build_float(b, n, word, strtof(value, NULL));
    else if (number)
        build_int(b, n, word, strtoll(value, NULL, 10));
    else
        build_string(b, n, word, value);
}

/* Bytes that live as long as the build. */
static inline void *onnx_text_room(struct build *b, size_t n)
{
    return build_text(b, "%*s", (int)n, "");
}

static inline void onnx_text_node(struct build *b, const char *op, char *save)
{
    char *label = strtok_r(NULL, " ", &save), *in = strtok_r(NULL, " ", &save), *word, *rest;
    if (!label || !in)
        BUG("%s: no output", op);
    if (strcmp(in, "->") == 0)
        in = NULL;
    else
        strtok_r(NULL, " ", &save);
    word = strtok_r(NULL, " ", &save);
    Onnx__NodeProto *n = build_node(b, op, onnx_text_name(label), onnx_text_name(strtok_r(word, ",", &rest)));
    char **outputs = onnx_text_room(b, 8 * sizeof *outputs);
    outputs[0] = n->output[0];
    n->output = outputs;
    for (char *s = strtok_r(NULL, ",", &rest); s && n->n_output < 8; s = strtok_r(NULL, ",", &rest))
        outputs[n->n_output++] = build_text(b, "%s", onnx_text_name(s));
    for (char *s = in ? strtok_r(in, ",", &rest) : NULL; s; s = strtok_r(NULL, ",", &rest))
        build_read(b, n, onnx_text_name(s));
    while ((word = strtok_r(NULL, " ", &save)))
        onnx_text_attribute(b, n, word);
}

static inline void onnx_text_floats(struct build *b, char *save)
{
    char *name = strtok_r(NULL, " ", &save), *shape = strtok_r(NULL, " ", &save), *word;
    int64_t dims[16];
    int rank = strcmp(shape, "scalar") == 0 ? 0 : onnx_text_list(shape, dims), k = 0, n = 1;
    for (int i = 0; i < rank; i++)
        n *= (int)dims[i];
    float *v = onnx_text_room(b, (size_t)n * sizeof *v);
    for (; k < n && (word = strtok_r(NULL, " ", &save)); k++)
        v[k] = strtof(word, NULL);
    for (; k < n; k++)
        v[k] = 0.01f * (float)(k + 1);
    build_floats(b, name, rank, dims, v);
}

static inline void onnx_text_line(struct build *b, char *line, int *batch)
{
    char *save, *word = strtok_r(line, " ", &save);
    int64_t v[16];
    if (!word)
        return;
    if (strcmp(word, "opset") == 0) {
        b->file->opset_import[0]->version = atoi(strtok_r(NULL, " ", &save));
    } else if (strcmp(word, "batch") == 0) {
        *batch = atoi(strtok_r(NULL, " ", &save));
    } else if (strcmp(word, "input") == 0) {
        char *name = strtok_r(NULL, " ", &save);
        int n = onnx_text_list(strtok_r(NULL, " ", &save), v);
        build_input(b, name, n == 1, (int)v[0], (int)v[1], (int)v[2]);
        if (*batch) {
            Onnx__TensorShapeProto__Dimension *d =
                b->graph->input[b->graph->n_input - 1]->type->tensor_type->shape->dim[0];
            d->value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            d->dim_value = *batch;
        }
    } else if (strcmp(word, "output") == 0) {
        build_output(b, strtok_r(NULL, " ", &save), true, 1, 1, 1);
    } else if (strcmp(word, "floats") == 0) {
        onnx_text_floats(b, save);
    } else if (strcmp(word, "ints") == 0) {
        char *name = strtok_r(NULL, " ", &save);
        build_list(b, name, v, onnx_text_list(strtok_r(NULL, " ", &save), v));
    } else {
        onnx_text_node(b, word, save);
    }
}

/* The messages; build_release them. */
static inline void onnx_text_build(const char *text, struct build *b)
{
    int batch = 0;
    char *copy = xstrdup(text), *save;
    build_init(b, 13, "text");
    for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
        onnx_text_line(b, line, &batch);
    free(copy);
}

static inline void onnx_text_pack(const char *text, struct buf *out)
{
    struct build b;
    struct err e;
    onnx_text_build(text, &b);
    if (build_pack(&b, out, &e) < 0)
        BUG("%s", e.text);
    build_release(&b);
}

static inline void onnx_text_window(struct buf *out, const struct window *w)
{
    buf_text(out, " k%d,%d s%d,%d d%d,%d p%d,%d,%d,%d", w->R, w->S, w->stride_h, w->stride_w, w->dil_h, w->dil_w,
             w->pad_t, w->pad_l, w->pad_b, w->pad_r);
}

static inline void onnx_text_span(struct buf *out, const char *axis, struct span s)
{
    buf_text(out, " %s%d:%d:%d", axis, s.begin, s.end, s.step);
}

static inline void onnx_text_details(struct buf *out, const struct graph *g, const struct node *d)
{
    switch (d->op) {
    case OP_INPUT:
        buf_text(out, "%s", d->u.input.last ? " last" : "");
        break;
    case OP_CONV:
        onnx_text_window(out, &d->u.conv.win);
        buf_text(out, " g%d%s", d->u.conv.groups, d->u.conv.bias ? " bias" : "");
        break;
    case OP_MAXPOOL:
    case OP_AVGPOOL:
        onnx_text_window(out, &d->u.pool.win);
        buf_text(out, "%s", d->u.pool.count_pad ? " count" : "");
        break;
    case OP_BN:
        buf_text(out, " eps %g", (double)d->u.bn.eps);
        break;
    case OP_CLIP:
        buf_text(out, " %g..%g", (double)d->u.clip.lo, (double)d->u.clip.hi);
        break;
    case OP_HARDSIGMOID:
        buf_text(out, " %g,%g", (double)d->u.act.alpha, (double)d->u.act.beta);
        break;
    case OP_LEAKYRELU:
    case OP_ELU:
        buf_text(out, " %g", (double)d->u.act.alpha);
        break;
    case OP_LRN:
        buf_text(out, " %d %g,%g,%g", d->u.lrn.size, (double)d->u.lrn.alpha, (double)d->u.lrn.beta,
                 (double)d->u.lrn.bias);
        break;
    case OP_SHUFFLE:
        buf_text(out, " g%d", d->u.shuffle.groups);
        break;
    case OP_PAD:
        buf_text(out, " c%d,%d h%d,%d w%d,%d", d->u.pad.front, d->u.pad.back, d->u.pad.top, d->u.pad.bottom,
                 d->u.pad.left, d->u.pad.right);
        break;
    case OP_SLICE:
        onnx_text_span(out, "c", d->u.slice.c);
        onnx_text_span(out, "h", d->u.slice.h);
        onnx_text_span(out, "w", d->u.slice.w);
        break;
    case OP_FLATTEN:
        buf_text(out, "%s", d->u.flatten.last ? " last" : "");
        break;
    case OP_GEMM:
        buf_text(out, "%s", d->u.gemm.bias ? " bias" : "");
        break;
    default:
        break;
    }
    if (d->shares)
        buf_text(out, " as %s", g->nodes[d->shares].name);
}

/* A line a node: "Conv c(x) 4,6,6 k3,3 ...", flat values as "10 flat", "*" before the output. */
static inline void onnx_text_graph(const struct graph *g, struct buf *out)
{
    buf_append(out, "", 0);
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        buf_text(out, "%s%s %s(", i == g->output ? "*" : "", op_name(d->op), d->name);
        for (int k = 0; k < d->n_in; k++)
            buf_text(out, "%s%s", k ? "," : "", g->nodes[d->in[k]].name);
        if (d->flat)
            buf_text(out, ") %d flat", d->C);
        else
            buf_text(out, ") %d,%d,%d", d->C, d->H, d->W);
        onnx_text_details(out, g, d);
        buf_text(out, "\n");
    }
}

static inline bool onnx_text_same_floats(const float *a, const float *b, size_t n)
{
    return (!a && !b) || (a && b && memcmp(a, b, n * sizeof *a) == 0);
}

static inline bool onnx_text_same_floats_of(const struct node *a, const struct node *b)
{
    if (a->op == OP_BN)
        return a->u.bn.eps == b->u.bn.eps;
    if (a->op == OP_HARDSIGMOID || a->op == OP_LEAKYRELU || a->op == OP_ELU)
        return a->u.act.alpha == b->u.act.alpha && a->u.act.beta == b->u.act.beta;
    if (a->op == OP_LRN)
        return a->u.lrn.alpha == b->u.lrn.alpha && a->u.lrn.beta == b->u.lrn.beta && a->u.lrn.bias == b->u.lrn.bias;
    return a->op != OP_CLIP || (a->u.clip.lo == b->u.clip.lo && a->u.clip.hi == b->u.clip.hi);
}

/* The same nodes under the same names and labels, the same weights bit for bit? (Opsets may differ.) */
static inline bool onnx_text_same(const struct model *a, const struct model *b)
{
    struct buf s = {0}, t = {0};
    onnx_text_graph(&a->graph, &s);
    onnx_text_graph(&b->graph, &t);
    bool same = s.n == t.n && memcmp(s.p, t.p, s.n) == 0 && a->weights.n == b->weights.n &&
                strcmp(a->graph.name, b->graph.name) == 0;
    for (int i = 0; i < a->weights.n && same; i++) {
        const struct params *p = &a->weights.of[i], *q = &b->weights.of[i];
        same = p->n_w == q->n_w && p->n_b == q->n_b && onnx_text_same_floats(p->w, q->w, p->n_w) &&
               onnx_text_same_floats(p->b, q->b, p->n_b) && onnx_text_same_floats(p->mean, q->mean, p->n_b) &&
               onnx_text_same_floats(p->var, q->var, p->n_b) &&
               onnx_text_same_floats_of(&a->graph.nodes[i], &b->graph.nodes[i]) &&
               strcmp(a->graph.nodes[i].label, b->graph.nodes[i].label) == 0;
    }
    buf_release(&s);
    buf_release(&t);
    return same;
}

#endif
