#include "coordinator/spec_tree.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/base/mem.h"

/* clang-format off */
#define TEXT(where, key)   CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, where, key, 0, SPEC_TREE_MAX_TEXT)
#define MAP(where, key)    CYAML_FIELD_MAPPING_PTR(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, where, key, key##_fields)
#define LIST(where, k)     {.key = #k, .value = {.type = CYAML_SEQUENCE, .flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, \
                            .data_size = sizeof(char *), .sequence = {.entry = &text, .min = 1, .max = SPEC_TREE_MAX_LIST}}, \
                            .data_offset = offsetof(where, k.of), .count_size = sizeof(unsigned), .count_offset = offsetof(where, k.n)}

static const cyaml_schema_value_t text = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, SPEC_TREE_MAX_TEXT)};

static const cyaml_schema_field_t data_fields[] = {
    TEXT(struct data_tree, kind), TEXT(struct data_tree, path), TEXT(struct data_tree, labels),
    TEXT(struct data_tree, resize), TEXT(struct data_tree, offset), TEXT(struct data_tree, size), CYAML_FIELD_END};
static const cyaml_schema_field_t normalize_fields[] = {
    LIST(struct normalize_tree, mean), LIST(struct normalize_tree, std), CYAML_FIELD_END};
static const cyaml_schema_field_t split_fields[] = {
    TEXT(struct split_tree, reward), TEXT(struct split_tree, calibrate), CYAML_FIELD_END};
static const cyaml_schema_field_t budgets_fields[] = {
    LIST(struct budgets_tree, flops), LIST(struct budgets_tree, params), LIST(struct budgets_tree, bytes),
    LIST(struct budgets_tree, latency), CYAML_FIELD_END};
static const cyaml_schema_field_t latency_fields[] = {TEXT(struct latency_tree, batch), CYAML_FIELD_END};
static const cyaml_schema_field_t search_fields[] = {
    TEXT(struct search_tree, policy), TEXT(struct search_tree, episodes), TEXT(struct search_tree, warmup),
    TEXT(struct search_tree, lookahead), TEXT(struct search_tree, reward), TEXT(struct search_tree, start),
    CYAML_FIELD_END};
static const cyaml_schema_field_t cut_fields[] = {
    TEXT(struct cut_tree, kind), TEXT(struct cut_tree, groups), TEXT(struct cut_tree, round_to), TEXT(struct cut_tree, keep_min),
    TEXT(struct cut_tree, select), TEXT(struct cut_tree, reconstruct), TEXT(struct cut_tree, recalibrate),
    CYAML_FIELD_END};
static const cyaml_schema_field_t augment_fields[] = {
    TEXT(struct augment_tree, pad), TEXT(struct augment_tree, flip), TEXT(struct augment_tree, cutout),
    LIST(struct augment_tree, scale), CYAML_FIELD_END};
static const cyaml_schema_field_t distill_fields[] = {
    TEXT(struct distill_tree, kind), TEXT(struct distill_tree, temperature), TEXT(struct distill_tree, weight),
    TEXT(struct distill_tree, alpha), TEXT(struct distill_tree, beta), TEXT(struct distill_tree, teacher),
    CYAML_FIELD_END};

#define TRAINING(k) TEXT(struct training_tree, k)
#define TRAINING_FIELDS                                                                                            \
    TRAINING(epochs), TRAINING(steps), TRAINING(lr), TRAINING(batch), TRAINING(momentum), TRAINING(nesterov),      \
    TRAINING(weight_decay), TRAINING(decay_all), TRAINING(schedule), LIST(struct training_tree, drops),            \
    TRAINING(drop), TRAINING(warmup), TRAINING(smoothing), MAP(struct training_tree, augment),                     \
    MAP(struct training_tree, distill), CYAML_FIELD_END
static const cyaml_schema_field_t finetune_fields[] = {TRAINING_FIELDS};
static const cyaml_schema_field_t train_fields[] = {TRAINING_FIELDS};
static const cyaml_schema_field_t finish_fields[] = {TRAINING(top), TRAINING_FIELDS};

