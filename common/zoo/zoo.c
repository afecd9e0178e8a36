#include "common/zoo/zoo.h"

#include <string.h>

#include "common/base/mem.h"
#include "common/zoo/architecture.h"
#include "common/zoo/init.h"

#define SMALL 64 /* the longest side, in pixels, of images that aren't large */

#define NAMES "plain-20, resnet-20, resnet-32, resnet-44, resnet-56, vgg-16-bn, mobilenet-v1, mobilenet-v2"

static const struct architecture rows[] = {
    {"plain-20", resnet_body, {4, 16}, 3, false},
    {"resnet-20", resnet_body, {4, 16}, 3, true},
    {"resnet-32", resnet_body, {4, 16}, 5, true},
    {"resnet-44", resnet_body, {4, 16}, 7, true},
    {"resnet-56", resnet_body, {4, 16}, 9, true},
    {"vgg-16-bn", vgg_body, {32, 32}, 0, false},
    {"mobilenet-v1", mobilenet_v1_body, {16, 32}, 0, false},
    {"mobilenet-v2", mobilenet_v2_body, {8, 32}, 0, false},
};

static const struct architecture *find(const char *name)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    return NULL;
}

bool zoo_knows(const char *name)
{
    return find(name) != NULL;
}

const char *zoo_names(void)
{
    return NAMES;
}

int zoo_graph(const char *name, int C, int H, int W, int K, struct graph *g, struct err *e)
{
    const struct architecture *a = find(name);
    bool large = H > SMALL || W > SMALL;
    graph_init(g);
    if (!a)
        return err_set(e, ERR_UNSUPPORTED, "no architecture is called \"%s\", only " NAMES, name);
    if (C < 1 || K < 1)
        return err_set(e, ERR_INVALID, "%s for %d channels and %d classes: there must be at least one of each",
                       name, C, K);
    int least = a->least[large];
    if (H < least || W < least)
        return err_set(e, ERR_INVALID, "%s needs images of at least %dx%d pixels%s, not %dx%d", name, least, least,
                       large ? " where one side is over 64" : "", H, W);
    struct builder b = {.g = g, .e = e};
    g->output = a->body(&b, builder_input(&b, C, H, W), K, large, a);
    if (b.rc == 0 && !(g->name = mem_dup(name, strlen(name) + 1, 1)))
        b.rc = err_set(e, ERR_NOMEM, "no memory for a name");
    if (b.rc < 0) {
        err_wrap(e, "%s for images of %dx%dx%d and %d classes", name, C, H, W, K);
        graph_release(g);
    }
    return b.rc;
}

int zoo_build(const char *name, int C, int H, int W, int K, uint64_t seed, struct model *m, struct err *e)
{
    *m = (struct model){0};
    int rc = zoo_graph(name, C, H, W, K, &m->graph, e);
    if (rc < 0)
        return rc;
    rc = weights_new(&m->weights, &m->graph, e);
    if (rc < 0)
        model_release(m);
    else
        init_weights(&m->graph, &m->weights, seed);
    return rc;
}
