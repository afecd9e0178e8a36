#include "coordinator/submit.h"

#include <inttypes.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "coordinator/blobs.h"

struct submission {
    struct scheduler *sch;
    char *spec;
    size_t n_spec;
    struct recipe recipe;
    int checked; /* data files that are known to be there */
    struct search *search;
    service_reply *fn;
    void *arg;
};

static void finish(struct submission *u, const char *json, const struct err *e)
{
    u->fn(u->arg, json, e);
    search_free(u->search);
    free(u->spec);
    free(u);
}

static void on_created(void *arg, int64_t id, const struct err *e)
{
    struct submission *u = arg;
    char json[48];
    if (e) {
        finish(u, NULL, e);
        return;
    }
    struct search *s = u->search;
    u->search = NULL;
    search_set_id(s, id);
    log_info("search", "search=%" PRId64 " state=profiling name=\"%s\" episodes=%d groups=%d policy=%s", id,
             s->spec.name, s->spec.episodes, s->groups.n, policy_name(s->spec.policy));
    snprintf(json, sizeof(json), "{\"id\": %" PRId64 "}", id);
    scheduler_add(u->sch, s);
    finish(u, json, NULL);
}

static void on_model(void *arg, const void *onnx, size_t n, const struct err *failed)
{
    struct submission *u = arg;
    struct err e;
    if (failed) {
        e = *failed;
        err_wrap(&e, "model");
        finish(u, NULL, &e);
    } else if (search_new(&u->search, u->spec, u->n_spec, &u->recipe, onnx, n, &e) < 0) {
        finish(u, NULL, &e);
    } else {
        store_search_create(scheduler_store(u->sch), u->search->spec.name, u->spec, &u->recipe, on_created, u);
    }
}

static void check_next(struct submission *u);

static void on_file(void *arg, bool complete, uint64_t size, const struct err *e)
{
    struct submission *u = arg;
    const struct data_file *f = &u->recipe.files[u->checked];
    struct err mine;
    if (!e && !complete) {
        err_set(&mine, ERR_NOTFOUND, "data file \"%s\" has not been uploaded whole", f->name);
        e = &mine;
    } else if (!e && size != f->size) {
        err_set(&mine, ERR_INVALID, "data file \"%s\" has %" PRIu64 " bytes on record, not %" PRIu64, f->name, size,
                f->size);
        e = &mine;
    }
    if (e) {
        finish(u, NULL, e);
        return;
    }
    u->checked++;
    check_next(u);
}

static void check_next(struct submission *u)
{
    if (u->checked < u->recipe.n_files)
        store_blob_has(scheduler_store(u->sch), &u->recipe.files[u->checked].hash, on_file, u);
    else
        blob_whole(scheduler_store(u->sch), &u->recipe.model, ONNX_MAX_BYTES, on_model, u);
}

static int make_recipe(struct submission *u, const struct hash *model, const struct data_file *files, int n_files,
                       struct err *e)
{
    struct spec spec;
    int rc = spec_parse(u->spec, u->n_spec, &spec, e);
    if (rc < 0)
        return rc;
    search_recipe(&spec, &u->recipe);
    spec_release(&spec);
    if (n_files < 0 || n_files > RECIPE_MAX_FILES)
        return err_set(e, ERR_LIMIT, "%d data files, more than %d", n_files, RECIPE_MAX_FILES);
    if ((n_files == 0) != (u->recipe.data == DATA_SYNTHETIC))
        return err_set(e, ERR_INVALID, "%d data files for %s data", n_files, data_kind_name(u->recipe.data));
    u->recipe.model = *model;
    u->recipe.n_files = n_files;
    if (n_files > 0)
        memcpy(u->recipe.files, files, (size_t)n_files * sizeof(*files));
    return 0;
}

void submit(struct scheduler *sch, const char *spec, size_t n_spec, const struct hash *model,
            const struct data_file *files, int n_files, service_reply *fn, void *arg)
{
    struct submission *u = xcalloc(1, sizeof(*u));
    struct err e;
    u->sch = sch;
    u->spec = xmalloc(n_spec + 1);
    memcpy(u->spec, spec, n_spec);
    u->spec[n_spec] = '\0';
    u->n_spec = n_spec;
    u->fn = fn;
    u->arg = arg;
    if (make_recipe(u, model, files, n_files, &e) < 0)
        finish(u, NULL, &e);
    else
        check_next(u);
}