static const cyaml_schema_field_t top_fields[] = {
    TEXT(struct spec_tree, spec_version), TEXT(struct spec_tree, name), TEXT(struct spec_tree, seed),
    TEXT(struct spec_tree, model), TEXT(struct spec_tree, classes), TEXT(struct spec_tree, precision),
    MAP(struct spec_tree, data), MAP(struct spec_tree, normalize), MAP(struct spec_tree, split),
    MAP(struct spec_tree, budgets), MAP(struct spec_tree, latency), MAP(struct spec_tree, search), MAP(struct spec_tree, cut),
    MAP(struct spec_tree, finetune), MAP(struct spec_tree, finish), MAP(struct spec_tree, train), CYAML_FIELD_END};
static const cyaml_schema_value_t top = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct spec_tree, top_fields)};
/* clang-format on */

static const struct {
    const char *name;
    const cyaml_schema_field_t *fields;
} maps[] = {{"data", data_fields},         {"normalize", normalize_fields}, {"split", split_fields},
            {"budgets", budgets_fields},   {"search", search_fields},       {"cut", cut_fields},
            {"finetune", finetune_fields}, {"finish", finish_fields},       {"train", train_fields},
            {"latency", latency_fields},   {"augment", augment_fields},   {"distill", distill_fields}};

/* What libcyaml says about a bad document: the complaint, then a backtrace from the inside out. */
struct complaint {
    char what[256];
    char field[64], over[64]; /* innermost mapping field and the one over it, or "" */
    bool in_list;             /* it is about an entry of `field` */
    int line;
};

static void listen(cyaml_log_t level, void *ctx, const char *fmt, va_list args)
{
    struct complaint *c = ctx;
    char s[256];
    if (level < CYAML_LOG_ERROR)
        return;
    vsnprintf(s, sizeof(s), fmt, args);
    s[strcspn(s, "\n")] = 0;
    const char *body = strncmp(s, "Load: ", 6) == 0 ? s + 6 : s, *line = strstr(body, "line: ");
    const char *field = strstr(body, "in mapping field '");
    char *to = c->field[0] ? c->over : c->field;
    if (!c->what[0] && body[0] != ' ' && strncmp(body, "Backtrace", 9) != 0)
        snprintf(c->what, sizeof(c->what), "%s", body);
    if (line && !c->line)
        c->line = atoi(line + 6);
    if (strstr(body, "in sequence entry") && !c->field[0])
        c->in_list = true;
    if (field && !to[0])
        snprintf(to, sizeof(c->field), "%.*s", (int)strcspn(field + 18, "'"), field + 18);
}

static int least(int a, int b, int c)
{
    int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's edit distance; texts longer than 63 count as far away. */
static int distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    int row[64];
    if (n > 63 || m > 63)
        return 1000;
    for (size_t j = 0; j <= m; j++)
        row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int up = row[j];
            row[j] = least(row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = up;
        }
    }
    return row[m];
}

/* A beginning of a known key is as good as one wrong letter. */
static int unlikeness(const char *key, const char *known)
{
    return strncmp(known, key, strlen(key)) == 0 ? 1 : distance(key, known);
}

static const char *nearest(const char *key, const char *map)
{
    const cyaml_schema_field_t *f = top_fields;
    for (size_t i = 0; i < sizeof(maps) / sizeof(*maps); i++)
        if (strcmp(maps[i].name, map) == 0)
            f = maps[i].fields;
    const char *best = f->key;
    for (; f->key; f++)
        if (unlikeness(key, f->key) < unlikeness(key, best))
            best = f->key;
    return best;
}

/*
 * A walk over the document's events. libcyaml reads one document and no more, and knows the line of a value but not
 * of a key: what is missing there is seen here. A key is looked for by its own text and that of the key over it.
 */
#define MAX_DEPTH 8

