#include "common/onnx/value.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/onnx/text.h"

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct value *)a)->name, ((const struct value *)b)->name);
}

static int add(struct values *vs, struct value v, struct err *e)
{
    if (!text_clean(v.name))
        return err_set(e, ERR_INVALID, "the name \"%s\" isn't printable UTF-8", v.name);
    vs->of[vs->n++] = v;
    return 0;
}

/* Old files list their initializers among the inputs: then both entries become one. */
static bool merge(struct value *to, const struct value *from)
{
    if (to->input == from->input || !(to->src ? from->input && !from->src : to->input && from->src))
        return false;
    if (!to->src)
        *to = *from;
    to->input = true;
    return true;
}

static int settle(struct values *vs, struct err *e)
{
    int n = 0;
    qsort(vs->of, (size_t)vs->n, sizeof *vs->of, by_name);
    for (int i = 0; i < vs->n; i++) {
        if (n == 0 || strcmp(vs->of[n - 1].name, vs->of[i].name) != 0)
            vs->of[n++] = vs->of[i];
        else if (!merge(&vs->of[n - 1], &vs->of[i]))
            return err_set(e, ERR_INVALID, "the value \"%s\" is defined twice", vs->of[i].name);
    }
    vs->n = n;
    return 0;
}

static size_t count(const Onnx__GraphProto *g)
{
    size_t n = g->n_initializer + g->n_input;
    for (size_t i = 0; i < g->n_node; i++)
        n += g->node[i]->n_output;
    return n;
}

int values_new(struct values *vs, const Onnx__GraphProto *g, struct err *e)
{
    size_t n = count(g);
    int rc = 0;
    *vs = (struct values){.of = n < INT_MAX ? mem_zalloc(n, sizeof *vs->of) : NULL};
    if (!vs->of)
        return err_set(e, ERR_NOMEM, "no memory for %zu names", n);
    for (size_t i = 0; i < g->n_initializer && rc == 0; i++) {
        const Onnx__TensorProto *t = g->initializer[i];
        if (!t->name || !*t->name)
            return err_set(e, ERR_INVALID, "initializer %zu has no name", i);
        rc = add(vs, (struct value){.name = t->name, .kind = VALUE_TENSOR, .src = t, .stored = t->name}, e);
    }
    for (size_t i = 0; i < g->n_input && rc == 0; i++) {
        if (!g->input[i]->name || !*g->input[i]->name)
            return err_set(e, ERR_INVALID, "input %zu has no name", i);
        rc = add(vs, (struct value){.name = g->input[i]->name, .kind = VALUE_LATER, .input = true}, e);
    }
    for (size_t i = 0; i < g->n_node && rc == 0; i++)
        for (size_t k = 0; k < g->node[i]->n_output && rc == 0; k++)
            if (*g->node[i]->output[k])
                rc = add(vs, (struct value){.name = g->node[i]->output[k], .kind = VALUE_LATER}, e);
    return rc < 0 ? rc : settle(vs, e);
}

void values_release(struct values *vs)
{
    mem_free(vs->of);
    *vs = (struct values){0};
}

struct value *values_find(const struct values *vs, const char *name)
{
    struct value key = {.name = name};
    return vs->n ? bsearch(&key, vs->of, (size_t)vs->n, sizeof key, by_name) : NULL;
}
