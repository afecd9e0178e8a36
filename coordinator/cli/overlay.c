#include "coordinator/cli/overlay.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/base/mem.h"

#define MAX_DEPTH 8

/* --- nodes: libyaml numbers them from 1 and may move them when one is added --- */

static bool another_document(yaml_parser_t *p)
{
    yaml_document_t d;
    if (!yaml_parser_load(p, &d))
        return true;
    bool some = yaml_document_get_root_node(&d) != NULL;
    yaml_document_delete(&d);
    return some;
}

/* `d` is to be deleted when this succeeds; it has no root node where there is nothing but space and comments. */
static int parse(yaml_document_t *d, const char *text, size_t n, struct err *e)
{
    yaml_parser_t p;
    int rc = 0;
    if (!yaml_parser_initialize(&p))
        return err_set(e, ERR_NOMEM, "out of memory");
    yaml_parser_set_input_string(&p, (const unsigned char *)text, n);
    if (!yaml_parser_load(&p, d)) {
        rc = err_set(e, ERR_INVALID, "line %d: %s", (int)p.problem_mark.line + 1,
                     p.problem ? p.problem : "isn't YAML");
    } else if (yaml_document_get_root_node(d) && another_document(&p)) {
        rc = err_set(e, ERR_INVALID, "there is more after the first document's end");
        yaml_document_delete(d);
    }
    yaml_parser_delete(&p);
    return rc;
}

static yaml_node_pair_t *find(yaml_document_t *d, int map, const char *key, size_t n)
{
    yaml_node_t *m = yaml_document_get_node(d, map);
    for (yaml_node_pair_t *p = m->data.mapping.pairs.start; p < m->data.mapping.pairs.top; p++) {
        yaml_node_t *k = yaml_document_get_node(d, p->key);
        if (k->type == YAML_SCALAR_NODE && k->data.scalar.length == n && memcmp(k->data.scalar.value, key, n) == 0)
            return p;
    }
    return NULL;
}

static int new_scalar(yaml_document_t *d, const char *s, size_t n)
{
    return yaml_document_add_scalar(d, NULL, (const yaml_char_t *)s, (int)n, YAML_ANY_SCALAR_STYLE);
}

static bool is_mapping(yaml_document_t *d, int node)
{
    const yaml_node_t *n = yaml_document_get_node(d, node);
    return n && n->type == YAML_MAPPING_NODE;
}

/* The pair's value becomes `value`; a key that isn't there is added. 0: out of memory. */
static int put(yaml_document_t *d, int map, const char *key, size_t n, int value)
{
    yaml_node_pair_t *p = find(d, map, key, n);
    if (p) {
        p->value = value;
        return 1;
    }
    int k = new_scalar(d, key, n);
    return k && yaml_document_append_mapping_pair(d, map, k, value);
}

/* Scalars and lists of scalars alone: that is what a spec's values are. */
static int copy_value(yaml_document_t *to, yaml_document_t *from, int *out)
{
    yaml_node_t *v = yaml_document_get_root_node(from);
    *out = 0;
    if (!v || v->type == YAML_MAPPING_NODE)
        return -1;
    if (v->type == YAML_SCALAR_NODE) {
        *out = new_scalar(to, (const char *)v->data.scalar.value, v->data.scalar.length);
        return 0;
    }
    *out = yaml_document_add_sequence(to, NULL, YAML_FLOW_SEQUENCE_STYLE);
    for (yaml_node_item_t *i = v->data.sequence.items.start; *out && i < v->data.sequence.items.top; i++) {
        yaml_node_t *item = yaml_document_get_node(from, *i);
        if (item->type != YAML_SCALAR_NODE)
            return -1;
        int copy = new_scalar(to, (const char *)item->data.scalar.value, item->data.scalar.length);
        if (!copy || !yaml_document_append_sequence_item(to, *out, copy))
            *out = 0;
    }
    return 0;
}

/* --- one setting --- */

