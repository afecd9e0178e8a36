#include "coordinator/cli/view.h"

#include <math.h>
#include <string.h>

#include "coordinator/cli/table.h"
#include "coordinator/cli/term.h"
#include "coordinator/spec.h"

#define BAR 24 /* columns */

double json_num(const json_t *o, const char *key, double otherwise)
{
    const json_t *v = json_object_get(o, key);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

const char *json_str(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}

/* --- what there is to know --- */

static void read_spec(struct view *v)
{
    const char *yaml = json_str(v->search, "spec");
    struct spec s;
    struct err ignored; /* an older program's spec: the totals stay unknown */
    if (spec_parse(yaml, strlen(yaml), &s, &ignored) < 0)
        return;
    v->episodes = s.episodes;
    v->finals_most = s.finish_top * s.n_budgets;
    spec_release(&s);
}

int view_read(struct view *v, const json_t *status, struct err *e)
{
    *v = (struct view){.search = json_object_get(status, "search"), .live = json_object_get(status, "live"), .left_s = -1};
    v->state = json_str(v->search, "state");
    v->id = (long long)json_num(v->search, "id", 0);
    if (!v->state[0])
        return err_set(e, ERR_INVALID, "what came isn't a search's status");
    read_spec(v);
    v->done = (int)(json_num(v->search, "evaluated", 0) + json_num(v->search, "failed", 0));
    double rate = json_num(v->search, "per_minute", 0);
    if (strcmp(v->state, "running") == 0 && rate > 0 && v->episodes > v->done)
        v->left_s = 60 * (v->episodes - v->done) / rate;
    return 0;
}

bool view_over(const struct view *v)
{
    return strcmp(v->state, "done") == 0 || strcmp(v->state, "failed") == 0 || strcmp(v->state, "cancelled") == 0;
}

/* --- as text --- */

static const char *colour_of(const char *state)
{
    static const struct {
        const char *state, *code;
    } colours[] = {{"done", "\033[32m"}, {"failed", "\033[31m"}, {"cancelled", "\033[31m"}, {"paused", "\033[33m"}};
    for (size_t i = 0; i < sizeof(colours) / sizeof(*colours); i++)
        if (strcmp(state, colours[i].state) == 0)
            return colours[i].code;
    return "\033[36m";
}

static void append_title(const struct view *v, bool colour, struct buf *out)
{
    int workers = (int)json_num(v->live, "workers", 0), working = (int)json_num(v->live, "working", 0);
    buf_text(out, "search %lld  %s  %s%s%s", v->id, json_str(v->search, "name"), colour ? colour_of(v->state) : "", v->state,
             colour ? "\033[0m" : "");
    if (!view_over(v))
        buf_text(out, "  %d worker%s, %d at work on it", workers, workers == 1 ? "" : "s", working);
    buf_text(out, "\n");
    if (json_str(v->search, "reason")[0])
        buf_text(out, "reason    %s\n", json_str(v->search, "reason"));
}

static void append_progress(const struct view *v, struct buf *out)
{
    int failed = (int)json_num(v->search, "failed", 0), of = v->episodes ? v->episodes : 1;
    double rate = json_num(v->search, "per_minute", 0);
    char left[TERM_TEXT];
    buf_text(out, "episodes  %d", v->done);
    if (v->episodes) {
        int full = (int)((int64_t)BAR * v->done / of);
        buf_text(out, " of %d  [", v->episodes);
        for (int i = 0; i < BAR; i++)
            buf_text(out, "%c", i < full ? '#' : '.');
        buf_text(out, "]  %d%%", (int)(100LL * v->done / of));
    }
    if (failed)
        buf_text(out, "  %d failed", failed);
    if (rate > 0)
        buf_text(out, "  %.*f a minute", rate < 10 ? 1 : 0, rate);
    if (v->left_s >= 0)
        buf_text(out, ", %s left", term_duration(left, v->left_s));
    buf_text(out, "\n");
    int finals = (int)json_num(v->search, "finals", 0);
    if (finals || strcmp(v->state, "finishing") == 0)
        buf_text(out, "finalists %d scored on the test set, of at most %d\n", finals, v->finals_most);
}

static void append_dense(const struct view *v, struct buf *out)
{
    const json_t *dense = json_object_get(v->search, "dense");
    char top1[TERM_TEXT], macs[TERM_TEXT], params[TERM_TEXT];
    if (json_num(dense, "macs", 0) <= 0)
        return;
    buf_text(out, "dense     top-1 %s  %s MACs  %s params\n", term_percent(top1, json_num(dense, "top1", -1)),
             term_count(macs, json_num(dense, "macs", 0)), term_count(params, json_num(dense, "params", 0)));
}

static void append_best(const struct view *v, int width, struct buf *out)
{
    static const struct column columns[] = {{"budget", COLUMN_TEXT},  {"best top-1", COLUMN_NUMBER}, {"to dense", COLUMN_NUMBER},
                                            {"MACs", COLUMN_NUMBER},  {"ratio", COLUMN_NUMBER},      {"params", COLUMN_NUMBER},
                                            {"ratio", COLUMN_NUMBER}, {"episode", COLUMN_NUMBER}};
    struct table t = {.columns = columns, .n_columns = sizeof(columns) / sizeof(*columns)};
    const json_t *dense = json_object_get(v->search, "dense"), *best = json_object_get(v->search, "best");
    double dense_top1 = json_num(dense, "top1", -1);
    char s[TERM_TEXT];
    size_t i;
    json_t *b;
    json_array_foreach(best, i, b)
    {
        double top1 = json_num(b, "top1", -1), macs = json_num(b, "macs_ratio", 0), params = json_num(b, "params_ratio", 0);
        table_cell(&t, "%s", json_str(b, "budget"));
        table_cell(&t, "%s", term_percent(s, top1));
        table_cell(&t, "%s", dense_top1 >= 0 ? term_points(s, top1 - dense_top1) : "-");
        table_cell(&t, "%s", term_count(s, macs * json_num(dense, "macs", 0)));
        table_cell(&t, "%.3f", macs);
        table_cell(&t, "%s", term_count(s, params * json_num(dense, "params", 0)));
        table_cell(&t, "%.3f", params);
        table_cell(&t, "%.0f", json_num(b, "episode", -1));
    }
    if (t.n > 0) {
        buf_text(out, "\n");
        table_text(&t, width, out);
    }
    table_release(&t);
}

void view_text(const struct view *v, int width, bool colour, struct buf *out)
{
    append_title(v, colour, out);
    append_progress(v, out);
    append_dense(v, out);
    append_best(v, width, out);
    if (json_str(v->live, "waiting")[0] || json_str(v->live, "note")[0])
        buf_text(out, "\n");
    if (json_str(v->live, "waiting")[0])
        buf_text(out, "waiting   %s\n", json_str(v->live, "waiting"));
    if (json_str(v->live, "note")[0])
        buf_text(out, "note      %s\n", json_str(v->live, "note"));
}

void view_line(const struct view *v, struct buf *out)
{
    const json_t *best = json_object_get(v->search, "best");
    char s[TERM_TEXT];
    size_t i;
    json_t *b;
    buf_text(out, "search %lld %s %d/%d", v->id, v->state, v->done, v->episodes);
    if (strcmp(v->state, "finishing") == 0)
        buf_text(out, " finalists %.0f/%d", json_num(v->search, "finals", 0), v->finals_most);
    json_array_foreach(best, i, b)
        buf_text(out, "%s %s %s", i ? "," : " best", json_str(b, "budget"), term_percent(s, json_num(b, "top1", -1)));
    if (v->left_s >= 0)
        buf_text(out, ", %s left", term_duration(s, v->left_s));
    if (json_str(v->live, "waiting")[0])
        buf_text(out, ", waiting: %s", json_str(v->live, "waiting"));
}
