/* `espalier model`: what an ONNX file or an architecture holds, what may be cut in it, and what it costs. */
#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/mem.h"
#include "common/model/cost.h"
#include "common/onnx/load.h"
#include "common/zoo/zoo.h"
#include "coordinator/cli/args.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/table.h"
#include "coordinator/cli/term.h"

#define CLASSES 10 /* of an architecture */
#define ABOUT                                                                                                      \
    "Layers, what may be cut together, and cost. A MAC is one multiply-add. Kernel: size, /stride, d dilation,\n"  \
    "g groups. Group: which decision the output's channels follow (+: and others), or why they are all kept:\n"     \
    "they are the input's or output's, an LRN looks at neighbours, a slice takes every n-th, nothing has weights.\n\n"                  \
    "Where no file is called NAME, it is an architecture, for images of 3x32x32 or CxHxW and 10 classes:\n%s."

/* The group that most of the value's channels belong to, or -1; *mixed: they belong to more than one, or some to
 * none. */
static int group_of(const struct groups *gs, const struct graph *g, int node, bool *mixed)
{
    int best = -1;
    *mixed = false;
    for (int c = 0; c < g->nodes[node].C; c++) {
        int k = gs->group[gs->classes[node][c]];
        if (c > 0 && k != best)
            *mixed = true;
        if (best < 0)
            best = k;
    }
    return best;
}

/* Why channels of the value stay whatever is decided; FIXED_NOT where none does. */
static enum fixed_why why_fixed(const struct groups *gs, const struct graph *g, int node)
{
    enum fixed_why why = FIXED_NOT;
    for (int c = 0; c < g->nodes[node].C && why == FIXED_NOT; c++)
        why = gs->fixed[gs->classes[node][c]];
    return why;
}

static void window_text(const struct node *d, char out[64])
{
    const struct window *w = d->op == OP_CONV ? &d->u.conv.win : &d->u.pool.win;
    int n = 0;
    out[0] = 0;
    if (d->op != OP_CONV && d->op != OP_MAXPOOL && d->op != OP_AVGPOOL)
        return;
    n += snprintf(out, 64, "%dx%d", w->R, w->S);
    if (w->stride_h > 1 || w->stride_w > 1)
        n += w->stride_h == w->stride_w ? snprintf(out + n, 64 - (size_t)n, " /%d", w->stride_h)
                                        : snprintf(out + n, 64 - (size_t)n, " /%d,%d", w->stride_h, w->stride_w);
    if (w->dil_h > 1 || w->dil_w > 1)
        n += snprintf(out + n, 64 - (size_t)n, " d%d", w->dil_h > w->dil_w ? w->dil_h : w->dil_w);
    if (d->op == OP_CONV && d->u.conv.groups > 1)
        snprintf(out + n, 64 - (size_t)n, " g%d", d->u.conv.groups);
}

static void shape_text(const struct node *d, char out[48])
{
    if (d->flat)
        snprintf(out, 48, "%d", d->C);
    else
        snprintf(out, 48, "%dx%dx%d", d->C, d->H, d->W);
}

/* --- as tables --- */

static void print_layers(const struct graph *g, const struct groups *gs)
{
    static const struct column columns[] = {
        {"layer", COLUMN_FLEXIBLE}, {"op", COLUMN_TEXT},       {"output", COLUMN_NUMBER}, {"kernel", COLUMN_TEXT},
        {"MACs", COLUMN_NUMBER},    {"params", COLUMN_NUMBER}, {"group", COLUMN_NUMBER}};
    struct table t = {.columns = columns, .n_columns = sizeof(columns) / sizeof(*columns)};
    char window[64], shape[48], s[TERM_TEXT];
    for (int i = 0; i < g->n; i++) {
        const struct node *d = &g->nodes[i];
        struct cost cost;
        bool mixed;
        int k = group_of(gs, g, i, &mixed);
        cost_node(g, gs, i, NULL, &cost);
        window_text(d, window);
        shape_text(d, shape);
        table_cell(&t, "%s", d->label[0] ? d->label : d->name);
        table_cell(&t, "%s", op_name(d->op));
        table_cell(&t, "%s", shape);
        table_cell(&t, "%s", window);
        table_cell(&t, "%s", cost.of[COST_FLOPS] ? term_count(s, (double)cost.of[COST_FLOPS]) : "");
        table_cell(&t, "%s", cost.of[COST_PARAMS] ? term_count(s, (double)cost.of[COST_PARAMS]) : "");
        if (k < 0)
            table_cell(&t, "%s", fixed_why_text(why_fixed(gs, g, i)));
        else
            table_cell(&t, "%d%s", k, mixed ? "+" : "");
    }
    table_print(&t);
    table_release(&t);
}