struct walk {
    const char *map, *key; /* sought, or NULL */
    int line;              /* where it stands; of a key that stands twice the second */
    int depth, documents;
    struct {
        bool is_map, at_key;
        char under[64]; /* the key whose value this is, or "" */
    } level[MAX_DEPTH + 1];
    char last[64]; /* key whose value comes next */
};

static void walk_scalar(struct walk *w, const char *s, int line)
{
    bool at_key = w->level[w->depth].at_key;
    w->level[w->depth].at_key = w->level[w->depth].is_map && !at_key;
    if (!at_key)
        return;
    snprintf(w->last, sizeof(w->last), "%s", s);
    if (w->key && strcmp(s, w->key) == 0 && strcmp(w->level[w->depth].under, w->map) == 0)
        w->line = line;
}

static int walk_down(struct walk *w, bool is_map, int line, struct err *e)
{
    if (w->level[w->depth].at_key)
        return err_set(e, ERR_INVALID, "spec line %d: a key must be one value", line);
    w->level[w->depth].at_key = w->level[w->depth].is_map;
    if (w->depth == MAX_DEPTH)
        return err_set(e, ERR_INVALID, "spec line %d: nested more than %d deep", line, MAX_DEPTH);
    w->depth++;
    w->level[w->depth].is_map = w->level[w->depth].at_key = is_map;
    snprintf(w->level[w->depth].under, sizeof(w->level[0].under), "%s", is_map ? w->last : "");
    w->last[0] = 0;
    return 0;
}

static int walk_event(struct walk *w, const yaml_event_t *ev, struct err *e)
{
    int line = (int)ev->start_mark.line + 1;
    switch (ev->type) {
    case YAML_DOCUMENT_START_EVENT:
        if (w->documents++ > 0)
            return err_set(e, ERR_INVALID, "spec line %d: a second document begins here", line);
        return 0;
    case YAML_ALIAS_EVENT:
        return err_set(e, ERR_INVALID, "spec line %d: aliases such as *%.40s aren't accepted", line,
                       (const char *)ev->data.alias.anchor);
    case YAML_SCALAR_EVENT:
        walk_scalar(w, (const char *)ev->data.scalar.value, line);
        return 0;
    case YAML_MAPPING_START_EVENT:
    case YAML_SEQUENCE_START_EVENT:
        return walk_down(w, ev->type == YAML_MAPPING_START_EVENT, line, e);
    case YAML_MAPPING_END_EVENT:
    case YAML_SEQUENCE_END_EVENT:
        w->depth--;
        return 0;
    default:
        return 0;
    }
}

static int walk_document(struct walk *w, const char *yaml, size_t n, struct err *e)
{
    yaml_parser_t p;
    yaml_event_t ev;
    int rc = 0;
    bool end = false;
    if (!yaml_parser_initialize(&p))
        return err_set(e, ERR_NOMEM, "spec: out of memory");
    yaml_parser_set_input_string(&p, (const unsigned char *)yaml, n);
    while (rc == 0 && !end) {
        if (!yaml_parser_parse(&p, &ev)) {
            rc = err_set(e, ERR_INVALID, "spec line %d: %s", (int)p.problem_mark.line + 1,
                         p.problem ? p.problem : "isn't YAML");
            break;
        }
        rc = walk_event(w, &ev, e);
        end = ev.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&ev);
    }
    yaml_parser_delete(&p);
    return rc;
}

/* The key's own line, or `otherwise` where the walk doesn't meet it. */
static int line_of(const char *yaml, size_t n, const char *map, const char *key, int otherwise)
{
    struct walk w = {.map = map, .key = key};
    struct err e;
    return walk_document(&w, yaml, n, &e) == 0 && w.line > 0 ? w.line : otherwise;
}

