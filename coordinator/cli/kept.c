#include "coordinator/cli/kept.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/groups.h"
#include "common/onnx/load.h"
#include "common/onnx/peek.h"

#define MADE_BEFORE "the file doesn't say %s: an older program made it"

int kept_parent(const struct buf *child, struct hash *h, struct err *e)
{
    struct onnx_peek *p;
    int rc = onnx_peek_open(child->p, child->n, &p, e);
    if (rc < 0)
        return rc;
    const char *hex = onnx_peek_meta(p, "espalier.parent_sha256");
    if (!hex || !hash_from_hex(hex, h))
        rc = err_set(e, ERR_INVALID, MADE_BEFORE, "whose child it is");
    onnx_peek_close(p);
    return rc;
}

struct both {
    struct model parent, child;
    struct groups groups; /* of the parent */
    struct onnx_peek *names, *labels; /* of the parent's file, of the child's */
    bool fine;  /* single weights */
    bool *live; /* (classes) */
    int *kept;  /* room for any value's channels */
};

static void both_release(struct both *b)
{
    free(b->live);
    free(b->kept);
    onnx_peek_close(b->names);
    onnx_peek_close(b->labels);
    groups_release(&b->groups);
    model_release(&b->parent);
    model_release(&b->child);
}

/* A number at *s; -1 where there is none up to `most`. */
static int take_number(const char **s, int most)
{
    int64_t x = 0;
    const char *from = *s;
    for (; **s >= '0' && **s <= '9' && x <= most; ++*s)
        x = 10 * x + (**s - '0');
    return *s == from || x > most ? -1 : (int)x;
}

/* "0-3,5;0-15" to live classes; false where that isn't what the text is. */
static bool read_kept(const struct groups *gs, const char *s, bool *live)
{
    for (int c = 0; c < gs->n_classes; c++)
        live[c] = gs->group[c] < 0;
    for (int g = 0; g < gs->n; g++) {
        const struct channel_group *of = &gs->of[g];
        for (bool more = true; more;) {
            int from = take_number(&s, of->n - 1), to = from;
            if (*s == '-') {
                s++;
                to = take_number(&s, of->n - 1);
            }
            if (from < 0 || to < from)
                return false;
            for (int k = from; k <= to; k++)
                live[of->classes[k]] = true;
            more = *s == ',';
            s += more;
        }
        if (*s != (g + 1 < gs->n ? ';' : '\0'))
            return false;
        s += *s == ';';
    }
    return true;
}

static int open_both(struct both *b, const struct buf *parent, const struct buf *child, struct err *e)
{
    int rc, most = 0;
    if ((rc = onnx_load(parent->p, parent->n, &b->parent, e)) < 0)
        return err_wrap(e, "parent");
    if ((rc = onnx_load(child->p, child->n, &b->child, e)) < 0 ||
        (rc = onnx_peek_open(parent->p, parent->n, &b->names, e)) < 0 ||
        (rc = onnx_peek_open(child->p, child->n, &b->labels, e)) < 0 ||
        (rc = groups_find(&b->parent.graph, &b->groups, e)) < 0)
        return rc;
    for (int i = 0; i < b->parent.graph.n; i++)
        most = b->parent.graph.nodes[i].C > most ? b->parent.graph.nodes[i].C : most;
    b->kept = xcalloc((size_t)most, sizeof(*b->kept));
    b->live = xcalloc((size_t)b->groups.n_classes, sizeof(*b->live));
    const char *kept = onnx_peek_meta(b->labels, "espalier.kept"), *cut = onnx_peek_meta(b->labels, "espalier.cut");
    b->fine = cut && strcmp(cut, "fine") == 0;
    if (b->fine)
        return 0;
    if (!kept)
        return err_set(e, ERR_INVALID, MADE_BEFORE, "which channels it kept");
    if (!read_kept(&b->groups, kept, b->live))
        return err_set(e, ERR_INVALID, "what the file kept, \"%.60s\", doesn't fit its parent's %d groups", kept,
                       b->groups.n);
    return 0;
}

static json_t *text_or_null(const char *s)
{
    return s && *s ? json_string(s) : json_null();
}

/* Adds `count` and `list` of what value i of the parent keeps; the child's must have as many. */
static int add_channels(struct both *b, json_t *to, int i, int child, const char *count, const char *list, const char *mask,
                        struct err *e)
{
    const struct node *d = &b->parent.graph.nodes[i];
    int n = groups_kept(&b->groups, &b->parent.graph, i, b->live, b->kept), has = b->child.graph.nodes[child].C;
    if (n != has)
        return err_set(e, ERR_INVALID, "the file should have kept %d channels of \"%s\", and it has %d", n, d->name, has);
    json_t *kept = json_array(), *bits = mask ? json_array() : NULL;
    for (int k = 0; k < n; k++)
        json_array_append_new(kept, json_integer(b->kept[k]));
    for (int c = 0, k = 0; mask && c < d->C; c++) {
        bool in = k < n && b->kept[k] == c;
        json_array_append_new(bits, json_boolean(in));
        k += in;
    }
    json_object_set_new(to, count, json_integer(d->C));
    json_object_set_new(to, list, kept);
    if (mask)
        json_object_set_new(to, mask, bits);
    return 0;
}

