#include "coordinator/cli/front.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "common/model/cost.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/plot.h"
#include "coordinator/cli/term.h"
#include "coordinator/spec.h"

/* How a cost is called in a candidate's row and in the dense network's, and on the sheet. */
static const struct cost_words {
    const char *name, *key, *ratio, *noun, *unit;
} costs[] = {{"flops", "macs", "macs_ratio", "MACs", ""},
             {"params", "params", NULL, "parameters", ""},
             {"bytes", "bytes", NULL, "size", "B"},
             {"latency", "latency_ms", "latency_ratio", "latency", ""}};

static const struct cost_words *words_of(const char *x)
{
    for (size_t i = 0; i < sizeof(costs) / sizeof(*costs); i++)
        if (strcmp(costs[i].name, x) == 0)
            return &costs[i];
    BUG("cost \"%s\"", x);
}

/* Rows have the ratios of MACs and latency; the others' are of what the dense network has. */
static double ratio_of(const struct cost_words *w, const json_t *row, const json_t *dense)
{
    if (w->ratio)
        return field_number(row, w->ratio, NAN);
    return field_number(row, w->key, NAN) / field_number(dense, w->key, NAN);
}

static void add_point(struct plot_point *to, int *n, const struct cost_words *w, const json_t *row,
                      const json_t *dense)
{
    to[(*n)++] = (struct plot_point){.ratio = ratio_of(w, row, dense),
                                     .top1 = field_number(row, "top1", NAN),
                                     .episode = (long long)field_number(row, "episode", -1),
                                     .budget = field_text(row, "budget"),
                                     .final = strcmp(field_text(row, "stage"), "final") == 0};
}

static struct plot_point *read_points(const struct cost_words *w, const json_t *points, const json_t *candidates,
                                      const json_t *dense, int *n)
{
    struct plot_point *out = xcalloc(json_array_size(points) + json_array_size(candidates) + 1, sizeof(*out));
    size_t i;
    json_t *row;
    json_array_foreach(points, i, row) add_point(out, n, w, row, dense);
    json_array_foreach(candidates, i, row)
    {
        if (strcmp(field_text(row, "stage"), "final") == 0)
            add_point(out, n, w, row, dense);
    }
    return out;
}

static int read_budgets(const json_t *search, const char *x, double budgets[SPEC_MAX_BUDGETS], int *n,
                        struct err *e)
{
    const char *yaml = field_text(search, "spec");
    struct spec spec;
    int rc = spec_parse(yaml, strlen(yaml), &spec, e);
    if (rc != 0)
        return rc;
    for (int i = 0; i < spec.n_budgets; i++)
        if (strcmp(cost_name(spec.budgets[i].kind), x) == 0)
            budgets[(*n)++] = spec.budgets[i].frac;
    spec_release(&spec);
    return 0;
}

static void name_cost(const struct cost_words *w, const json_t *dense, char *to, size_t size)
{
    char s[TERM_TEXT];
    double of = field_number(dense, w->key, NAN);
    if (!isfinite(of))
        snprintf(to, size, "%s, ratio to the dense network's", w->noun);
    else if (strcmp(w->name, "latency") == 0)
        snprintf(to, size, "%s, ratio to the dense network's %.3f ms", w->noun, of);
    else
        snprintf(to, size, "%s, ratio to the dense network's %s%s", w->noun, term_count(s, of), w->unit);
}

int front_draw(const json_t *status, const json_t *points, const json_t *candidates, const char *x, struct err *e)
{
    const json_t *search = json_object_get(status, "search"), *dense = json_object_get(search, "dense");
    const struct cost_words *w = words_of(x);
    double budgets[SPEC_MAX_BUDGETS];
    char title[160], cost[120];
    struct plot p = {.title = title, .cost = cost, .budget_kind = x, .budgets = budgets};
    struct buf out = {0};
    int rc = read_budgets(search, x, budgets, &p.n_budgets, e);
    if (rc != 0)
        return rc;
    struct plot_point *all = read_points(w, points, candidates, dense, &p.n);
    p.points = all;
    p.dense = field_number(dense, "top1", NAN);
    snprintf(title, sizeof(title), "Search %.0f: %s", field_number(search, "id", 0), field_text(search, "name"));
    name_cost(w, dense, cost, sizeof(cost));
    plot_svg(&p, &out);
    if (fwrite(out.p, 1, out.n, stdout) != out.n || fflush(stdout) != 0)
        rc = err_set(e, ERR_IO, "could not write to standard output");
    buf_release(&out);
    free(all);
    return rc;
}