static void print_groups(const struct graph *g, const struct groups *gs)
{
    static const struct column columns[] = {{"group", COLUMN_NUMBER},
                                            {"channels", COLUMN_NUMBER},
                                            {"values", COLUMN_NUMBER},
                                            {"tied", COLUMN_TEXT},
                                            {"first layer", COLUMN_FLEXIBLE}};
    struct table t = {.columns = columns, .n_columns = sizeof(columns) / sizeof(*columns)};
    for (int k = 0; k < gs->n; k++) {
        const struct channel_group *cg = &gs->of[k];
        const struct node *first = &g->nodes[cg->first];
        int values = 0;
        for (int i = 0; i < g->n; i++) {
            bool in = false;
            for (int c = 0; c < g->nodes[i].C && !in; c++)
                in = gs->group[gs->classes[i][c]] == k;
            values += in;
        }
        table_cell(&t, "%d", k);
        table_cell(&t, "%d", cg->n);
        table_cell(&t, "%d", values);
        table_cell(&t, "%s", cg->tied ? "yes" : "no");
        table_cell(&t, "%s", first->label[0] ? first->label : first->name);
    }
    putchar('\n');
    if (t.n > 0)
        table_print(&t);
    else
        puts("nothing can be cut: every channel is fixed");
    table_release(&t);
}

static void print_totals(const struct cost *dense)
{
    char s[TERM_TEXT];
    printf("\nMACs    %" PRId64 " (%s)\n", dense->of[COST_FLOPS], term_count(s, (double)dense->of[COST_FLOPS]));
    printf("params  %" PRId64 " (%s)\n", dense->of[COST_PARAMS], term_count(s, (double)dense->of[COST_PARAMS]));
    printf("bytes   %" PRId64 " (%s)\n", dense->of[COST_BYTES], term_count(s, (double)dense->of[COST_BYTES]));
}

/* --- as JSON --- */

static json_t *layer_json(const struct graph *g, const struct groups *gs, int i)
{
    const struct node *d = &g->nodes[i];
    struct cost cost;
    bool mixed;
    int k = group_of(gs, g, i, &mixed);
    cost_node(g, gs, i, NULL, &cost);
    json_t *shape = d->flat ? json_pack("[i]", d->C) : json_pack("[iii]", d->C, d->H, d->W);
    json_t *j = json_pack("{s:s, s:s, s:s, s:o, s:I, s:I, s:o, s:b}", "name", d->name, "label", d->label, "op",
                          op_name(d->op), "shape", shape, "macs", (json_int_t)cost.of[COST_FLOPS], "params",
                          (json_int_t)cost.of[COST_PARAMS], "group", k < 0 ? json_null() : json_integer(k), "mixed",
                          (int)mixed);
    enum fixed_why why = why_fixed(gs, g, i);
    json_object_set_new(j, "kept", why == FIXED_NOT ? json_null() : json_string(fixed_why_text(why)));
    if (d->op == OP_CONV || d->op == OP_MAXPOOL || d->op == OP_AVGPOOL) {
        const struct window *w = d->op == OP_CONV ? &d->u.conv.win : &d->u.pool.win;
        json_object_set_new(j, "kernel", json_pack("[ii]", w->R, w->S));
        json_object_set_new(j, "stride", json_pack("[ii]", w->stride_h, w->stride_w));
        json_object_set_new(j, "dilation", json_pack("[ii]", w->dil_h, w->dil_w));
        json_object_set_new(j, "pads", json_pack("[iiii]", w->pad_t, w->pad_l, w->pad_b, w->pad_r));
    }
    if (d->op == OP_CONV)
        json_object_set_new(j, "groups", json_integer(d->u.conv.groups));
    return j;
}