static int child_of(const struct both *b, const char *name)
{
    const struct graph *g = &b->child.graph;
    for (int i = 0; i < g->n; i++)
        if (strcmp(g->nodes[i].name, name) == 0)
            return i;
    return -1;
}

static void name_layer(const struct both *b, const struct node *d, json_t *o)
{
    json_object_set_new(o, "node", text_or_null(d->label));
    json_object_set_new(o, "op", json_string(op_name(d->op)));
    json_object_set_new(o, "value", json_string(d->name));
    json_object_set_new(o, "weight", text_or_null(onnx_peek_weight(b->names, d->name)));
}

static int add_layer(struct both *b, int i, bool masks, json_t *layers, struct err *e)
{
    const struct node *d = &b->parent.graph.nodes[i];
    int child = child_of(b, d->name);
    if (child < 0 || b->child.graph.nodes[child].op != d->op)
        return err_set(e, ERR_INVALID, "the file has no %s that makes \"%s\", as its parent has", op_name(d->op), d->name);
    json_t *o = json_object();
    json_array_append_new(layers, o);
    name_layer(b, d, o);
    int rc = add_channels(b, o, i, child, "channels", "kept", masks ? "mask" : NULL, e);
    if (rc == 0 && (d->op == OP_CONV || d->op == OP_GEMM))
        rc = add_channels(b, o, d->in[0], b->child.graph.nodes[child].in[0], "input_channels", "input_kept", NULL, e);
    return rc;
}

/* A conv or gemm whose single weights were cut. */
static int add_sparse(struct both *b, int i, json_t *layers, struct err *e)
{
    const struct node *d = &b->parent.graph.nodes[i];
    const struct params *old = &b->parent.weights.of[i];
    int child = child_of(b, d->name);
    if (child < 0 || b->child.graph.nodes[child].op != d->op || b->child.weights.of[child].n_w != old->n_w)
        return err_set(e, ERR_INVALID, "the file has no %s of the same size that makes \"%s\", as its parent has",
                       op_name(d->op), d->name);
    const float *w = b->child.weights.of[child].w;
    size_t nonzero = 0;
    for (size_t k = 0; k < old->n_w; k++)
        nonzero += w[k] != 0;
    json_t *o = json_object();
    json_array_append_new(layers, o);
    name_layer(b, d, o);
    json_object_set_new(o, "weights", json_integer((json_int_t)old->n_w));
    json_object_set_new(o, "nonzero", json_integer((json_int_t)nonzero));
    json_object_set_new(o, "density", json_real((double)nonzero / (double)old->n_w));
    return 0;
}

/* What the child says of itself: texts as they are, the others numbers. */
static json_t *describe(const struct both *b)
{
    static const struct {
        const char *key;
        bool text;
    } rows[] = {{"cut", true},          {"search", false},       {"name", true},       {"episode", false}, {"budget", true},
                {"stage", true},         {"parent_sha256", true}, {"macs", false},    {"macs_ratio", false},
                {"params", false},       {"params_ratio", false}, {"top1", false},    {"top5", false},
                {"images", false},       {"test_top1", false}, {"test_top5", false}, {"test_images", false}};
    json_t *o = json_object();
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char key[64];
        snprintf(key, sizeof(key), "espalier.%s", rows[i].key);
        const char *s = onnx_peek_meta(b->labels, key);
        json_t *number = s && !rows[i].text ? json_loads(s, JSON_DECODE_ANY, NULL) : NULL;
        if (number)
            json_object_set_new(o, rows[i].key, number);
        else if (s)
            json_object_set_new(o, rows[i].key, json_string(s));
    }
    return o;
}

int kept_json(const struct buf *parent, const struct buf *child, bool masks, json_t **out, struct err *e)
{
    struct both b = {0};
    *out = NULL;
    int rc = open_both(&b, parent, child, e);
    if (rc == 0 && b.fine && masks)
        rc = err_set(e, ERR_INVALID, "--masks is for channels: the ONNX file has the zeros of single weights in place");
    if (rc == 0) {
        json_t *layers = json_array();
        *out = describe(&b);
        json_object_set_new(*out, "layers", layers);
        for (int i = 0; i < b.parent.graph.n && rc == 0; i++) {
            enum op op = b.parent.graph.nodes[i].op;
            if (b.fine && (op == OP_CONV || op == OP_GEMM))
                rc = add_sparse(&b, i, layers, e);
            else if (!b.fine && op_has_params(op))
                rc = add_layer(&b, i, masks, layers, e);
        }
    }
    both_release(&b);
    if (rc < 0) {
        json_decref(*out);
        *out = NULL;
    }
    return rc;
}
