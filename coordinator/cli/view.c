#include "coordinator/cli/view.h"

#include <math.h>
#include <string.h>

#include "coordinator/cli/format.h"
#include "coordinator/cli/table.h"
#include "coordinator/cli/term.h"
#include "coordinator/spec.h"

#define BAR 24 /* columns */

/* --- what there is to know --- */

static void read_spec(struct view *v)
{
    const char *yaml = field_text(v->search, "spec");
    struct spec s;
    struct err ignored; /* an older program's spec: the totals stay unknown */
    if (spec_parse(yaml, strlen(yaml), &s, &ignored) < 0)
        return;
    v->episodes = s.training ? 0 : s.episodes;
    v->round_auto = s.round_auto;
    v->finals_most = s.finish_top * s.n_budgets;
    spec_release(&s);
}

int view_read(struct view *v, const json_t *status, struct err *e)
{
    *v = (struct view){
        .search = json_object_get(status, "search"), .live = json_object_get(status, "live"), .left_s = -1};
    v->state = field_text(v->search, "state");
    v->id = (long long)field_number(v->search, "id", 0);
    if (!v->state[0])
        return err_set(e, ERR_INVALID, "what came isn't a search's status");
    read_spec(v);
    v->training = strcmp(field_text(v->search, "job"), "training") == 0;
    v->epochs = (int)field_number(v->search, "epochs", 0);
    if (v->training) {
        v->done = (int)field_number(v->search, "epochs_done", 0);
        return 0;
    }
    v->done = (int)(field_number(v->search, "evaluated", 0) + field_number(v->search, "failed", 0));
    double rate = field_number(v->search, "per_minute", 0);
    if (strcmp(v->state, "running") == 0 && rate > 0 && v->episodes > v->done)
        v->left_s = 60 * (v->episodes - v->done) / rate;
    return 0;
}

const char *view_noun(const struct view *v)
{
    return v->training ? "training" : "search";
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
    int workers = (int)field_number(v->live, "workers", 0), working = (int)field_number(v->live, "working", 0);
    buf_text(out, "%s %lld  %s  %s%s%s", view_noun(v), v->id, field_text(v->search, "name"),
             colour ? colour_of(v->state) : "", v->state, colour ? "\033[0m" : "");
    if (!view_over(v))
        buf_text(out, "  %d worker%s, %d at work on it", workers, workers == 1 ? "" : "s", working);
    buf_text(out, "\n");
    if (field_text(v->search, "reason")[0])
        buf_text(out, "reason    %s\n", field_text(v->search, "reason"));
}

void view_append_bar(int done, int of, struct buf *out)
{
    buf_text(out, "%d", done);
    if (of < 1)
        return;
    int full = (int)((int64_t)BAR * done / of);
    buf_text(out, " of %d  [", of);
    for (int i = 0; i < BAR; i++)
        buf_text(out, "%c", i < full ? '#' : '.');
    buf_text(out, "]  %d%%", (int)(100LL * done / of));
}

static void append_over(const json_t *timing, struct buf *out)
{
    buf_text(out, ", over its latency budget: measured %.3f of dense, spread %.3f", field_number(timing, "ratio", 0),
             field_number(timing, "spread", 0));
}

/* "episode 17: epoch 6 of 20", a line a finalist that isn't over, or was measured over its budget. */
static void append_finalists(const struct view *v, struct buf *out)
{
    size_t i;
    json_t *f;
    json_array_foreach(json_object_get(v->search, "finalists"), i, f)
    {
        const char *state = field_text(f, "state");
        int epochs = (int)field_number(f, "epochs", 0);
        bool over = json_is_false(json_object_get(json_object_get(f, "timing"), "within"));
        if (strcmp(state, "done") == 0 && !over)
            continue;
        buf_text(out, "          episode %.0f: %s", field_number(f, "episode", -1), state);
        if (strcmp(state, "running") == 0 && epochs > 0)
            buf_text(out, ", %.0f of %d epochs done", field_number(f, "epoch", 0), epochs);
        if (field_text(f, "reason")[0])
            buf_text(out, ": %s", field_text(f, "reason"));
        if (over)
            append_over(json_object_get(f, "timing"), out);
        buf_text(out, "\n");
    }
}

static void append_progress(const struct view *v, struct buf *out)
{
    int failed = (int)field_number(v->search, "failed", 0);
    double rate = field_number(v->search, "per_minute", 0);
    char left[TERM_TEXT];
    buf_text(out, "episodes  ");
    view_append_bar(v->done, v->episodes, out);
    if (failed)
        buf_text(out, "  %d failed", failed);
    if (rate > 0)
        buf_text(out, "  %.*f a minute", rate < 10 ? 1 : 0, rate);
    if (v->left_s >= 0)
        buf_text(out, ", %s left", term_duration(left, v->left_s));
    buf_text(out, "\n");
    int finals = (int)field_number(v->search, "finals", 0);
    if (finals || strcmp(v->state, "finishing") == 0)
        buf_text(out, "finalists %d scored on the test set, of at most %d\n", finals, v->finals_most);
    append_finalists(v, out);
}

static void append_dense(const struct view *v, struct buf *out)
{
    const json_t *dense = json_object_get(v->search, "dense");
    char top1[TERM_TEXT], macs[TERM_TEXT], params[TERM_TEXT];
    if (field_number(dense, "macs", 0) <= 0)
        return;
    buf_text(out, "dense     top-1 %s  %s MACs  %s params\n", term_percent(top1, field_number(dense, "top1", -1)),
             term_count(macs, field_number(dense, "macs", 0)),
             term_count(params, field_number(dense, "params", 0)));
}

