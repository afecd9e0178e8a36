/* `espalier search start`: everything that can be wrong is found here, before anything is sent. */
#include <inttypes.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/base/file.h"
#include "common/base/mem.h"
#include "common/onnx/load.h"
#include "coordinator/cli/args.h"
#include "coordinator/cli/overlay.h"
#include "coordinator/cli/upload.h"
#include "coordinator/spec.h"

struct order { /* what is going to be asked for */
    struct buf yaml;
    struct spec spec;
    struct upload files[1 + RECIPE_MAX_FILES]; /* the model, then the data */
    int n;
};

static void order_release(struct order *o)
{
    buf_release(&o->yaml);
    spec_release(&o->spec);
    for (int i = 0; i < o->n; i++)
        upload_release(&o->files[i]);
}

/* --- settings: a path on the command line is relative to where we are, one in the spec to the spec's file --- */

static bool names_path(const char *setting)
{
    return strncmp(setting, "model=", 6) == 0 || strncmp(setting, "data.path=", 10) == 0;
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

static int read_spec(struct order *o, const char *path, const struct many *set, struct err *e)
{
    char *settings[ARGS_MAX_MANY];
    int rc = file_read(path, SPEC_MAX_BYTES, &o->yaml, e);
    if (rc < 0)
        return rc;
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

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? xasprintf("%.*s", (int)(slash - path) + (slash == path), path) : xstrdup(".");
}

static int add_file(struct order *o, const char *dir, const char *name, const char *as, struct err *e)
{
    char *path = file_join(dir, name);
    int rc = upload_init(&o->files[o->n], path, as, e);
    o->n += rc == 0;
    free(path);
    return rc;
}

static int add_data_file(struct order *o, const char *folder, const struct set_file *f, struct err *e)
{
    int rc = add_file(o, folder, f->name, f->name, e);
    uint64_t bytes = rc == 0 ? o->files[o->n - 1].file.size : 0;
    if (rc == 0 && f->bytes && bytes != f->bytes)
        rc = err_set(e, ERR_INVALID, "data file \"%s\": %" PRIu64 " bytes, expected %" PRIu64, f->name, bytes,
                     f->bytes);
    return rc;
}

static int add_data(struct order *o, const char *dir, struct err *e)
{
    int rc = 0;
    if (!o->spec.data_path)
        return 0;
    char *folder = file_join(dir, o->spec.data_path);
    for (size_t n = strlen(folder); n > 1 && folder[n - 1] == '/'; n--)
        folder[n - 1] = 0;
    for (int test = 0; test < 2; test++)
        for (const struct set_file *f = data_kind_files(o->spec.data, test); rc == 0 && f->name; f++)
            rc = add_data_file(o, folder, f, e);
    free(folder);
    return rc < 0 ? err_wrap(e, "data.path \"%s\"", o->spec.data_path) : 0;
}

/* Loads it once, for its errors. */
static int add_model(struct order *o, const char *dir, struct err *e)
{
    char *path = file_join(dir, o->spec.model);
    struct model m;
    int rc = onnx_load_file(path, &m, e);
    free(path);
    if (rc < 0)
        return rc;
    model_release(&m);
    return add_file(o, dir, o->spec.model, "model.onnx", e);
}

/* --- the request --- */

static json_t *file_json(const struct data_file *f)
{
    char hex[HASH_HEX];
    hash_to_hex(&f->hash, hex);
    return json_pack("{s:s, s:s, s:I}", "name", f->name, "hash", hex, "size", (json_int_t)f->size);
}

static int submit_order(struct client *cl, const struct order *o, long long *id, struct err *e)
{
    char hex[HASH_HEX];
    json_t *files = json_array(), *answer = NULL;
    for (int i = 1; i < o->n; i++)
        json_array_append_new(files, file_json(&o->files[i].file));
    hash_to_hex(&o->files[0].file.hash, hex);
    json_t *body =
        json_pack("{s:s%, s:s, s:o}", "spec", (const char *)o->yaml.p, o->yaml.n, "model", hex, "files", files);
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

static int prepare(struct order *o, const char *path, const struct many *set, struct err *e)
{
    char *dir = folder_of(path);
    int rc = read_spec(o, path, set, e);
    if (rc == 0)
        rc = add_model(o, dir, e);
    if (rc == 0)
        rc = add_data(o, dir, e);
    free(dir);
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
        "Paths in SPEC are relative to it; those of --set model=PATH and --set data.path=PATH to this folder.",
        args, 1, 1};
    const char *path;
    struct order o = {.n = 0};
    struct client *cl = NULL;
    long long id = 0;
    int rc = args_parse(c, &u, argc, argv, &path, e);
    if (rc != 0)
        return rc;
    rc = prepare(&o, path, &set, e);
    if (rc == 0)
        rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = upload_send(cl, o.files, o.n, e);
    if (rc == 0)
        rc = submit_order(cl, &o, &id, e);
    if (rc == 0) {
        fprintf(stderr, "search %lld: %s, %d episodes\n", id, o.spec.name, o.spec.episodes);
        if (watch)
            rc = watch_search(c, id, e);
        printf("%lld\n", id);
    }
    client_close(cl);
    order_release(&o);
    return rc;
}
