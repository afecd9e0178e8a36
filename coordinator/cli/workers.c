/* `espalier workers`. */
#include <stdio.h>
#include <string.h>

#include "coordinator/cli/format.h"
#include "coordinator/cli/listing.h"
#include "coordinator/cli/table.h"
#include "coordinator/cli/term.h"

/* "search 3, episode 17: score 60%" */
static void put_doing(struct table *t, const json_t *w)
{
    double total = field_number(w, "total", 0);
    char part[16] = "", episode[48] = "";
    if (total > 0)
        snprintf(part, sizeof(part), " %.0f%%", 100 * field_number(w, "done", 0) / total);
    if (field_number(w, "episode", -1) >= 0)
        snprintf(episode, sizeof(episode), ", episode %.0f", field_number(w, "episode", -1));
    if (field_text(w, "kind")[0])
        table_cell(t, "%s of search %.0f%s: %s%s", field_text(w, "kind"), field_number(w, "search", 0), episode,
                   field_text(w, "stage"), part);
    else
        table_cell(t, "-");
}

static void print_workers(const json_t *workers)
{
    static const struct column columns[] = {
        {"worker", COLUMN_TEXT},      {"state", COLUMN_TEXT},       {"doing", COLUMN_FLEXIBLE},
        {"done", COLUMN_NUMBER},      {"a minute", COLUMN_NUMBER},  {"threads", COLUMN_NUMBER},
        {"connected", COLUMN_NUMBER}, {"kernels", COLUMN_FLEXIBLE}, {"CPU", COLUMN_FLEXIBLE}};
    struct table t = {.columns = columns, .n_columns = sizeof(columns) / sizeof(*columns)};
    char s[TERM_TEXT];
    size_t i;
    json_t *w;
    json_array_foreach(workers, i, w)
    {
        table_cell(&t, "%s", field_text(w, "name"));
        table_cell(&t, "%s", field_text(w, "state"));
        put_doing(&t, w);
        table_cell(&t, "%.0f", field_number(w, "evaluations", 0));
        table_cell(&t, "%.1f", field_number(w, "per_minute", 0));
        table_cell(&t, "%.0f", field_number(w, "threads", 0));
        table_cell(&t, "%s", term_duration(s, field_number(w, "connected_s", 0)));
        table_cell(&t, "%s", field_text(w, "kernels"));
        table_cell(&t, "%s", field_text(w, "cpu"));
    }
    if (t.n > 0)
        table_print(&t);
    else
        puts("no worker is connected");
    table_release(&t);
}

int verb_workers(struct cli *c, int argc, char **argv, struct err *e)
{
    return listing(c, "workers [--format table|json]", "Who is connected, doing what, at what rate.", "workers",
                   print_workers, argc, argv, e);
}