static int value_of(yaml_document_t *d, const char *setting, const char *text, int *out, struct err *e)
{
    yaml_document_t v;
    if (parse(&v, text, strlen(text), e) < 0)
        return err_set(e, ERR_INVALID, "--set %.100s: the value isn't YAML", setting);
    if (!*text) {
        *out = new_scalar(d, "", 0);
    } else if (copy_value(d, &v, out) < 0) {
        yaml_document_delete(&v);
        return err_set(e, ERR_INVALID, "--set %.100s: must be one value or a list of values", setting);
    }
    yaml_document_delete(&v);
    return *out ? 0 : err_set(e, ERR_NOMEM, "out of memory");
}

/* Goes down to the mapping that holds the last key, making those that aren't there. */
static int descend(yaml_document_t *d, const char *setting, const char **key, size_t *n, int *map, struct err *e)
{
    const char *s = setting, *end = strchr(setting, '=');
    *map = 1;
    for (int depth = 0;; depth++) {
        *key = s;
        *n = strcspn(s, ".=");
        if (*n == 0 || depth == MAX_DEPTH)
            return err_set(e, ERR_INVALID, "--set %.100s: must be KEY=VALUE or KEY.KEY=VALUE", setting);
        if (s + *n == end)
            return 0;
        yaml_node_pair_t *p = find(d, *map, s, *n);
        int next = p ? p->value : yaml_document_add_mapping(d, NULL, YAML_FLOW_MAPPING_STYLE);
        if (!is_mapping(d, next))
            return err_set(e, ERR_INVALID, "--set %.100s: \"%.*s\" isn't a mapping in the spec", setting, (int)*n,
                           s);
        if (!p && !put(d, *map, s, *n, next))
            return err_set(e, ERR_NOMEM, "out of memory");
        *map = next;
        s += *n + 1;
    }
}

static int apply(yaml_document_t *d, const char *setting, struct err *e)
{
    const char *equals = strchr(setting, '='), *key;
    size_t n;
    int map, value = 0;
    if (!equals)
        return err_set(e, ERR_INVALID, "--set %.100s: must be KEY=VALUE or KEY.KEY=VALUE", setting);
    int rc = descend(d, setting, &key, &n, &map, e);
    if (rc == 0)
        rc = value_of(d, setting, equals + 1, &value, e);
    if (rc == 0 && !put(d, map, key, n, value))
        rc = err_set(e, ERR_NOMEM, "out of memory");
    return rc;
}

/* --- the whole --- */

static int on_text(void *arg, unsigned char *p, size_t n)
{
    buf_append(arg, p, n);
    return 1;
}

/* Takes the document, as libyaml does. */
static int emit(yaml_document_t *d, struct buf *out, struct err *e)
{
    yaml_emitter_t em;
    if (!yaml_emitter_initialize(&em)) {
        yaml_document_delete(d);
        return err_set(e, ERR_NOMEM, "out of memory");
    }
    yaml_emitter_set_output(&em, on_text, out);
    yaml_emitter_set_unicode(&em, 1);
    yaml_emitter_set_width(&em, -1);
    bool ok = yaml_emitter_dump(&em, d) && yaml_emitter_close(&em);
    if (!ok)
        err_set(e, ERR_INVALID, "could not write the spec as YAML: %s",
                em.problem ? em.problem : "unknown problem");
    yaml_emitter_delete(&em);
    return ok ? 0 : e->code;
}

int overlay_apply(struct buf *yaml, const char *const *settings, int n, struct err *e)
{
    yaml_document_t d;
    struct buf out = {0};
    if (n == 0)
        return 0;
    if (parse(&d, yaml->p ? (const char *)yaml->p : "", yaml->n, e) < 0)
        return err_wrap(e, "spec");
    int rc = is_mapping(&d, 1) ? 0 : err_set(e, ERR_INVALID, "spec: must be a mapping");
    for (int i = 0; rc == 0 && i < n; i++)
        rc = apply(&d, settings[i], e);
    if (rc < 0) {
        yaml_document_delete(&d);
        return rc;
    }
    rc = emit(&d, &out, e);
    if (rc == 0) {
        buf_release(yaml);
        *yaml = out;
    } else {
        buf_release(&out);
    }
    return rc;
}
