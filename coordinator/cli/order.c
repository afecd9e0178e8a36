#include "coordinator/cli/order.h"

#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "common/zoo/zoo.h"
#include "coordinator/cli/network.h"
#include "coordinator/cli/overlay.h"
#include "coordinator/spec_images.h"

void order_release(struct order *o)
{
    free(o->dir);
    buf_release(&o->yaml);
    spec_release(&o->spec);
    upload_release(&o->model);
    upload_release(&o->finetune_teacher);
    upload_release(&o->finish_teacher);
    for (int i = 0; i < o->n_data; i++)
        upload_release(&o->data[i]);
    pack_release(&o->images);
    graph_release(&o->graph);
    *o = (struct order){0};
}

/* --- settings: a path on the command line is relative to where we are, one in the spec to the spec's file --- */

static bool names_path(const char *setting)
{
    static const char *const keys[] = {
        "model=", "data.path=", "finetune.distill.teacher=", "finish.distill.teacher=", "train.distill.teacher="};
    if (strncmp(setting, "model=", 6) == 0 && zoo_knows(setting + 6))
        return false;
    for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++)
        if (strncmp(setting, keys[i], strlen(keys[i])) == 0)
            return true;
    return false;
}

/* The value as an absolute path, quoted as YAML does. */
static char *absolute(const char *setting)
{
    const char *value = strchr(setting, '=') + 1;
    char here[PATH_MAX];
    struct buf b = {0};
    if (!*value || !getcwd(here, sizeof(here)))
        return xstrdup(setting);
    char *path = file_join(here, value);
    buf_text(&b, "%.*s'", (int)(value - setting), setting);
    for (const char *s = path; *s; s++)
        buf_text(&b, *s == '\'' ? "''" : "%c", *s);
    buf_text(&b, "'");
    free(path);
    return (char *)b.p;
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? xasprintf("%.*s", (int)(slash - path) + (slash == path), path) : xstrdup(".");
}

int order_read(struct order *o, const char *path, const struct many *set, struct err *e)
{
    char *settings[ARGS_MAX_MANY];
    int rc = file_read(path, SPEC_MAX_BYTES, &o->yaml, e);
    if (rc < 0)
        return rc;
    o->dir = folder_of(path);
    for (int i = 0; i < set->n; i++)
        settings[i] = names_path(set->of[i]) ? absolute(set->of[i]) : xstrdup(set->of[i]);
    rc = overlay_apply(&o->yaml, (const char *const *)settings, set->n, e);
    for (int i = 0; i < set->n; i++)
        free(settings[i]);
    if (rc == 0)
        rc = spec_parse(o->yaml.p ? (const char *)o->yaml.p : "", o->yaml.n, &o->spec, e);
    return rc < 0 ? err_wrap(e, set->n > 0 ? "%s with --set" : "%s", path) : 0;
}

/* --- files --- */

char *order_path(const struct order *o, const char *name)
{
    return file_join(o->dir, name);
}

char *order_data_folder(const struct order *o)
{
    if (!o->spec.data_path)
        return NULL;
    char *folder = order_path(o, o->spec.data_path);
    for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--)
        folder[n - 1] = 0;
    return folder;
}

/* A model that lies in several files goes out as one, which is in memory alone. */
static int hold(const char *path, const struct buf *bytes, char **held, struct err *e)
{
    int fd, rc = network_hold(path, bytes->p, bytes->n, &fd, e);
    *held = rc == 0 ? xasprintf("/proc/self/fd/%d", fd) : NULL;
    return rc;
}

/* g: NULL, or takes the network's structure. */
static int add_onnx(struct upload *u, const char *path, const char *as, struct graph *g, struct err *e)
{
    struct model m;
    struct buf bytes = {0};
    bool joined;
    char *held = NULL;
    int rc = onnx_read_file(path, &bytes, &joined, e);
    if (rc == 0 && (rc = onnx_load(bytes.p, bytes.n, &m, e)) < 0)
        rc = err_wrap(e, "%s", path);
    if (rc < 0)
        goto out;
    if (g) {
        *g = m.graph;
        weights_release(&m.weights);
    } else {
        model_release(&m);
    }
    if (joined)
        rc = hold(as, &bytes, &held, e);
    if (rc == 0)
        rc = upload_init(u, held ? held : path, as, e);
out:
    free(held);
    buf_release(&bytes);
    return rc;
}

int order_add_model(struct order *o, const char *path, struct err *e)
{
    return add_onnx(&o->model, path, "model.onnx", &o->graph, e);
}

static int add_teacher(const struct order *o, struct upload *u, const char *section, const char *name,
                       struct err *e)
{
    if (!name)
        return 0;
    char *path = order_path(o, name);
    int rc = add_onnx(u, path, "teacher.onnx", NULL, e);
    free(path);
    return rc < 0 ? err_wrap(e, "%s.distill.teacher", section) : 0;
}

