/* From the draft to the model: what doesn't lead to the output goes, and names become final. */
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/onnx/loader.h"

/* Shape arithmetic can be the only reader of a value; what it asked is known by now. */
static void mark_live(const struct graph *g, int output, bool *live)
{
    live[output] = true;
    for (int i = output; i >= 0; i--)
        for (int k = 0; live[i] && k < g->nodes[i].n_in; k++)
            live[g->nodes[i].in[k]] = true;
}

/* Nodes that share a weight name the first that stays. */
static void settle_shares(struct graph *g, const bool *live, int *first)
{
    for (int i = 0; i < g->n; i++) {
        int *at = &first[g->nodes[i].shares ? g->nodes[i].shares : i];
        if (live[i] && *at == 0)
            *at = i;
        g->nodes[i].shares = *at == i ? 0 : *at;
    }
}

/* Appends draft node i to g under its final name; place says where its inputs went. */
static int move_node(struct graph *g, const struct loader *l, int i, const int *place, struct err *e)
{
    struct node d = l->draft.nodes[i];
    int *in = mem_alloc((size_t)d.n_in, sizeof *in);
    if (!in)
        return err_set(e, ERR_NOMEM, "no memory for %d inputs", d.n_in);
    for (int k = 0; k < d.n_in; k++)
        in[k] = place[d.in[k]];
    d.in = in;
    d.name = (char *)l->parts[i].name;
    d.shares = place[d.shares];
    for (int k = 0; k < NAME_COUNT; k++)
        d.names[k] = (char *)l->parts[i].names[k];
    int rc = graph_add(g, &d, e);
    mem_free(in);
    return rc;
}

static int move_all(struct loader *l, const bool *live, int output, int *place, struct model *m, struct err *e)
{
    m->weights.of = mem_zalloc((size_t)output + 1, sizeof *m->weights.of);
    if (!m->weights.of)
        return err_set(e, ERR_NOMEM, "no memory for the weights of %d nodes", output + 1);
    for (int i = 0; i <= output; i++) {
        if (!live[i])
            continue;
        place[i] = move_node(&m->graph, l, i, place, e);
        if (place[i] < 0)
            return place[i];
        m->weights.of[place[i]] = l->parts[i].p;
        m->weights.n = place[i] + 1;
        l->parts[i].p = (struct params){0};
    }
    m->graph.output = place[output];
    return 0;
}

/* The output's layout must be one that the graph has; (N,1,1,C) passes for (N,C) or (N,C,1,1). */
static int check_output(const struct loader *l, const struct value *output, struct err *e)
{
    char text[96];
    if (output->kind != VALUE_NODE)
        return err_set(e, ERR_UNSUPPORTED, "the output \"%s\" isn't computed from the input", output->name);
    if (output->node == 0)
        return err_set(e, ERR_UNSUPPORTED, "the output \"%s\" is the input", output->name);
    const struct node *d = &l->draft.nodes[output->node];
    enum layout layout = view_layout(&output->view);
    if (layout == LAYOUT_FLAT || layout == LAYOUT_IMAGE || (layout == LAYOUT_LAST && d->H == 1 && d->W == 1))
        return 0;
    view_describe(&output->view, text);
    return err_set(e, ERR_UNSUPPORTED, "the output \"%s\" is laid out as %s, which is not supported", output->name,
                   text);
}

int loader_finish(struct loader *l, const struct value *output, struct model *m, struct err *e)
{
    int rc = check_output(l, output, e);
    if (rc < 0)
        return rc;
    l->parts[output->node].name = output->name;
    int *place = mem_zalloc((size_t)l->draft.n, sizeof *place), *first = mem_zalloc((size_t)l->draft.n, sizeof *first);
    bool *live = mem_zalloc((size_t)l->draft.n, sizeof *live);
    const char *name = l->src->name && *l->src->name ? l->src->name : "graph";
    m->graph.name = mem_dup(name, strlen(name) + 1, 1);
    m->graph.opset = l->opset;
    if (!place || !first || !live || !m->graph.name) {
        rc = err_set(e, ERR_NOMEM, "no memory for %d nodes", l->draft.n);
        goto out;
    }
    mark_live(&l->draft, output->node, live);
    settle_shares(&l->draft, live, first);
    if (!live[0])
        rc = err_set(e, ERR_UNSUPPORTED, "the output \"%s\" isn't computed from the input", output->name);
    else
        rc = move_all(l, live, output->node, place, m, e);
out:
    mem_free(place);
    mem_free(first);
    mem_free(live);
    if (rc < 0)
        model_release(m);
    return rc;
}
