/* `espalier search start`: everything that can be wrong is found here, before anything is sent. */
#include <stdio.h>
#include <stdlib.h>

#include "coordinator/cli/order.h"

static int prepare(struct order *o, const char *path, const struct many *set, struct err *e)
{
    int rc = order_read(o, path, set, e);
    if (rc == 0 && o->spec.training)
        rc = err_set(e, ERR_INVALID,
                     "%s: a spec with `train` is a training, not a search: espalier train begins it", path);
    if (rc < 0)
        return rc;
    char *model = order_path(o, o->spec.model);
    rc = order_add_model(o, model, e);
    free(model);
    if (rc == 0)
        rc = order_add_teachers(o, e);
    if (rc == 0)
        rc = order_add_data(o, e);
    return rc;
}

int verb_start(struct cli *c, int argc, char **argv, struct err *e)
{
    bool watch = false;
    struct many set = {.n = 0};
    const struct arg args[] = {
        {"--watch", ARG_FLAG, NULL, "show it until it ends, then exit 1 if it failed", &watch, 0, 0},
        {"--set", ARG_MANY, "KEY=VALUE",
         "over the spec's own: --set search.episodes=60 --set 'budgets.flops=[0.5]'", &set, 0, 0},
        {0}};
    const struct usage u = {
        "search start SPEC [--set KEY=VALUE ...] [--watch]",
        "Begins the search that the YAML file SPEC describes and prints its id, alone, on the last line.\n"
        "Paths in SPEC are relative to it; those of --set model=PATH, --set data.path=PATH and --set\n"
        "finish.distill.teacher=PATH to this folder.",
        args, 1, 1};
    const char *path;
    struct order o = {0};
    long long id = 0;
    int rc = args_parse(c, &u, argc, argv, &path, e);
    if (rc != 0)
        return rc;
    rc = prepare(&o, path, &set, e);
    if (rc == 0)
        rc = order_submit(&o, c, &id, e);
    if (rc == 0) {
        fprintf(stderr, "search %lld: %s, %d episodes\n", id, o.spec.name, o.spec.episodes);
        if (watch)
            rc = watch_search(c, id, e);
        printf("%lld\n", id);
    }
    order_release(&o);
    return rc;
}