int order_add_teachers(struct order *o, struct err *e)
{
    int rc = add_teacher(o, &o->finetune_teacher, "finetune", o->spec.finetune_teacher, e);
    if (rc == 0)
        rc = add_teacher(o, &o->finish_teacher, o->spec.training ? "train" : "finish", o->spec.finish_teacher, e);
    return rc;
}

static int add_data_file(struct order *o, const char *folder, const struct set_file *f, struct err *e)
{
    char *path = file_join(folder, f->name);
    struct upload *u = &o->data[o->n_data];
    int rc = upload_init(u, path, f->name, e);
    o->n_data += rc == 0;
    if (rc == 0 && f->bytes && u->file.size != f->bytes)
        rc = err_set(e, ERR_INVALID, "data file \"%s\": %" PRIu64 " bytes, expected %" PRIu64, f->name,
                     u->file.size, f->bytes);
    free(path);
    return rc;
}

static int wrap_data(const struct order *o, struct err *e)
{
    return err_wrap(e, "data.path \"%s\"", o->spec.data_path);
}

int order_look_at_data(struct order *o, struct err *e)
{
    if (o->spec.data != DATA_IMAGES)
        return 0;
    char *folder = order_data_folder(o);
    int rc = pack_init(&o->images, folder, o->spec.data_labels, e);
    free(folder);
    return rc < 0 ? wrap_data(o, e) : 0;
}

static int add_images(struct order *o, struct err *e)
{
    int rc = order_look_at_data(o, e);
    if (rc == 0)
        rc = spec_check_images(&o->spec, &o->images.index, &o->graph, e);
    if (rc == 0)
        rc = pack_index(&o->images, &o->data[0], e);
    o->n_data = rc == 0;
    return rc;
}

int order_add_data(struct order *o, struct err *e)
{
    int rc = 0;
    if (o->spec.data == DATA_IMAGES)
        return add_images(o, e);
    char *folder = order_data_folder(o);
    if (!folder)
        return 0;
    for (int test = 0; test < 2; test++)
        for (const struct set_file *f = data_kind_files(o->spec.data, test); rc == 0 && f->name; f++)
            rc = add_data_file(o, folder, f, e);
    free(folder);
    return rc < 0 ? wrap_data(o, e) : 0;
}

/* --- the request --- */

static json_t *file_json(const struct data_file *f)
{
    char hex[HASH_HEX];
    hash_to_hex(&f->hash, hex);
    return json_pack("{s:s, s:s, s:I}", "name", f->name, "hash", hex, "size", (json_int_t)f->size);
}

static void put_hash(json_t *body, const char *key, const struct upload *u)
{
    char hex[HASH_HEX];
    if (!u->path)
        return;
    hash_to_hex(&u->file.hash, hex);
    json_object_set_new(body, key, json_string(hex));
}

static json_t *request(const struct order *o)
{
    json_t *files = json_array();
    for (int i = 0; i < o->n_data; i++)
        json_array_append_new(files, file_json(&o->data[i].file));
    json_t *body = json_pack("{s:s%, s:o}", "spec", (const char *)o->yaml.p, o->yaml.n, "files", files);
    if (body) {
        put_hash(body, "model", &o->model);
        put_hash(body, "finetune_teacher", &o->finetune_teacher);
        put_hash(body, "finish_teacher", &o->finish_teacher);
    }
    return body;
}

static int ask(struct client *cl, const struct order *o, long long *id, struct err *e)
{
    json_t *answer = NULL, *body = request(o);
    if (!body)
        return err_set(e, ERR_INVALID, "the spec isn't UTF-8");
    int rc = client_post(cl, body, &answer, e, "searches");
    json_decref(body);
    *id = json_integer_value(json_object_get(answer, "id"));
    if (rc == 0 && *id <= 0)
        rc = err_set(e, ERR_INVALID, "the coordinator's answer has no id");
    json_decref(answer);
    return rc;
}

int order_submit(const struct order *o, const struct cli *c, long long *id, struct err *e)
{
    const struct upload *onnx[] = {&o->model, &o->finetune_teacher, &o->finish_teacher};
    struct client *cl = NULL;
    int rc = client_open(&cl, c, e);
    for (size_t i = 0; rc == 0 && i < sizeof(onnx) / sizeof(*onnx); i++)
        if (onnx[i]->path)
            rc = upload_send(cl, onnx[i], 1, e);
    if (rc == 0)
        rc = pack_send(&o->images, cl, e);
    if (rc == 0)
        rc = upload_send(cl, o->data, o->n_data, e);
    if (rc == 0)
        rc = ask(cl, o, id, e);
    client_close(cl);
    return rc;
}
