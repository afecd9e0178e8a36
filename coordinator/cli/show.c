/* `espalier show`: one candidate. */
#include <stdio.h>
#include <string.h>

#include "common/base/buf.h"
#include "common/model/fine.h"
#include "coordinator/cli/args.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/table.h"
#include "coordinator/cli/term.h"
#include "coordinator/spec.h"

static void print_score(const json_t *o, const char *label, double n)
{
    char top1[TERM_TEXT], top5[TERM_TEXT];
    printf("%-10s top-1 %s, top-5 %s, loss %.4f, %.0f images\n", label,
           term_percent(top1, field_number(o, "top1", -1)), term_percent(top5, field_number(o, "top5", -1)),
           field_number(o, "loss", 0), n);
}

static void print_cost(const json_t *o, const char *label, const char *key, const char *ratio)
{
    char s[TERM_TEXT];
    printf("%-10s %s, %.4f of dense\n", label, term_count(s, field_number(o, key, 0)), field_number(o, ratio, 0));
}

static void print_figures(const json_t *t)
{
    printf("%.3f ms beside the dense network's %.3f: %.3f of it, spread %.3f, batch %.0f", field_number(t, "ms", 0),
           field_number(t, "dense_ms", 0), field_number(t, "ratio", 0), field_number(t, "spread", 0),
           field_number(t, "batch", 0));
}

static void print_latency(const json_t *o, const json_t *t)
{
    const json_t *other = json_object_get(t, "other"), *within = json_object_get(t, "within");
    bool known = json_is_number(json_object_get(o, "latency_ratio"));
    if (known && field_number(o, "latency_ratio", 0) != field_number(t, "ratio", -1)) /* else it is what was measured */
        printf("%-10s %.3f ms, %.4f of dense\n", "predicted", field_number(o, "latency_ms", 0),
               field_number(o, "latency_ratio", 0));
    if (field_text(t, "failed")[0])
        printf("%-10s could not be measured: %s\n", "measured", field_text(t, "failed"));
    if (!json_is_number(json_object_get(t, "ratio")))
        return;
    printf("%-10s ", "measured");
    print_figures(t);
    printf("%s\n%-10s ", json_is_false(within) ? ": over its budget" : "", "");
    if (json_is_object(other)) {
        print_figures(other);
        printf("\n%-10s ", "");
    }
    printf("%s, %.0f thread, %s\n", field_text(t, "cpu"), field_number(t, "threads", 1), field_text(t, "precision"));
}

/* Channels of each group or, of single weights, each layer's density. */
static void print_kept(const json_t *kept, bool fine)
{
    size_t i;
    json_t *k;
    int column = 10, width = term_width();
    printf("%-10s", fine ? "density" : "kept");
    json_array_foreach(kept, i, k)
    {
        char s[32];
        long long number = json_integer_value(k);
        int n = fine ? snprintf(s, sizeof(s), " %.1f%%", 100.0 * (double)number / FINE_MOST)
                     : snprintf(s, sizeof(s), " %lld", number);
        if (column + n > width) {
            printf("\n%-10s", "");
            column = 10;
        }
        fputs(s, stdout);
        column += n;
    }
    putchar('\n');
}

static void print_attempts(const json_t *attempts)
{
    static const struct column columns[] = {{"task", COLUMN_TEXT},       {"attempt", COLUMN_NUMBER},
                                            {"worker", COLUMN_FLEXIBLE}, {"started", COLUMN_TEXT},
                                            {"outcome", COLUMN_TEXT},    {"reason", COLUMN_FLEXIBLE}};
    struct table t = {.columns = columns, .n_columns = sizeof(columns) / sizeof(*columns)};
    size_t i;
    json_t *a;
    json_array_foreach(attempts, i, a)
    {
        const char *outcome = field_text(a, "outcome");
        table_cell(&t, "%s", field_text(a, "kind"));
        table_cell(&t, "%.0f", field_number(a, "attempt", 0));
        table_cell(&t, "%s", field_text(a, "worker"));
        table_cell(&t, "%.19s", field_text(a, "started"));
        table_cell(&t, "%s", outcome[0] ? outcome : "under way");
        table_cell(&t, "%s", field_text(a, "reason"));
    }
    if (t.n > 0) {
        putchar('\n');
        table_print(&t);
    }
    table_release(&t);
}

static void print_candidate(const json_t *o, long long id, bool fine)
{
    const json_t *final = json_object_get(o, "final");
    printf("search %lld, episode %.0f: %s, within %s\n", id, field_number(o, "episode", -1), field_text(o, "state"),
           field_text(o, "budget"));
    if (field_text(o, "reason")[0])
        printf("%-10s %s\n", "reason", field_text(o, "reason"));
    if (field_number(o, "n", 0) > 0)
        print_score(o, "reward", field_number(o, "n", 0));
    if (json_is_object(final))
        print_score(final, "test", field_number(final, "n", 0));
    if (field_text(o, "final_failed")[0])
        printf("%-10s failed as a finalist: %s\n", "test", field_text(o, "final_failed"));
    print_cost(o, "MACs", "macs", "macs_ratio");
    print_cost(o, "params", "params", "params_ratio");
    print_cost(o, "bytes", "bytes", "bytes_ratio");
    print_latency(o, json_object_get(o, "timing"));
    print_kept(json_object_get(o, "kept"), fine);
    if (field_text(o, "worker")[0])
        printf("%-10s %s, %.2f s\n", "worker", field_text(o, "worker"), field_number(o, "seconds", 0));
    if (field_text(o, "model")[0])
        printf("%-10s made: espalier export %lld %.0f -o FILE.onnx\n", "ONNX file", id,
               field_number(o, "episode", -1));
    print_attempts(json_object_get(o, "attempts"));
}

/* What the search cuts, from its spec. */
static int get_cut(struct client *cl, long long id, bool *fine, struct err *e)
{
    json_t *o = NULL;
    struct spec spec;
    int rc = client_get(cl, &o, e, "searches/%lld", id);
    if (rc == 0) {
        const char *yaml = field_text(json_object_get(o, "search"), "spec");
        rc = spec_parse(yaml, strlen(yaml), &spec, e);
    }
    if (rc == 0) {
        *fine = spec.cut == CUT_FINE;
        spec_release(&spec);
    }
    json_decref(o);
    return rc;
}

int verb_show(struct cli *c, int argc, char **argv, struct err *e)
{
    enum format format = FORMAT_TABLE;
    const char *name = NULL, *operand[2];
    const struct arg args[] = {{"--format", ARG_TEXT, "table|json", "how (table)", &name, 0, 0}, {0}};
    const struct usage u = {"show ID EPISODE [--format table|json]",
                            "One candidate: scores, cost, the channels kept in every group or every layer's density, and "
                            "the attempts it took.",
                            args, 2, 2};
    struct client *cl = NULL;
    json_t *o = NULL;
    long long id, episode;
    bool fine = false;
    int rc = args_parse(c, &u, argc, argv, operand, e);
    if (rc == 0)
        rc = args_number(c, "search", operand[0], 1, &id, e);
    if (rc == 0)
        rc = args_number(c, "episode", operand[1], 0, &episode, e);
    if (rc == 0)
        rc = format_parse(c, name, FORMAT_JSON, &format, e);
    if (rc == 0)
        rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = client_get(cl, &o, e, "searches/%lld/candidates/%lld", id, episode);
    if (rc == 0 && format == FORMAT_JSON)
        rc = format_json(o, e);
    else if (rc == 0 && (rc = get_cut(cl, id, &fine, e)) == 0)
        print_candidate(o, id, fine);
    json_decref(o);
    client_close(cl);
    return rc;
}
