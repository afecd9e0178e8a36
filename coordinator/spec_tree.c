#include "coordinator/spec_tree.h"

#include <cyaml/cyaml.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

/* clang-format off */
#define TEXT(where, key)   CYAML_FIELD_STRING_PTR(#key, CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, where, key, 0, 4096)
#define MAP(where, key)    CYAML_FIELD_MAPPING(#key, CYAML_FLAG_OPTIONAL, where, key, key##_fields)
#define LIST(where, k)     {.key = #k, .value = {.type = CYAML_SEQUENCE, .flags = CYAML_FLAG_POINTER | CYAML_FLAG_OPTIONAL, \
                            .data_size = sizeof(char *), .sequence = {.entry = &text, .min = 1, .max = SPEC_TREE_MAX_LIST}}, \
                            .data_offset = offsetof(where, k.of), .count_size = sizeof(unsigned), .count_offset = offsetof(where, k.n)}
#define PART(k)            __typeof__(((struct spec_tree *)0)->k)

static const cyaml_schema_value_t text = {CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, 4096)};

static const cyaml_schema_field_t data_fields[] = {
    TEXT(PART(data), kind), TEXT(PART(data), path), CYAML_FIELD_END};
static const cyaml_schema_field_t normalize_fields[] = {
    LIST(PART(normalize), mean), LIST(PART(normalize), std), CYAML_FIELD_END};
static const cyaml_schema_field_t split_fields[] = {
    TEXT(PART(split), reward), TEXT(PART(split), calibrate), CYAML_FIELD_END};
static const cyaml_schema_field_t budgets_fields[] = {
    LIST(PART(budgets), flops), LIST(PART(budgets), params), LIST(PART(budgets), bytes), LIST(PART(budgets), latency),
    CYAML_FIELD_END};
static const cyaml_schema_field_t search_fields[] = {
    TEXT(PART(search), policy), TEXT(PART(search), episodes), TEXT(PART(search), warmup), TEXT(PART(search), lookahead),
    TEXT(PART(search), reward), TEXT(PART(search), start), CYAML_FIELD_END};
static const cyaml_schema_field_t cut_fields[] = {
    TEXT(PART(cut), groups), TEXT(PART(cut), round_to), TEXT(PART(cut), keep_min), TEXT(PART(cut), select),
    TEXT(PART(cut), reconstruct), TEXT(PART(cut), recalibrate), CYAML_FIELD_END};
static const cyaml_schema_field_t finetune_fields[] = {
    TEXT(PART(finetune), epochs), CYAML_FIELD_END};
static const cyaml_schema_field_t distill_fields[] = {
    TEXT(PART(finish.distill), temperature), TEXT(PART(finish.distill), weight), CYAML_FIELD_END};
static const cyaml_schema_field_t finish_fields[] = {
    TEXT(PART(finish), top), TEXT(PART(finish), epochs), TEXT(PART(finish), lr), MAP(PART(finish), distill),
    CYAML_FIELD_END};
static const cyaml_schema_field_t top_fields[] = {
    TEXT(struct spec_tree, spec_version), TEXT(struct spec_tree, name), TEXT(struct spec_tree, seed),
    TEXT(struct spec_tree, model), MAP(struct spec_tree, data), MAP(struct spec_tree, normalize),
    MAP(struct spec_tree, split), MAP(struct spec_tree, budgets), MAP(struct spec_tree, search),
    MAP(struct spec_tree, cut), MAP(struct spec_tree, finetune), MAP(struct spec_tree, finish), CYAML_FIELD_END};
static const cyaml_schema_value_t top = {CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct spec_tree, top_fields)};
/* clang-format on */

static const struct {
    const char *name;
    const cyaml_schema_field_t *fields;
} maps[] = {{"data", data_fields},         {"normalize", normalize_fields}, {"split", split_fields},
            {"budgets", budgets_fields},   {"search", search_fields},       {"cut", cut_fields},
            {"finetune", finetune_fields}, {"distill", distill_fields},     {"finish", finish_fields}};

/* What libcyaml says about a bad document: the complaint, then a backtrace from the inside out. */
struct complaint {
    char what[256];
    char field[64]; /* innermost mapping field, or "" */
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
    if (!c->what[0])
        snprintf(c->what, sizeof(c->what), "%s", body);
    if (line && !c->line)
        c->line = atoi(line + 6);
    if (field && !c->field[0])
        snprintf(c->field, sizeof(c->field), "%.*s", (int)strcspn(field + 18, "'"), field + 18);
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

static int complain(const struct complaint *c, cyaml_err_t code, struct err *e)
{
    static const char unknown[] = "Unexpected key: ", again[] = "Mapping field already seen: ";
    char in[96] = "";
    if (c->field[0])
        snprintf(in, sizeof(in), " in \"%s\"", c->field);
    if (strncmp(c->what, unknown, strlen(unknown)) == 0) {
        const char *key = c->what + strlen(unknown);
        return err_set(e, ERR_INVALID, "spec line %d: unknown key \"%.64s\"%s: did you mean \"%s\"?", c->line, key,
                       in, nearest(key, c->field));
    }
    if (strncmp(c->what, again, strlen(again)) == 0)
        return err_set(e, ERR_INVALID, "spec line %d: key \"%.64s\" stands twice", c->line,
                       c->what + strlen(again));
    return err_set(e, ERR_INVALID, "spec line %d: %s%s", c->line, c->what[0] ? c->what : cyaml_strerror(code), in);
}

static const cyaml_config_t quiet = {
    .log_fn = listen, .log_level = CYAML_LOG_ERROR, .mem_fn = cyaml_mem, .flags = CYAML_CFG_NO_ALIAS};

int spec_tree_parse(const char *yaml, size_t n, struct spec_tree **out, struct err *e)
{
    struct complaint c = {.what = ""};
    cyaml_config_t cfg = quiet;
    cfg.log_ctx = &c;
    *out = NULL;
    if (memchr(yaml, 0, n))
        return err_set(e, ERR_INVALID, "spec: holds a zero byte");
    cyaml_err_t rc = cyaml_load_data((const uint8_t *)yaml, n, &cfg, &top, (cyaml_data_t **)out, NULL);
    if (rc != CYAML_OK)
        return complain(&c, rc, e);
    return *out ? 0 : err_set(e, ERR_INVALID, "spec: is empty");
}

void spec_tree_free(struct spec_tree *t)
{
    if (t)
        cyaml_free(&quiet, &top, t, 0);
}
