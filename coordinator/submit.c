#include "coordinator/submit.h"

#include <inttypes.h>
#include <string.h>

#include "common/base/log.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "coordinator/blobs.h"
#include "coordinator/spec_images.h"

struct submission {
    struct scheduler *sch;
    char *spec;
    size_t n_spec;
    struct recipe recipe;
    int checked; /* data files that are known to be there */
    struct picture_index images; /* of images */
    int checked_parts;           /* of those, likewise */
    int taught;  /* of finetune and finish, those whose teacher is known to fit */
    struct search *search;
    service_reply *fn;
    void *arg;
};

static void finish(struct submission *u, const char *json, const struct err *e)
{
    u->fn(u->arg, json, e);
    search_free(u->search);
    picture_index_release(&u->images);
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
    if (s->spec.training)
        log_info("training", "search=%" PRId64 " state=running name=\"%s\" epochs=%d steps=%d", id, s->spec.name,
                 s->spec.finish.epochs, s->spec.finish.steps);
    else
        log_info("search", "search=%" PRId64 " state=profiling name=\"%s\" episodes=%d groups=%d policy=%s", id,
                 s->spec.name, s->spec.episodes, s->limits.n, policy_name(s->spec.policy));
    snprintf(json, sizeof(json), "{\"id\": %" PRId64 "}", id);
    scheduler_add(u->sch, s);
    finish(u, json, NULL);
}

static void teach_next(struct submission *u);

static void on_teacher(void *arg, const void *onnx, size_t n, const struct err *failed)
{
    struct submission *u = arg;
    struct err e;
    if (failed) {
        e = *failed;
        err_wrap(&e, "teacher");
        finish(u, NULL, &e);
    } else if (search_check_teacher(u->search, onnx, n, &e) < 0) {
        finish(u, NULL, &e);
    } else {
        u->taught++;
        teach_next(u);
    }
}

static void teach_next(struct submission *u)
{
    const struct training *of[] = {&u->recipe.finetune, &u->recipe.finish};
    while (u->taught < 2 && !of[u->taught]->distill.other)
        u->taught++;
    if (u->taught < 2)
        blob_whole(scheduler_store(u->sch), &of[u->taught]->distill.teacher, ONNX_MAX_BYTES, on_teacher, u);
    else
        store_search_create(scheduler_store(u->sch), u->search->spec.name, u->spec, &u->recipe,
                            u->search->spec.training, on_created, u);
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
    } else if (u->recipe.data == DATA_IMAGES &&
               spec_check_images(&u->search->spec, &u->images, &u->search->graph, &e) < 0) {
        finish(u, NULL, &e);
    } else {
        teach_next(u);
    }
}

static void check_part(struct submission *u);

static void on_part(void *arg, bool complete, uint64_t size, const struct err *e)
{
    struct submission *u = arg;
    struct err mine;
    if (!e && (!complete || size != u->images.parts[u->checked_parts].size)) {
        err_set(&mine, ERR_NOTFOUND, "part %d of the images has not been uploaded whole", u->checked_parts);
        e = &mine;
    }
    if (e) {
        finish(u, NULL, e);
        return;
    }
    u->checked_parts++;
    check_part(u);
}

static void check_part(struct submission *u)
{
    if (u->checked_parts < u->images.n_parts)
        store_blob_has(scheduler_store(u->sch), &u->images.parts[u->checked_parts].hash, on_part, u);
    else
        blob_whole(scheduler_store(u->sch), &u->recipe.model, ONNX_MAX_BYTES, on_model, u);
}

static void on_index(void *arg, const void *bytes, size_t n, const struct err *failed)
{
    struct submission *u = arg;
    struct err e;
    if (failed)
        finish(u, NULL, failed);
    else if (picture_index_decode(&u->images, bytes, n, &e) < 0)
        finish(u, NULL, &e);
    else
        check_part(u);
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
    else if (u->recipe.data == DATA_IMAGES)
        blob_whole(scheduler_store(u->sch), &u->recipe.files[0].hash, PICTURES_MAX_INDEX, on_index, u);
    else
        blob_whole(scheduler_store(u->sch), &u->recipe.model, ONNX_MAX_BYTES, on_model, u);
}

static int take_teacher(const char *which, const char *path, const struct hash *h, struct training *t,
                        struct err *e)
{
    if (path && !h)
        return err_set(e, ERR_INVALID, "%s_teacher is missing: the spec names the teacher \"%.80s\"", which, path);
    if (h && !path)
        return err_set(e, ERR_INVALID, "%s_teacher is given, but the spec names no such teacher", which);
    t->distill.other = h != NULL;
    if (h)
        t->distill.teacher = *h;
    return 0;
}

static int take_files(struct recipe *r, const struct order *o, struct err *e)
{
    if (o->n_files < 0 || o->n_files > RECIPE_MAX_FILES)
        return err_set(e, ERR_LIMIT, "%d data files, more than %d", o->n_files, RECIPE_MAX_FILES);
    if ((o->n_files == 0) != (r->data == DATA_SYNTHETIC))
        return err_set(e, ERR_INVALID, "%d data files for %s data", o->n_files, data_kind_name(r->data));
    const char *index = data_kind_files(DATA_IMAGES, false)[0].name;
    if (r->data == DATA_IMAGES && (o->n_files != 1 || strcmp(o->files[0].name, index) != 0))
        return err_set(e, ERR_INVALID, "images have one data file, \"%s\"", index);
    r->n_files = o->n_files;
    if (o->n_files > 0)
        memcpy(r->files, o->files, (size_t)o->n_files * sizeof(*o->files));
    return 0;
}

static int make_recipe(struct recipe *r, const struct order *o, struct err *e)
{
    struct spec spec;
    int rc = spec_parse(o->spec, o->n_spec, &spec, e);
    if (rc < 0)
        return rc;
    spec_recipe(&spec, r);
    r->model = o->model;
    if ((rc = take_teacher("finetune", spec.finetune_teacher, o->finetune_teacher, &r->finetune, e)) == 0 &&
        (rc = take_teacher("finish", spec.finish_teacher, o->finish_teacher, &r->finish, e)) == 0)
        rc = take_files(r, o, e);
    spec_release(&spec);
    return rc;
}

void submit(struct scheduler *sch, const struct order *o, service_reply *fn, void *arg)
{
    struct submission *u = xcalloc(1, sizeof(*u));
    struct err e;
    u->sch = sch;
    u->spec = xmalloc(o->n_spec + 1);
    memcpy(u->spec, o->spec, o->n_spec);
    u->spec[o->n_spec] = '\0';
    u->n_spec = o->n_spec;
    u->fn = fn;
    u->arg = arg;
    if (make_recipe(&u->recipe, o, &e) < 0)
        finish(u, NULL, &e);
    else
        check_next(u);
}
