/* `espalier search list`, `pause`, `resume` and `cancel`. */
#include <stdio.h>
#include <string.h>

#include "coordinator/cli/args.h"
#include "coordinator/cli/client.h"
#include "coordinator/cli/format.h"
#include "coordinator/cli/listing.h"
#include "coordinator/cli/table.h"
#include "coordinator/cli/term.h"

/* "2026-11-23T01:24:05.123Z" without its fraction and letters. */
static const char *short_time(const char *iso, char out[32])
{
    snprintf(out, 32, "%.10s %.5s", iso, strlen(iso) > 11 ? iso + 11 : "");
    return iso[0] ? out : "-";
}

static void print_list(const json_t *searches)
{
    static const struct column columns[] = {{"id", COLUMN_NUMBER},         {"name", COLUMN_FLEXIBLE},
                                            {"state", COLUMN_TEXT},        {"evaluated", COLUMN_NUMBER},
                                            {"best top-1", COLUMN_NUMBER}, {"created (UTC)", COLUMN_TEXT}};
    struct table t = {.columns = columns, .n_columns = sizeof(columns) / sizeof(*columns)};
    char s[TERM_TEXT], when[32];
    size_t i;
    json_t *o;
    json_array_foreach(searches, i, o)
    {
        table_cell(&t, "%.0f", field_number(o, "id", 0));
        table_cell(&t, "%s", field_text(o, "name"));
        table_cell(&t, "%s", field_text(o, "state"));
        if (strcmp(field_text(o, "job"), "training") == 0)
            table_cell(&t, "%.0f epochs", field_number(o, "epochs_done", 0));
        else
            table_cell(&t, "%.0f", field_number(o, "evaluated", 0));
        table_cell(&t, "%s", term_percent(s, field_number(o, "best", -1)));
        table_cell(&t, "%s", short_time(field_text(o, "created"), when));
    }
    if (t.n > 0)
        table_print(&t);
    else
        puts("no searches yet");
    table_release(&t);
}

int verb_list(struct cli *c, int argc, char **argv, struct err *e)
{
    return listing(c, "search list [--format table|json]", "All searches and trainings, the newest first.",
                   "searches", print_list, argc, argv, e);
}

static int control(struct cli *c, const struct usage *u, const char *what, int argc, char **argv, struct err *e)
{
    struct client *cl = NULL;
    json_t *answer = NULL;
    const char *operand;
    long long id;
    int rc = args_parse(c, u, argc, argv, &operand, e);
    if (rc == 0)
        rc = args_number(c, "search", operand, 1, &id, e);
    if (rc == 0)
        rc = client_open(&cl, c, e);
    if (rc == 0)
        rc = client_post(cl, NULL, &answer, e, "searches/%lld/%s", id, what);
    if (rc == 0)
        printf("search %lld is %s\n", id, field_text(answer, "state"));
    json_decref(answer);
    client_close(cl);
    return rc;
}

int verb_pause(struct cli *c, int argc, char **argv, struct err *e)
{
    const struct usage u = {"search pause ID",
                            "Hands out no more work of the search; what is under way is finished and recorded.",
                            NULL, 1, 1};
    return control(c, &u, "pause", argc, argv, e);
}

int verb_resume(struct cli *c, int argc, char **argv, struct err *e)
{
    const struct usage u = {"search resume ID", "Goes on with a paused search.", NULL, 1, 1};
    return control(c, &u, "resume", argc, argv, e);
}

int verb_cancel(struct cli *c, int argc, char **argv, struct err *e)
{
    const struct usage u = {"search cancel ID", "Ends the search for good; what it has found stays.", NULL, 1, 1};
    return control(c, &u, "cancel", argc, argv, e);
}