/* "27 groups to 8, 3 to 16" */
static void append_rounds(const json_t *rounds, struct buf *out)
{
    const char *before = "rounding  ";
    for (int multiple = 1; multiple <= 32; multiple *= 2) {
        size_t i;
        int n = 0;
        json_t *r;
        json_array_foreach(rounds, i, r) n += json_integer_value(r) == multiple;
        if (n == 0)
            continue;
        buf_text(out, "%s%d group%s to %d", before, n, n == 1 ? "" : "s", multiple);
        before = ", ";
    }
    buf_text(out, "\n");
}

static void append_table(const struct view *v, struct buf *out)
{
    const json_t *t = json_object_get(v->search, "table");
    if (!json_is_object(t))
        return;
    buf_text(out, "latency   dense %.3f ms on %s, %s; predictions off by %.1f%%, at worst %.1f%%", field_number(t, "dense_ms", 0),
             field_text(t, "cpu"), field_text(t, "precision"), 100 * field_number(t, "error_median", 0),
             100 * field_number(t, "error_worst", 0));
    if (json_is_number(json_object_get(t, "inherited")))
        buf_text(out, " (the table of search %.0f)", field_number(t, "inherited", 0));
    buf_text(out, "\n");
    if (v->round_auto)
        append_rounds(json_object_get(t, "rounds"), out);
}

static void append_best(const struct view *v, int width, struct buf *out)
{
    static const struct column columns[] = {{"budget", COLUMN_TEXT},     {"best top-1", COLUMN_NUMBER},
                                            {"to dense", COLUMN_NUMBER}, {"MACs", COLUMN_NUMBER},
                                            {"ratio", COLUMN_NUMBER},    {"params", COLUMN_NUMBER},
                                            {"ratio", COLUMN_NUMBER},    {"episode", COLUMN_NUMBER}};
    struct table t = {.columns = columns, .n_columns = sizeof(columns) / sizeof(*columns)};
    const json_t *dense = json_object_get(v->search, "dense"), *best = json_object_get(v->search, "best");
    double dense_top1 = field_number(dense, "top1", -1);
    char s[TERM_TEXT];
    size_t i;
    json_t *b;
    json_array_foreach(best, i, b)
    {
        double top1 = field_number(b, "top1", -1), macs = field_number(b, "macs_ratio", 0),
               params = field_number(b, "params_ratio", 0);
        table_cell(&t, "%s", field_text(b, "budget"));
        table_cell(&t, "%s", term_percent(s, top1));
        table_cell(&t, "%s", dense_top1 >= 0 ? term_points(s, top1 - dense_top1) : "-");
        table_cell(&t, "%s", term_count(s, macs * field_number(dense, "macs", 0)));
        table_cell(&t, "%.3f", macs);
        table_cell(&t, "%s", term_count(s, params * field_number(dense, "params", 0)));
        table_cell(&t, "%.3f", params);
        table_cell(&t, "%.0f", field_number(b, "episode", -1));
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
    if (v->training) {
        view_append_training(v, out);
    } else {
        append_progress(v, out);
        append_dense(v, out);
        append_table(v, out);
        append_best(v, width, out);
    }
    if (field_text(v->live, "waiting")[0] || field_text(v->live, "note")[0])
        buf_text(out, "\n");
    if (field_text(v->live, "waiting")[0])
        buf_text(out, "waiting   %s\n", field_text(v->live, "waiting"));
    if (field_text(v->live, "note")[0])
        buf_text(out, "note      %s\n", field_text(v->live, "note"));
}

/* " finalists 1/3 (17: 6/20, 30: 2/20)" */
static void append_finalists_line(const struct view *v, struct buf *out)
{
    const char *before = " (";
    size_t i;
    json_t *f;
    buf_text(out, " finalists %.0f/%d", field_number(v->search, "finals", 0), v->finals_most);
    json_array_foreach(json_object_get(v->search, "finalists"), i, f)
    {
        if (strcmp(field_text(f, "state"), "running") != 0 || field_number(f, "epochs", 0) <= 0)
            continue;
        buf_text(out, "%s%.0f: %.0f/%.0f", before, field_number(f, "episode", -1), field_number(f, "epoch", 0),
                 field_number(f, "epochs", 0));
        before = ", ";
    }
    buf_text(out, before[0] == ',' ? ")" : "");
}

static void append_search_line(const struct view *v, struct buf *out)
{
    const json_t *best = json_object_get(v->search, "best");
    char s[TERM_TEXT];
    size_t i;
    json_t *b;
    buf_text(out, "search %lld %s %d/%d", v->id, v->state, v->done, v->episodes);
    if (strcmp(v->state, "finishing") == 0)
        append_finalists_line(v, out);
    json_array_foreach(best, i, b) buf_text(out, "%s %s %s", i ? "," : " best", field_text(b, "budget"),
                                            term_percent(s, field_number(b, "top1", -1)));
    if (v->left_s >= 0)
        buf_text(out, ", %s left", term_duration(s, v->left_s));
}

void view_line(const struct view *v, struct buf *out)
{
    if (v->training)
        view_append_training_line(v, out);
    else
        append_search_line(v, out);
    if (field_text(v->live, "waiting")[0])
        buf_text(out, ", waiting: %s", field_text(v->live, "waiting"));
}
