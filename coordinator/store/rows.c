#include "coordinator/store/rows.h"

#include <stdlib.h>
#include <sodium.h>
#include <string.h>

#include "common/base/mem.h"

static const char *row_text(struct row *r)
{
    return PQgetvalue(r->res, r->row, r->column++);
}

int64_t row_int(struct row *r)
{
    return strtoll(row_text(r), NULL, 10);
}

double row_real(struct row *r)
{
    return strtod(row_text(r), NULL);
}

bool row_bool(struct row *r)
{
    return row_text(r)[0] == 't';
}

static bool row_hash(struct row *r, struct hash *h) /* false for null */
{
    return hash_from_hex(row_text(r), h);
}

/* "{1,2,3}" and "": how many, of which at most `most` go to v. strtod is exact for 32-bit integers as well. */
static size_t row_numbers(struct row *r, double *v, size_t most)
{
    size_t n = 0;
    const char *s = row_text(r);
    for (s += *s == '{'; *s && *s != '}'; n++) {
        char *end;
        double x = strtod(s, &end);
        if (end == s)
            break;
        if (n < most)
            v[n] = x;
        s = end + (*end == ',');
    }
    return n;
}

static double *row_all_numbers(struct row *r, uint32_t *n)
{
    struct row again = *r;
    *n = (uint32_t)row_numbers(&again, NULL, 0);
    double *v = xcalloc(*n + 1u, sizeof(*v));
    row_numbers(r, v, *n);
    return v;
}

static int32_t *row_ints(struct row *r, uint32_t *n)
{
    double *v = row_all_numbers(r, n);
    int32_t *out = xcalloc(*n + 1u, sizeof(*out));
    for (uint32_t i = 0; i < *n; i++)
        out[i] = (int32_t)v[i];
    free(v);
    return out;
}

static float *row_floats(struct row *r, uint32_t *n)
{
    double *v = row_all_numbers(r, n);
    float *out = xcalloc(*n + 1u, sizeof(*out));
    for (uint32_t i = 0; i < *n; i++)
        out[i] = (float)v[i];
    free(v);
    return out;
}

/* From hexadecimal digits; NULL for null. */
static uint8_t *row_bytes(struct row *r, size_t *n)
{
    const char *hex = row_text(r);
    size_t digits = strlen(hex);
    *n = 0;
    if (digits == 0)
        return NULL;
    uint8_t *bytes = xcalloc(digits / 2 + 1, 1);
    if (sodium_hex2bin(bytes, digits / 2, hex, digits, NULL, n, NULL) != 0)
        *n = 0;
    return bytes;
}

static struct metrics row_metrics(struct row *r)
{
    struct metrics m;
    m.n = (int32_t)row_int(r);
    m.top1 = (int32_t)row_int(r);
    m.top5 = (int32_t)row_int(r);
    m.loss = row_real(r);
    return m;
}

static struct cost row_cost(struct row *r)
{
    struct cost c;
    for (int k = 0; k < COST_LATENCY; k++) /* latency came later, and stands at the end */
        c.of[k] = row_int(r);
    c.of[COST_LATENCY] = 0;
    return c;
}

/* ---- names */

static const char *cost_text(int k)
{
    return cost_name((enum cost_kind)k);
}

static const char *task_text(int k)
{
    return task_kind_name((enum task_kind)k);
}

static const char *state_text(int k)
{
    return search_state_name((enum search_state)k);
}

static int row_name(struct row *r, int n, const char *(*text)(int), int *to, struct err *e)
{
    const char *name = row_text(r);
    for (*to = 0; *to < n; ++*to)
        if (strcmp(name, text(*to)) == 0)
            return 0;
    return err_set(e, ERR_UNSUPPORTED, "\"%s\" isn't known to this program", name);
}

static int row_task_kind(struct row *r, enum task_kind *to, struct err *e)
{
    int k, rc = row_name(r, TASK_KINDS, task_text, &k, e);
    *to = rc < 0 ? TASK_EVALUATE : (enum task_kind)k;
    return rc;
}

static int row_state(struct row *r, enum search_state *to, struct err *e)
{
    int k, rc = row_name(r, SEARCH_STATES, state_text, &k, e);
    *to = rc < 0 ? SEARCH_FAILED : (enum search_state)k;
    return rc;
}

static int row_cost_kind(struct row *r, enum cost_kind *to, struct err *e)
{
    int k, rc = row_name(r, COST_KINDS, cost_text, &k, e);
    *to = rc < 0 ? COST_FLOPS : (enum cost_kind)k;
    return rc;
}

