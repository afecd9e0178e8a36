#include "coordinator/http/submit.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static int take_hash(const char *key, const json_t *v, struct hash *out, struct err *e)
{
    if (!json_is_string(v) || !hash_from_hex(json_string_value(v), out))
        return err_set(e, ERR_INVALID, "%s must be a SHA-256 of 64 hexadecimal digits", key);
    return 0;
}

/* The name becomes part of a path in a worker's cache: nothing but a plain name will do. */
static bool plain_name(const char *s)
{
    for (const char *c = s; *c; c++)
        if (*c == '/' || (unsigned char)*c < ' ' || *c == 127)
            return false;
    return *s && strlen(s) < RECIPE_NAME && strcmp(s, ".") != 0 && strcmp(s, "..") != 0;
}

static int only_keys(const json_t *object, const char *what, const char *const *known, struct err *e)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)object, key, v)
    {
        const char *const *k = known;
        while (*k && strcmp(*k, key) != 0)
            k++;
        if (!*k)
            return err_set(e, ERR_INVALID, "unknown key \"%.64s\" in %s", key, what);
    }
    return 0;
}

static int take_file(struct submit *s, const json_t *v, struct err *e)
{
    static const char *const known[] = {"name", "hash", "size", NULL};
    struct data_file *f = &s->files[s->n_files];
    if (!json_is_object(v))
        return err_set(e, ERR_INVALID, "files must hold objects with name, hash and size");
    if (only_keys(v, "files", known, e) < 0)
        return e->code;
    const char *name = json_string_value(json_object_get(v, "name"));
    const json_t *size = json_object_get(v, "size");
    if (!name || !plain_name(name))
        return err_set(e, ERR_INVALID, "files.name must be a plain file name of at most %d bytes", RECIPE_NAME - 1);
    for (int i = 0; i < s->n_files; i++)
        if (strcmp(s->files[i].name, name) == 0)
            return err_set(e, ERR_INVALID, "files.name \"%s\" stands twice", name);
    if (!json_is_integer(size) || json_integer_value(size) < 1 ||
        json_integer_value(size) > (json_int_t)SUBMIT_MAX_FILE)
        return err_set(e, ERR_INVALID, "files.size of \"%s\" must be 1 to %llu bytes", name,
                       (unsigned long long)SUBMIT_MAX_FILE);
    strcpy(f->name, name);
    f->size = (uint64_t)json_integer_value(size);
    int rc = take_hash("files.hash", json_object_get(v, "hash"), &f->hash, e);
    if (rc == 0)
        s->n_files++;
    return rc;
}

static int take_files(struct submit *s, const json_t *files, struct err *e)
{
    int rc = 0;
    if (!files)
        return 0;
    if (!json_is_array(files))
        return err_set(e, ERR_INVALID, "files must be an array");
    if (json_array_size(files) > RECIPE_MAX_FILES)
        return err_set(e, ERR_INVALID, "files has %zu entries, at most %d are accepted", json_array_size(files),
                       RECIPE_MAX_FILES);
    for (size_t i = 0; rc == 0 && i < json_array_size(files); i++)
        rc = take_file(s, json_array_get(files, i), e);
    return rc;
}

static int take_teacher(const char *key, const json_t *root, bool *has, struct hash *out, struct err *e)
{
    const json_t *v = json_object_get(root, key);
    *has = v != NULL;
    return v ? take_hash(key, v, out, e) : 0;
}

static int take_all(struct submit *s, const json_t *root, struct err *e)
{
    static const char *const known[] = {"spec", "model", "files", "finetune_teacher", "finish_teacher", NULL};
    const json_t *spec = json_object_get(root, "spec");
    if (!json_is_object(root))
        return err_set(e, ERR_INVALID, "the request must be a JSON object with spec, model and files");
    if (only_keys(root, "the request", known, e) < 0)
        return e->code;
    if (!json_is_string(spec))
        return err_set(e, ERR_INVALID, "spec must be a string: the YAML text");
    int rc = take_hash("model", json_object_get(root, "model"), &s->model, e);
    if (rc == 0)
        rc = take_files(s, json_object_get(root, "files"), e);
    if (rc == 0)
        rc = take_teacher("finetune_teacher", root, &s->has_finetune_teacher, &s->finetune_teacher, e);
    if (rc == 0)
        rc = take_teacher("finish_teacher", root, &s->has_finish_teacher, &s->finish_teacher, e);
    if (rc == 0) {
        s->n_spec = json_string_length(spec);
        s->spec = xstrdup(json_string_value(spec));
    }
    return rc;
}

int submit_parse(const void *json, size_t n, struct submit *s, struct err *e)
{
    json_error_t je;
    *s = (struct submit){.spec = NULL};
    json_t *root = json_loadb(json, n, JSON_REJECT_DUPLICATES, &je);
    if (!root)
        return err_set(e, ERR_INVALID, "the request isn't JSON: line %d: %s", je.line, je.text);
    int rc = take_all(s, root, e);
    json_decref(root);
    if (rc < 0)
        submit_release(s);
    return rc;
}

void submit_release(struct submit *s)
{
    free(s->spec);
    *s = (struct submit){.spec = NULL};
}
