#include "common/onnx/peek.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "onnx/onnx.pb-c.h"

#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "common/onnx/text.h"
#include "common/onnx/wire.h"

struct onnx_peek {
    Onnx__ModelProto *file;
};

int onnx_peek_open(const void *bytes, size_t n, struct onnx_peek **p, struct err *e)
{
    *p = NULL;
    if (n > ONNX_MAX_BYTES)
        return err_set(e, ERR_LIMIT, "%zu bytes are more than an ONNX file can have", n);
    int rc = wire_check(bytes, n, &onnx__model_proto__descriptor, e);
    if (rc < 0)
        return rc;
    Onnx__ModelProto *file = onnx__model_proto__unpack(NULL, n, bytes);
    if (!file)
        return err_set(e, ERR_INVALID, "not an ONNX file: its %zu bytes could not be unpacked", n);
    *p = xcalloc(1, sizeof(**p));
    (*p)->file = file;
    return 0;
}

void onnx_peek_close(struct onnx_peek *p)
{
    if (!p)
        return;
    onnx__model_proto__free_unpacked(p->file, NULL);
    free(p);
}

const char *onnx_peek_meta(const struct onnx_peek *p, const char *key)
{
    for (size_t i = 0; i < p->file->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *m = p->file->metadata_props[i];
        if (m->key && m->value && strcmp(m->key, key) == 0)
            return text_clean(m->value) ? m->value : NULL;
    }
    return NULL;
}

static const Onnx__NodeProto *maker(const Onnx__GraphProto *g, const char *value)
{
    for (size_t i = 0; i < g->n_node; i++)
        if (g->node[i]->n_output > 0 && g->node[i]->output[0] && strcmp(g->node[i]->output[0], value) == 0)
            return g->node[i];
    return NULL;
}

const char *onnx_peek_weight(const struct onnx_peek *p, const char *value)
{
    static const char *const weighted[] = {"Conv", "Gemm", "MatMul", "BatchNormalization", "PRelu"};
    const Onnx__GraphProto *g = p->file->graph;
    const Onnx__NodeProto *n = g ? maker(g, value) : NULL, *behind = NULL;
    if (n && n->op_type && strcmp(n->op_type, "Add") == 0) {
        for (size_t k = 0; k < n->n_input && !behind; k++)
            behind = maker(g, n->input[k]);
        n = behind;
    }
    for (size_t i = 0; n && n->op_type && i < sizeof weighted / sizeof weighted[0]; i++)
        if (strcmp(n->op_type, weighted[i]) == 0 && n->n_input > 1 && text_clean(n->input[1]))
            return n->input[1];
    return NULL;
}
