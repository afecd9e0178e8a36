/*
 * answer - what a network makes of random pixels, for comparison with another runtime.
 *
 *   answer FILE.onnx FOLDER
 *
 * Writes into FOLDER `input` (one image, floats in the layout that the file's input has), `output` (what our engine
 * makes of it) and `saved.onnx` (the network as we write it).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/base/rng.h"
#include "common/onnx/load.h"
#include "common/onnx/save.h"
#include "worker/engine/engine.h"

static size_t numbers(const struct node *d)
{
    return (size_t)d->C * (size_t)d->H * (size_t)d->W;
}

static int run(const struct model *m, const float *x, float *y, struct err *e)
{
    struct engine *eng = NULL;
    struct engine_run *r = NULL;
    int rc = engine_new(&eng, &m->graph, &m->weights, 1, ENGINE_INFER, DTYPE_F32, NULL, 0, e);
    if (rc == 0)
        rc = engine_run_new(&r, eng, e);
    if (rc == 0)
        rc = engine_forward(r, x, y, e);
    engine_run_free(r);
    engine_free(eng);
    return rc;
}

static int write_part(const char *folder, const char *name, const void *p, size_t n, struct err *e)
{
    char *path = file_join(folder, name);
    int rc = file_write(path, p, n, e);
    free(path);
    return rc;
}

/* (C,H,W) as the file wants it. */
static float *as_input(const struct node *d, const float *x)
{
    size_t area = (size_t)d->H * (size_t)d->W, n = numbers(d);
    float *to = xcalloc(n, sizeof *to);
    for (size_t i = 0; i < n; i++)
        to[d->u.input.last ? i % area * (size_t)d->C + i / area : i] = x[i];
    return to;
}

static int answer(const struct model *m, const char *folder, struct err *e)
{
    const struct node *in = &m->graph.nodes[0], *out = &m->graph.nodes[m->graph.output];
    float *x = xcalloc(numbers(in), sizeof *x), *y = xcalloc(numbers(out), sizeof *y);
    struct buf saved = {0};
    struct rng rng;
    rng_init(&rng, 1, "answer", 0);
    for (size_t i = 0; i < numbers(in); i++)
        x[i] = (float)rng_normal(&rng);
    float *given = as_input(in, x);
    int rc = run(m, x, y, e);
    if (rc == 0)
        rc = write_part(folder, "input", given, numbers(in) * sizeof *x, e);
    if (rc == 0)
        rc = write_part(folder, "output", y, numbers(out) * sizeof *y, e);
    if (rc == 0)
        rc = onnx_save(m, NULL, 0, &saved, e);
    if (rc == 0)
        rc = write_part(folder, "saved.onnx", saved.p, saved.n, e);
    buf_release(&saved);
    free(given);
    free(x);
    free(y);
    return rc;
}

int main(int argc, char **argv)
{
    struct model m;
    struct err e;
    if (argc != 3) {
        fputs("usage: answer FILE.onnx FOLDER\n", stderr);
        return 2;
    }
    int rc = onnx_load_file(argv[1], &m, &e);
    if (rc == 0) {
        rc = answer(&m, argv[2], &e);
        model_release(&m);
    }
    if (rc < 0)
        fprintf(stderr, "answer: %s\n", e.text);
    return rc < 0;
}