static int print_json(const struct graph *g, const struct groups *gs, const struct cost *dense, struct err *e)
{
    json_t *layers = json_array(), *groups = json_array();
    for (int i = 0; i < g->n; i++)
        json_array_append_new(layers, layer_json(g, gs, i));
    for (int k = 0; k < gs->n; k++)
        json_array_append_new(groups, json_pack("{s:i, s:i, s:b, s:s}", "group", k, "channels", gs->of[k].n, "tied",
                                                (int)gs->of[k].tied, "first", g->nodes[gs->of[k].first].name));
    bool whole = (int)json_array_size(layers) == g->n && (int)json_array_size(groups) == gs->n;
    json_t *j = json_pack("{s:o, s:o, s:I, s:I, s:I}", "layers", layers, "groups", groups, "macs",
                          (json_int_t)dense->of[COST_FLOPS], "params", (json_int_t)dense->of[COST_PARAMS], "bytes",
                          (json_int_t)dense->of[COST_BYTES]);
    int rc = j && whole ? format_json(j, e) : err_set(e, ERR_INVALID, "the model's names aren't UTF-8");
    json_decref(j);
    return rc;
}

/* --- where it comes from --- */

/* "CxHxW" and nothing behind it. */
static bool parse_size(const char *s, int size[3])
{
    for (int i = 0; i < 3; i++) {
        char *end;
        errno = 0;
        long v = strtol(s, &end, 10);
        if (*s < '0' || *s > '9' || errno || v > GRAPH_MAX_DIM || *end != (i < 2 ? 'x' : 0))
            return false;
        size[i] = (int)v;
        s = end + 1;
    }
    return true;
}

/* An architecture, when no file is called so: NAME or NAME@CxHxW. Returns 1 when it isn't one. */
static int load_known(struct cli *c, const char *what, struct model *m, struct err *e)
{
    int size[3] = {3, 32, 32};
    const char *at = strchr(what, '@');
    size_t n = at ? (size_t)(at - what) : strlen(what);
    char name[64];
    if (n >= sizeof name || access(what, F_OK) == 0)
        return 1;
    memcpy(name, what, n);
    name[n] = 0;
    if (!zoo_knows(name))
        return 1;
    if (at && !parse_size(at + 1, size))
        return args_wrong(c, e, "\"%s\": the size of the images must be CxHxW, such as 3x32x32", what);
    *m = (struct model){0};
    return zoo_graph(name, size[0], size[1], size[2], CLASSES, &m->graph, e);
}

static int load(struct cli *c, const char *what, struct model *m, struct err *e)
{
    int rc = load_known(c, what, m, e);
    return rc > 0 ? onnx_load_file(what, m, e) : rc;
}

int verb_model(struct cli *c, int argc, char **argv, struct err *e)
{
    enum format format = FORMAT_TABLE;
    const char *name = NULL, *path;
    const struct arg args[] = {{"--format", ARG_TEXT, "table|json", "how (table)", &name, 0, 0}, {0}};
    char *about = xasprintf(ABOUT, zoo_names());
    const struct usage u = {"model FILE.onnx | NAME[@CxHxW] [--format table|json]", about, args, 1, 1};
    struct model m;
    struct groups gs;
    struct cost dense;
    int rc = args_parse(c, &u, argc, argv, &path, e);
    free(about);
    if (rc == 0)
        rc = format_parse(c, name, FORMAT_JSON, &format, e);
    if (rc != 0 || (rc = load(c, path, &m, e)) < 0)
        return rc;
    rc = groups_find(&m.graph, &gs, e);
    if (rc < 0) {
        model_release(&m);
        return err_wrap(e, "%s", path);
    }
    cost_of(&m.graph, &gs, NULL, &dense);
    if (format == FORMAT_JSON) {
        rc = print_json(&m.graph, &gs, &dense, e);
    } else {
        print_layers(&m.graph, &gs);
        print_groups(&m.graph, &gs);
        print_totals(&dense);
    }
    groups_release(&gs);
    model_release(&m);
    return rc;
}