/* ---- rows */

/* A line "SIZE HASH NAME" a file. */
static int row_files(struct row *r, struct recipe *to, struct err *e)
{
    char hex[HASH_HEX];
    for (const char *s = row_text(r); *s; s += strcspn(s, "\n"), s += *s == '\n') {
        if (to->n_files == RECIPE_MAX_FILES)
            return err_set(e, ERR_LIMIT, "more than %d data files", RECIPE_MAX_FILES);
        struct data_file *f = &to->files[to->n_files++];
        if (sscanf(s, "%" SCNu64 " %64s %63[^\n]", &f->size, hex, f->name) != 3 || !hash_from_hex(hex, &f->hash))
            return err_set(e, ERR_INVALID, "data file %d makes no sense", to->n_files);
    }
    return 0;
}

static int row_recipe(struct row *r, struct recipe *to, struct err *e)
{
    to->seed = strtoull(row_text(r), NULL, 10);
    row_hash(r, &to->model);
    const char *data = row_text(r);
    to->n_channels = (int)row_numbers(r, to->mean, 4);
    row_numbers(r, to->std, 4);
    to->reward = (int)row_int(r);
    to->calibrate = (int)row_int(r);
    const char *select = row_text(r);
    to->reconstruct = row_bool(r);
    to->recalibrate = row_bool(r);
    if (!data_kind_from_name(data, &to->data) || !select_kind_from_name(select, &to->select))
        return err_set(e, ERR_UNSUPPORTED, "data \"%s\" or selection \"%s\" isn't known to this program", data,
                       select);
    return row_files(r, to, e);
}

int row_search(struct row *r, struct search_row *to, struct err *e)
{
    int rc;
    *to = (struct search_row){.id = row_int(r)};
    if ((rc = row_state(r, &to->state, e)) < 0 || (rc = row_state(r, &to->paused_from, e)) < 0)
        return rc;
    to->spec = xstrdup(row_text(r));
    if ((rc = row_recipe(r, &to->recipe, e)) < 0)
        return rc;
    to->has_profile = row_hash(r, &to->profile);
    to->dense = row_metrics(r);
    to->n_curve = (uint32_t *)row_ints(r, &to->n_groups);
    to->curve = row_floats(r, &to->n_points);
    const char *precision = row_text(r);
    if (!precision_from_name(precision, &to->recipe.precision))
        return err_set(e, ERR_UNSUPPORTED, "precision \"%s\" isn't known to this program", precision);
    to->recipe.finetune.distill.other = row_hash(r, &to->recipe.finetune.distill.teacher);
    to->recipe.finish.distill.other = row_hash(r, &to->recipe.finish.distill.teacher);
    to->trained = row_bool(r);
    to->table = row_bytes(r, &to->n_table);
    return 0;
}

int row_candidate(struct row *r, struct candidate_row *to, struct err *e)
{
    *to = (struct candidate_row){.search = row_int(r)};
    to->episode = (int32_t)row_int(r);
    to->budget = (int32_t)row_int(r);
    int rc = row_cost_kind(r, &to->budget_kind, e);
    if (rc < 0)
        return rc;
    to->budget_frac = row_real(r);
    to->keep = row_ints(r, &to->n_keep);
    to->cost = row_cost(r);
    to->dense = row_cost(r);
    to->attempts = (int32_t)row_int(r);
    to->has_result = row_bool(r);
    to->failed = row_bool(r);
    to->reward = row_metrics(r);
    to->has_final = row_bool(r);
    to->has_model = row_hash(r, &to->model);
    to->exports = (int32_t)row_int(r);
    to->final_failed = row_bool(r);
    to->diverged = (int)row_int(r);
    to->cost.of[COST_LATENCY] = row_int(r);
    to->dense.of[COST_LATENCY] = row_int(r);
    to->has_timing = row_bool(r);
    to->timing_failed = row_bool(r);
    to->ratio = row_real(r);
    to->spread = row_real(r);
    return 0;
}

int row_task(struct row *r, struct task_row *to, struct err *e)
{
    *to = (struct task_row){.epoch = 0};
    int rc = row_task_kind(r, &to->highest.kind, e);
    if (rc < 0)
        return rc;
    to->highest.search = row_int(r);
    to->highest.episode = (int32_t)row_int(r);
    to->highest.attempt = (int32_t)row_int(r);
    to->diverged = (int)row_int(r);
    to->epoch = (int32_t)row_int(r);
    row_hash(r, &to->checkpoint);
    return 0;
}
