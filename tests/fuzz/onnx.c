/* Any bytes: they are refused with a line, or load; and what loads is saved and loads again as the same model. */
#include "common/onnx/load.h"
#include "common/onnx/peek.h"
#include "common/onnx/save.h"
#include "common/onnx/text.h"
#include "tests/unit/onnx_text.h"

/* Asks for everything: no text may come back that isn't clean. */
static void peek(const uint8_t *data, size_t size, const struct model *m)
{
    struct onnx_peek *p;
    struct err e;
    if (onnx_peek_open(data, size, &p, &e) < 0)
        return;
    const char *meta = onnx_peek_meta(p, "espalier.kept");
    if (meta && !text_clean(meta))
        BUG("metadata that isn't clean");
    for (int i = 0; m && i < m->graph.n; i++) {
        const char *weight = onnx_peek_weight(p, m->graph.nodes[i].name);
        if (weight && !text_clean(weight))
            BUG("a weight's name that isn't clean");
    }
    onnx_peek_close(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A few bytes can stand for a gigabyte of equal weights; saving those shows nothing. */
#define MOST_FLOATS (1 << 22)

static size_t floats_in(const struct model *m)
{
    size_t n = 0;
    for (int i = 0; i < m->weights.n; i++)
        n += m->weights.of[i].n_w + 3 * m->weights.of[i].n_b;
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct model m, back;
    struct buf saved = {0};
    struct err e;
    if (onnx_load(data, size, &m, &e) < 0) {
        if (e.code >= 0 || !*e.text || strchr(e.text, '\n'))
            BUG("refused with code %d and \"%s\"", (int)e.code, e.text);
        peek(data, size, NULL);
        return 0;
    }
    peek(data, size, &m);
    if (floats_in(&m) > MOST_FLOATS)
        goto out;
    if (onnx_save(&m, NULL, 0, &saved, &e) < 0)
        BUG("could not save: %s", e.text);
    if (onnx_load(saved.p, saved.n, &back, &e) < 0)
        BUG("could not load what was saved: %s", e.text);
    if (!onnx_text_same(&m, &back))
        BUG("what was saved loads as another model");
    model_release(&back);
    buf_release(&saved);
out:
    model_release(&m);
    return 0;
}
