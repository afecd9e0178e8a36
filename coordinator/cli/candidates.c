/* `espalier pareto`, `espalier candidates` and `espalier digest`. */
#include <stdio.h>
#include <string.h>

#include "coordinator/cli/args.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/front.h"
#include "coordinator/cli/table.h"
#include "coordinator/cli/term.h"
#include "coordinator/cli/where.h"

static const char *const keys[] = {"episode",       "budget",     "kept",   "top1",  "top5",
                                   "macs",          "macs_ratio", "params", "bytes", "latency_ms",
                                   "latency_ratio", "stage",      NULL};
static const char *const numbers[] = {"episode", "top1",  "top5",       "macs",          "macs_ratio",
                                      "params",  "bytes", "latency_ms", "latency_ratio", NULL};

struct listing { /* what both verbs can be told */
    long long id;
    enum format format;
    struct where where;
};

static int read_listing(struct cli *c, struct listing *l, const char *operand, const char *format, enum format last,
                        const char *where, struct err *e)
{
    int rc = args_number(c, "search", operand, 1, &l->id, e);
    if (rc == 0)
        rc = format_parse(c, format, last, &l->format, e);
    if (rc == 0 && where && (rc = where_parse(&l->where, where, numbers, e)) < 0)
        c->usage = true;
    return rc;
}

static json_t *filtered(const struct where *w, const json_t *all)
{
    json_t *out = json_array(), *o;
    size_t i;
    json_array_foreach(all, i, o) if (where_holds(w, o)) json_array_append(out, o);
    return out;
}

static bool any_latency(const json_t *all)
{
    size_t i;
    json_t *o;
    json_array_foreach(all, i, o) if (json_is_number(json_object_get(o, "latency_ratio"))) return true;
    return false;
}

static void put_latency(struct table *t, const json_t *o)
{
    if (json_is_number(json_object_get(o, "latency_ratio"))) {
        table_cell(t, "%.3f", field_number(o, "latency_ms", 0));
        table_cell(t, "%.3f", field_number(o, "latency_ratio", 0));
    } else {
        table_cell(t, "-");
        table_cell(t, "-");
    }
}

static void print_table(const json_t *all)
{
    static const struct column columns[] = {
        {"episode", COLUMN_NUMBER}, {"budget", COLUMN_TEXT},  {"top-1", COLUMN_NUMBER},
        {"top-5", COLUMN_NUMBER},   {"MACs", COLUMN_NUMBER},  {"ratio", COLUMN_NUMBER},
        {"params", COLUMN_NUMBER},  {"bytes", COLUMN_NUMBER}, {"scored on", COLUMN_TEXT}};
    static const struct column timed[] = {
        {"episode", COLUMN_NUMBER}, {"budget", COLUMN_TEXT},  {"top-1", COLUMN_NUMBER},  {"top-5", COLUMN_NUMBER},
        {"MACs", COLUMN_NUMBER},    {"ratio", COLUMN_NUMBER}, {"params", COLUMN_NUMBER}, {"bytes", COLUMN_NUMBER},
        {"ms", COLUMN_NUMBER},      {"ratio", COLUMN_NUMBER}, {"scored on", COLUMN_TEXT}};
    bool latency = any_latency(all);
    struct table t = {.columns = latency ? timed : columns,
                      .n_columns = latency ? sizeof(timed) / sizeof(*timed) : sizeof(columns) / sizeof(*columns)};
    char s[TERM_TEXT];
    size_t i;
    json_t *o;
    json_array_foreach(all, i, o)
    {
        table_cell(&t, "%.0f", field_number(o, "episode", -1));
        table_cell(&t, "%s%s", field_text(o, "budget"),
                   json_is_false(json_object_get(o, "within")) ? ", over" : "");
        table_cell(&t, "%s", term_percent(s, field_number(o, "top1", -1)));
        table_cell(&t, "%s", term_percent(s, field_number(o, "top5", -1)));
        table_cell(&t, "%s", term_count(s, field_number(o, "macs", 0)));
        table_cell(&t, "%.3f", field_number(o, "macs_ratio", 0));
        table_cell(&t, "%s", term_count(s, field_number(o, "params", 0)));
        table_cell(&t, "%s", term_count(s, field_number(o, "bytes", 0)));
        if (latency)
            put_latency(&t, o);
        table_cell(&t, "%s", strcmp(field_text(o, "stage"), "final") == 0 ? "test set" : "reward split");
    }
    if (t.n > 0)
        table_print(&t);
    else
        puts("none");
    table_release(&t);
}