/* libcyaml's names of what a value is, in words. */
static const char *kind_of_value(const char *s)
{
    static const struct {
        const char *name, *words;
    } kinds[] = {{"STRING", "one value"},  {"SCALAR", "one value"},      {"SEQUENCE", "a list"},
                 {"MAPPING", "a mapping"}, {"SEQUENCE_START", "a list"}, {"MAPPING_START", "a mapping"}};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        if (strcmp(s, kinds[i].name) == 0)
            return kinds[i].words;
    return s;
}

static int complain_of_kind(const struct complaint *c, const char *where, struct err *e)
{
    char want[32], got[32];
    if (sscanf(c->what, "Expecting %31[A-Z_], got event: %31[A-Z_]", want, got) != 2)
        return err_set(e, ERR_INVALID, "%s: %s", where, c->what);
    return err_set(e, ERR_INVALID, "%s: must be %s, not %s", where, kind_of_value(want), kind_of_value(got));
}

static int complain(const struct complaint *c, cyaml_err_t code, const char *yaml, size_t n, struct err *e)
{
    static const char unknown[] = "Unexpected key: ", again[] = "Mapping field already seen: ";
    char where[128] = "spec", in[96] = "";
    bool of_entry = c->in_list && strncmp(c->what, "Expecting", 9) == 0;
    const char *key = strchr(c->what, ':') ? strchr(c->what, ':') + 2 : "";
    if (c->field[0]) {
        snprintf(where, sizeof(where), "spec line %d: %s\"%s\"", c->line, of_entry ? "an entry of " : "", c->field);
        snprintf(in, sizeof(in), " in \"%s\"", c->field);
    }
    if (strncmp(c->what, unknown, strlen(unknown)) == 0)
        return err_set(e, ERR_INVALID, "spec line %d: unknown key \"%.64s\"%s: did you mean \"%s\"?",
                       line_of(yaml, n, c->field, key, c->line), key, in, nearest(key, c->field));
    if (strncmp(c->what, again, strlen(again)) == 0)
        return err_set(e, ERR_INVALID, "spec line %d: key \"%.64s\" stands twice",
                       line_of(yaml, n, c->over, key, c->line), key);
    if (strncmp(c->what, "Expecting", 9) == 0)
        return complain_of_kind(c, where, e);
    if (code == CYAML_ERR_SEQUENCE_ENTRIES_MIN)
        return err_set(e, ERR_INVALID, "%s: is an empty list", where);
    if (code == CYAML_ERR_SEQUENCE_ENTRIES_MAX)
        return err_set(e, ERR_INVALID, "%s: more than %d entries", where, SPEC_TREE_MAX_LIST);
    if (code == CYAML_ERR_STRING_LENGTH_MAX)
        return err_set(e, ERR_INVALID, "%s: longer than %d bytes", where, SPEC_TREE_MAX_TEXT);
    return err_set(e, ERR_INVALID, "%s: %s", where, c->what[0] ? c->what : cyaml_strerror(code));
}

static const cyaml_config_t quiet = {
    .log_fn = listen, .log_level = CYAML_LOG_ERROR, .mem_fn = cyaml_mem, .flags = CYAML_CFG_NO_ALIAS};

int spec_tree_parse(const char *yaml, size_t n, struct spec_tree **out, struct err *e)
{
    struct complaint c = {.what = ""};
    struct walk w = {.map = NULL};
    cyaml_config_t cfg = quiet;
    cfg.log_ctx = &c;
    *out = NULL;
    if (memchr(yaml, 0, n))
        return err_set(e, ERR_INVALID, "spec: holds a zero byte");
    if (walk_document(&w, yaml, n, e) < 0)
        return e->code;
    cyaml_err_t rc = cyaml_load_data((const uint8_t *)yaml, n, &cfg, &top, (cyaml_data_t **)out, NULL);
    if (rc != CYAML_OK)
        return complain(&c, rc, yaml, n, e);
    return *out ? 0 : err_set(e, ERR_INVALID, "spec: is empty");
}

void spec_tree_free(struct spec_tree *t)
{
    if (t)
        cyaml_free(&quiet, &top, t, 0);
}