/* The finalists aren't of the front: what they score on the test set is among all candidates. */
static int draw(struct client *cl, const struct listing *l, const json_t *front, const char *x, struct err *e)
{
    json_t *status = NULL, *all = NULL, *some = filtered(&l->where, front), *others = NULL;
    int rc = 0;
    if (json_array_size(some) == 0)
        rc = l->where.n > 0
                 ? err_set(e, ERR_NOTFOUND, "nothing to draw: no candidate on search %lld's front fulfils --where",
                           l->id)
                 : err_set(e, ERR_NOTFOUND, "nothing to draw: search %lld has no candidate with a score%s yet",
                           l->id, strcmp(x, "latency") == 0 ? " and a latency" : "");
    if (rc == 0)
        rc = client_get(cl, &status, e, "searches/%lld", l->id);
    if (rc == 0)
        rc = client_get(cl, &all, e, "searches/%lld/candidates", l->id);
    if (rc == 0) {
        others = filtered(&l->where, all);
        rc = front_draw(status, some, others, x, e);
    }
    json_decref(status);
    json_decref(all);
    json_decref(some);
    json_decref(others);
    return rc;
}

static int print(const struct listing *l, const json_t *all, struct err *e)
{
    json_t *some = filtered(&l->where, all);
    int rc = 0;
    if (l->format == FORMAT_JSON)
        rc = format_json(some, e);
    else if (l->format == FORMAT_CSV)
        format_csv(some, keys);
    else
        print_table(some);
    json_decref(some);
    return rc;
}

/* x: the cost that the front is against; NULL: it isn't one. */
static int fetch(struct cli *c, const struct listing *l, const char *path, const char *x, struct err *e)
{
    struct client *cl = NULL;
    json_t *all = NULL;
    int rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = client_get(cl, &all, e, "searches/%lld/%s", l->id, path);
    if (rc == 0)
        rc = l->format == FORMAT_SVG ? draw(cl, l, all, x, e) : print(l, all, e);
    json_decref(all);
    client_close(cl);
    return rc;
}

#define WHERE_HELP  "such as 'top1>=0.9 and macs_ratio<0.5'"
#define FORMAT_HELP "table, csv or json (table)"
#define PARETO_HELP "table, csv, json or svg, a picture (table)"

int verb_pareto(struct cli *c, int argc, char **argv, struct err *e)
{
    const char *x = "flops", *where = NULL, *format = NULL, *operand;
    const struct arg args[] = {
        {"--x", ARG_TEXT, "COST", "against flops, params, bytes or latency (flops)", &x, 0, 0},
        {"--where", ARG_TEXT, "FILTER", WHERE_HELP, &where, 0, 0},
        {"--format", ARG_TEXT, "FORMAT", PARETO_HELP, &format, 0, 0},
        {0}};
    const struct usage u = {
        "pareto ID [--x flops|params|bytes|latency] [--where FILTER] [--format table|csv|json|svg]",
        "The candidates that no other beats in accuracy and cost at once, the cheapest first.\n"
        "Accuracies are those on the reward split; `candidates` has the finalists' on the test set, too.\n"
        "Latencies are predicted by the search's table; finalists' on the test set are measured.",
        args, 1, 1};
    struct listing l = {.format = FORMAT_TABLE};
    char path[64];
    int rc = args_parse(c, &u, argc, argv, &operand, e);
    if (rc == 0)
        rc = read_listing(c, &l, operand, format, FORMAT_SVG, where, e);
    if (rc == 0 && strcmp(x, "flops") != 0 && strcmp(x, "params") != 0 && strcmp(x, "bytes") != 0 &&
        strcmp(x, "latency") != 0)
        rc = args_wrong(c, e, "--x \"%s\": must be flops, params, bytes or latency", x);
    if (rc != 0)
        return rc;
    snprintf(path, sizeof(path), "pareto?x=%.10s", x);
    return fetch(c, &l, path, x, e);
}

int verb_candidates(struct cli *c, int argc, char **argv, struct err *e)
{
    const char *where = NULL, *format = NULL, *operand;
    const struct arg args[] = {{"--where", ARG_TEXT, "FILTER", WHERE_HELP, &where, 0, 0},
                               {"--format", ARG_TEXT, "FORMAT", FORMAT_HELP, &format, 0, 0},
                               {0}};
    const struct usage u = {"candidates ID [--where FILTER] [--format table|csv|json]",
                            "Every candidate that has been scored, in the order of its episodes.", args, 1, 1};
    struct listing l = {.format = FORMAT_TABLE};
    int rc = args_parse(c, &u, argc, argv, &operand, e);
    if (rc == 0)
        rc = read_listing(c, &l, operand, format, FORMAT_CSV, where, e);
    return rc != 0 ? rc : fetch(c, &l, "candidates", NULL, e);
}

int verb_digest(struct cli *c, int argc, char **argv, struct err *e)
{
    const struct usage u = {
        "digest ID",
        "A SHA-256 over (episode, channels kept, correct counts) of all results, and how many they are:\n"
        "equal for the same spec on any number of workers.",
        NULL, 1, 1};
    struct client *cl = NULL;
    json_t *answer = NULL;
    const char *operand;
    long long id;
    int rc = args_parse(c, &u, argc, argv, &operand, e);
    if (rc == 0)
        rc = args_number(c, "search", operand, 1, &id, e);
    if (rc == 0)
        rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = client_get(cl, &answer, e, "searches/%lld/digest", id);
    if (rc == 0)
        printf("%s %.0f\n", field_text(answer, "digest"), field_number(answer, "episodes", 0));
    json_decref(answer);
    client_close(cl);
    return rc;
}
